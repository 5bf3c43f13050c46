"""From hidden states to logits: those that are read are not rounded to the model's own number format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from charter.engines.transformers.body import Head, LlamaBody

pytestmark = pytest.mark.model

TARGETS = ((3, 7), (), (7,), (5, 5))


def load(folder: Path, dtype: torch.dtype, *, tied: bool) -> Any:
    """Load the model, with a head of its own unless ``tied``, whose logits are large and close to each other."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    if not tied:
        layer = model.get_output_embeddings()
        rows = 1 + torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(1)) / 50
        layer.weight = torch.nn.Parameter(rows.to(dtype))
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("lets_go", [True, False])
def test_targets_are_summed_up_in_float32(tiny_model: Path, tied: bool, lets_go: bool) -> None:
    """Their logits are the products of the same hidden states in float32; all others are the model's own."""
    model = load(tiny_model, torch.bfloat16, tied=tied)
    rows = model.get_output_embeddings().weight.detach().clone()
    head = Head(model)
    hidden = 0.5 + torch.rand(len(TARGETS), rows.shape[1], generator=torch.Generator().manual_seed(2)).bfloat16()
    if lets_go:
        LlamaBody(model, head)
        model.get_output_embeddings().weight.data.zero_()  # it is nobody's any more, where the head's is packed
        if not head._linear.is_packed:
            pytest.skip("this processor's head holds the model's own weight")
    found, own = head.read(hidden, TARGETS), head(hidden).float()
    exact = hidden.float() @ rows.float().T
    assert found.dtype == torch.float32
    is_target = torch.zeros_like(found, dtype=torch.bool)
    for place, tokens in enumerate(TARGETS):
        is_target[place, list(tokens)] = True
    assert torch.equal(found[~is_target], own[~is_target])
    assert torch.allclose(found[is_target], exact[is_target], rtol=1e-6, atol=1e-5)
    if not tied:  # what is rounded lies an eighth apart there
        assert (own - exact)[is_target].abs().max() > 1e-3


def test_float32_is_read_as_it_is(tiny_model: Path) -> None:
    """There is nothing to be had beyond the model's own number format."""
    head = Head(load(tiny_model, torch.float32, tied=True))
    hidden = torch.rand(len(TARGETS), head._rows.shape[1], generator=torch.Generator().manual_seed(2))
    assert torch.equal(head.read(hidden, TARGETS), head(hidden))
