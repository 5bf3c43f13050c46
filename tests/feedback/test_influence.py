from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.influence import Vote, influences, margin, shapley

ps = st.floats(0.0, 1.0)
weights = st.floats(0.1, 10.0)


def votes_of(*ps: float) -> list[Vote]:
    """One principle after another."""
    return [Vote(f"p{number}", p) for number, p in enumerate(ps)]


@st.composite
def some_votes(draw: st.DrawFn, most: int = 6) -> list[Vote]:
    """A few principles' votes."""
    said = draw(st.lists(st.tuples(ps, weights), min_size=1, max_size=most))
    return [Vote(f"p{number}", p, weight) for number, (p, weight) in enumerate(said)]


def by_orders(votes: list[Vote]) -> dict[str, float]:
    """The definition: what each brings, averaged over every order of coming in."""
    parts = dict.fromkeys((one.principle for one in votes), 0.0)
    orders = list(itertools.permutations(votes))
    for order in orders:
        for place, one in enumerate(order):
            parts[one.principle] += (margin(order[: place + 1]) - margin(order[:place])) / len(orders)
    return parts


def test_two_votes_by_hand() -> None:
    """0.9 and 0.6: the margin is 0.25; first or second, the one brings 0.4 or 0.15, the other 0.1 or -0.15."""
    parts = shapley(votes_of(0.9, 0.6))
    assert parts == pytest.approx({"p0": (0.4 + 0.15) / 2, "p1": (0.1 - 0.15) / 2})


@given(some_votes(most=5))
def test_parts_are_the_mean_over_all_orders(votes: list[Vote]) -> None:
    """As the definition says, written out over permutations."""
    assert shapley(votes) == pytest.approx(by_orders(votes), abs=1e-12)


@given(st.lists(ps, min_size=1, max_size=5), weights)
def test_parts_of_votes_of_one_weight_are_the_mean_over_all_orders(said: list[float], weight: float) -> None:
    """What is had without looking at any set is what the definition gives; and of a hundred votes it adds up."""
    votes = [Vote(f"p{number}", p, weight) for number, p in enumerate(said)]
    assert shapley(votes) == pytest.approx(by_orders(votes), abs=1e-12)
    many = [Vote(f"p{number}", p, weight) for number, p in enumerate(said * 20)]
    assert math.fsum(shapley(many).values()) == pytest.approx(margin(many), abs=1e-9)


@given(some_votes())
def test_parts_add_up_to_the_margin(votes: list[Vote]) -> None:
    """Nothing of a label goes unexplained."""
    assert math.fsum(shapley(votes).values()) == pytest.approx(margin(votes), abs=1e-9)


@given(some_votes(), ps, weights)
def test_principles_that_vote_alike_get_alike(votes: list[Vote], p: float, weight: float) -> None:
    """Whatever the others say."""
    parts = shapley([*votes, Vote("one", p, weight), Vote("other", p, weight)])
    assert parts["one"] == pytest.approx(parts["other"], abs=1e-9)


def test_a_principle_that_always_says_a_half_brings_nothing_alone() -> None:
    """It thins the others out, and that is what it is charged with."""
    assert shapley(votes_of(0.5)) == {"p0": 0.0}
    parts = shapley(votes_of(0.9, 0.5))
    assert parts["p1"] == pytest.approx(-0.1)
    assert sum(parts.values()) == pytest.approx(0.2)


@given(st.lists(ps, min_size=11, max_size=14))
def test_many_principles_are_sampled_and_still_add_up(said: list[float]) -> None:
    """Beyond ten, with the same seed the same."""
    votes = votes_of(*said)
    parts = shapley(votes, seed=3)
    assert math.fsum(parts.values()) == pytest.approx(margin(votes), abs=1e-9)
    assert shapley(votes, seed=3) == parts


def test_the_sample_comes_near_what_is_exact() -> None:
    """Eleven principles, of which the eleventh has no weight to speak of: to a hundredth of what ten come to."""
    said = [0.95, 0.1, 0.7, 0.55, 0.3, 0.8, 0.65, 0.4, 0.9, 0.2]
    exact = shapley(votes_of(*said))
    sampled = shapley([*votes_of(*said), Vote("light", 0.5, 1e-9)])
    assert all(sampled[name] == pytest.approx(exact[name], abs=0.02) for name in exact)


def test_influence_counts_what_would_turn() -> None:
    """Without the loud principle two labels turn; the quiet one turns none, and a pair of its own is emptied."""
    pairs = {
        "x": [Vote("loud", 0.9), Vote("quiet", 0.4)],
        "y": [Vote("loud", 0.1), Vote("quiet", 0.6)],
        "z": [Vote("quiet", 0.7)],
    }
    loud, quiet = influences(pairs)
    assert (loud.principle, loud.n, loud.turned, loud.emptied) == ("loud", 2, 2, 0)
    assert (quiet.principle, quiet.n, quiet.turned, quiet.emptied) == ("quiet", 3, 0, 1)
    assert loud.carried + quiet.carried == pytest.approx(1.0)
    # Margins 0.15, 0.15 and 0.2; of each of the first two the loud one brings (0.4 + 0.25) / 2.
    assert loud.carried == pytest.approx(2 * 0.325 / 0.5)


def test_no_votes_have_no_influence() -> None:
    """Nothing is divided by nothing."""
    assert influences({}) == ()
    assert influences({"x": [Vote("p", 0.5)]})[0].carried == 0.0
