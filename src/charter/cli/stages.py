"""Each stage alone: ``revise``, ``sft``, ``pairs``, ``label``, ``preference-model``, ``dpo``, ``rl``, ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import console, results
from charter.cli.options import Again, AsJson, Iteration, Out, Overrides, Recipe, examples
from charter.cli.running import do_stages

_WHAT = {
    "revise": "Answer red-team prompts, criticise and revise.",
    "sft": "Fine-tune on revisions and helpful answers.",
    "pairs": "Make pairs of responses to compare.",
    "label": "Let the judge label the pairs.",
    "preference_model": "Train a preference model on the soft preferences, and measure it on those held out.",
    "dpo": "Train on the soft preferences.",
    "rl": "Train on the model's own answers, towards what a preference model, the judge or rules reward.",
    "evaluate": "Measure base, SFT, DPO and RL.",
}


_ALONE = (
    "Only this stage is done, in the run's folder; the stages before it must be done. Where the prompts are not chosen "
    "yet, they are. A stage that is done is left alone, failed rows too, unless --again is given."
)
_ITERATED = frozenset({"pairs", "label", "preference_model", "dpo", "rl"})
_ASKED_FOR = {
    "preference-model": " preference_model={} --out runs/rewards",
    "rl": " preference_model={} rl={} --out runs/rewarded",
}
_Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="PRINCIPLE",
        help="Only say which labels would be others if this principle had not voted; may be given several times. "
        "Nothing is asked, and nothing is written.",
        show_default=False,
    ),
]
_WithoutJudge = Annotated[
    list[str] | None,
    typer.Option(
        "--without-judge",
        metavar="NAME",
        help="The same of one of several judges: its name in label.judges, or 'judge' for models.judge.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add a verb for each stage."""
    for name, what in _WHAT.items():
        if name == "evaluate":  # which measures more than a run
            continue
        more = ("charter label recipes/smoke.yaml --without explain-and-offer",) if name == "label" else ()
        verb = name.replace("_", "-")
        app.command(
            verb,
            help=f"{what}\n\n{_ALONE}",
            epilog=examples(*_shown(verb), *more),
        )(_label if name == "label" else _iterated_verb(name) if name in _ITERATED else _verb(name))


def evaluate_verb() -> tuple[Callable[..., None], str]:
    """Give what does the stage ``evaluate``, and what its help says."""
    return _verb("evaluate"), f"{_WHAT['evaluate']}\n\n{_ALONE}"


def _shown(verb: str) -> tuple[str, ...]:
    """Give a verb's examples; the smoke recipe trains no preference model, nor on rewards, unless it is told to."""
    more = _ASKED_FOR.get(verb, "")
    return f"charter {verb} recipes/smoke.yaml{more}", f"charter {verb} recipes/smoke.yaml{more} --again"


def _verb(name: str) -> Callable[..., None]:
    """Make the verb of a stage that is done once."""

    def do(
        recipe: Recipe, overrides: Overrides = None, out: Out = None, again: Again = False, as_json: AsJson = False
    ) -> None:
        _do(name, recipe, overrides, out, again=again, as_json=as_json)

    return do


def _iterated_verb(name: str) -> Callable[..., None]:
    """Make the verb of a stage that every iteration does."""

    def do(  # noqa: PLR0917 - the command line names them
        recipe: Recipe,
        overrides: Overrides = None,
        out: Out = None,
        iteration: Iteration = 1,
        again: Again = False,
        as_json: AsJson = False,
    ) -> None:
        _do(name, recipe, overrides, out, iteration=iteration, again=again, as_json=as_json)

    return do


def _do(
    name: str,
    recipe: Path,
    overrides: list[str] | None,
    out: Path | None,
    *,
    iteration: int = 1,
    again: bool,
    as_json: bool,
) -> None:
    from charter.recipe.stages import in_iteration

    stage = in_iteration(name, iteration)
    # A second try that brings a row back undoes the later stages, which this command does not do: only if asked.
    folder = do_stages(recipe, overrides or (), out, stage, alone=True, again=again, retry=False, quiet=as_json).folder
    if as_json:
        console.write_json(results.run_json(folder))
    else:
        results.write_run(folder, (stage,))


def _label(  # noqa: PLR0917 - the command line names them
    recipe: Recipe,
    overrides: Overrides = None,
    out: Out = None,
    iteration: Iteration = 1,
    again: Again = False,
    without: _Without = None,
    without_judge: _WithoutJudge = None,
    as_json: AsJson = False,
) -> None:
    if without or without_judge:
        from charter.cli.what_if import show_without
        from charter.errors import UserError

        if again:
            raise UserError(
                "--again does the stage anew, and --without only says what would be: give the one or the other"
            )
        show_without(
            recipe, overrides or (), out, without or (), without_judge or (), iteration=iteration, as_json=as_json
        )
    else:
        _do("label", recipe, overrides, out, iteration=iteration, again=again, as_json=as_json)
