from __future__ import annotations

import pytest

from charter.feedback.votes import BothOrders, both_orders
from charter.records import Preference, Unlabelled, Verdict, make_prompt
from charter.reporting.label_quality import by_judge, by_principle, by_source, invalid_reasons


def _verdict(principle: str, order: str, p_a: float | None, mass: float = 0.9) -> Verdict:
    invalid = None if p_a is not None else "unreadable"
    return Verdict.model_validate(
        {
            "principle": principle,
            "order": order,
            "logprob_first": -0.5,
            "logprob_second": -1.0,
            "option_mass": mass,
            "p_a": p_a,
            "invalid": invalid,
        }
    )


def _preference(number: int, source: str, *verdicts: Verdict, agrees: bool | None) -> Preference:
    return Preference(
        id=f"preference-{number}",
        prompt=make_prompt(f"question {number}", "red_team"),
        chosen="yes",
        rejected="no",
        p_chosen=0.8,
        source=source,
        verdicts=verdicts,
        pair=f"pair-{number}",
        chosen_side="a",
        p_judge=0.8,
        position_bias=0.1 * number,
        intended=None if agrees is None else "a",
        agrees=agrees,
    )


def _unlabelled(
    number: int, source: str, *verdicts: Verdict, agrees: bool | None, p_a: float | None = 0.4
) -> Unlabelled:
    return Unlabelled(
        id=f"pair-{number}",
        prompt=make_prompt(f"question {number}", "red_team"),
        a="x",
        b="y",
        source=source,
        reason="left out",
        verdicts=verdicts,
        p_a=p_a,
        intended="a",
        agrees=agrees,
    )


PREFERENCES = (
    _preference(1, "given", _verdict("x", "ab", 0.9), _verdict("x", "ba", 0.7), agrees=True),
    _preference(2, "given", _verdict("x", "ab", 0.9, mass=0.5), _verdict("y", "ba", None, mass=0.1), agrees=False),
    _preference(3, "on_policy", _verdict("y", "ab", 0.2), _verdict("y", "ba", 0.4), agrees=None),
)


def test_agreement_is_over_pairs_whose_source_meant_a_side() -> None:
    """Pairs without an intention have no agreement, not a zero."""
    given, on_policy = by_source(PREFERENCES)
    assert (given.source, given.n, given.n_intended) == ("given", 2, 2)
    assert given.agreement is not None
    assert (given.agreement.value, given.agreement.n) == (0.5, 2)
    assert given.agreement.low < 0.5 < given.agreement.high
    assert (on_policy.n_intended, on_policy.agreement) == (0, None)


def test_dropped_pairs_count_against_agreement() -> None:
    """Where disagreement drops a pair, the pairs that are left all agree: agreement is over both."""
    kept = PREFERENCES[:1]
    contrast, given = by_source(
        [*kept, *(_unlabelled(n, source, agrees=False) for n, source in ((7, "given"), (8, "given"), (9, "contrast")))]
    )
    assert given.agreement is not None
    assert given.agreement.value == pytest.approx(1 / 3)
    assert (given.n, given.n_intended, given.n_left_out) == (1, 3, 2)
    assert contrast.agreement is not None
    assert (contrast.source, contrast.n, contrast.agreement.value, contrast.p_chosen) == ("contrast", 0, 0.0, None)


def test_low_margins_and_what_cannot_be_read_count_where_they_belong() -> None:
    """A dropped low margin counts for agreement as the judge said; a pair without a vote only for its verdicts."""
    unread = _verdict("x", "ab", None, mass=0.1), _verdict("x", "ba", None, mass=0.1)
    agreed = _unlabelled(7, "given", agrees=True)
    lost = _unlabelled(8, "given", *unread, agrees=None, p_a=None)
    (given,) = by_source([*PREFERENCES[:2], agreed, lost])
    assert given.agreement is not None
    assert (given.agreement.value, given.n_intended) == (pytest.approx(2 / 3), 3)
    assert (given.n, given.n_left_out, given.n_undecided) == (2, 1, 0)
    assert (given.n_verdicts, given.n_invalid) == (6, 3)
    assert invalid_reasons([*PREFERENCES, lost]) == {"unreadable": 3}
    x, _ = by_principle([*PREFERENCES, lost])
    assert (x.n_verdicts, x.n_invalid) == (5, 2)


def test_chains_that_are_in_no_verdict_are_summed_by_judge() -> None:
    """Of two judges with three chains a verdict, one lost two of six."""

    def thought(judge: str, said: str) -> Verdict:
        chains, read = tuple("because" for _ in said), tuple(one == "+" for one in said)
        fields = {"judge": judge, "n_chains": 3, "chains": chains, "chains_read": read}
        return _verdict("x", "ab", 0.9).model_copy(update=fields)

    rows = [_preference(1, "given", thought("", "+++"), thought("other", "+-"), agrees=True)]
    rows += [_preference(2, "given", thought("", "+++"), thought("other", "+++"), agrees=True)]
    found = {one.name: (one.n_chains, one.n_chains_lost) for one in by_judge(rows)}
    assert found == {"judge": (6, 0), "other": (6, 2)}


def test_undecided_labels_are_counted() -> None:
    """A label that favours neither side where one was meant is undecided, not a pair without an intention."""
    undecided = PREFERENCES[0].model_copy(update={"agrees": None})
    (found,) = by_source([undecided])
    assert (found.n_undecided, found.n_intended, found.agreement) == (1, 0, None)
    assert [one.n_undecided for one in by_source(PREFERENCES)] == [0, 0]


def test_invalid_verdicts_and_option_mass_are_counted_per_source() -> None:
    """Every verdict counts, the invalid ones by themselves."""
    given, on_policy = by_source(PREFERENCES)
    assert (given.n_verdicts, given.n_invalid, given.option_mass) == (4, 1, 0.7)
    assert (on_policy.n_verdicts, on_policy.n_invalid) == (2, 0)
    assert given.position_bias == pytest.approx(0.15)
    assert invalid_reasons(PREFERENCES) == {"unreadable": 1}


def test_principles_are_measured_over_their_own_verdicts() -> None:
    """A principle's bias is over what it read in both orders; its side is held against the label's."""
    x, y = by_principle(PREFERENCES)
    assert (x.n_verdicts, x.n_invalid, y.n_verdicts, y.n_invalid) == (3, 0, 3, 1)
    assert x.position_bias == pytest.approx(0.2)
    assert x.with_label is not None
    assert y.with_label is not None
    assert (x.with_label.value, y.with_label.value) == (1.0, 0.0)


def test_only_verdicts_read_in_both_orders_show_position_bias() -> None:
    """A lone or invalid order says nothing about position."""
    assert [(one.shown_first, one.shown_second) for one in both_orders(PREFERENCES)] == [(0.9, 0.7), (0.2, 0.4)]
    assert {one.prompt for one in both_orders(PREFERENCES)} <= {one.prompt.id for one in PREFERENCES}


@pytest.mark.parametrize(
    ("shown_first", "shown_second", "picks"),
    [(0.9, 0.6, "response"), (0.1, 0.4, "response"), (0.8, 0.3, "first"), (0.3, 0.8, "second"), (0.5, 0.9, "response")],
)
def test_position_is_what_the_two_orders_disagree_on(shown_first: float, shown_second: float, picks: str) -> None:
    """A judge that prefers a only where a is first picks the first position."""
    assert BothOrders("prompt", "principle", shown_first, shown_second).picks == picks
