"""The order of rows: seeded, complete, and in batches of similar length."""

from hypothesis import given
from hypothesis import strategies as st

from charter.training.order import LengthBuckets, length_buckets

LENGTHS = st.lists(st.integers(min_value=1, max_value=500), max_size=300)


def padded(lengths: list[int], order: list[int], size: int) -> int:
    """Count the tokens that a batch's rectangle holds, over all batches."""
    batches = [[lengths[row] for row in order[start : start + size]] for start in range(0, len(order), size)]
    return sum(len(batch) * max(batch) for batch in batches)


@given(lengths=LENGTHS, size=st.integers(min_value=1, max_value=9), seed=st.integers(0, 2**56), epoch=st.integers(0, 5))
def test_every_row_comes_exactly_once(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    """An epoch is a permutation of the rows."""
    assert sorted(length_buckets(lengths, size, seed, epoch)) == list(range(len(lengths)))


def test_order_is_seeded_and_differs_between_epochs() -> None:
    """The same seed and epoch give the same order; another epoch or seed another."""
    lengths = [7 * n % 101 + 1 for n in range(200)]
    first = length_buckets(lengths, 8, 1, 0)
    assert first == length_buckets(lengths, 8, 1, 0)
    assert first != length_buckets(lengths, 8, 1, 1)
    assert first != length_buckets(lengths, 8, 2, 0)


def test_batches_waste_little_padding() -> None:
    """Rows of 1 to 200 tokens in random order: less than a tenth is padding (in file order: almost half)."""
    lengths = [(n * 7919) % 200 + 1 for n in range(512)]
    order = length_buckets(lengths, 8, 0, 0)
    assert padded(lengths, order, 8) < 1.1 * sum(lengths)
    assert padded(lengths, list(range(512)), 8) > 1.5 * sum(lengths)


def test_short_batch_comes_last() -> None:
    """The loader cuts consecutive rows, so that a short batch in the middle would mix all buckets behind it."""
    lengths = list(range(1, 20))
    order = length_buckets(lengths, 4, 3, 0)
    full = [sorted(lengths[row] for row in order[start : start + 4]) for start in range(0, 16, 4)]
    assert all(batch[-1] - batch[0] <= 4 for batch in full)


def test_sampler_follows_its_epoch() -> None:
    """The sampler yields the order of the epoch it was set to."""
    sampler = LengthBuckets([3, 1, 2, 5, 4], 2, 9)
    assert len(sampler) == 5
    sampler.epoch = 4
    assert list(sampler) == length_buckets([3, 1, 2, 5, 4], 2, 9, 4)
