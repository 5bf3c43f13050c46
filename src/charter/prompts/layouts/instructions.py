"""Instructions with inputs and outputs, as self-instruct writes them (arXiv 2212.10560), or one input a row.

The prompt is the instruction, an empty line and the input; the output is the reference answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from charter.errors import PromptError
from charter.prompts.layouts.base import Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow

_PROMPT, _REFERENCE = "(prompt)", "(reference)"


def _fits(rows: Sequence[SourceRow]) -> bool:
    if not all_have(rows, "instruction", of=str):
        return False
    return all_have(rows, "instances", of=list) or all_have(rows, "input", "output", of=(str, type(None)))


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    return [part for row in rows for part in _parts(row)]


def _parts(row: SourceRow) -> Iterator[SourceRow]:
    if "instances" not in row.values:
        yield _part(row, row.values, "")
        return
    instances = row.values["instances"]
    if not instances:
        yield with_values(row, {_PROMPT: None, _REFERENCE: None}, reason="without an instance")
    for number, instance in enumerate(instances, start=1):
        name = f"instance {number}" if len(instances) > 1 else ""
        if not isinstance(instance, dict):
            raise PromptError(
                f"{row.place}: instance {number} is {type(instance).__name__}; expected an object with input and output"
            )
        yield _part(row, instance, name)


def _part(row: SourceRow, instance: dict[str, Any], name: str) -> SourceRow:
    instruction, given = row.values["instruction"], instance.get("input")
    if given is not None and not isinstance(given, str):
        raise PromptError(f"{row.place}: 'input' is {type(given).__name__}; expected a text")
    asked = f"{instruction}\n\n{given}" if given and instruction.strip() else instruction or given
    return with_values(row, {_PROMPT: asked, _REFERENCE: instance.get("output")}, name)


INSTRUCTIONS = Layout(
    "self_instruct",
    "'instruction', and 'instances' of {input, output} or 'input' and 'output'",
    _fits,
    Columns(prompt=_PROMPT, reference=_REFERENCE),
    unfold=_unfold,
)
