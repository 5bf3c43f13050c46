"""Answers of a model in the midst of its training: the likeliest token by turns, through its own cache.

Nothing is drawn and nothing is changed: the training goes on as if it had not been asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from charter.engines.rendering import Renderer
from charter.engines.tokenizers import find_end_ids
from charter.training import ranks
from charter.training.adapters import base_of

_AT_ONCE = 16  # prompts: more would take memory from the training


def ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """Give the tokens that end an answer: all that an engine stops at, the end of turn among them that is taught.

    A base's tokenizer and configuration may name the end of a text alone, and its chat template another for turns.
    """
    ends = find_end_ids(tokenizer, model.generation_config, model.config)
    end_of_turn = Renderer(tokenizer).end_of_turn
    return ends if end_of_turn is None else ends | {end_of_turn}


def answer_prompts(
    trainer: Any, prompts: Sequence[Sequence[int]], *, ends: Collection[int], pad: int, max_tokens: int
) -> list[list[int]]:
    """Answer prompts with the model as it is now, greedily.

    Of several processes that each hold the whole model the first answers, and tells the others; where each holds a part
    of the weights all take part in every step.

    Args:
        trainer: whose model answers, in training.
        prompts: token ids.
        ends: tokens that end an answer.
        pad: any token; where it stands nothing is read.
        max_tokens: where an answer is cut.

    Returns:
        The answers' token ids, without what ended them.
    """

    def answer() -> list[list[int]]:
        batches = [prompts[start : start + _AT_ONCE] for start in range(0, len(prompts), _AT_ONCE)]
        with _at_rest(trainer) as model:
            return [
                one
                for batch in batches
                for one in _answer_batch(model, _Batch.of(batch, pad, trainer.args.device), frozenset(ends), max_tokens)
            ]

    if not ranks.shards_weights():
        return ranks.by_first(answer)
    answers = answer()
    return ranks.by_first(lambda: answers)  # a last digit that differs is enough to differ in an answer


@contextmanager
def _at_rest(trainer: Any) -> Iterator[Any]:
    """Give the model as it answers, and leave it and the generators of chance as they were."""
    # A copy's wrapper would wait for the other processes; parts of weights are put together by theirs.
    model = trainer.model_wrapped if ranks.shards_weights() else trainer.model
    training = model.training
    devices = [trainer.args.device] if trainer.args.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad(), trainer.accelerator.autocast():
        model.eval()
        try:
            yield model
        finally:
            model.train(training)
            _divide_again(model)


def _divide_again(model: Any) -> None:
    """Let go of what FSDP2 leaves put together until a backward pass: a checkpoint is not read into whole weights."""
    if ranks.sharding() != "fsdp":
        return
    from torch.distributed.fsdp import FSDPModule

    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


class _Batch(NamedTuple):
    """Prompts side by side, padded at their beginnings; each (n_prompts, n_tokens)."""

    ids: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> _Batch:
        """Lay prompts side by side."""
        longest = max(map(len, prompts))
        ids = [[pad] * (longest - len(one)) + list(one) for one in prompts]
        mask = [[0] * (longest - len(one)) + [1] * len(one) for one in prompts]
        return cls(torch.tensor(ids, device=device), torch.tensor(mask, device=device))


def _answer_batch(model: Any, batch: _Batch, ends: frozenset[int], max_tokens: int) -> list[list[int]]:
    ids, mask = batch
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    last = torch.tensor(sorted(ends), device=ids.device)
    going_on = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    drawn: list[torch.Tensor] = []
    cache = None
    takes = _arguments_of(model)
    for _ in range(max_tokens):
        given = {"position_ids": positions, "logits_to_keep": 1}
        told = {name: value for name, value in given.items() if name in takes}
        out = model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **told)
        token = out.logits[:, -1].argmax(-1)
        drawn.append(token)
        going_on &= ~torch.isin(token, last)
        more = bool(going_on.any())
        if not (ranks.any_of(more)[0] if ranks.shards_weights() else more):
            break
        ids, cache = token[:, None], out.past_key_values
        mask = torch.cat([mask, mask.new_ones(len(ids), 1)], 1)
        positions = positions[:, -1:] + 1
    return [_until(row, ends) for row in torch.stack(drawn, 1).tolist()]


def _arguments_of(model: Any) -> Collection[str]:
    """Name what the model itself takes, under what was put around it."""
    while hasattr(model, "module"):
        model = model.module
    base = base_of(model)
    return inspect.signature(type(base).forward).parameters


def _until(row: list[int], ends: Collection[int]) -> list[int]:
    return row[: next((place for place, token in enumerate(row) if token in ends), len(row))]
