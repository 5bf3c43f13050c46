"""Instructions followed, as plain values and as people read them: over all, then family by family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.evaluating.figure_table import write_figures

if TYPE_CHECKING:
    from charter.evaluation.instructions import InstructionRow, Outcome


def describe(
    rows: Sequence[InstructionRow], outcomes: Mapping[str, Mapping[str, Outcome]], *, base: str
) -> dict[str, Any]:
    """Give the figures of one file as plain values."""
    from charter.evaluation.instructions import measure_instructions

    measurements = measure_instructions(rows, outcomes, base=base)
    return {
        "n_prompts": len(rows),
        "n_instructions": sum(len(row.instructions) for row in rows),
        "measurements": [one.model_dump(mode="json") for one in measurements],
    }


def write_instructions(told: Mapping[str, Any]) -> None:
    """Print what was found; ``told`` is what ``--json`` prints."""
    for name, n in told["other_answers"].items():
        if n:
            console.write(f"{name}: {n:,} answers of its file are to prompts that were not asked")
    for place, file in enumerate(told["files"]):
        if place:
            console.write()
        _write_file(file)


def _write_file(file: Mapping[str, Any]) -> None:
    console.write(f"{file['file']}: {file['n_prompts']:,} prompts with {file['n_instructions']:,} instructions")
    for model, n in file["cut"].items():
        if n:
            console.write(f"{model}: {n:,} answers cut at --max-tokens")
    for model, reasons in file["missing"].items():
        for reason, n in reasons.items():
            console.write(f"{model}: no answer to {n:,}: {reason}")
    console.write()
    write_figures(one for one in file["measurements"] if one["subset"] == "all")
    console.write()
    families = [
        one for one in file["measurements"] if one["subset"] != "all" and one["name"] == "instructions_followed_strict"
    ]
    write_figures(families, heading="by family, strict", name=lambda one: str(one["subset"]))
