"""What becomes of unsure labels."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.settling import (
    EXACT_TIE,
    LEAST_WEIGHT,
    LOW_MARGIN,
    NO_VERDICT,
    Disagreement,
    LowMargin,
    Settling,
    judged_of,
    label_without,
    settle,
    settle_label,
    sides_with,
)
from charter.feedback.votes import TIE_WIDTH, Judgement
from charter.records import Judged, Pair, Preference, Side, Unlabelled, Verdict, make_prompt
from charter.rows import Filtered

PAIR = Pair(id="pair-1", prompt=make_prompt("How?", "red_team"), a="one", b="two", source="on_policy")
PROBABILITIES = st.floats(0.0, 1.0)
MARGINS = st.floats(0.0, 0.5)


def _settled(p_a: float, **options: Any) -> Preference | Filtered:
    return settle_label(PAIR, Judgement((), p_a, 0.0), Settling(**options))


@given(p_a=PROBABILITIES, min_margin=MARGINS)
def test_a_weight_changes_no_label(p_a: float, min_margin: float) -> None:
    """An unsure label keeps its side and its probability; what changes is how much it counts, and never to nothing."""
    weighed = _settled(p_a, min_margin=min_margin, on_low_margin="weigh")
    kept = _settled(p_a, min_margin=min_margin)
    assert isinstance(weighed, Preference)
    assert weighed.model_copy(update={"weight": 1.0}) == kept
    assert LEAST_WEIGHT <= weighed.weight <= 1.0
    assert (weighed.weight == 1.0) == (weighed.p_chosen - 0.5 >= min_margin - TIE_WIDTH)


@given(one=PROBABILITIES, other=PROBABILITIES, min_margin=MARGINS)
def test_the_surer_label_weighs_no_less(one: float, other: float, min_margin: float) -> None:
    """Weights grow with the margin, whichever side it is for."""
    settling = Settling(min_margin=min_margin, on_low_margin="weigh")
    less, more = sorted(max(p, 1.0 - p) for p in (one, other))
    assert settling.weight(less) <= settling.weight(more)


@pytest.mark.parametrize(
    ("p_a", "weight"), [(0.55, 0.5), (0.45, 0.5), (0.525, 0.25), (0.5, LEAST_WEIGHT), (0.6, 1.0), (0.9, 1.0)]
)
def test_a_weight_is_the_share_of_the_least_margin(p_a: float, weight: float) -> None:
    """At half of a least margin of 0.1 a label counts a half; a tie hardly counts, and the least margin is enough."""
    found = _settled(p_a, min_margin=0.1, on_low_margin="weigh")
    assert isinstance(found, Preference)
    assert found.weight == pytest.approx(weight)


@pytest.mark.parametrize(
    ("p_a", "reason"), [(0.5, EXACT_TIE), (0.55, LOW_MARGIN), (0.42, LOW_MARGIN), (0.65, None), (0.35, None)]
)
def test_unsure_labels_are_dropped_by_name(p_a: float, reason: str | None) -> None:
    """What is dropped says whether it was a tie or nearly one."""
    found = _settled(p_a, min_margin=0.1, on_low_margin="drop")
    assert isinstance(found, Preference) if reason is None else found == Filtered(reason)


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.6), (0.2, 0.8), (0.3, 0.7), (0.1, 0.9), (0.45, 0.55)])
@pytest.mark.parametrize("policy", ["drop", "weigh"])
def test_the_margin_of_the_clamp_is_enough(low: float, high: float, policy: LowMargin) -> None:
    """A label that the clamp holds to just the least margin is sure, whatever the last bit of 0.6 - 0.5 is."""
    for p_a in (low, high):
        found = _settled(p_a, min_margin=round(high - 0.5, 3), on_low_margin=policy)
        assert isinstance(found, Preference)
        assert found.weight == 1.0


@given(
    p_a=st.none() | PROBABILITIES,
    intended=st.sampled_from([None, "a", "b"]),
    policy=st.sampled_from(["swap", "drop", "keep"]),
    low_margin=st.sampled_from(["keep", "weigh", "drop"]),
    prior=st.floats(0.1, 0.9),
)
def test_what_was_judged_is_had_back_of_what_it_came_to(
    p_a: float | None, intended: Side | None, policy: Disagreement, low_margin: LowMargin, prior: float
) -> None:
    """With a label or without, no vote is lost: settled again in the same way it comes to the same."""
    verdicts = tuple(
        Verdict(
            principle="kind", order=order, logprob_first=None, logprob_second=None, option_mass=1.0, p_a=p_a,
            invalid="unreadable" if p_a is None else None,
        )
        for order in ("ab", "ba")
    )  # fmt: skip
    judged = Judged(
        id="x", prompt=PAIR.prompt, a="one", b="two", intended=intended, verdicts=verdicts, source="given",
        whole_b=False,
    )  # fmt: skip
    settling = Settling({"given": prior}, policy, 0.1, low_margin)
    found = settle(judged, settling)
    assert judged_of(found) == judged
    assert label_without(found, (), settling) == found
    assert (found.reason == NO_VERDICT) == (p_a is None) if isinstance(found, Unlabelled) else p_a is not None
    if isinstance(found, Unlabelled):
        assert found.agrees == (None if p_a is None else sides_with(found.p_a or 0.0, intended))


@given(p_a=PROBABILITIES)
def test_without_a_least_margin_no_label_is_unsure(p_a: float) -> None:
    """Not even a tie: what to do with unsure labels then changes nothing."""
    assert _settled(p_a, on_low_margin="drop") == _settled(p_a, on_low_margin="weigh") == _settled(p_a)


def test_the_margin_is_that_of_the_label_not_of_the_judge() -> None:
    """A prior that makes a label sure makes it count."""
    pair = PAIR.model_copy(update={"source": "guided_vs_plain", "intended": "a"})
    options: dict[str, Any] = {"min_margin": 0.1, "on_low_margin": "drop"}
    alone = settle_label(pair, Judgement((), 0.5, 0.0), Settling(**options))
    joined = settle_label(pair, Judgement((), 0.5, 0.0), Settling(prior={"guided_vs_plain": 0.8}, **options))
    assert alone == Filtered(EXACT_TIE)
    assert isinstance(joined, Preference)
    assert joined.p_chosen == pytest.approx(0.8)


def test_a_label_without_a_principle_is_weighed_again() -> None:
    """What is left of the votes decides the weight."""

    def votes(principle: str, p_a: float) -> tuple[Verdict, ...]:
        letters = {"logprob_first": -0.7, "logprob_second": -0.7, "option_mass": 1.0}
        return tuple(Verdict(principle=principle, order=order, p_a=p_a, **letters) for order in ("ab", "ba"))

    settling = Settling(min_margin=0.2, on_low_margin="weigh")
    whole = settle_label(PAIR, Judgement((*votes("kind", 0.9), *votes("brief", 0.6)), 0.75, 0.0), settling)
    assert isinstance(whole, Preference)
    assert whole.weight == 1.0
    rest = label_without(whole, ["kind"], settling)
    assert isinstance(rest, Preference)
    assert rest.weight == pytest.approx(0.5)
