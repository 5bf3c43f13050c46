"""Log-probabilities of answer tokens, against the model's own full logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from charter.training.data import IGNORED
from charter.training.logprobs import answer_logprobs, has_plain_head, labelled, sum_by_answer

pytestmark = pytest.mark.model

N_ROWS, N_TOKENS = 3, 11


def tiny(folder: Path, dtype: torch.dtype = torch.float64) -> Any:
    """Load the tiny model with a frozen head (tied to the embedding)."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.get_input_embeddings().weight.requires_grad_(requires_grad=False)
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make random rows, padded on the right, with answers of various lengths (one of them empty)."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, 300, (N_ROWS, N_TOKENS), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, -4:] = 0
    labels = ids.clone()
    labels[:, :5] = IGNORED
    labels[mask == 0] = IGNORED
    labels[2] = IGNORED
    return ids, mask, labels


def from_full_logits(model: Any, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Take the same log-probabilities from all logits."""
    logits = model(input_ids=ids, attention_mask=mask).logits
    everywhere = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    return everywhere[labels[:, 1:] != IGNORED]


def logprobs(model: Any, *, plain_head: bool) -> torch.Tensor:
    """Compute those of the batch's answers."""
    ids, mask, labels = batch()
    read = {"input_ids": ids, "attention_mask": mask}
    return answer_logprobs(model, read, labelled(labels), plain_head=plain_head)


def gradients(model: Any, values: torch.Tensor) -> torch.Tensor:
    """Differentiate an uneven sum of the values by every trainable weight."""
    model.zero_grad()
    (values * torch.linspace(-1, 2, len(values), dtype=values.dtype)).sum().backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("plain_head", [True, False])
def test_values_and_gradients_are_those_of_the_full_logits(tiny_model: Path, plain_head: bool) -> None:
    """Both ways agree with log-softmax over everything, to float64's precision."""
    model = tiny(tiny_model)
    expected = from_full_logits(model, *batch())
    expected_gradients = gradients(model, expected)
    found = logprobs(model, plain_head=plain_head)
    assert found.shape == (int((batch()[2] != IGNORED).sum()),)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(model, found), expected_gradients, rtol=0, atol=1e-12)


def test_a_trainable_head_gets_its_gradient(tiny_model: Path) -> None:
    """A whole model that is trained has no plain head, and its tied head's gradient is right."""
    model = tiny(tiny_model)
    model.get_input_embeddings().weight.requires_grad_()
    assert not has_plain_head(model)
    expected = gradients(model, from_full_logits(model, *batch()))
    found = gradients(model, logprobs(model, plain_head=False))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frozen_untouched_head_is_plain(tiny_model: Path, dtype: torch.dtype) -> None:
    """A Llama's logits are its hidden states times the head's weight, in any precision."""
    assert has_plain_head(tiny(tiny_model, dtype))


@pytest.mark.parametrize("squash", ["softcap", "high softcap", "scale", "bias"])
def test_squashed_or_scaled_logits_are_noticed(squash: str) -> None:
    """A model that caps, scales or shifts its logits, by however little, has no plain head, and is still right."""
    from transformers import (
        Gemma2Config,
        Gemma2ForCausalLM,
        GraniteConfig,
        GraniteForCausalLM,
        PhiConfig,
        PhiForCausalLM,
    )

    size = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "initializer_range": 0.3,
    }
    torch.manual_seed(0)
    model: Any
    if squash.endswith("softcap"):
        quiet = size | {"initializer_range": 0.1}  # whose logits are far below the cap
        config = (
            Gemma2Config(**size, head_dim=16, final_logit_softcapping=2.0)
            if squash == "softcap"
            else Gemma2Config(**quiet, head_dim=16, final_logit_softcapping=30.0)
        )
        model = Gemma2ForCausalLM(config).double()
    elif squash == "bias":
        model = PhiForCausalLM(PhiConfig(**size)).double()
        torch.nn.init.constant_(model.lm_head.bias[:9], 0.01)
    else:
        model = GraniteForCausalLM(GraniteConfig(**size, logits_scaling=3.0)).double()
    model.get_output_embeddings().weight.requires_grad_(requires_grad=False)
    assert not has_plain_head(model)
    found = logprobs(model, plain_head=False)
    torch.testing.assert_close(found, from_full_logits(model, *batch()), rtol=0, atol=1e-10)


def test_many_answer_tokens_are_cut_into_pieces(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few logits are held at once, the result is the same."""
    model = tiny(tiny_model)
    whole = logprobs(model, plain_head=True)
    monkeypatch.setattr("charter.training.logprobs._LOGITS_AT_ONCE", {"cpu": 1})
    pieces = logprobs(model, plain_head=True)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(model, pieces), gradients(model, whole), rtol=0, atol=1e-12)


def test_sums_go_to_their_answers() -> None:
    """Each value is added to the answer whose token it belongs to; one without tokens sums to 0."""
    assert sum_by_answer(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 1])).tolist() == [3.0, 0.0, 4.0]
