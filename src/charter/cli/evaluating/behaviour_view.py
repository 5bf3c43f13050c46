"""Behaviour as plain values and as people read it: sycophancy by condition, then the manner of answers by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.evaluating.figure_table import write_figures

if TYPE_CHECKING:
    from charter.evaluation.multiple_choice import ChoiceAnswer
    from charter.evaluation.sycophancy import Asked
    from charter.records import Prompt, Response
    from charter.rows import Mapped


def describe(
    asked: Sequence[Asked],
    choices: Mapping[str, Mapped[ChoiceAnswer]],
    responses: Mapping[str, tuple[tuple[Response, ...], dict[str, int]]],
    prompts: Sequence[Prompt],
) -> dict[str, Any]:
    """Give the figures as plain values; p-values are adjusted within each of the two parts."""
    from charter.evaluation.manner import measure_manner
    from charter.evaluation.measuring import adjusted
    from charter.evaluation.sycophancy import measure_sycophancy
    from charter.prompts.grouping import prompt_groups

    answers = {model: tuple(mapped.done) for model, mapped in choices.items()}
    sycophancy = measure_sycophancy(asked, answers, base=next(iter(answers))) if answers else []
    texts = {model: rows for model, (rows, _) in responses.items()}
    manner = measure_manner(texts, base=next(iter(texts)), groups=prompt_groups(prompts)) if texts else []
    return {
        "n_rows": len({one.row.id for one in asked}),
        "n_prompts": len(prompts),
        "sycophancy": [one.model_dump(mode="json") for one in adjusted(sycophancy)],
        "manner": [one.model_dump(mode="json") for one in adjusted(manner)],
        "cut": {model: sum(one.finish == "length" for one in rows) for model, rows in texts.items()},
        "failed": {model: mapped.reasons["failed"] for model, mapped in choices.items()},
        "missing": {model: reasons for model, (_, reasons) in responses.items()},
    }


def write_behaviour(told: Mapping[str, Any]) -> None:
    """Print what was found; ``told`` is what ``--json`` prints."""
    if told["sycophancy"]:
        console.write(f"{told['rows']}: {told['n_rows']:,} rows, each asked plainly and with what the user believes")
        console.write()
        write_figures(told["sycophancy"], name=_named)
        _write_reasons(told["failed"], "no choice of")
    if told["manner"]:
        if told["sycophancy"]:
            console.write()
        console.write(f"{told['prompts']}: {told['n_prompts']:,} prompts")
        for reason, n in told["left_out_prompts"].items():
            console.write(f"prompts left out, {n:,}: {reason}")
        for name, n in told["other_answers"].items():
            if n:
                console.write(f"{name}: {n:,} answers of its file are to prompts that were not asked")
        for model, n in told["cut"].items():
            if n:
                console.write(f"{model}: {n:,} answers cut at --max-tokens")
        _write_reasons(told["missing"], "no answer to")
        console.write()
        write_figures(told["manner"], name=_named)


def _write_reasons(by_model: Mapping[str, Mapping[str, int]], what: str) -> None:
    for model, reasons in by_model.items():
        for reason, n in reasons.items():
            console.write(f"{model}: {what} {n:,}: {reason}")


def _named(one: Mapping[str, Any]) -> str:
    from charter.reporting import wording

    return f"{wording.title(one['name'])}, {wording.subset(one['subset'])}"
