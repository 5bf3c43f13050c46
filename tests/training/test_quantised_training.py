"""Adapters behind weights of 4 bits: what is learnt is what the unpacked weights would teach, on the CPU too."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preferences, sft_rows

from charter.engines import quantising
from charter.errors import ModelError
from charter.training.adapters import LoraSettings, Task, load_trainee
from charter.training.collapse import Guard
from charter.training.data import preference_examples, prompt_examples, sft_examples
from charter.training.dpo import dpo
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from charter.training.preference_trainer import Objective, dpo_trainer
from charter.training.reward_trainer import reward_trainer
from charter.training.rl_trainer import Rolling, rl_trainer
from charter.training.rollouts import Reward
from charter.training.sft import sft, sft_trainer

pytestmark = pytest.mark.model

LORA = LoraSettings(r=4, alpha=8, quantise="4bit")
SETTINGS: dict[str, Any] = {
    "seed": 5,
    "dtype": "float32",
    "device": "cpu",
    "pace": Pace(batch_size=4, learning_rate=5e-3, epochs=2),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: more of them wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def unpacked(model: Path, folder: Path) -> Path:
    """Save the model with its weights as they are unpacked from 4 bits."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quantised = load_trainee(model, lora=LORA, seed=0, dtype="float32", device="cpu").model.get_base_model()
    plain = AutoModelForCausalLM.from_pretrained(model)
    n = 0
    for name, module in quantised.named_modules():
        if isinstance(module, Linear4bit):
            weight = dequantize_4bit(module.weight.data, module.weight.quant_state)
            layer = plain.get_submodule(name.removesuffix(".base_layer"))
            assert 0 < (layer.weight.data - weight).abs().mean() < 0.2 * layer.weight.data.abs().mean()
            layer.weight.data = weight
            n += 1
    assert n == 2 * 7
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def test_quantised_trains_as_the_unpacked_weights_do(tiny_model: Path, tmp_path: Path) -> None:
    """SFT and then DPO on its adapter: losses, gradients and the adapter are those of the weights that 4 bits hold."""
    from safetensors.torch import load_file

    plain = unpacked(tiny_model, tmp_path / "unpacked")
    rows, pairs = sft_rows(8), preferences(6)
    guard = Guard(every=1, n_prompts=2, max_tokens=4)  # whose answers leave the weights fit to be trained behind
    found = sft(rows, tiny_model, out=tmp_path / "4bit", lora=LORA, guard=guard, **SETTINGS)
    assert len(found.looks) == 1 + found.n_steps
    wanted = sft(rows, plain, out=tmp_path / "plain", lora=LoraSettings(r=4, alpha=8), **SETTINGS)
    assert found.losses == pytest.approx(wanted.losses, rel=1e-3)  # products are rounded otherwise
    norms = [[step["grad_norm"] for step in one.steps] for one in (found, wanted)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)
    weights = load_file(found.folder / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    for name, values in load_file(wanted.folder / "adapter_model.safetensors").items():
        assert (weights[name] - values).norm() < 0.15 * values.norm()
    found = dpo(pairs, found.folder, out=tmp_path / "4bit-dpo", lora=LORA, **SETTINGS)
    wanted = dpo(pairs, wanted.folder, out=tmp_path / "plain-dpo", lora=LoraSettings(r=4, alpha=8), **SETTINGS)
    assert found.steps[0]["margin"] == 0.0
    assert found.losses == pytest.approx(wanted.losses, abs=1e-3)


def test_a_preference_model_trains_behind_4_bits(tiny_model: Path, tmp_path: Path) -> None:
    """Its losses are those of the weights that 4 bits hold; its head is none of what is quantised."""
    from charter.training.reward_head import RewardHead

    plain = unpacked(tiny_model, tmp_path / "unpacked")
    trainee = load_trainee(tiny_model, lora=LORA, seed=0, dtype="float32", device="cpu", task="reward")
    (head,) = {type(one) for name, one in trainee.model.named_modules() if name.endswith("score.original_module")}
    assert head is RewardHead
    found = preference_model(preferences(6), tiny_model, out=tmp_path / "4bit", lora=LORA, **SETTINGS)
    lora = LoraSettings(r=4, alpha=8)
    wanted = preference_model(preferences(6), plain, out=tmp_path / "plain", lora=lora, **SETTINGS)
    assert found.losses == pytest.approx(wanted.losses, rel=1e-3)
    assert found.losses[0] - found.losses[-1] > 0.001


@pytest.mark.parametrize("stage", ["sft", "dpo", "preference_model", "rl"])
def test_an_adapter_is_trained_on_as_it_was_left(tiny_model: Path, tmp_path: Path, stage: str) -> None:
    """Not rounded to bfloat16: what a training begins from, and is held to, is what the one before it saved."""
    from safetensors.torch import load_file

    begun = sft(sft_rows(4), tiny_model, out=tmp_path / "sft", lora=LORA, **SETTINGS).folder
    task: Task = "reward" if stage == "preference_model" else "text"
    trainee = load_trainee(begun, lora=LORA, seed=0, dtype="bfloat16", device="cpu", task=task)
    tokenizer = trainee.tokenizer
    how: dict[str, Any] = {"seed": 0, "pace": Pace(batch_size=4)}
    trainer: Any
    if stage == "sft":
        trainer = sft_trainer(sft_examples(sft_rows(4), tokenizer, max_length=200).kept, trainee, tmp_path, **how)
    elif stage == "rl":
        asked = prompt_examples([row.prompt for row in sft_rows(4)], tokenizer, max_length=200, max_tokens=4).kept
        rewards = [Reward("none", lambda rollouts: [0.0] * len(rollouts), 1.0, {})]
        trainer = rl_trainer(asked, trainee, tmp_path, rolling=Rolling(max_tokens=4), rewards=rewards, **how)
    else:
        pairs = preference_examples(preferences(4), tokenizer, max_length=200).kept
        more = {"objective": Objective()} if stage == "dpo" else {}
        make: Callable[..., Any] = dpo_trainer if stage == "dpo" else reward_trainer
        trainer = make(pairs, trainee, tmp_path, **how, **more)
    trained = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    assert {weight.dtype for weight in trained.values()} == {torch.float32}
    for name, values in load_file(begun / "adapter_model.safetensors").items():
        assert torch.equal(trained[name.replace(".weight", ".default.weight")], values)


def test_a_quantised_base_is_named_as_it_is(tiny_model: Path, tmp_path: Path, capfd: Any) -> None:
    """The adapter loads on the whole base, as every later stage does; nothing is printed."""
    from peft import AutoPeftModelForCausalLM

    from charter.engines.quiet import quiet_libraries

    out = sft(sft_rows(4), tiny_model, out=tmp_path / "4bit", lora=LORA, **SETTINGS | {"dtype": "bfloat16"}).folder
    with quiet_libraries():
        loaded = AutoPeftModelForCausalLM.from_pretrained(str(out))
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert capfd.readouterr() == ("", "")


def test_without_bitsandbytes_it_is_said_what_to_install(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the package and its version, before anything is written."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "bitsandbytes" else find(name, *a)
    )
    with pytest.raises(
        ModelError, match=r"bitsandbytes is not installed; install it \(pip install 'bitsandbytes>=0\.49'\)"
    ):
        sft(sft_rows(4), tiny_model, out=tmp_path / "4bit", lora=LORA, **SETTINGS)
    assert not list(tmp_path.iterdir())


def test_an_old_bitsandbytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 0.49 there was nothing for a CPU."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.48.2")
    assert "bitsandbytes is 0.48.2; install 0.49 or newer" in quantising.quantising_lacks()


def test_sharded_weights_are_not_quantised(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FSDP2 and ZeRO-3 divide no weights of 4 bits."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ModelError, match="weights in 4 bits cannot be sharded"):
        load_trainee(tiny_model, lora=LORA, seed=0, dtype="float32", device="cpu")
