"""Which labels differ between two runs, and what is said of why."""

from __future__ import annotations

import pytest

from charter.feedback.differences import NOT_THERE, compare_labels
from charter.feedback.settling import LOW_MARGIN, Settling, settle
from charter.feedback.votes import LetterReading, combine_verdicts
from charter.records import Judged, Order, Preference, Side, Unlabelled, Verdict, make_prompt
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
    assert found.changed == ()
    assert found.only_before == {"x": NOT_THERE, "y": NOT_THERE}
    assert found.only_after == {"x": NOT_THERE, "z": NOT_THERE}
    assert (found.flip_rate, found.shift) == (None, None)


def judged(said: dict[str, tuple[float | None, float | None]], **more: object) -> Judged:
    """A judged pair from what principles said: of each P(a is better) with a shown first, and with b shown first."""
    verdicts = tuple(
        Verdict(
            principle=name, order=order, logprob_first=None, logprob_second=None, option_mass=1.0, p_a=p,
            p_first=None if p is None else p if order == "ab" else 1 - p, invalid="unread" if p is None else None,
        )
        for name, both in said.items() for p, order in zip(both, ORDERS, strict=True)
    )  # fmt: skip
    fields = {"id": "x", "prompt": make_prompt("How?", "red_team"), "a": "one", "b": "two", "source": "contrast"}
    return Judged.model_validate({**fields, "intended": None, "verdicts": verdicts, **more})


AS_JUDGED = Settling()


def reasons(before: Judged, after: Judged, was: Settling = AS_JUDGED, now: Settling = AS_JUDGED) -> tuple[str, ...]:
    """Why the label of the one is not that of the other."""
    (found,) = compare_labels([settle(before, was)], [settle(after, now)], settlings=(was, now)).changed
    return found.reasons


def test_a_vote_that_cannot_be_read_is_no_other_principle() -> None:
    """Both were asked in both runs; in one of them a verdict is invalid, and the label flips for want of it."""
    whole = judged({"p": (0.9, 0.9), "q": (0.2, 0.2)})
    half = judged({"p": (None, 0.9), "q": (0.2, 0.2)})
    assert reasons(whole, half) == reasons(half, whole) == ("invalid",)


def test_a_tie_that_falls_to_another_side_has_a_reason() -> None:
    """A tie keeps a, and under ``keep`` it is for the intended side: nothing else changed."""
    tie = judged({"p": (0.5, 0.5)}, intended="b")
    keep = Settling(on_disagreement="keep")
    assert reasons(tie, tie, now=keep) == ("tie",)
    found = compare_labels([settle(tie, Settling())], [settle(tie, keep)], settlings=(Settling(), keep))
    assert found.by_reason == {"tie": 1}


def test_a_changed_prior_is_named_where_the_judge_changed_too() -> None:
    """And is not, where only the judge did."""
    one, other = (judged({"p": both}, intended="b") for both in ((0.8, 0.8), (0.7, 0.7)))
    prior = Settling(prior={"contrast": 0.9})
    assert reasons(one, other, now=prior) == ("verdicts", "intention")
    assert reasons(one, other, prior, prior) == ("verdicts",)
    keep = Settling(on_disagreement="keep")
    assert reasons(one, other, keep, keep) == ("verdicts",)


def test_a_changed_weight_in_training_is_named() -> None:
    """The label is the same, and counts less; where the margin itself changed, that is the reason."""
    weigh = Settling(min_margin=0.4, on_low_margin="weigh")
    assert reasons(judged({"p": (0.7, 0.7)}), judged({"p": (0.7, 0.7)}), now=weigh) == ("margin",)
    assert reasons(judged({"p": (0.7, 0.7)}), judged({"p": (0.6, 0.6)}), weigh, weigh) == ("verdicts",)


def test_a_pair_with_a_label_in_one_run_alone_has_a_reason() -> None:
    """What became of it in the other run, or that it is no pair of that."""
    sure, unsure = judged({"p": (0.9, 0.9)}), judged({"p": (0.55, 0.55)})
    drop = Settling(min_margin=0.1, on_low_margin="drop")
    left_out = settle(unsure, drop)
    assert isinstance(left_out, Unlabelled)
    before = [settle(sure, drop), settle(sure.model_copy(update={"id": "y"}), drop)]
    found = compare_labels(before, [left_out])
    assert (dict(found.only_before), dict(found.only_after)) == ({"x": LOW_MARGIN, "y": NOT_THERE}, {})
    assert dict(compare_labels([left_out], before).only_after) == {"x": LOW_MARGIN, "y": NOT_THERE}
