"""``charter evaluate``: the stage of a run, and measurements of any model: one file a measurement."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from charter.cli.evaluating import (
    adherence,
    attacks,
    behaviour,
    harm,
    head_to_head,
    instructions,
    lm_eval_tasks,
    multiple_choice,
    preferences,
    refusals,
    retention,
)
from charter.cli.options import examples

_STAGE = "stage"
_HELP = "-h", "--help"


class _StageOrMeasurement(TyperGroup):
    """Takes what names no measurement for the stage's recipe."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *_HELP) and not self._is_misspelt(args[0]):
            args = [_STAGE, *args]
        return super().parse_args(ctx, args)

    def _is_misspelt(self, word: str) -> bool:
        return bool(get_close_matches(word, self.commands)) and not Path(word).exists()


def make_app(stage: Callable[..., None], about_stage: str) -> typer.Typer:
    """Make the verb: given a recipe it does the stage ``evaluate``, given a measurement's name it measures."""
    app = typer.Typer(
        cls=_StageOrMeasurement,
        help=f"Measure base, SFT, DPO and RL of a run; or any model, by the measurement's name.\n\n"
        f"With a recipe: {about_stage[0].lower()}{about_stage[1:]}",
        epilog=examples(
            "charter evaluate recipes/smoke.yaml",
            "charter evaluate recipes/smoke.yaml --again",
            "charter evaluate multiple-choice hhh.jsonl --model smollm2-135m",
            "charter evaluate refusals answers.csv --prompt-column prompt --response-column completion",
            "charter evaluate head-to-head base=smollm2-135m dpo=runs/one/models/dpo --judge Qwen/Qwen2.5-7B-Instruct",
        ),
        rich_markup_mode=None,
        no_args_is_help=True,
        subcommand_metavar="RECIPE | MEASUREMENT ...",
    )
    app.command(_STAGE, hidden=True, help=about_stage, epilog=examples("charter evaluate recipes/smoke.yaml"))(stage)
    multiple_choice.add_to(app)
    refusals.add_to(app)
    head_to_head.add_to(app)
    adherence.add_to(app)
    harm.add_to(app)
    instructions.add_to(app)
    retention.add_to(app)
    attacks.add_to(app)
    preferences.add_to(app)
    behaviour.add_to(app)
    lm_eval_tasks.add_to(app)
    return app
