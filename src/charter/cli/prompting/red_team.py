"""``charter prompts red-team``: prompts that press on a constitution's principles, written by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from charter.cli.held_file import check_target, hold
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.cli.prompting import writing


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "red-team",
        epilog=examples(
            "charter prompts red-team harmless red.jsonl --model meta-llama/Llama-3.1-8B-Instruct --twins",
            "charter prompts red-team harmless red.jsonl --model smollm2-135m --form labelled --n 2",
            "charter prompts red-team harmless more.jsonl --model M --against red.jsonl --languages en,ro",
            "charter prompts red-team harmless dry.jsonl --model demo --engine scripted",
        ),
    )(red_team)


def red_team(  # noqa: PLR0917 - the command line names them
    constitution: writing.Constitution,
    target: writing.Target,
    model: writing.Model,
    engine: Engine = IN_PROCESS,
    n: Annotated[int, typer.Option("--n", min=1, help="Prompts for each principle.")] = 10,
    per_call: writing.PerCall = None,
    few_shots: writing.FewShots = None,
    n_few_shots: writing.NFewShots = 5,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="A country's configuration, whose wording replaces ours."),
    ] = None,
    twins: Annotated[bool, typer.Option("--twins", help="With a benign twin for each prompt.")] = False,
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
    """Let a model write prompts that press on each principle, with an aligned and a misaligned response.

    Stopped at any moment, the same command goes on; with a larger --n it goes on from what is there. What is asked for
    varies by setting, register, length and language; the summary shows the grid of principles and settings with its
    holes, which --against fills first.
    """
    from charter.authoring.given_texts import read_given_texts
    from charter.authoring.red_team import FIELDS, red_team_subjects, write_red_team
    from charter.authoring.structured import Asking
    from charter.authoring.written import settle_written
    from charter.constitution import load_constitution
    from charter.seeds import digest

    check_target(target)
    principles = load_constitution(constitution)
    texts = None if config is None else read_given_texts(config)
    axes = writing.read_axes_given(settings, languages)
    given = writing.read_given(against, "red_team")
    arguments: dict[str, Any] = {
        "per_call": per_call or (texts.per_call if texts else None) or (1 if form == "labelled" else 5),
        "n_few_shots": n_few_shots,
        "twins": twins,
        "asking": Asking(form=form, temperature=temperature, max_tokens=max_tokens, seed=seed),
        "axes": axes,
        "existing": given,
        "few_shots": writing.read_shots(few_shots, FIELDS),
        "source": model,
    }
    setup = {
        "constitution": digest([[one.id, one.category, one.text] for one in principles.principles]),
        "--config": writing.file_digest(config),
        **writing.shared_setup(arguments, few_shots=few_shots, against=against),
    }
    with hold(target, model, engine, setup) as asked:
        mapped = write_red_team(
            principles,
            asked.engine,
            n_per_principle=n,
            texts=texts,
            **arguments,
            mapper=asked.mapper,
        )
        subjects = red_team_subjects(principles, axes)
        result = settle_written(mapped, subjects, axes.settings, against=given, threshold=threshold)
        writing.conclude(target, result, n * len(subjects), as_json=as_json)
