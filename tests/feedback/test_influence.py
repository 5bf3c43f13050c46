from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.influence import Vote, influences, influences_on, margin, shapley, some_labels
from charter.feedback.settling import Settling, label_without, settle
from charter.records import Judged, Order, Preference, Side, Verdict, make_prompt

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


@given(some_votes(most=4), ps, weights)  # with two more: beyond six, parts are means over drawn orders
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
    """Beyond six, with the same seed the same."""
    votes = votes_of(*said)
    parts = shapley(votes, seed=3)
    assert math.fsum(parts.values()) == pytest.approx(margin(votes), abs=1e-9)
    assert shapley(votes, seed=3) == parts


def test_the_sample_comes_near_what_is_exact() -> None:
    """Eleven principles, of which the eleventh has no weight to speak of: to two hundredths of what ten come to."""
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


ORDERS: tuple[Order, ...] = ("ab", "ba")
SAID = st.dictionaries(st.sampled_from("pqr"), st.sampled_from([0.1, 0.4, 0.5, 0.6, 0.9]), min_size=1)
SETTLINGS = st.builds(
    Settling,
    prior=st.sampled_from([{}, {"given": 0.8}]),
    on_disagreement=st.sampled_from(["swap", "drop", "keep"]),
    min_margin=st.sampled_from([0.0, 0.2]),
    on_low_margin=st.sampled_from(["keep", "drop"]),
)


def label_of(number: int, said: dict[str, float], intended: Side | None, settling: Settling) -> object:
    """What a pair comes to of which principles say these P(a), in both orders."""
    verdicts = tuple(
        Verdict(principle=name, order=order, logprob_first=None, logprob_second=None, option_mass=1.0, p_a=p)
        for name, p in said.items() for order in ORDERS
    )  # fmt: skip
    prompt = make_prompt("How?", "red_team")
    return settle(
        Judged(id=f"{number}", prompt=prompt, a="one", b="two", intended=intended, verdicts=verdicts, source="given"),
        settling,
    )


@given(st.lists(st.tuples(SAID, st.sampled_from([None, "a", "b"])), min_size=1, max_size=5), SETTLINGS)
def test_what_would_turn_is_what_a_label_without_it_is(
    rows: list[tuple[dict[str, float], Side | None]], settling: Settling
) -> None:
    """Ties, priors and what is kept or dropped count as they do in labels: each figure is had by labelling again."""
    settled = [label_of(number, *row, settling) for number, row in enumerate(rows)]
    labels = [one for one in settled if isinstance(one, Preference)]
    for found in influences_on(labels, settling):
        voted = [one for one in labels if any(verdict.principle == found.principle for verdict in one.verdicts)]
        again = [(one, label_without(one, [found.principle], settling)) for one in voted]
        turned = [one for one, other in again if isinstance(other, Preference) and other.chosen_side != one.chosen_side]
        emptied = [one for one, other in again if not isinstance(other, Preference)]
        assert (found.n, found.turned, found.emptied) == (len(voted), len(turned), len(emptied))


def test_a_tie_that_keeps_its_side_is_no_flip() -> None:
    """Without the only principle that leans, a stays chosen."""
    label = label_of(0, {"leans": 0.9, "even": 0.5}, None, Settling())
    assert isinstance(label, Preference)
    assert [(one.principle, one.turned) for one in influences_on([label], Settling())] == [("leans", 0), ("even", 0)]


def test_labels_are_drawn_where_parting_them_takes_long() -> None:
    """Many votes of different weights on many pairs; few votes, or all of one weight, are all looked at."""
    label = label_of(0, {"p": 0.9}, None, Settling())
    assert isinstance(label, Preference)

    def many(n_votes: int, *, alike: bool) -> list[Preference]:
        verdicts = tuple(
            label.verdicts[0].model_copy(update={"principle": f"p{number}", "weight": 1.0 if alike else 1.0 + number})
            for number in range(n_votes)
        )
        return [label.model_copy(update={"id": f"{n}", "pair": f"{n}", "verdicts": verdicts}) for n in range(2_001)]

    assert len(some_labels(many(7, alike=False))) == 2_000
    assert len(some_labels(many(7, alike=True))) == len(some_labels(many(6, alike=False))) == 2_001
