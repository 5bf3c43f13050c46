"""Log-probabilities of a model's answer tokens, computed where they are asked for and nowhere else.

The projection onto the vocabulary is the largest product of a small model and its largest memory. Only positions that
bear loss go through it, and where the projection is frozen (LoRA) its gradient is taken at once, so that the logits
are never kept: the gradient of log p(t|h) by h is w_t - sum_v p_v w_v, whatever the loss does with it later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy

from charter.training.data import IGNORED

_LOGITS_AT_ONCE = {"cpu": 2**23}  # how many logits are held at a time: 32 MB in float32 stay near the caches
_LOGITS_AT_ONCE_ELSEWHERE = 2**28
_LOUDER = 64.0  # times the hidden states, where it is tried what the head does


class Asked(NamedTuple):
    """Tokens whose log-probability is asked for; (n_asked,) each.

    Attributes:
        rows: of the batch.
        positions: in the row; what is hidden there predicts the token.
        tokens: themselves.
    """

    rows: torch.Tensor
    positions: torch.Tensor
    tokens: torch.Tensor


def labelled(labels: torch.Tensor) -> Asked:
    """Ask for the tokens that bear loss, row by row; labels (n_rows, n_tokens), else ``IGNORED``."""
    rows, positions = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    return Asked(rows, positions, labels[rows, positions + 1])


def answer_logprobs(model: Any, inputs: Mapping[str, torch.Tensor], asked: Asked, *, plain_head: bool) -> torch.Tensor:
    """Compute the log-probability of each token that is asked for, given the tokens that its row shows before it.

    Args:
        model: a causal language model of transformers, or one wrapped by PEFT or accelerate.
        inputs: what it reads: ``input_ids`` (n_rows, n_tokens), padded on the right, and how these see each other.
        asked: the tokens.
        plain_head: whether the logits are hidden states times the head's weight and that weight is frozen
            (``has_plain_head``); any other model is right too, but slower.

    Returns:
        Natural log-probabilities, in float32 or better; (n_asked,).
    """
    with _head_input(model, asked, through=not plain_head) as caught:
        outputs = model(**inputs, use_cache=False)
    if not plain_head:
        logits = outputs.logits[0]
        return -cross_entropy(logits.to(_precise(logits.dtype)), asked.tokens, reduction="none")
    weight = _head(model).weight
    hidden = caught[0][asked.rows, asked.positions].to(weight.dtype)
    return _FrozenHead.apply(hidden, weight, asked.tokens)  # type: ignore[no-any-return, no-untyped-call]


def sum_by_answer(values: torch.Tensor, n_tokens: torch.Tensor) -> torch.Tensor:
    """Sum what ``answer_logprobs`` returned over answers that follow one another; n_tokens and result (n_answers,)."""
    there = torch.arange(int(n_tokens.max()), device=values.device) < n_tokens.unsqueeze(1)
    return values.new_zeros(there.shape).masked_scatter(there, values).sum(1)


def has_plain_head(model: Any) -> bool:
    """Tell whether the logits are exactly hidden states times a frozen weight.

    Some models scale or squash their logits, or adapt the head; that is found by trying, not by their names, and with
    louder hidden states than the model's: a cap far above today's logits is none of theirs yet.
    """
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.requires_grad or not weight.is_floating_point():
        return False
    if getattr(head, "bias", None) is not None:
        return False
    caught: list[torch.Tensor] = []

    def louder(_head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        caught.append(_LOUDER * inputs[0])
        return (caught[0],)

    handle = head.register_forward_pre_hook(louder)
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.arange(4, device=weight.device).unsqueeze(0), use_cache=False).logits[0]
    finally:
        handle.remove()
    hidden = caught[0][0]
    if hidden.shape[-1] != weight.shape[-1] or logits.shape[-1] != weight.shape[0]:
        return False
    difference = (logits - hidden.to(weight.dtype) @ weight.T).abs().amax()
    return bool(difference <= 0.01 * logits.abs().amax())  # within bfloat16's rounding; no softcap or scale is


@contextmanager
def _head_input(model: Any, asked: Asked, *, through: bool) -> Iterator[list[torch.Tensor]]:
    """Catch the hidden states before the head, and let only the positions asked for go through it, or none."""
    caught: list[torch.Tensor] = []

    def narrow(_head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        caught.append(inputs[0])
        return (inputs[0][asked.rows, asked.positions].unsqueeze(0),) if through else (inputs[0][:, :0],)

    handle = _head(model).register_forward_pre_hook(narrow)
    try:
        yield caught
    finally:
        handle.remove()


def _head(model: Any) -> Any:
    """Find the projection onto the vocabulary, inside what shares a model among processes too."""
    return getattr(model, "module", model).get_output_embeddings()


class _FrozenHead(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target], with its gradient by ``hidden`` computed in the same sweep."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        n_rows, n_tokens = hidden.shape[0], weight.shape[0]
        logprobs = hidden.new_empty(n_rows, dtype=_precise(hidden.dtype))
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        step = max(1, _LOGITS_AT_ONCE.get(hidden.device.type, _LOGITS_AT_ONCE_ELSEWHERE) // n_tokens)
        for start in range(0, n_rows, step):
            part = slice(start, start + step)
            target = targets[part, None]
            logits = (hidden[part] @ weight.T).to(logprobs.dtype)
            logits -= logits.amax(1, keepdim=True)
            wanted = logits.gather(1, target)
            total = logits.exp_().sum(1, keepdim=True)  # from here on the memory holds probabilities
            logprobs[part] = (wanted - total.log()).squeeze(1)
            if gradient is not None:
                logits /= -total
                logits.scatter_add_(1, target, torch.ones_like(wanted))
                gradient[part] = logits.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return (outer[0].unsqueeze(1) * gradient).to(gradient.dtype), None, None


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
