"""What every training does around its own part: by what it is known, and that nothing of it stays in memory."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from training_rows import preferences, sft_rows

from charter.records import make_prompt
from charter.training.adapters import LoraSettings, load_trainee
from charter.training.dpo import dpo
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from charter.training.results import TrainingResult
from charter.training.reward_rules import repetition_reward
from charter.training.rl import rl
from charter.training.rl_trainer import Rolling
from charter.training.rollouts import Reward
from charter.training.sft import sft

pytestmark = pytest.mark.model

Train = Callable[..., TrainingResult]
SETTINGS: dict[str, Any] = {
    "seed": 5,
    "pace": Pace(batch_size=2),
    "lora": LoraSettings(r=4, alpha=8),
    "dtype": "float32",
    "device": "cpu",
}
COMMON = {"stage", "model", "rows", "pace", "lora", "seed", "max_length", "dtype"}
TRAININGS: dict[str, tuple[Train, set[str]]] = {
    "sft": (partial(sft, sft_rows(4)), {"opening_tokens"}),
    "preference_model": (partial(preference_model, preferences(4)), {"opening_tokens"}),
    "dpo": (partial(dpo, preferences(4)), {"opening_tokens", "objective"}),
    "rl": (
        partial(
            rl,
            [make_prompt(f"Question {number}: what now?", "helpful") for number in range(2)],
            rewards=[Reward("repetition", repetition_reward, 1.0, {})],
            rolling=Rolling(n_samples=2, max_tokens=4),
            guard=None,
        ),
        {"rolling", "rewards"},
    ),
}


@pytest.mark.parametrize("stage", TRAININGS)
def test_a_training_is_known_by_what_determines_it(
    stage: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By these names and no others, so that it can be gone on with; and afterwards no part of its model is left."""
    train, own = TRAININGS[stage]
    seen: list[weakref.ref[Any]] = []
    known: list[dict[str, Any]] = []

    def watched(*arguments: Any, **settings: Any) -> Any:
        trainee = load_trainee(*arguments, **settings)
        seen.append(weakref.ref(trainee.model))
        return trainee

    def look(*_: Any) -> None:
        known.append(json.loads((tmp_path / "model.training/identity.json").read_text("utf-8")))

    monkeypatch.setattr("charter.training.frame.load_trainee", watched)
    train(model=tiny_model, out=tmp_path / "model", on_step=look, **SETTINGS)
    assert set(known[0]) == COMMON | own
    assert known[0]["stage"] == stage
    assert [reference() for reference in seen] == [None]
