"""``charter country red-team``: prompts that press on a country's principles, in its own wording and its own file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.country.options import Config, FewShots, Principles, Temperature, Tries
from charter.cli.held_file import check_target, hold
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.cli.prompting import writing
from charter.errors import EngineError

if TYPE_CHECKING:
    from charter.authoring.written import WrittenSet
    from charter.constitution import Constitution


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "red-team",
        epilog=examples(
            "charter country red-team config.yaml red_team.json --model gpt-4o --engine openai --few-shots shots.json",
            "charter country red-team config.yaml out.json --model mine --engine http://localhost:8000/v1 --n 20",
            "charter country red-team config.yaml dry.json --model demo --engine scripted",
        ),
    )(red_team)


def red_team(  # noqa: PLR0917 - the command line names them
    config: Config,
    target: Annotated[
        Path, typer.Argument(metavar="OUT.json", help="Where the prompts go, as in red_team.json.", show_default=False)
    ],
    model: writing.Model,
    engine: Engine = IN_PROCESS,
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, help="Prompts for each principle; those of one call if not given."),
    ] = None,
    per_call: Annotated[
        int | None, typer.Option("--per-call", min=1, max=1_000, help="RT_NUM_RTP_PER_CALL if not given, or 10.")
    ] = None,
    few_shots: FewShots = None,
    principles: Principles = None,
    tries: Tries = 3,
    form: writing.Form = "json",
    temperature: Temperature = 1.0,
    max_tokens: writing.MaxTokens = 512,
    threshold: writing.Threshold = 0.7,
    seed: writing.Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Have a model write prompts that press on each principle, with a correct and an incorrect response.

    The request is CONFIG's: RT_SYSTEM_PROMPT, then RT_USER_PROMPT, or with examples RT_USER_PROMPT_FEW_SHOT. Stopped
    at any moment, the same command goes on; with a larger --n it goes on from what is there, and with a larger --tries
    it asks again where no answer could be used.
    """
    from charter.authoring.coverage import UNVARIED
    from charter.authoring.few_shots import read_examples
    from charter.authoring.given_texts import RED_TEAM
    from charter.authoring.red_team import FIELDS, red_team_subjects, write_red_team
    from charter.authoring.structured import Asking, stage_of_tries
    from charter.authoring.written import settle_written
    from charter.country import read_country
    from charter.seeds import digest

    check_target(target, (".json",))
    country = read_country(config, principles=principles)
    constitution, texts = country.constitution, country.wording(RED_TEAM, examples=few_shots is not None)
    shots = () if few_shots is None else read_examples(few_shots, FIELDS, first_list=True)
    n_a_call = per_call or texts.per_call or 10
    n_wanted = n or n_a_call
    asking: dict[str, Any] = {"form": form, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    setup = {
        "constitution": digest([[one.id, one.text] for one in constitution.principles]),
        "wording in the configuration": digest([texts.system, texts.user, texts.user_few_shot, texts.variance]),
        "--few-shots": digest([dict(one) for one in shots]),
        **writing.named_as_options({"per_call": n_a_call, **asking}),
    }
    with hold(target, model, engine, setup) as asked:
        mapped = write_red_team(
            constitution,
            asked.engine,
            n_per_principle=n_wanted,
            per_call=n_a_call,
            axes=UNVARIED,
            few_shots=shots,
            n_few_shots=len(shots),
            texts=texts,
            asking=Asking(**asking, top_p=1.0, n_repairs=tries - 1),
            source=model,
            stage=stage_of_tries("red team", tries),
            mapper=asked.mapper,
        )
        subjects = red_team_subjects(constitution, UNVARIED)
        result = settle_written(mapped, subjects, UNVARIED.settings, threshold=threshold)
        _conclude(target, result, constitution, n_wanted, as_json=as_json)


def _conclude(target: Path, result: WrittenSet, constitution: Constitution, n: int, *, as_json: bool) -> None:
    """Save the prompts under their principles' places, and say what became of everything that was asked for."""
    from charter.files.tables import write_whole
    from charter.publishing.country import Keyed, keyed_file, red_team_row

    summary = {key: value for key, value in result.summary.items() if key not in {"coverage", "twins"}}
    if not result.written:
        raise EngineError(
            f"nothing usable was written: {writing.account(summary)}; take a larger model, a larger --tries, or "
            "--form labelled, which small ones can follow"
        )
    places = {name: str(place) for place, name in enumerate(constitution.ids)}
    keyed: Keyed = {}
    for one in result.written:
        row = red_team_row(one.prompt.text, one.aligned, one.misaligned)
        keyed.setdefault(places[one.prompt.principle], []).append(row)
    write_whole(target, keyed_file(keyed).write)
    counts = Counter({key: len(rows) for key, rows in keyed.items()})
    short = {key: counts[key] for key in places.values() if counts[key] < n}
    asked = n * len(places)
    if as_json:
        console.write_json({"file": str(target), "asked": asked, **summary, "short": short})
        return
    console.write(f"{target}: {summary['kept']:,} of {asked:,} prompts asked for, on {len(keyed)} principles")
    writing.tell_account(summary)
    if short:
        told = ", ".join(f'"{key}" ({found})' for key, found in short.items())
        console.write(f"fewer than {n} for the principles {told}; a larger --n goes on from here")
