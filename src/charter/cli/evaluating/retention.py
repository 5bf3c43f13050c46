"""``charter evaluate retention``: whether models still find good answers to helpful prompts likely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating.entrants import Entrant, hold_to_models, read_models
from charter.cli.evaluating.figure_table import write_figures
from charter.cli.evaluating.options import KeptIn, Models
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.cli.held_file import Held
    from charter.evaluation.likelihood import ScoreRow
    from charter.records import Scored
    from charter.rows import Mapped

_FIGURES, _SCORES = "retention.json", "scores.jsonl"

_File = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE]",
        help="Prompts with reference answers, in any form that prompts are read in; the held-out ones of the built-in "
        "helpful prompts if not given.",
        show_default=False,
    ),
]
_PromptColumn = Annotated[str, typer.Option("--prompt-column", metavar="C", help="Where FILE has the prompt.")]
_ResponseColumn = Annotated[str, typer.Option("--response-column", metavar="C", help="Where FILE has the answer.")]
_Number = Annotated[
    int | None, typer.Option("--n", min=1, help="Prompts, drawn by the seed; all if not given.", show_default=False)
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the prompts drawn.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "retention",
        epilog=examples(
            "charter evaluate retention -m base=smollm2-135m -m dpo=runs/one/models/dpo",
            "charter evaluate retention answers.csv -m Qwen/Qwen2.5-7B-Instruct -m mine=runs/one/models/dpo --out kept",
            "charter evaluate retention chats.jsonl --response-column answer -m smollm2-135m --n 50 --json",
        ),
    )(retention)


def retention(  # noqa: PLR0917 - the command line names them
    models: Models,
    file: _File = None,
    prompt_column: _PromptColumn = "prompt",
    response_column: _ResponseColumn = "response",
    engine: Engine = IN_PROCESS,
    n: _Number = None,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Measure how likely models find good answers to helpful prompts, by loss and perplexity.

    A model that lost what it could do finds them less likely. Per token as the model cuts them, and per byte, which
    compares models with different tokens. Of several models the others are compared with the first, answer by answer.
    """
    from charter.evaluation.retention import load_references
    from charter.records import BUILT_IN

    entrants = read_models(models, engine)
    source = file or BUILT_IN
    loaded = load_references(source, prompt_column=prompt_column, response_column=response_column, n=n, seed=seed)
    with (
        keeping_folder(out, (_FIGURES, _SCORES), _FIGURES) as folder,
        hold_file(folder / _FIGURES, kept=out is not None) as held,
    ):
        hold_to_models(held, entrants)
        mapped = {one.name: _score(held, one, loaded.rows) for one in entrants}
        scores = {name: tuple(one.done) for name, one in mapped.items()}
        told = {
            "file": source,
            "n_prompts": len(loaded.rows),
            "left_out": dict(loaded.left_out),
            "models": [one.told() for one in entrants],
            **_describe(loaded.rows, scores, entrants[0].name),
            "failed": {name: one.reasons["failed"] for name, one in mapped.items()},
        }
        if out is not None:
            _keep(folder, told, loaded.rows, scores)
    if as_json:
        console.write_json(told)
        return
    _tell(told)
    if out is not None:
        console.write(str(out))


def _score(held: Held, one: Entrant, rows: Sequence[ScoreRow]) -> Mapped[Scored]:
    """Score every answer under one model.

    Raises:
        UserError: where it tells no probabilities of given answers.
    """
    from charter.errors import UserError
    from charter.evaluation.likelihood import score

    with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
        if "score" not in engine.capabilities:
            raise UserError(
                f"--model {one.source}: tells no probabilities of given answers ({one.engine}); take another --engine"
            )
        return score(rows, one.name, engine, purpose="retention", mapper=held.mapper)


def _describe(rows: Sequence[ScoreRow], scores: Mapping[str, Sequence[Scored]], base: str) -> dict[str, Any]:
    from charter.evaluation.retention import measure_retention, perplexities

    measurements = measure_retention(rows, scores, base=base)
    return {
        "measurements": [one.model_dump(mode="json") for one in measurements],
        "perplexities": [asdict(one) for one in perplexities(measurements)],
    }


def _keep(
    folder: Path, told: Mapping[str, Any], rows: Sequence[ScoreRow], scores: Mapping[str, Sequence[Scored]]
) -> None:
    """Write the figures, and every answer with its log-probability under each model."""
    from charter.files.tables import write_json, write_json_lines

    texts = {row.id: {"prompt": row.prompt.text, "response": row.text} for row in rows}
    lines = (
        {"model": name, **texts[one.id], "logprob": one.logprob, "n_tokens": one.n_tokens}
        for name, scored in scores.items()
        for one in scored
    )
    write_json_lines(folder / _SCORES, lines)
    write_json(folder / _FIGURES, told)


def _tell(told: Mapping[str, Any]) -> None:
    """Print the figures as text."""
    console.write(f"{told['file']}: {told['n_prompts']:,} prompts with reference answers")
    for reason, n in told["left_out"].items():
        console.write(f"left out, {n:,}: {reason}")
    console.write()
    write_figures(told["measurements"])
    console.write()
    rows = [
        (
            f"per {one['per']}",
            one["model"],
            f"{one['value']:.3f}",
            _bounds(one["interval"]),
            "" if one["ratio"] is None else f"{one['ratio']:.3f}",
            _bounds(one["ratio_interval"]),
            f"{one['n']:,}",
        )
        for one in told["perplexities"]
    ]
    header = ("perplexity", "model", "value", "95 % interval", "times the first's", "95 % interval", "n")
    console.write_columns(header, rows, right=(2, 3, 4, 5, 6))
    for model, reasons in told["failed"].items():
        for reason, n in reasons.items():
            console.write(f"{model}: failed, {n:,}: {reason}")


def _bounds(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
