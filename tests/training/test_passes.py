"""Batches that are read a few rows at a time: the training of whole batches, to what rounding leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preferences, sft_rows

from charter.errors import Interrupted
from charter.training import builder, passes, trainer
from charter.training.adapters import LoraSettings
from charter.training.methods import method_of
from charter.training.pace import Pace
from charter.training.results import TrainingResult

pytestmark = pytest.mark.model

# 11 rows in steps of 8, two batches of 4: the last of an epoch has 3 rows.
PACE = Pace(batch_size=4, accumulation=2, learning_rate=5e-3, epochs=2)


def train(stage: str, model: Path, out: Path, **more: Any) -> TrainingResult:
    """Train in float32 on rows of various lengths, of pairs also of various weights."""
    rows: Any = sft_rows(11)
    if stage != "sft":
        rows = [row.model_copy(update={"weight": (1 + at % 4) / 4}) for at, row in enumerate(preferences(11))]
    lora = LoraSettings(r=4, alpha=8)
    return method_of(stage)(rows, model, out=out, seed=5, pace=PACE, lora=lora, dtype="float32", device="cpu", **more)


def require_same(found: TrainingResult, expected: TrainingResult) -> None:
    """Require the same figures of every step, and the same adapter."""
    from safetensors.torch import load_file

    assert (found.n_rows, found.n_steps, found.n_tokens) == (expected.n_rows, expected.n_steps, expected.n_tokens)
    for name in set(expected.steps[0]) - {"seconds", "epoch"}:  # which transformers counts in passes
        figures = [step[name] for step in expected.steps]
        assert [step[name] for step in found.steps] == pytest.approx(figures, abs=1e-4, rel=1e-4), name
    weights, wanted = (load_file(one.folder / "adapter_model.safetensors") for one in (found, expected))
    for name, values in wanted.items():
        torch.testing.assert_close(weights[name], values, rtol=1e-3, atol=1e-4)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have passes read three rows at most; receives how many each read."""
    sizes: list[int] = []

    def load(own: Any, batches: passes.Passes, **options: Any) -> Any:
        sizes.extend(map(len, batches))
        return passes.load_passes(own, batches, **options)

    monkeypatch.setattr(builder, "rows_at_once", lambda *_: 3)
    monkeypatch.setattr(trainer, "load_passes", load)
    return sizes


@pytest.mark.parametrize("stage", ["sft", "dpo", "preference_model"])
def test_few_rows_at_once_are_the_same_training(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[int], stage: str
) -> None:
    """Every step has the figures that whole batches give it, short steps too, and as many steps are told."""
    told: dict[str, list[tuple[int, int]]] = {"few": [], "whole": []}
    few = train(stage, tiny_model, tmp_path / "few", on_step=lambda step, n, _: told["few"].append((step, n)))
    assert sorted(loaded[:4]) == [2, 3, 3, 3]
    loaded.clear()
    monkeypatch.setattr(builder, "rows_at_once", lambda *_: None)
    whole = train(stage, tiny_model, tmp_path / "whole", on_step=lambda step, n, _: told["whole"].append((step, n)))
    assert loaded == []
    require_same(few, whole)
    assert told["few"] == told["whole"]


@pytest.mark.usefixtures("loaded")
def test_a_stopped_training_goes_on_in_few_rows(tiny_model: Path, tmp_path: Path) -> None:
    """Stopped on its way, it ends as one that was not, to 1e-6."""
    told: list[int] = []
    stop = {"on_step": lambda step, *_: told.append(step), "stop": lambda: len(told) >= 1}
    with pytest.raises(Interrupted):
        train("sft", tiny_model, tmp_path / "stopped", **stop)
    resumed = train("sft", tiny_model, tmp_path / "stopped")
    whole = train("sft", tiny_model, tmp_path / "whole")
    assert told in ([1], [1, 2])  # of four
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6, rel=0)
