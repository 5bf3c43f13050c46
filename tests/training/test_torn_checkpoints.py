"""Real checkpoints cut in every file, and trainings killed at any step: each goes on, to the same end."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from training_rows import preferences, sft_rows

from charter.records import make_prompt
from charter.training.adapters import LoraSettings
from charter.training.checkpoints import SEAL, newest_whole
from charter.training.dpo import dpo
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from charter.training.results import TrainingResult
from charter.training.rl import rl
from charter.training.rl_trainer import Method, Rolling
from charter.training.rollouts import Reward, Rollout
from charter.training.sft import sft

pytestmark = pytest.mark.model

SETTINGS: dict[str, Any] = {
    "seed": 5,
    "pace": Pace(batch_size=2, learning_rate=5e-3, epochs=2, save_steps=2),
    "lora": LoraSettings(r=4, alpha=8, dropout=0.1),
    "dtype": "float32",
    "device": "cpu",
}
N_STEPS = 10


def train(stage: str, model: Path, out: Path, **changed: Any) -> TrainingResult:
    """Train the tiny model on ten rows or pairs, twice each, or by RL on ten prompts' answers: ten steps."""
    settings = SETTINGS | changed
    if stage == "sft":
        return sft(sft_rows(10), model, out=out, **settings)
    if stage == "preference_model":
        return preference_model(preferences(10), model, out=out, **settings)
    if stage == "dpo":
        return dpo(preferences(10), model, out=out, **settings)
    # Of each draw two steps are made, so that a checkpoint falls on every second.
    rolling = Rolling(method=cast("Method", stage), n_samples=4, n_updates=2, max_tokens=6, beta=0.05)
    pace = Pace(batch_size=8, learning_rate=2e-2, save_steps=2)
    prompts = [make_prompt(f"Question {number}: what now?", "helpful") for number in range(10)]
    return rl(
        prompts,
        model,
        [Reward("vowels", _vowels, 1.0, {})],
        out=out,
        rolling=rolling,
        guard=None,
        **settings | {"pace": pace},
    )


def _vowels(rollouts: Sequence[Rollout]) -> list[float]:
    return [sum(sign in "aeiou" for sign in one.text) / max(len(one.text), 1) for one in rollouts]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read an adapter's weights."""
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def require_same(found: TrainingResult, expected: TrainingResult) -> None:
    """Require the losses and the weights of an uninterrupted training, within 1e-6."""
    assert found.losses == pytest.approx(expected.losses, abs=1e-6, rel=0)
    wanted = weights(expected.folder)
    for name, values in weights(found.folder).items():
        torch.testing.assert_close(values, wanted[name], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def uninterrupted(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """An SFT from start to end."""
    return train("sft", tiny_model, tmp_path_factory.mktemp("whole") / "sft")


@pytest.fixture(scope="module")
def crashed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of an SFT that ended in its seventh step, with checkpoints of the fourth and the sixth."""
    out = tmp_path_factory.mktemp("crashed") / "sft"

    def crash(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("sft", tiny_model, out, on_step=crash)
    work = out.with_name("sft.training")
    assert {path.name for path in work.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    return work


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


TEARS: Mapping[str, Callable[[Path], object]] = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "one bit": _flip,
}


@pytest.mark.parametrize("how", TEARS)
def test_every_file_of_a_checkpoint_is_missed(crashed: Path, tmp_path: Path, how: str) -> None:
    """Each file in turn is torn: the checkpoint is passed over by name, and the one before it is found."""
    whole = crashed / "checkpoint-6"
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    assert {
        "adapter_model.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "trainer_state.json",
        SEAL,
    } <= {*names}
    shutil.copytree(crashed, tmp_path / "work")
    for name in names:
        torn = tmp_path / "work" / "checkpoint-6" / name
        content = torn.read_bytes()
        TEARS[how](torn)
        found, (note,) = newest_whole(tmp_path / "work")
        assert found == tmp_path / "work" / "checkpoint-4"
        assert note.startswith("checkpoint-6 was passed over: ")
        assert name in note or name == SEAL  # where the seal itself is torn, what it says of others may be wrong
        torn.write_bytes(content)
    assert newest_whole(tmp_path / "work") == (tmp_path / "work" / "checkpoint-6", ())


@pytest.mark.parametrize(
    "torn", ["half adapter_model.safetensors", "empty optimizer.pt", f"missing {SEAL}", "one bit rng_state.pth"]
)
def test_a_training_goes_on_from_the_one_before(
    tiny_model: Path, crashed: Path, tmp_path: Path, uninterrupted: TrainingResult, torn: str
) -> None:
    """With the newest checkpoint torn, the older one is gone on from to the end of an uninterrupted training."""
    how, name = torn.rsplit(maxsplit=1)
    shutil.copytree(crashed, tmp_path / "sft.training")
    TEARS[how](tmp_path / "sft.training" / "checkpoint-6" / name)
    resumed = train("sft", tiny_model, tmp_path / "sft")
    assert resumed.notes[0].startswith("checkpoint-6 was passed over: ")
    assert resumed.notes[1:] == ("went on from checkpoint-4",)
    require_same(resumed, uninterrupted)


def test_with_both_torn_it_begins_anew(
    tiny_model: Path, crashed: Path, tmp_path: Path, uninterrupted: TrainingResult
) -> None:
    """Nothing whole is left: both are named, and the training takes its first step again."""
    shutil.copytree(crashed, tmp_path / "sft.training")
    for number in (4, 6):
        TEARS["half"](tmp_path / "sft.training" / f"checkpoint-{number}" / "optimizer.pt")
    resumed = train("sft", tiny_model, tmp_path / "sft")
    assert [note.split(":")[0] for note in resumed.notes] == [
        "checkpoint-6 was passed over",
        "checkpoint-4 was passed over",
    ]
    require_same(resumed, uninterrupted)


_KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from test_torn_checkpoints import train
    stage, model, out, last = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
    def on_step(step, n_steps, logs):
        if logs and step - (n_steps - 10) == last:
            os.kill(os.getpid(), signal.SIGKILL)
    train(stage, model, out, on_step=on_step)
""")


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage",
    ["dpo", "grpo", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("sft", "preference_model", "rloo"))],
)
def test_killed_at_five_steps_the_end_is_the_same(tiny_model: Path, tmp_path: Path, stage: str) -> None:
    """SIGKILL at five random steps of one training, one after another: it ends where an uninterrupted one does."""
    steps = sorted(random.Random(stage).sample(range(1, N_STEPS + 1), 5))  # noqa: S311 - moments, not secrets
    out = tmp_path / stage
    for step in steps:
        arguments = [str(Path(__file__).parent), stage, str(tiny_model), str(out), str(step)]
        killed = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, capture_output=True)
        assert killed.returncode == -9, killed.stderr.decode()
    require_same(train(stage, tiny_model, out), train(stage, tiny_model, tmp_path / "whole"))
