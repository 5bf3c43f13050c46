"""Which instructions an answer follows, strictly and loosely, and what that comes to for models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.evaluation.instructions.constraints import Instruction
from charter.evaluation.instructions.rows import InstructionRow
from charter.evaluation.measuring import RowValues, adjusted, measure
from charter.records import Measurement

Strictness = Literal["strict", "loose"]
STRICTNESSES: tuple[Strictness, ...] = ("strict", "loose")
ROWS = "answers.jsonl"


@dataclass(frozen=True)
class Outcome:
    """Which of a row's instructions an answer follows, in their order."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]

    def of(self, strictness: Strictness) -> tuple[bool, ...]:
        """Give those of one way of reading."""
        return self.strict if strictness == "strict" else self.loose


def score_answer(instructions: Sequence[Instruction], answer: str) -> Outcome:
    """Check an answer against its prompt's instructions.

    Loosely an instruction is followed where any of eight readings of the answer follows it: as it is, without its first
    line, its last line or both, each with and without asterisks (IFEval §2.2).
    """
    readings = [answer, *_loose_readings(answer)]
    return Outcome(
        tuple(one.is_followed(answer) for one in instructions),
        tuple(any(map(one.is_followed, readings)) for one in instructions),
    )


def _loose_readings(answer: str) -> Iterator[str]:
    lines = answer.split("\n")
    for part in (lines, lines[1:], lines[:-1], lines[1:-1]):
        text = "\n".join(part).strip()
        yield text
        yield text.replace("*", "")


def measure_instructions(
    rows: Sequence[InstructionRow], outcomes: Mapping[str, Mapping[str, Outcome]], *, base: str
) -> list[Measurement]:
    """Measure the shares of prompts of which every instruction is followed, and of instructions.

    Args:
        rows: that were asked.
        outcomes: per model, of each answer by the prompt's id; of all models those with an answer.
        base: the model that others are compared with, on the prompts that both answered.

    Returns:
        The four figures over all prompts, p-values adjusted for their number; then strictly and loosely those of each
        family of instructions, adjusted for the families.
    """
    overall = [
        figure
        for strictness in STRICTNESSES
        for figure in (
            *_of_prompts(rows, outcomes, strictness, base),
            *_of_instructions(rows, outcomes, strictness, base),
        )
    ]
    families = dict.fromkeys(one.family for row in rows for one in row.instructions)
    by_family = [
        figure
        for strictness in STRICTNESSES
        for figure in adjusted(
            [one for family in families for one in _of_instructions(rows, outcomes, strictness, base, family)]
        )
    ]
    return [*adjusted(overall), *by_family]


def _of_prompts(
    rows: Sequence[InstructionRow], outcomes: Mapping[str, Mapping[str, Outcome]], strictness: Strictness, base: str
) -> list[Measurement]:
    values: dict[str, RowValues] = {
        model: {
            row.prompt.id: float(all(of_model[row.prompt.id].of(strictness)))
            for row in rows
            if row.prompt.id in of_model
        }
        for model, of_model in outcomes.items()
    }
    groups = {row.prompt.id: row.group for row in rows}
    return measure(
        f"prompts_followed_{strictness}", values, subset="all", base=base, better="higher", rows=ROWS, groups=groups
    )


def _of_instructions(
    rows: Sequence[InstructionRow],
    outcomes: Mapping[str, Mapping[str, Outcome]],
    strictness: Strictness,
    base: str,
    family: str | None = None,
) -> list[Measurement]:
    """Measure instructions, of one family or all; those of one prompt hang together."""
    asked = {
        f"{row.prompt.id} {place}": (row, place)
        for row in rows
        for place, one in enumerate(row.instructions)
        if family in {None, one.family}
    }
    values: dict[str, RowValues] = {
        model: {
            name: float(of_model[row.prompt.id].of(strictness)[place])
            for name, (row, place) in asked.items()
            if row.prompt.id in of_model
        }
        for model, of_model in outcomes.items()
    }
    return measure(
        f"instructions_followed_{strictness}",
        values,
        subset=family or "all",
        base=base,
        better="higher",
        rows=ROWS,
        groups={name: row.group for name, (row, _) in asked.items()},
    )
