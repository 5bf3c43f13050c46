"""Batches of pairs: the two sides of each apart, or behind a prompt that is read once.

A pair's sides have the same prompt, and what is computed of it depends on nothing behind it. So one row holds prompt,
chosen and rejected, where the rejected side sees the prompt and itself, and counts its positions from the prompt's end:
every token sees what it would see in a row of its own. Of 700 pairs of hh_harmless 38 % of the tokens are then read no
second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from charter.training.logprobs import Asked

LABEL = "p_chosen"
PAIR_WEIGHT = "pair_weight"  # as ``pair_trainer.relative_weights`` has it
REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")  # TRL's names

PADDING, PROMPT, CHOSEN, REJECTED = -1, 0, 1, 2  # what a token of a shared row is part of


class PairCollator:
    """Puts tokenised pairs together.

    Apart, a batch has a row for each chosen side, then one for each rejected side: ``input_ids``, ``attention_mask``
    and ``completion_mask`` (1 on the response), (2 n_pairs, n_tokens) each. Shared, it has a row for each pair:
    ``input_ids``, ``position_ids`` and ``parts`` (see ``PROMPT``), (n_pairs, n_tokens) each. Either has the columns of
    numbers that the rows have, (n_pairs,).

    Args:
        padding: the token that rows are filled up with, on the right.

    Attributes:
        shares: whether prompts are shared.
    """

    def __init__(self, padding: int) -> None:
        self._padding = padding
        self.shares = False

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch of rows with ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``."""
        batch = self._shared(examples) if self.shares else self._apart(examples)
        names = [name for name in (LABEL, PAIR_WEIGHT, *REFERENCE) if name in examples[0]]
        numbers = {name: torch.tensor([one[name] for one in examples], dtype=torch.float64) for name in names}
        return batch | numbers

    def _apart(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        sides = [(one["prompt_ids"], one[name]) for name in ("chosen_ids", "rejected_ids") for one in examples]
        return {
            "input_ids": _filled([[*prompt, *answer] for prompt, answer in sides], self._padding),
            "attention_mask": _filled([[1] * (len(prompt) + len(answer)) for prompt, answer in sides], 0),
            "completion_mask": _filled([[0] * len(prompt) + [1] * len(answer) for prompt, answer in sides], 0),
        }

    def _shared(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [(one["prompt_ids"], one["chosen_ids"], one["rejected_ids"]) for one in examples]
        parts = [[part for part, ids in enumerate(row) for _ in ids] for row in rows]
        positions = [
            [*range(len(prompt) + len(chosen)), *range(len(prompt), len(prompt) + len(rejected))]
            for prompt, chosen, rejected in rows
        ]
        return {
            "input_ids": _filled([[token for ids in row for token in ids] for row in rows], self._padding),
            "position_ids": _filled(positions, 0),
            "parts": _filled(parts, PADDING),
        }


def _filled(rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])


def model_inputs(batch: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Give what a model reads of a batch; ``dtype`` is that of what it adds to the scores of attention."""
    if "parts" not in batch:
        return {name: batch[name] for name in ("input_ids", "attention_mask")}
    mask = attention_of(batch["parts"], dtype)
    return {"input_ids": batch["input_ids"], "position_ids": batch["position_ids"], "attention_mask": mask}


def attention_of(parts: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Say what each token of shared rows may see: 0 where it may, the least number where not.

    Args:
        parts: what each token is part of; (n_pairs, n_tokens).
        dtype: of the result.

    Returns:
        By row, head (one stands for all), token that sees and token that is seen: (n_pairs, 1, n_tokens, n_tokens).
        Padding sees itself, since the softmax of nothing is no number.
    """
    seen, sees = parts.unsqueeze(1), parts.unsqueeze(2)
    before = torch.ones(parts.shape[1], parts.shape[1], dtype=torch.bool, device=parts.device).tril()
    may = before & ((seen == PROMPT) | (seen == sees))
    return torch.zeros(may.shape, dtype=dtype, device=parts.device).masked_fill(~may, torch.finfo(dtype).min)[:, None]


def answers_of(batch: Mapping[str, torch.Tensor]) -> tuple[Asked, torch.Tensor]:
    """Find the tokens of all chosen answers, then of all rejected ones.

    Returns:
        The tokens with where they are predicted, and how many each answer has: (2 n_pairs,).
    """
    ids = batch["input_ids"]
    if "parts" not in batch:
        rows, places = batch["completion_mask"].nonzero(as_tuple=True)
        return Asked(rows, places - 1, ids[rows, places]), batch["completion_mask"].sum(1)
    parts = batch["parts"]
    found = [(parts == side).nonzero(as_tuple=True) for side in (CHOSEN, REJECTED)]
    n_tokens = torch.cat([(parts == side).sum(1) for side in (CHOSEN, REJECTED)])
    rows, places = (torch.cat(both) for both in zip(*found, strict=True))
    # The first token of either side is predicted where the prompt ends.
    is_first = parts[rows, places - 1] != parts[rows, places]
    ends = (parts == PROMPT).sum(1) - 1
    return Asked(rows, torch.where(is_first, ends[rows], places - 1), ids[rows, places]), n_tokens


def last_tokens(batch: Mapping[str, torch.Tensor], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the last token of each side of shared rows that is not ``padding``, which a response may end with.

    Returns:
        Rows and positions of the chosen sides, then of the rejected ones: (2 n_pairs,) each.
    """
    parts, ids = batch["parts"], batch["input_ids"]
    places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    rows = torch.arange(len(ids), device=ids.device)
    last = [
        places.masked_fill(((parts != PROMPT) & (parts != side)) | (ids == padding), 0).amax(1)
        for side in (CHOSEN, REJECTED)
    ]
    return torch.cat([rows, rows]), torch.cat(last)
