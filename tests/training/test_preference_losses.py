"""Losses on soft labels, in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charter.training.losses import (
    PREFERENCE_LOSSES,
    geometric_dpo_loss,
    preference_margin,
    soft_dpo_loss,
    soft_ipo_loss,
)

MARGINS = st.floats(min_value=-50, max_value=50)
LABELS = st.floats(min_value=0, max_value=1)


def tensor(*values: float) -> torch.Tensor:
    """Make a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def gradient(name: str, margin: float, p: float, beta: float = 0.1) -> float:
    """Differentiate a loss by the margin."""
    h = tensor(margin).requires_grad_()
    PREFERENCE_LOSSES[name](h, tensor(p), beta).sum().backward()
    return float(h.grad)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_equal_policy_and_reference_cost_log_two(p: float) -> None:
    """At margin 0 the soft loss is log 2 whatever the label."""
    assert soft_dpo_loss(tensor(0.0), tensor(p), 0.1).item() == pytest.approx(math.log(2), abs=1e-15)


@given(h=MARGINS)
def test_sure_label_is_plain_dpo(h: float) -> None:
    """At p = 1 the loss and its gradient are those of -log sigmoid(beta h)."""
    x = 0.1 * h
    assert soft_dpo_loss(tensor(h), tensor(1.0), 0.1).item() == pytest.approx(math.log1p(math.exp(-x)), abs=1e-12)
    assert gradient("sigmoid", h, 1.0) == pytest.approx(-0.1 / (1 + math.exp(x)), abs=1e-12)


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
@given(h=MARGINS, p=LABELS)
def test_swapping_the_pair_changes_nothing(name: str, h: float, p: float) -> None:
    """(h, p) and (-h, 1 - p) say the same, so the loss is equal and its gradient mirrored."""
    loss = PREFERENCE_LOSSES[name]
    assert loss(tensor(h), tensor(p), 0.1).item() == pytest.approx(loss(tensor(-h), tensor(1 - p), 0.1).item())
    assert gradient(name, h, p) == pytest.approx(-gradient(name, -h, 1 - p), abs=1e-12)


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_a_tie_has_no_gradient_at_margin_zero(name: str) -> None:
    """A pair that the judge cannot tell apart does not move a policy that cannot either."""
    assert gradient(name, 0.0, 0.5) == 0.0


@given(p=st.floats(min_value=0.01, max_value=0.99))
def test_soft_loss_is_least_where_the_policy_agrees_with_the_label(p: float) -> None:
    """The gradient vanishes where sigmoid(beta h) = p."""
    assert gradient("sigmoid", math.log(p / (1 - p)) / 0.1, p) == pytest.approx(0.0, abs=1e-12)


def test_geometric_and_ipo_follow_their_formulas() -> None:
    """Both are checked against numbers worked out by hand."""
    assert geometric_dpo_loss(tensor(2.0), tensor(0.75), 0.5).item() == pytest.approx(math.log1p(math.exp(-0.5)))
    assert soft_ipo_loss(tensor(2.0), tensor(0.75), 0.5).item() == pytest.approx((2.0 - 0.5) ** 2)
    assert soft_ipo_loss(tensor(2.0), tensor(0.75), 0.1).item() == pytest.approx((2.0 - 2.5) ** 2)


def test_margin_is_the_difference_of_log_ratios() -> None:
    """(-1 - -3) - (-2 - -2.5) = 1.5."""
    margin = preference_margin(tensor(-1.0), tensor(-2.0), tensor(-3.0), tensor(-2.5))
    assert margin.tolist() == [1.5]


def test_margin_per_token_divides_each_side_by_its_own_length() -> None:
    """2 nats over 4 tokens less 0.5 over 2."""
    lengths = (tensor(4.0), tensor(2.0))
    margin = preference_margin(tensor(-1.0), tensor(-2.0), tensor(-3.0), tensor(-2.5), lengths)
    assert margin.tolist() == [0.25]


def test_far_margins_stay_finite() -> None:
    """No overflow where exp would have one."""
    found = soft_dpo_loss(tensor(1e6, -1e6), tensor(0.7, 0.7), 0.1)
    assert found.tolist() == pytest.approx([0.3 * 1e5, 0.7 * 1e5])
