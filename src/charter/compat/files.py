"""The answer-improvement library's files, read and written: principles, and prompts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from charter.compat.telling import tell_left_out, tell_remarks
from charter.constitution.formats.export import export_constitution
from charter.constitution.model import Constitution
from charter.constitution.reading import read_constitution
from charter.prompts.sources import load_prompts
from charter.publishing.export import export_file
from charter.records import Prompt


def load_principles(file_path: str | Path) -> Constitution:
    """Read a JSON file of principles; any other constitution that Charter reads will do as well.

    Of a worked example without a critique, which is kept, a ``PrinciplesWarning`` tells.

    Raises:
        ConstitutionError: for a missing file, and for every fault in it, by line.
    """
    reading = read_constitution([file_path])
    tell_remarks(reading.remarks)
    return reading.constitution


def save_principles(principles: Constitution, file_path: str | Path) -> tuple[str, ...]:
    """Write a constitution as a JSON file of principles, and name what of it such a file cannot hold.

    Raises:
        ConstitutionError: where it cannot be written, or such a file cannot hold its principles at all.
    """
    return export_constitution(principles, file_path, layout="answer-improvement")


def import_prompts_from_csv(
    csv_file: str | Path, prompt_column: str = "prompt", id_column: str | None = None
) -> list[Prompt]:
    """Read prompts of a CSV, each text as it stands.

    Args:
        csv_file: or any other file of rows that Charter reads.
        prompt_column: where the prompt is.
        id_column: where ids are; None takes a column ``id`` where that tells prompts apart, else makes ids of the
            texts, which do not change when rows are added or sorted.

    Returns:
        Distinct prompts in the file's order; of rows that are none a ``LeftOutWarning`` tells.

    Raises:
        PromptError: for a file that cannot be read, a column that is not there, and where no prompt is left.
    """
    loaded = load_prompts(str(csv_file), "red_team", layout="rows", column=prompt_column, id_column=id_column)
    tell_left_out(str(csv_file), loaded.n_rows, loaded.rejected)
    return list(loaded.prompts)


def save_prompts_to_csv(prompts: Iterable[Prompt], csv_file: str | Path, *, raw: bool = False) -> int:
    """Write prompts as a CSV with the columns ``id``, ``prompt`` and ``category``, and say how many.

    Args:
        prompts: of one turn each; of others a ``LeftOutWarning`` tells.
        csv_file: written over where it is there.
        raw: leave cells that a spreadsheet would run as they are; else our reader undoes what is done to them.

    Raises:
        UserError: where none can be written, or the file cannot.
    """
    rows = list(prompts)
    written = export_file(rows, csv_file, "answer-improvement", "prompts", raw=raw)
    tell_left_out(str(csv_file), len(rows), written.left_out)
    return written.n_rows
