"""The learning rate's rise and fall."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.training.schedule import Schedule, learning_rate_share


@pytest.mark.parametrize("schedule", get_args(Schedule))
@given(n_steps=st.integers(1, 200), warmup=st.floats(0, 1))
def test_no_step_is_taken_for_nothing(schedule: Schedule, n_steps: int, warmup: float) -> None:
    """Every step's share is above 0 and at most 1."""
    shares = [learning_rate_share(step, n_steps, warmup, schedule) for step in range(n_steps)]
    assert all(0 < share <= 1 for share in shares)


def test_it_rises_then_falls() -> None:
    """Ten steps with a warm-up of two, by hand."""
    linear = [learning_rate_share(step, 10, 0.2, "linear") for step in range(10)]
    assert linear == pytest.approx([1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert learning_rate_share(6, 10, 0.2, "cosine") == pytest.approx(0.5)
    assert [learning_rate_share(step, 10, 0.0, "constant") for step in range(10)] == [1.0] * 10
