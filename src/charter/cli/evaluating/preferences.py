"""``charter evaluate preferences``: what of preference data would spoil a training, before there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating.preferences_view import describe, write_preferences
from charter.cli.held_file import has_keys, locked, make_folder
from charter.cli.options import AsJson, Iteration, examples

if TYPE_CHECKING:
    from charter.evaluation.preference_data import PreferenceData

_FIGURES, _FLAGGED = "preferences.json", "flagged.jsonl"
_KEYS = frozenset(
    {"warnings", "lengths", "styles", "repeats"}
)  # that tell its figures: there is no journal beside them

_Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE|RUN",
        help="Preferences in any layout that is read, packed as .gz or not; or a run's folder.",
        show_default=False,
    ),
]
_ConstitutionOption = Annotated[
    str | None,
    typer.Option(
        "--constitution",
        "-c",
        metavar="C",
        help="The one that FILE was made with, a name or a file: keys that count principles are named by it.",
        show_default=False,
    ),
]
_Split = Annotated[
    str | None, typer.Option("--split", metavar="S", help="Of FILE, where that is a dataset.", show_default=False)
]
_Threshold = Annotated[
    float,
    typer.Option(
        "--near-duplicates", metavar="T", help="The least similarity that makes two pairs near-duplicates, 0.1 to 1."
    ),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the pairs, sides and folds that labels are guessed by.")]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where figures and the pairs that are worth a look are kept; written anew each time.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "preferences",
        epilog=examples(
            "charter evaluate preferences preferences.json",
            "charter evaluate preferences runs/one --out checked",
            "charter evaluate preferences harmless.jsonl.gz --near-duplicates 0.6 --json",
            "charter evaluate preferences preferences.json --constitution south_africa",
        ),
    )(preferences)


def preferences(  # noqa: PLR0917 - the command line names them
    source: _Source,
    constitution: _ConstitutionOption = None,
    split: _Split = None,
    iteration: Iteration = 1,
    threshold: _Threshold = 0.7,
    seed: _Seed = 0,
    out: _Out = None,
    as_json: AsJson = False,
) -> None:
    """Check preference data before anybody trains on it; no model is asked.

    Whether length, a mark of style or the words alone give the labels; duplicates, equal sides and pairs that
    contradict each other; what the pairs are about, and what their labels say. What would spoil a training stands
    first, in words.
    """
    from charter.evaluation.preference_data import assess_preferences, flags_of_rows

    data = _load(source, constitution, split, iteration)
    found = assess_preferences(data, threshold=threshold, seed=seed)
    flagged = _flagged(data, flags_of_rows(data, found.repeats))
    told = describe(data, found, flagged, threshold=threshold, seed=seed)
    if out is not None:
        _keep(out, told, flagged)
    if as_json:
        console.write_json(told if out is not None else {**told, "flagged": flagged})
        return
    write_preferences(told)
    if out is not None:
        console.write(str(out))


def _load(source: str, constitution: str | None, split: str | None, iteration: int) -> PreferenceData:
    """Read a run's preferences, or those of a file.

    Raises:
        UserError: for options that have nothing to do, and for what cannot be read.
    """
    from charter.cli.label_difference import read_labels
    from charter.constitution import load_constitution
    from charter.errors import UserError
    from charter.evaluation.preference_data import data_of_labels, data_of_pairs
    from charter.given import load_pairs
    from charter.runs.place import is_run

    if is_run(source):
        idle = [name for name, value in (("--constitution", constitution), ("--split", split)) if value is not None]
        if idle:
            raise UserError(f"{', '.join(idle)}: {source} is a run, which knows it itself; leave it out")
        return data_of_labels(read_labels(Path(source), iteration), source)
    if iteration != 1:
        raise UserError(f"--iteration {iteration}: {source} is no run; leave it out")
    own = None if constitution is None else load_constitution(constitution)
    return data_of_pairs(load_pairs(source, constitution=own, split=split))


def _flagged(data: PreferenceData, flags: Sequence[tuple[int, Mapping[str, str]]]) -> list[dict[str, Any]]:
    """Give the pairs that are worth a look as plain values, each with what it resembles or contradicts."""
    rows = [(data.rows[number], of_row) for number, of_row in flags]
    return [
        {
            "id": row.id,
            "place": data.places.get(row.id),
            "flags": [
                {"flag": flag, "other": other or None, "other_place": data.places.get(other)}
                for flag, other in of_row.items()
            ],
            "prompt": row.prompt.text,
            "chosen": row.chosen,
            "rejected": row.rejected,
            "p_chosen": row.p_chosen,
        }
        for row, of_row in rows
    ]


def _keep(folder: Path, told: Mapping[str, Any], flagged: Sequence[Mapping[str, Any]]) -> None:
    """Write the figures, and the pairs that are worth a look, a line each."""
    from charter.files.tables import write_json, write_json_lines

    make_folder(folder, (_FIGURES, _FLAGGED), _FIGURES, is_ours=partial(has_keys, keys=_KEYS))
    with locked(folder / _FIGURES):
        write_json_lines(folder / _FLAGGED, flagged)
        write_json(folder / _FIGURES, told)
