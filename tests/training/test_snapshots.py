"""Models kept on the way: where, how many, that they change nothing, and that a stop loses none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from training_rows import preferences, sft_rows

from charter.engines.fingerprint import fingerprint_folder
from charter.errors import Interrupted
from charter.records import Message
from charter.training.adapters import LoraSettings
from charter.training.dpo import dpo
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from charter.training.rewards import Conversation, RewardModel
from charter.training.sft import sft
from charter.training.snapshots import snapshot_steps, snapshots_of

pytestmark = pytest.mark.model

PACE = Pace(batch_size=2, learning_rate=5e-3)
SETTINGS: dict[str, Any] = {"seed": 5, "lora": LoraSettings(r=4, alpha=8), "dtype": "float32", "device": "cpu"}
WEIGHTS = "adapter_model.safetensors"


def test_what_is_no_snapshot_is_passed_over(tmp_path: Path) -> None:
    """Files that a desktop leaves, and folders of other names."""
    for name in ("10", "9", "notes"):
        (tmp_path / "snapshots" / name).mkdir(parents=True)
    (tmp_path / "snapshots" / ".DS_Store").touch()
    assert [step for step, _ in snapshots_of(tmp_path)] == [9, 10]


@given(n=st.integers(0, 30), n_steps=st.integers(1, 400), between=st.integers(1, 7))
def test_snapshots_are_spaced_evenly(n: int, n_steps: int, between: int) -> None:
    """There are never more than asked for, all before the end, in order, where a checkpoint may fall."""
    steps = snapshot_steps(n, n_steps, between)
    assert len(steps) <= n
    assert steps == sorted(set(steps))
    assert all(0 < step < n_steps and step % between == 0 for step in steps)
    if n < n_steps and between == 1:
        gaps = [after - before for before, after in zip([0, *steps], [*steps, n_steps], strict=True)]
        assert len(steps) == n
        assert max(gaps) - min(gaps) <= 1


def test_a_training_with_snapshots_comes_to_the_same(tiny_model: Path, tmp_path: Path) -> None:
    """Each snapshot loads as a model, they differ from one another, and the result is that of a training without."""
    plain = dpo(preferences(8), tiny_model, out=tmp_path / "plain", pace=PACE, **SETTINGS)
    kept = dpo(preferences(8), tiny_model, out=tmp_path / "kept", pace=replace(PACE, snapshots=3), **SETTINGS)
    found = snapshots_of(kept.folder)
    assert plain.n_steps == 4
    assert [step for step, _ in found] == [1, 2, 3]
    assert snapshots_of(plain.folder) == []
    assert fingerprint_folder(plain.folder) == fingerprint_folder(kept.folder)
    assert len({fingerprint_folder(folder) for folder in [kept.folder, *(folder for _, folder in found)]}) == 4
    assert not (tmp_path / "kept.training").exists()


def test_a_snapshot_is_the_model_of_its_step(tiny_model: Path, tmp_path: Path) -> None:
    """Half of the steps of a constant rate are those of a training of half as long."""
    pace = replace(PACE, schedule="constant", warmup=0.0)
    rows = sft_rows(8)
    whole = sft(rows, tiny_model, out=tmp_path / "whole", pace=replace(pace, epochs=2, snapshots=1), **SETTINGS)
    half = sft(rows, tiny_model, out=tmp_path / "half", pace=pace, **SETTINGS)
    [(step, folder)] = snapshots_of(whole.folder)
    assert step == half.n_steps
    weights, expected = load_file(folder / WEIGHTS), load_file(half.folder / WEIGHTS)
    assert weights.keys() == expected.keys()
    assert all((weights[name] - expected[name]).abs().max() < 1e-6 for name in expected)


@pytest.mark.parametrize("stopped_at", [1, 2])
def test_a_training_that_was_stopped_has_all_of_them(tiny_model: Path, tmp_path: Path, stopped_at: int) -> None:
    """What was kept before a stop is there behind it, once, as an uninterrupted training keeps it."""
    pace = replace(PACE, snapshots=3)
    whole = dpo(preferences(8), tiny_model, out=tmp_path / "whole", pace=pace, **SETTINGS)
    seen: list[int] = []
    with pytest.raises(Interrupted):
        dpo(
            preferences(8),
            tiny_model,
            out=tmp_path / "out",
            pace=pace,
            on_step=lambda step, _n_steps, logs: seen.extend([step] if logs else []),  # the reference's have no figures
            stop=lambda: len(seen) >= stopped_at,
            **SETTINGS,
        )
    resumed = dpo(preferences(8), tiny_model, out=tmp_path / "out", pace=pace, **SETTINGS)
    assert [step for step, _ in snapshots_of(resumed.folder)] == [1, 2, 3]
    for (_, one), (_, other) in zip(snapshots_of(whole.folder), snapshots_of(resumed.folder), strict=True):
        mine, theirs = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
        assert all((mine[name] - theirs[name]).abs().max() < 1e-6 for name in theirs)


def test_snapshots_of_a_preference_model_give_rewards(tiny_model: Path, tmp_path: Path) -> None:
    """One of a preference model has its head too."""
    pace = replace(PACE, snapshots=1)
    result = preference_model(preferences(8), tiny_model, out=tmp_path / "pm", pace=pace, **SETTINGS)
    [(_, folder)] = snapshots_of(result.folder)
    asked = [Conversation((Message(role="user", content="Which bridge is older?"),), "The one of stone.")]
    assert RewardModel(folder).rewards(asked) != RewardModel(result.folder).rewards(asked)
    assert "snapshots" in json.loads((result.folder / "training.json").read_text("utf-8"))["identity"]["pace"]
