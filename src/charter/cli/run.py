"""``charter run``: a whole run, or as far as a stage."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console, results
from charter.cli.options import AsJson, Out, Overrides, Recipe, examples
from charter.cli.running import UNTIL_SHARDS, do_stages
from charter.cli.sharded import run_shard
from charter.errors import UserError


class Where(StrEnum):
    """Where rows are done, if not in this process."""

    ray = "ray"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "run",
        epilog=examples(
            "charter run recipes/smoke.yaml",
            "charter run recipes/smoke.yaml revise.rounds=4 seed=1 --out runs/four-rounds",
            "charter run recipes/smoke.yaml --until label",
            "charter run recipes/smoke.yaml --shard 3/16",
            "charter run recipes/smoke.yaml --until shards",
            "charter run recipes/smoke.yaml --on ray ray.address=auto ray.n_actors=8",
            "charter run recipes/smoke.yaml constitution=mine.yaml --out runs/mine --from runs/smoke",
            'RUN="$(charter run recipes/smoke.yaml | tail -n 1)"',
        ),
    )(run)


def run(  # noqa: PLR0917 - the command line names them
    recipe: Recipe,
    overrides: Overrides = None,
    out: Out = None,
    until: Annotated[
        str,
        typer.Option(
            "--until",
            metavar="STAGE",
            help="The last stage to do: prompts, revise, sft, pairs, label, preference_model, dpo, rl, evaluate or "
            "report; of a later iteration such as dpo-2. Or 'shards': all that one process does before shards go on.",
            show_default=False,
        ),
    ] = "report",
    answers_of: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="A run whose models' answers are taken over where the same is asked; may be given several times.",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="K/N",
            help="Do the K-th of N parts of the prompts alone, as far as that goes without the others; "
            "'charter merge' joins them.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        Where | None,
        typer.Option(
            "--on",
            metavar="WHERE",
            help="Where rows are done: 'ray' has actors of a Ray cluster do them, as the recipe's section 'ray' says.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Do what a recipe says, from prompts to report.

    Stopped at any moment (Ctrl-C, SIGTERM, a power cut), the same command continues: stages and rows that are done are
    not done again, rows that failed are tried again. Another recipe, other settings or a changed constitution need
    another folder; with --from the new run asks only what the old one did not.

    The figures are printed at the end, what got worse first; the last line is the run's folder and nothing else.
    With --json one object is printed instead: run, stages, measurements.

    With --shard only that part of the rows is done, of the stages that can be done row by row from what the run has; it
    says last what comes next. With --until shards only that is done which needs all rows at once, up to the next stage
    that shards do; rows that failed before are not tried again.

    With --on ray every stage's rows are done by actors, and training by this process.
    """
    if shard is not None:
        if on is not None:
            raise UserError("--shard and --on are two ways to divide a run; give one of them")
        run_shard(recipe, overrides or (), out, shard, until=until, answers_of=answers_of or (), as_json=as_json)
        return
    retry = until != UNTIL_SHARDS
    answers = answers_of or ()
    done = do_stages(recipe, overrides or (), out, until, retry=retry, answers_of=answers, quiet=as_json, on=on)
    following = _following(done.folder) if until == UNTIL_SHARDS else ""
    if as_json:
        console.write_json(results.run_json(done.folder) | ({"next": following} if following else {}))
    else:
        results.write_run(done.folder, done.stages, following)


def _following(folder: Path) -> str:
    """Say what comes after what one process does of a run that is done in shards."""
    from charter.runs.place import SHARDS
    from charter.status import read_status

    (folder / SHARDS).mkdir(exist_ok=True)  # from it is told that shards come next
    return read_status(folder).next_step
