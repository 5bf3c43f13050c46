"""Which labels differ between two runs, and what is said of why."""

from __future__ import annotations

import pytest

from charter.feedback.differences import compare_labels
from charter.feedback.votes import LetterReading, combine_verdicts
from charter.records import Order, Preference, Side, Verdict, make_prompt
from charter.statistics.scaling import Scaling

ORDERS: tuple[Order, ...] = ("ab", "ba")


def preference(
    pair: str,
    said: dict[str, tuple[float, float]],
    *,
    reading: LetterReading = LetterReading(),  # noqa: B008 - frozen
    p_a: float | None = None,
    a: str = "one",
    b: str = "two",
) -> Preference:
    """A label from what principles said: of each P(first) with a shown first, and with b shown first."""
    verdicts = tuple(
        Verdict(
            principle=name, order=order, logprob_first=None, logprob_second=None, option_mass=1.0,
            p_a=reading.p_a(p, order), p_first=p,
        )
        for name, both in said.items() for p, order in zip(both, ORDERS, strict=True)
    )  # fmt: skip
    judged = combine_verdicts(verdicts).p_a
    assert judged is not None
    labelled = judged if p_a is None else p_a
    side: Side = "a" if labelled >= 0.5 else "b"
    return Preference(
        id=pair,
        prompt=make_prompt(f"Question {pair}", "red_team"),
        chosen=a if side == "a" else b,
        rejected=b if side == "a" else a,
        p_chosen=max(labelled, 1 - labelled),
        source="on_policy",
        verdicts=verdicts,
        pair=pair,
        chosen_side=side,
        p_judge=judged if side == "a" else 1 - judged,
        position_bias=0.0,
    )


GOOD, BAD = (0.9, 0.1), (0.2, 0.8)


def test_each_reason_is_told_by_itself() -> None:
    """Other principles, another verdict, another reading, another weight of the intention; nothing of what is same."""
    before = [preference(name, {"p": GOOD}) for name in ("same", "principles", "verdicts", "reading", "intention")]
    after = [
        preference("same", {"p": GOOD}),
        preference("principles", {"q": BAD}),
        preference("verdicts", {"p": BAD}),
        preference("reading", {"p": GOOD}, reading=LetterReading(Scaling(2.0, 0.0))),
        preference("intention", {"p": GOOD}, p_a=0.3),
    ]
    found = compare_labels(before, after)
    assert {one.before.pair: one.reasons for one in found.changed} == {
        "same": (),
        "principles": ("principles",),
        "verdicts": ("verdicts",),
        "reading": ("reading",),
        "intention": ("intention",),
    }
    assert {one.before.pair for one in found.flips} == {"principles", "verdicts", "intention"}
    assert found.by_reason == {"principles": 1, "verdicts": 1, "intention": 1}


def test_other_judges_and_other_weights_are_told() -> None:
    """A judge more, and the same two judges of which the other one weighs more."""

    def judged(*weights: float) -> Preference:
        own = preference("x", {"p": GOOD})
        said = [(GOOD, "", 1.0), *((BAD, f"j{number}", weight) for number, weight in enumerate(weights))]
        verdicts = tuple(
            verdict.model_copy(
                update={"p_a": p if order == "ab" else 1 - p, "p_first": p, "judge": name, "weight": weight}
            )
            for both, name, weight in said
            for verdict, p, order in zip(own.verdicts, both, ORDERS, strict=True)
        )
        p_a = combine_verdicts(verdicts).p_a
        assert p_a is not None
        side: Side = "a" if p_a >= 0.5 else "b"
        chosen = {"chosen_side": side, "p_chosen": max(p_a, 1 - p_a), "p_judge": max(p_a, 1 - p_a)}
        texts = {"chosen": "one" if side == "a" else "two", "rejected": "two" if side == "a" else "one"}
        return own.model_copy(update={"verdicts": verdicts, **chosen, **texts})

    for before, after, reasons in ((judged(), judged(2.0), ("judges",)), (judged(0.5), judged(2.0), ("weights",))):
        (found,) = compare_labels([before], [after]).flips
        assert found.reasons == reasons
    assert compare_labels([judged(2.0)], [judged(2.0)]).changed[0].reasons == ()


def test_figures_by_hand() -> None:
    """One of four flips; P(a) moves by 0.7, 0.1 and twice not at all."""
    before = [preference(name, {"p": GOOD}) for name in "wxyz"]
    after = [
        preference("w", {"p": BAD}),
        preference("x", {"p": (0.8, 0.2)}),
        preference("y", {"p": GOOD}),
        preference("z", {"p": GOOD}),
    ]
    found = compare_labels(before, after)
    assert found.flip_rate is not None
    assert found.shift is not None
    assert (found.flip_rate.value, found.flip_rate.n) == (0.25, 4)
    assert found.shift.value == pytest.approx((0.7 + 0.1) / 4)


def test_the_principles_that_changed_sides_are_named() -> None:
    """Of two that voted, the one that carried the flip; the furthest flips come first."""
    before = [preference("x", {"p": GOOD, "q": (0.6, 0.4)}), preference("y", {"p": GOOD, "q": GOOD})]
    after = [preference("x", {"p": BAD, "q": (0.6, 0.4)}), preference("y", {"p": BAD, "q": BAD})]
    found = compare_labels(before, after)
    assert [one.before.pair for one in found.flips] == ["y", "x"]
    assert [one.crossed for one in found.flips] == [("p", "q"), ("p",)]
    assert found.by_principle == {"p": 2, "q": 1}


def test_other_texts_are_another_pair() -> None:
    """Though the id is the same; a pair whose sides are named the other way is another one too."""
    before = [preference("x", {"p": GOOD}), preference("y", {"p": GOOD})]
    after = [preference("x", {"p": GOOD}, a="another"), preference("z", {"p": GOOD})]
    found = compare_labels(before, after)
    assert (found.changed, found.only_before, found.only_after) == ((), ("x", "y"), ("x", "z"))
    assert (found.flip_rate, found.shift) == (None, None)
