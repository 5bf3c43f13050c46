"""What critique and revision did, by round and principle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.records import Order, Round, Trace, Verdict, make_prompt
from charter.reporting.revision_quality import (
    all_rounds,
    by_principle,
    by_principle_and_round,
    by_round,
    word_change,
)

ORDERS: tuple[Order, ...] = ("ab", "ba")
WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


def _round(number: int, principle: str, revision: str, *p_better: float | None) -> Round:
    verdicts = tuple(
        Verdict(
            principle=principle, order=order, logprob_first=-1.0, logprob_second=-1.0, option_mass=1.0, p_a=p,
            invalid=None if p is not None else "option mass below the minimum",
        )
        for p in p_better for order in ORDERS
    )  # fmt: skip
    return Round(
        number=number, principle=principle, critique_request="", critique="", revision_request="", revision=revision,
        verdicts=verdicts, p_better=p_better[0] if p_better else None,
    )  # fmt: skip


def _trace(number: int, initial: str, *rounds: Round) -> Trace:
    prompt = make_prompt(f"Question {number}", "red_team")
    return Trace(id=f"trace-{number}", prompt=prompt, initial=initial, rounds=rounds)


TRACES = [
    _trace(1, "one two", _round(1, "kind", "one two" ), _round(2, "brief", "three two", 0.9)),
    _trace(2, "one two", _round(1, "kind", "five six", 0.3), _round(2, "kind", "five six")),
    _trace(3, "one two", _round(1, "brief", "one", None)),
]  # fmt: skip


def test_rounds_are_measured_by_hand() -> None:
    """Of three first rounds two changed: one has no word in common, the other half of them; one was found no better."""
    found = by_round(all_rounds(TRACES))
    assert found.keys() == {1, 2}
    first = found[1]
    assert (first.n, first.changed.value, first.n_checked, first.n_invalid) == (3, pytest.approx(2 / 3), 2, 1)
    assert first.words == pytest.approx((1.0 + (1 - 2 / 3)) / 2)
    assert first.confirmed is not None
    assert (first.confirmed.value, first.confirmed.n, first.p_better) == (0.0, 1, 0.3)
    second = found[2]
    assert (second.n, second.changed.value, second.words) == (2, 0.5, 0.5)
    assert second.confirmed is not None
    assert second.confirmed.value == 1.0


def test_principles_are_measured_in_all_rounds_and_in_each() -> None:
    """A principle's rounds are put together, whatever their number; and told apart."""
    rounds = all_rounds(TRACES)
    found = by_principle(rounds)
    assert {name: (one.n, one.changed.value) for name, one in found.items()} == {
        "kind": (3, pytest.approx(1 / 3)),
        "brief": (2, 1.0),
    }
    each = by_principle_and_round(rounds)
    assert {key: one.n for key, one in each.items()} == {
        ("kind", 1): 2,
        ("kind", 2): 1,
        ("brief", 1): 1,
        ("brief", 2): 1,
    }
    assert each["kind", 2].words is None
    assert (each["kind", 2].confirmed, each["kind", 2].n_checked) == (None, 0)


@given(before=WORDS, after=WORDS)
def test_the_change_of_words_is_a_share(before: str, after: str) -> None:
    """The same from either side, 0 of the same words in any order, 1 where none is in common."""
    change = word_change(before, after)
    assert 0.0 <= change <= 1.0
    assert change == word_change(after, before)
    assert (change == 0.0) == (sorted(before.split()) == sorted(after.split()))
    if before and after and not set(before.split()) & set(after.split()):
        assert change == 1.0
