"""Prompts with constraints that can be checked: those that come with Charter, or files of IFEval's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.evaluation.instructions.constraints import Instruction, read_instruction
from charter.files.hub_ids import is_dataset_id
from charter.prompts.grouping import normalise_text
from charter.prompts.reading import read_rows
from charter.prompts.source_rows import SourceRow
from charter.prompts.sources import draw_prompts
from charter.records import BUILT_IN, Prompt, make_prompt
from charter.seeds import row_id
from charter.spelling import hint


@dataclass(frozen=True)
class InstructionRow:
    """A prompt and what it asks of its answer's form.

    Attributes:
        key: the row's name in its file.
        prompt: what a model is asked; its id is made of the key and the text.
        instructions: one at least.
    """

    key: str
    prompt: Prompt
    instructions: tuple[Instruction, ...]

    @property
    def group(self) -> str:
        """What rows that ask the same share."""
        return normalise_text(self.prompt.text)


def load_instructions(source: str = BUILT_IN, *, n: int | None = None, seed: int = 0) -> list[InstructionRow]:
    """Read rows of ``{key, prompt, instruction_id_list, kwargs}``.

    Args:
        source: ``built-in``, or anything that prompts are read in.
        n: rows, drawn by the seed, more of which contain those of fewer; None takes all.
        seed: of the draw.

    Raises:
        PromptError: naming the line, the key and what is wrong.
    """
    rows = _rows(source)
    kept = {one.id for one in draw_prompts([row.prompt for row in rows], len(rows) if n is None else n, seed)}
    return [row for row in rows if row.prompt.id in kept]


def _rows(source: str) -> list[InstructionRow]:
    if source == BUILT_IN:
        with resources.as_file(resources.files("charter.evaluation.instructions") / "data" / "prompts.jsonl") as path:
            return _distinct(read_rows(str(path)), source)
    if not Path(source).exists() and not is_dataset_id(source):
        raise PromptError(
            f"{source}: no such file; expected a file of prompts with 'instruction_id_list' and 'kwargs', or "
            f"{BUILT_IN}{hint(source, [BUILT_IN])}"
        )
    return _distinct(read_rows(source), source)


def _distinct(rows: Sequence[SourceRow], source: str) -> list[InstructionRow]:
    """Read every row, and see that no two have one key."""
    found: dict[str, InstructionRow] = {}
    for row in rows:
        one = _row(row, source)
        if one.key in found:
            raise PromptError(f"{row.place}: the key {one.key!r} stands on an earlier row too; give each its own")
        found[one.key] = one
    return list(found.values())


def _row(row: SourceRow, source: str) -> InstructionRow:
    key, text = row.values.get("key"), row.values.get("prompt")
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
        raise PromptError(f"{row.place}: 'key' is {key!r}; expected a text or a whole number that names the row")
    if not isinstance(text, str) or not text.strip():
        raise PromptError(f"{row.place}: 'prompt' is {text!r}; expected a text that says something")
    names, kwargs = _list(row, "instruction_id_list"), _list(row, "kwargs")
    if not names:
        raise PromptError(f"{row.place}: 'instruction_id_list' is empty; name at least one constraint, or drop the row")
    if len(names) != len(kwargs):
        raise PromptError(
            f"{row.place}: 'kwargs' has {len(kwargs)} objects for {len(names)} names in 'instruction_id_list'; give "
            "one for each, {} where it takes nothing"
        )
    prompt = make_prompt(text, "helpful", id=row_id("instructions", str(key), text), source=source, source_id=str(key))
    instructions = (read_instruction(name, one, row.place) for name, one in zip(names, kwargs, strict=True))
    return InstructionRow(str(key), prompt, tuple(instructions))


def _list(row: SourceRow, name: str) -> list[Any]:
    value = row.values.get(name)
    if not isinstance(value, list):
        said = f"is {value!r}" if name in row.values else "is missing"
        raise PromptError(f"{row.place}: {name!r} {said}; expected a list")
    return value
