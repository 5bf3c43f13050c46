"""The order in which rows are trained on: seeded, and in batches of similar length so that little is padded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from charter.seeds import derive_seed

_BATCHES_PER_POOL = 32  # rows are sorted within pools of this many batches: similar lengths, yet a random mixture


def length_buckets(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    """Put rows in an order whose consecutive batches hold rows of similar length.

    The rows are shuffled and cut into pools of many batches; each pool is sorted by length and cut into batches, and
    all full batches are shuffled. Every row comes once; the one batch that may be short comes last.

    Args:
        lengths: each row's number of tokens.
        batch_size: rows per batch.
        seed: what the order is drawn from, together with ``epoch``.
        epoch: the number of the pass over the rows, from 0.

    Returns:
        Row numbers; rows ``i * batch_size`` to ``(i + 1) * batch_size`` are batch i.
    """
    chance = random.Random(derive_seed(seed, str(epoch), "row order"))  # noqa: S311 - an order, not a secret
    rows = list(range(len(lengths)))
    chance.shuffle(rows)
    pool_size = batch_size * _BATCHES_PER_POOL
    batches: list[list[int]] = []
    for start in range(0, len(rows), pool_size):
        pool = sorted(rows[start : start + pool_size], key=lengths.__getitem__)
        batches += [pool[cut : cut + batch_size] for cut in range(0, len(pool), batch_size)]
    short = [batches.pop()] if batches and len(batches[-1]) < batch_size else []
    chance.shuffle(batches)
    return [row for batch in batches + short for row in batch]


class LengthBuckets(Sampler[int]):
    """``length_buckets`` as a sampler; ``epoch`` is set before each pass."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        """Go through the row numbers of this epoch."""
        return iter(length_buckets(self.lengths, self.batch_size, self.seed, self.epoch))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.lengths)
