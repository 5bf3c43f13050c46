"""How steps are divided among processes: every row counts as it would in one, and none waits for another in vain."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from charter.training.data import PreferenceExample
from charter.training.pace import Pace
from charter.training.pair_trainer import relative_weights
from charter.training.passes import Division, division_of, rows_at_once

DIVISIONS = st.builds(
    division_of,
    st.builds(Pace, batch_size=st.integers(1, 5), accumulation=st.integers(1, 4)),
    n_ranks=st.integers(1, 6),
    at_once=st.none() | st.integers(1, 7),
)


@given(DIVISIONS, st.integers(1, 70))
@example(Division(1, 1, 4, 1), 3)  # more processes than rows
@example(Division(1, 3, 2, 1), 5)
@example(Division(4, 2, 1, 3), 11)  # a process alone, whose passes hold parts of two batches
def test_a_divided_step_is_the_step_of_one_process(division: Division, n_rows: int) -> None:
    """Each step has the rows of one process, each with the weight that it has there, and all make as many passes."""
    order = [(7 * row + 3) % 71 for row in range(n_rows)]
    parts = [division.divide(order, rank) for rank in range(division.n_ranks)]
    assert {len(part) for part in parts} == {division.n_passes(n_rows)}
    step = division.batch_size * division.accumulation
    assert math.ceil(division.n_passes(n_rows) / division.passes) == Pace(
        batch_size=division.batch_size, accumulation=division.accumulation
    ).n_steps(n_rows)
    for number in range(math.ceil(n_rows / step)):
        rows = order[number * step : (number + 1) * step]
        passes = [part[number * division.passes : (number + 1) * division.passes] for part in parts]
        weights: dict[int, float] = defaultdict(float)
        for share in (share for part in passes for one in part for share in one):
            weights[share.row] += share.weight / len(passes[0]) / division.n_ranks
        batches = [rows[at : at + division.batch_size] for at in range(0, len(rows), division.batch_size)]
        for batch in batches:
            for row in batch:
                assert math.isclose(weights.pop(row), 1 / len(batch) / len(batches))
        assert not weights


@given(DIVISIONS, st.integers(1, 70))
def test_a_pass_is_no_larger_than_a_batch(division: Division, n_rows: int) -> None:
    """No process holds more rows at once than one process would, and none is without a row."""
    for rank in range(division.n_ranks):
        for shares in division.divide(range(n_rows), rank):
            assert 1 <= len(shares) <= division.rows <= division.at_once <= division.batch_size


@given(
    st.builds(Pace, batch_size=st.integers(2, 24), accumulation=st.integers(1, 4)),
    st.integers(1, 6),
    st.none() | st.integers(1, 30),
)
def test_even_passes_have_as_many_rows(pace: Pace, n_ranks: int, at_once: int | None) -> None:
    """Where asked for, no pass has fewer rows than another, none more than without, and none is missing."""
    division = division_of(pace, n_ranks, at_once, even=True)
    assert division.rows * division.passes == math.ceil(pace.batch_size * pace.accumulation / n_ranks)
    assert division.rows <= division_of(pace, n_ranks, at_once).rows


def test_one_process_keeps_its_batches() -> None:
    """Undivided, passes are the batches, the short one too."""
    division = Division(4, 2, 1, 4)
    assert division.is_whole
    passes = division.divide(range(10), 0)
    assert [[share.row for share in shares] for shares in passes] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_batch_is_cut_where_less_is_to_be_read_at_once() -> None:
    """Neighbours, which are of similar length, stay together, in passes of as equal a size as can be."""
    division = Division(8, 1, 1, 3)
    assert not division.is_whole
    passes = division.divide(range(12), 0)
    assert [[share.row for share in shares] for shares in passes] == [[0, 1], [2, 3, 4], [5, 6, 7], [8, 9], [10, 11]]


def test_a_cpu_in_float32_reads_few_rows_at_once() -> None:
    """About 256 tokens; elsewhere the recipe's batches are what is read."""
    cpu = torch.device("cpu")
    assert rows_at_once([200, 300], cpu, torch.float32) == 1
    assert rows_at_once([60, 60, 72], cpu, torch.float32) == 4
    assert rows_at_once([5000], cpu, torch.float32) == 1
    assert rows_at_once([60], cpu, torch.bfloat16) is None
    assert rows_at_once([60], torch.device("cuda"), torch.float32) is None


def test_whole_batches_stay_together() -> None:
    """Where the batches of a step can be dealt out whole, each process has rows that are of similar length."""
    passes = [Division(2, 4, 2, 2).divide(range(8), rank) for rank in range(2)]
    assert [[[share.row for share in shares] for shares in part] for part in passes] == [
        [[0, 1], [2, 3]],
        [[4, 5], [6, 7]],
    ]


@given(DIVISIONS, st.data())
def test_a_weighted_epoch_is_a_weighted_mean_however_it_is_divided(division: Division, data: st.DataObject) -> None:
    """Over an epoch of whole steps the mean of all steps' losses is the weighted mean over the pairs."""
    step = division.batch_size * division.accumulation
    n_steps = data.draw(st.integers(1, 3))
    pairs = st.tuples(st.floats(0.05, 1.0), st.floats(-3.0, 3.0))
    drawn = data.draw(st.lists(pairs, min_size=n_steps * step, max_size=n_steps * step))
    weights = relative_weights([PreferenceExample("row", (1,), (2,), (3,), 0.8, weight) for weight, _ in drawn])
    losses = [loss for _, loss in drawn]
    found = math.fsum(
        math.fsum(share.weight * weights[share.row] * losses[share.row] for share in shares)
        for rank in range(division.n_ranks)
        for shares in division.divide(range(len(drawn)), rank)
    ) / (n_steps * division.passes * division.n_ranks)
    expected = math.fsum(weight * loss for weight, loss in drawn) / math.fsum(weight for weight, _ in drawn)
    assert math.isclose(found, expected, abs_tol=1e-9)
