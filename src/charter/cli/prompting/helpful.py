"""``charter prompts helpful``: helpful tasks of a constitution's domain, written by a model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from charter.cli.held_file import check_target, hold
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.cli.prompting import writing


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "helpful",
        epilog=examples(
            "charter prompts helpful educational tasks.jsonl --model meta-llama/Llama-3.1-8B-Instruct --n 200",
            "charter prompts helpful harmless dry.jsonl --model demo --engine scripted --n 20",
        ),
    )(helpful)


def helpful(  # noqa: PLR0917 - the command line names them
    constitution: writing.Constitution,
    target: writing.Target,
    model: writing.Model,
    engine: Engine = IN_PROCESS,
    n: Annotated[int, typer.Option("--n", min=1, help="Tasks in all.")] = 100,
    per_call: writing.PerCall = None,
    few_shots: writing.FewShots = None,
    n_few_shots: writing.NFewShots = 5,
    against: writing.Against = None,
    settings: writing.Settings = None,
    languages: writing.Languages = "",
    form: writing.Form = "json",
    temperature: writing.Temperature = 0.7,
    max_tokens: writing.MaxTokens = 384,
    threshold: writing.Threshold = 0.7,
    seed: writing.Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Let a model write helpful tasks of a constitution's domain, each with a reference answer.

    Stopped at any moment, the same command goes on. Tasks vary by kind, setting, register, length and language; the
    summary shows the grid of kinds and settings with its holes, which --against fills first.
    """
    from charter.authoring.helpful import FIELDS, helpful_subjects, write_helpful
    from charter.authoring.structured import Asking
    from charter.authoring.written import settle_written
    from charter.constitution import load_constitution
    from charter.seeds import digest

    check_target(target)
    domain = load_constitution(constitution)
    axes = writing.read_axes_given(settings, languages)
    given = writing.read_given(against, "helpful")
    arguments: dict[str, Any] = {
        "per_call": per_call or (1 if form == "labelled" else 5),
        "n_few_shots": n_few_shots,
        "asking": Asking(form=form, temperature=temperature, max_tokens=max_tokens, seed=seed),
        "axes": axes,
        "existing": given,
        "few_shots": writing.read_shots(few_shots, FIELDS),
        "source": model,
    }
    setup = {
        "constitution": digest([domain.description, [one.text for one in domain.principles]]),
        **writing.shared_setup(arguments, few_shots=few_shots, against=against),
    }
    with hold(target, model, engine, setup) as asked:
        mapped = write_helpful(
            domain,
            asked.engine,
            n=n,
            **arguments,
            mapper=asked.mapper,
        )
        result = settle_written(mapped, helpful_subjects(axes), axes.settings, against=given, threshold=threshold)
        writing.conclude(target, result, n, as_json=as_json)
