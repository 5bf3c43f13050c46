"""A stage that asks models while it trains does so in its own process, wherever rows are done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.pipeline import run_stages
from charter.scale.mapper import on_ray
from stages.rl_example import opened

pytestmark = [pytest.mark.slow, pytest.mark.model]
_TIMES = {"seconds", "tokens_per_second", "learning_rate"}


def trained(folder: Path) -> Any:
    """Read what the stage told, but for what a clock says."""
    told = json.loads((folder / "run/stages/rl.json").read_text("utf-8"))
    steps = [{name: value for name, value in step.items() if "time" not in name and name not in _TIMES}
             for step in told["training"]["steps"]]  # fmt: skip
    looks = [{name: value for name, value in look.items() if name != "seconds"} for look in told["training"]["looks"]]
    return steps, looks, told["usage"], told["counts"]


def test_judges_of_reinforcement_learning_are_asked_by_the_driver(tiny_model: Path, tmp_path: Path) -> None:
    """With a judge in the reward and a second one, steps, looks and calls are those of the plain run."""
    for name in ("plain", "ray"):
        (tmp_path / name).mkdir()
    before = ["sft", "preference_model"]
    with opened(tmp_path / "plain", tiny_model) as run:
        run_stages(run, [*before, "rl"])
    with opened(tmp_path / "ray", tiny_model) as run:
        run_stages(run, before)
        with on_ray(run):
            run_stages(run, ["rl"])
    plain, ray = trained(tmp_path / "plain"), trained(tmp_path / "ray")
    assert ray == plain
    assert plain[2]  # judges were asked, and are counted
