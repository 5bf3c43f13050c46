"""The head of a preference model: one number for a conversation, read off its last token and computed in float32.

Transformers' classification models read the rightmost token that is not padding, by its id. A tokenizer that pads with
the very token that ends a turn would have it read the one before, and a conversation that is padded is then read at
another place than one that was trained on with other padding. So a preference model pads with a token that no
conversation ends with; its tokenizer, which lies beside the weights, says which.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

from charter.engines.rendering import Renderer
from charter.errors import ModelError

HEAD = "score"  # transformers' name for it in the models that go on from a text


class RewardHead(torch.nn.Linear):
    """A linear layer of one output that computes in float32 at least, whatever its input and autocast say."""

    def __init__(self, n_inputs: int, weight: torch.Tensor) -> None:
        super().__init__(n_inputs, 1, bias=False, device=weight.device, dtype=weight.dtype)
        self.weight.data = weight

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Compute the reward of each position; hidden (..., n_inputs)."""
        precise = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            return linear(hidden.to(precise), self.weight.to(precise))


def put_reward_head(model: Any, tokenizer: Any, *, is_new: bool) -> None:
    """Give a classification model the head of a preference model, and both the token that they pad with.

    A new head is all zeros: before the first step every reward is 0 and every pair a tie, whatever the seed.

    Args:
        model: of transformers, with one output.
        tokenizer: its tokenizer.
        is_new: whether the head that the model has was drawn for want of a trained one.

    Raises:
        ModelError: for a model whose head is another.
    """
    head = getattr(model, HEAD, None)
    if not isinstance(head, torch.nn.Linear) or head.out_features != 1 or head.bias is not None:
        raise ModelError(
            f"{type(model).__name__} has no plain head {HEAD!r} of one output, so no reward can be read off it; take a "
            "model that goes on from a text, such as those of Llama, Mistral, Qwen or SmolLM"
        )
    precise = torch.promote_types(head.weight.dtype, torch.float32)
    weight = head.weight.data.to(precise)
    setattr(model, HEAD, RewardHead(head.in_features, torch.zeros_like(weight) if is_new else weight))
    pad_apart(tokenizer)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def pad_apart(tokenizer: Any) -> None:
    """Let a tokenizer pad with a special token that ends neither a turn nor a text, where it has one.

    Texts are data, so that no special token but the end of a turn is ever the last of a conversation. A tokenizer that
    has none to spare keeps its own; of a whole response the token before its end is then read.
    """
    ends = {Renderer(tokenizer).end_of_turn, tokenizer.eos_token_id}
    for token in (tokenizer.pad_token_id, tokenizer.unk_token_id, *sorted(tokenizer.all_special_ids)):
        if token is not None and token not in ends:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(token)
            return
