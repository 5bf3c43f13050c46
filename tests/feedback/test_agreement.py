"""How far voters agree on the same pairs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.agreement import agreements
from charter.records import Order, Preference, Verdict, make_prompt

ORDERS: tuple[Order, ...] = ("ab", "ba")
SAID = st.dictionaries(st.sampled_from("pqr"), st.floats(0.0, 1.0), max_size=3)


def _preference(number: int, said: Mapping[str, float], judge: str = "") -> Preference:
    verdicts = tuple(
        Verdict(
            principle=name, order=order, logprob_first=-1.0, logprob_second=-1.0, option_mass=1.0, p_a=p, judge=judge
        )
        for name, p in said.items() for order in ORDERS
    )  # fmt: skip
    return Preference(
        id=f"{number}", prompt=make_prompt(f"Question {number}", "red_team"), chosen="one", rejected="two",
        p_chosen=0.9, source="on_policy", verdicts=verdicts, pair=f"{number}", chosen_side="a", p_judge=0.9,
        position_bias=0.0,
    )  # fmt: skip


def test_agreement_by_hand() -> None:
    """P and q: twice the same side, once not, once q finds a tie; p and r only once; q and r never."""
    said = [
        {"p": 0.9, "q": 0.6},
        {"p": 0.2, "q": 0.4},
        {"q": 0.3, "p": 0.8},
        {"p": 0.8, "q": 0.5},
        {"r": 0.1, "p": 0.9},
    ]
    found = {(one.one, one.other): one for one in agreements(_preference(n, one) for n, one in enumerate(said))}
    assert found.keys() == {("p", "q"), ("p", "r")}
    same = found["p", "q"].same
    assert same is not None
    assert (same.value, same.n, found["p", "q"].n_tied) == (pytest.approx(2 / 3), 3, 1)
    alone = found["p", "r"].same
    assert alone is not None
    assert (alone.value, alone.n) == (0.0, 1)


def test_pairs_of_one_prompt_do_not_count_as_many() -> None:
    """Twenty pairs of two prompts bound an agreement no better than two would."""
    one = _preference(1, {"p": 0.9, "q": 0.9})
    other = _preference(2, {"p": 0.9, "q": 0.1})
    many = [row.model_copy(update={"pair": f"{n}"}) for row in (one, other) for n in range(10)]
    (found,) = agreements(many)
    assert found.same is not None
    assert (found.same.value, found.same.n, found.same.n_groups) == (0.5, 20, 2)
    assert found.same.low is not None
    assert found.same.low < 0.15


def test_judges_are_compared_over_their_principles() -> None:
    """Each judge has one vote on a pair: the mean over its principles."""
    own = _preference(1, {"p": 0.9, "q": 0.3})
    both = own.model_copy(update={"verdicts": (*own.verdicts, *_preference(1, {"p": 0.2, "q": 0.1}, "other").verdicts)})
    (found,) = agreements([both], "judge")
    assert (found.one, found.other) == ("", "other")
    assert found.same is not None
    assert found.same.value == 0.0


@given(st.lists(SAID, max_size=6))
def test_every_pair_of_voters_is_counted_once(said: list[dict[str, float]]) -> None:
    """Agreeing, in conflict, or one of them undecided; a reader of one pair could count them all."""
    found = agreements(_preference(n, one) for n, one in enumerate(said))
    counted = sum((one.same.n if one.same else 0) + one.n_tied for one in found)
    assert counted == sum(len(one) * (len(one) - 1) // 2 for one in said)
    assert all(one.one < one.other for one in found)
