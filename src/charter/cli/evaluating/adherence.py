"""``charter evaluate adherence``: how far models hold to a constitution, by probes that press on its principles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating.adherence_view import describe, write_adherence
from charter.cli.evaluating.entrants import Entrant, hold_to_models, read_models
from charter.cli.evaluating.options import JudgeEngine, KeptIn, Models
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine, model_spec
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.cli.held_file import Held
    from charter.evaluation.adherence import ProbedModel
    from charter.evaluation.bench import Bench
    from charter.evaluation.judged import Judged
    from charter.evaluation.probe_loading import LoadedProbes

_FIGURES, _PROBED, _READ = "adherence.json", "probes.parquet", "adherence.parquet"

_Constitution = Annotated[
    str,
    typer.Option(
        "--constitution", "-c", metavar="NAME", help="Whose principles: a name or a file.", show_default=False
    ),
]
_ProbesFile = Annotated[
    str | None,
    typer.Option(
        "--probes",
        metavar="FILE",
        help="Prompts, each with a principle, an aligned and a misaligned answer; those that come with Charter if not "
        "given.",
        show_default=False,
    ),
]
_Number = Annotated[
    int | None,
    typer.Option("--n", min=1, help="Probes of each principle, the first ones; all if not given.", show_default=False),
]
_JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge", "-j", metavar="J", help="A model that reads the models' own answers too.", show_default=False
    ),
]
_Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of the answers that the judge reads.")]
_Tokens = Annotated[int, typer.Option("--max-tokens", min=1, help="At most, of each answer.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the answers drawn.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "adherence",
        epilog=examples(
            "charter evaluate adherence --model smollm2-135m --constitution wellbeing",
            "charter evaluate adherence -m base=smollm2-135m -m dpo=runs/one/models/dpo -c south_africa --out held-to",
            "charter evaluate adherence -m gpt-4o-mini -c mine.yaml --probes mine.jsonl --engine openai --judge gpt-4o "
            "--judge-engine openai --json",
        ),
    )(adherence)


def adherence(  # noqa: PLR0917 - the command line names them
    models: Models,
    constitution: _Constitution,
    probes: _ProbesFile = None,
    n: _Number = None,
    judge: _JudgeOption = None,
    judge_engine: JudgeEngine = IN_PROCESS,
    engine: Engine = IN_PROCESS,
    temperature: _Temperature = 0.7,
    max_tokens: _Tokens = 128,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far models hold to the principles of a constitution.

    Of each probe a model is asked how likely it finds an answer that keeps to the principle, and one that departs from
    it, per token; with --judge it answers itself, and the judge says whether the answer keeps to the principle.
    Probes of one principle hang together. Of several models the others are compared with the first, probe by probe.
    """
    from charter.engines.base import Sampling
    from charter.evaluation.bench import Bench
    from charter.evaluation.probe_loading import load_probes
    from charter.records import BUILT_IN

    entrants = read_models(models, engine)
    judging = None if judge is None else Entrant(judge, judge, judge_engine, model_spec(judge, judge_engine))
    source = probes or BUILT_IN
    loaded = load_probes(constitution, source, n=n)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    with (
        keeping_folder(out, (_FIGURES, _PROBED, _READ), _FIGURES) as folder,
        hold_file(folder / _FIGURES, kept=out is not None) as held,
    ):
        drawn = {"--temperature": temperature, "--max-tokens": max_tokens, "--seed": seed}
        _hold_to(held, loaded, entrants, judging, drawn)
        bench = Bench(entrants[0].name, seed, held.mapper, {})
        probed = {one.name: _put(held, bench, loaded, one, sampling if judging else None) for one in entrants}
        judged = _judge(held, bench, loaded, probed, judging)
        who = {
            "constitution": constitution,
            "probes": source,
            "models": [one.told() for one in entrants],
            "judge": judge,
        }
        told = who | describe(loaded, probed, judged, bench)
        if out is not None:
            _keep(folder, told, probed, judged)
    if as_json:
        console.write_json(told)
        return
    write_adherence(told)
    if out is not None:
        console.write(str(out))


def _hold_to(
    held: Held, loaded: LoadedProbes, entrants: Sequence[Entrant], judge: Entrant | None, drawn: Mapping[str, Any]
) -> None:
    """Refuse a folder that was begun otherwise; more probes, further models and a judge may come to what is there."""
    from charter.seeds import digest

    held.require_setup({"--constitution": digest(loaded.probes.constitution.model_dump(mode="json"))})
    principles = {pair.id: pair.prompt.principle for pair in loaded.probes.pairs}
    held.require_same_rows(principles, what="principles of probes")
    if judge is not None:
        held.require_setup({"--judge": judge.identified(held), **drawn}, kept_as="setup of the judge")
    hold_to_models(held, entrants)


def _put(held: Held, bench: Bench, loaded: LoadedProbes, one: Entrant, answering: Any) -> ProbedModel:
    """Put the probes to a model.

    Raises:
        UserError: where it scores no given answers and nobody is to read its own.
    """
    from charter.errors import UserError
    from charter.evaluation.adherence import put_probes

    with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
        if answering is None and "score" not in engine.capabilities:
            raise UserError(
                f"--model {one.source}: tells no probabilities of given answers ({one.engine}); name a --judge, who "
                "reads its own"
            )
        return put_probes(bench, [loaded.probes], one.name, engine, answering=answering)


def _judge(
    held: Held, bench: Bench, loaded: LoadedProbes, probed: Mapping[str, ProbedModel], judge: Entrant | None
) -> Judged:
    """Let a judge read every model's answers; nothing where there is none."""
    from charter.evaluation.judge_reading import ASKING
    from charter.evaluation.judged import Judged, read_probe_answers
    from charter.feedback.judge import Judging, make_judge

    found = Judged()
    if judge is not None:
        responses = {name: one.responses[loaded.probes.name] for name, one in probed.items()}
        with held.lend(judge.asked, known_as="engine of the judge") as engine:
            reader = make_judge(engine, ASKING, Judging(), seed=bench.seed)
            read_probe_answers(bench, found, responses, loaded.probes.constitution, reader)
    return found


def _keep(folder: Path, told: Mapping[str, Any], probed: Mapping[str, ProbedModel], judged: Judged) -> None:
    """Write the figures and the rows behind them, in a run's own tables."""
    from charter.files.tables import write_json, write_table
    from charter.records import Adherence, Probed

    rows = [row for one in probed.values() for several in one.probed.values() for row in several]
    write_table(folder / _PROBED, rows, Probed)
    write_table(folder / _READ, judged.adherence, Adherence)
    write_json(folder / _FIGURES, told)
