"""Rows of tokens that share a forward pass: those of similar length, padded on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


def by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Put row numbers together whose rows, padded to the longest of them, are as many tokens as fit; longest first.

    So that what does not fit into memory shows at once. A row that is longer by itself is alone.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    start = 0
    while start < len(order):
        n_rows = max(1, max_tokens // max(1, lengths[order[start]]))
        yield order[start : start + n_rows]
        start += n_rows


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Put rows of token ids into one batch: the ids and the mask of what is no padding, both (rows, longest)."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    return ids, mask
