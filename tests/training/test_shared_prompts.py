"""Both sides of a pair behind one prompt: the losses, gradients and rewards of sides apart; and models that cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preference, preferences

from charter.training.adapters import LoraSettings, base_of, load_trainee
from charter.training.data import PreferenceExample, preference_examples
from charter.training.dpo import dpo
from charter.training.pace import Pace, Watch
from charter.training.preference_trainer import Objective, dpo_trainer
from charter.training.reward_trainer import reward_trainer
from charter.training.shared_prompts import why_apart

pytestmark = pytest.mark.model

LORA = LoraSettings(r=4, alpha=8)
SIZE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.3,
}
LONG = [PreferenceExample("p", (5,) * 40, (6,) * 10, (7,) * 12, 1.0)]  # 62 tokens


def make_dpo(model: Path, out: Path) -> Any:
    """Make a float64 trainer of DPO on pairs of many lengths, with its reference."""
    trainee = load_trainee(model, lora=LORA, seed=0, dtype="float64")
    rows = [*preferences(5), preference(9, chosen="No.", rejected="A longer answer, and a longer one still.")]
    examples = preference_examples(rows, trainee.tokenizer, max_length=400).kept
    trainer = dpo_trainer(examples, trainee, out, seed=0, pace=Pace(batch_size=6), objective=Objective(nll_weight=0.1))
    trainer.take_reference(trainer.reference_logprobs(Watch.of(None, None), 0))
    return trainer


def make_preference_model(model: Path, out: Path) -> Any:
    """Make a float64 trainer of a preference model on the same pairs."""
    trainee = load_trainee(model, lora=LORA, seed=0, dtype="float64", task="reward")
    rows = [*preferences(5), preference(9, chosen="No.", rejected="A longer answer, and a longer one still.")]
    examples = preference_examples(rows, trainee.tokenizer, max_length=400).kept
    return reward_trainer(examples, trainee, out, seed=0, pace=Pace(batch_size=6))


def loss_and_gradient(trainer: Any, *, shares: bool) -> tuple[float, torch.Tensor]:
    """Compute the loss of the first batch in a layout, and its gradient by all that is trained."""
    trainer.data_collator.shares = shares
    batch = dict(next(iter(trainer.get_train_dataloader())))
    assert ("parts" in batch) == shares
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), torch.cat([one.grad.flatten() for one in trainer.model.parameters() if one.requires_grad])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("make", [make_dpo, make_preference_model])
def test_losses_and_gradients_are_those_of_sides_apart(
    tiny_model: Path, tmp_path: Path, make: Callable[[Path, Path], Any], attention: str
) -> None:
    """In float64, with weights moved off their first ones, for either kind of attention."""
    trainer = make(tiny_model, tmp_path)
    assert trainer.data_collator.shares
    base_of(trainer.model).set_attn_implementation(attention)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=0.05)
    shared, apart = (loss_and_gradient(trainer, shares=shares) for shares in (True, False))
    # Of what is read in float64 adapters are float32 all the same, and so is the softmax of plain attention.
    exact = attention == "sdpa"
    assert shared[0] == pytest.approx(apart[0], abs=1e-10 if exact else 1e-6)
    torch.testing.assert_close(shared[1], apart[1], rtol=1e-5, atol=1e-7 if exact else 2e-6)
    assert shared[1].abs().max() > 1e-3


@pytest.mark.parametrize("lora", [LoraSettings(), None], ids=["adapter", "whole"])
def test_products_of_half_precision_share(tiny_model: Path, tmp_path: Path, lora: LoraSettings | None) -> None:
    """What is tried is read as training reads it: weights of two precisions meet under autocast alone."""
    settings: dict[str, Any] = {"seed": 5, "lora": lora, "dtype": "bfloat16", "device": "cpu"}
    result = dpo(preferences(8), tiny_model, out=tmp_path / "out", pace=Pace(batch_size=4), **settings)
    assert result.notes == ()


def test_a_whole_model_is_trained_alike(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of a training of all weights has the loss that it has with the sides apart."""
    settings: dict[str, Any] = {"seed": 5, "lora": None, "dtype": "float32", "device": "cpu"}
    settings["pace"] = Pace(batch_size=4, learning_rate=1e-3, epochs=2)
    shared = dpo(preferences(8), tiny_model, out=tmp_path / "shared", **settings)
    monkeypatch.setattr("charter.training.pair_trainer.why_apart", lambda *_: "it is tested")
    apart = dpo(preferences(8), tiny_model, out=tmp_path / "apart", **settings)
    assert shared.notes == ()
    assert apart.notes == ("the sides of each pair were read apart, each behind the prompt: it is tested",)
    assert shared.losses == pytest.approx(apart.losses, abs=1e-5)
    assert shared.n_tokens == apart.n_tokens
    assert abs(shared.losses[-1] - shared.losses[0]) > 0.01


def llama() -> Any:
    """Make a random Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SIZE))


def mistral(window: int) -> Any:
    """Make a random Mistral whose layers see the last tokens."""
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**SIZE, sliding_window=window))


def qwen2(max_window_layers: int, **settings: Any) -> Any:
    """Make a random Qwen2, whose configuration has numbers of windows that are no sizes of one."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**SIZE, max_window_layers=max_window_layers, **settings))


def unused_window() -> Any:
    """Make a random Llama whose configuration names a window that it says is not used."""
    model = llama()
    model.config.sliding_window, model.config.use_sliding_window = 8, False
    return model


def gemma3(window: int) -> Any:
    """Make a random Gemma 3, every second of whose layers sees the last tokens."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    kinds = ["sliding_attention", "full_attention"]
    config = Gemma3TextConfig(**SIZE, head_dim=16, sliding_window=window, layer_types=kinds)
    assert config.to_dict()["_sliding_window_pattern"] < 8
    return Gemma3ForCausalLM(config)


def gpt2(n_positions: int) -> Any:
    """Make a random GPT-2, which learns a vector for each position."""
    from transformers import GPT2Config, GPT2LMHeadModel

    size = {"vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 2, "initializer_range": 0.3}
    return GPT2LMHeadModel(GPT2Config(**size, n_positions=n_positions))


def by_place() -> Any:
    """Make a random GPT-2 that counts positions by places in a row, whatever it is told of them."""
    model = gpt2(64)
    read = model.transformer.forward

    def forward(**inputs: Any) -> Any:
        return read(**{name: value for name, value in inputs.items() if name != "position_ids"})

    model.transformer.forward = forward
    return model


def bloom() -> Any:
    """Make a random Bloom, which counts positions by its mask."""
    from transformers import BloomConfig, BloomForCausalLM

    return BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=2, initializer_range=0.3))


def mamba() -> Any:
    """Make a random Mamba, which carries what it read from token to token."""
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, initializer_range=0.3))


def gpt_neo() -> Any:
    """Make a random GPT-Neo, one of whose layers sees the last 32 tokens of a row, whatever its mask says."""
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    size = {"vocab_size": 300, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "initializer_range": 0.3}
    config = GPTNeoConfig(**size, attention_types=[[["global", "local"], 1]], window_size=32)
    model = GPTNeoForCausalLM(config)
    del config.window_size  # so that it is found by trying
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("make", "apart"),
    [
        (llama, None),
        (lambda: mistral(62), None),
        (lambda: mistral(61), "see the last tokens"),
        (lambda: qwen2(1), None),
        (lambda: qwen2(28), None),
        (lambda: qwen2(0, use_sliding_window=True, sliding_window=61), "see the last tokens"),
        (unused_window, None),
        (lambda: gemma3(62), None),
        (lambda: gemma3(61), "see the last tokens"),
        (lambda: gpt2(52), None),
        (gpt_neo, "does not read two responses"),
        (bloom, "does not read two responses"),
        (mamba, "does not read two responses"),
    ],
    ids=[
        "llama",
        "mistral",
        "mistral of a window",
        "qwen2",
        "qwen2 of its default",
        "qwen2 of a window",
        "unused window",
        "gemma3",
        "gemma3 of a window",
        "gpt2",
        "gpt-neo",
        "bloom",
        "mamba",
    ],
)
def test_only_models_that_read_them_alike_share(make: Callable[[], Any], apart: str | None, dtype: torch.dtype) -> None:
    """It is found by trying; a model is left as it was."""
    torch.manual_seed(0)
    model = make().to(dtype).train()
    why = why_apart(model, LONG)
    assert why is None if apart is None else apart in str(why)
    assert model.training


@pytest.mark.parametrize(
    ("make", "may"), [(lambda: gpt2(50), True), (by_place, False)], ids=["by position", "by place"]
)
def test_nothing_is_tried_where_no_row_has_a_token(make: Callable[[], Any], may: bool) -> None:
    """On a GPU a position without a vector ends all that is computed there: the longest side of 50 has the last."""
    torch.manual_seed(0)
    model = make()
    seen: list[int] = []
    model.transformer.wpe.register_forward_pre_hook(lambda _self, inputs: seen.append(int(inputs[0].max())))
    pairs = [PreferenceExample("p", (5,) * 12, (6,) * 38, (7,) * 38, 1.0), LONG[0]]
    assert (why_apart(model, pairs[:1]) is None) == may
    assert max(seen) == 49
    seen.clear()
    why_apart(gpt2(40), pairs)  # sides that the model has no positions for are training's to stumble on
    assert max(seen, default=0) < 40


def test_a_mistake_of_ours_is_no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model cannot do is a reason to read the sides apart; what fails before it is asked is none."""

    def mistaken(_batch: object) -> None:
        raise TypeError("of ours")

    monkeypatch.setattr("charter.training.shared_prompts.answers_of", mistaken)
    with pytest.raises(TypeError, match="of ours"):
        why_apart(llama(), LONG)
