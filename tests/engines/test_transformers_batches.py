from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import Sampling
from charter.engines.transformers.batches import alike, distinct, within_memory, without
from charter.engines.transformers.jobs import Drawing

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=20)


def job(length: int, prefix: int = 0, *, first: int = 0, max_tokens: int = 10) -> Drawing:
    """A job of a number of own tokens behind one of several prefixes of 3 tokens."""
    ids = np.concatenate((np.full(3, prefix), np.arange(first, first + length))).astype(np.int64)
    return Drawing(ids, 3, sampling=Sampling(), max_tokens=max_tokens)


@given(LENGTHS, st.lists(st.integers(0, 2), min_size=20, max_size=20), st.integers(1, 10), st.integers(1, 120))
def test_batch_is_the_oldest_and_its_like(lengths: list[int], prefixes: list[int], max_jobs: int, n: int) -> None:
    """The oldest is always served; the others have its prefix, and all keep within the limits."""
    jobs = [job(length, prefix) for length, prefix in zip(lengths, prefixes, strict=False)]
    batch = alike(jobs, max_jobs, n, pads=True)
    assert batch[0] is jobs[0]
    assert {one.prefix_key for one in batch} == {jobs[0].prefix_key}
    assert len(batch) <= max_jobs
    assert len(batch) == 1 or sum(one.n_suffix for one in batch) <= n
    assert len({id(one) for one in batch}) == len(batch)
    left = without(jobs, batch)
    assert len(left) == len(jobs) - len(batch)
    farthest = max(abs(one.n_suffix - jobs[0].n_suffix) for one in batch)
    passed_over = [one for one in left if one.prefix_key == jobs[0].prefix_key]
    assert all(abs(one.n_suffix - jobs[0].n_suffix) >= farthest for one in passed_over)


def test_jobs_of_one_length_alone_share_a_pass_without_padding() -> None:
    """A recurrent model's rows must be equally long."""
    jobs = [job(5), job(6), job(5, first=9), job(5, prefix=1)]
    assert alike(jobs, 9, 99, pads=False) == [jobs[0], jobs[2]]


def test_equal_jobs_go_one_at_a_time() -> None:
    """Of jobs with the same tokens the first is kept, whatever their seeds."""
    jobs = [job(5), job(6), job(5), job(6), job(7)]
    assert distinct(jobs) == [jobs[0], jobs[1], jobs[4]]


@given(LENGTHS, st.integers(0, 3), st.integers(1, 400))
def test_memory_holds_the_longest_times_the_rows(lengths: list[int], n_running: int, max_tokens: int) -> None:
    """What is let in fits beside what runs; where nothing runs, one job may always run."""
    running = [job(10) for _ in range(n_running)]
    jobs = [job(length) for length in lengths]
    kept = within_memory(jobs, running, max_tokens)
    assert kept == jobs[: len(kept)]
    rows = [*running, *kept]
    assert not kept or len(rows) == 1 or len(rows) * max(one.n_cells for one in rows) <= max_tokens
    assert kept or running
