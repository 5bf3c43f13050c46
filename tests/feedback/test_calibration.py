from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.calibration import JudgedPair, calibrate, fit_on, folds, measure
from charter.feedback.votes import LetterReading, combine_verdicts, p_first_of, read_again, without
from charter.records import Order, Verdict
from charter.statistics.scaling import Scaling

ORDERS: tuple[Order, ...] = ("ab", "ba")


def verdict(p_first: float, order: Order = "ab", principle: str = "p", chains: tuple[str, ...] = ()) -> Verdict:
    """A verdict as the judge writes it."""
    return Verdict(
        principle=principle,
        order=order,
        logprob_first=math.log(p_first),
        logprob_second=math.log(1 - p_first),
        option_mass=1.0,
        p_a=LetterReading().p_a(p_first, order),
        chains=chains,
        p_first=p_first,
    )


def judged(name: str, p_ab: float, p_ba: float, truth: float, context: str = "") -> JudgedPair:
    """A pair under one principle."""
    return JudgedPair(name, context or name, (verdict(p_ab, "ab"), verdict(p_ba, "ba")), truth)


def biased_judge(n: int, *, temperature: float, bias: float, seed: int = 0) -> list[JudgedPair]:
    """Pairs of a judge that is too sure by a temperature and leans to the first option by a bias."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    pairs = []
    for number in range(n):
        odds = chance.gauss(0, 1.5)  # of a, as they truly are
        truth = float(chance.random() < 1 / (1 + math.exp(-odds)))
        p_ab, p_ba = (1 / (1 + math.exp(-(temperature * side + bias))) for side in (odds, -odds))
        pairs.append(judged(f"pair {number}", p_ab, p_ba, truth, context=f"context {number // 2}"))
    return pairs


def test_what_a_judge_does_wrong_is_found() -> None:
    """Three times too sure, and leaning to the first: the scaling undoes both, and the labels' errors fall."""
    found = calibrate(biased_judge(2000, temperature=3.0, bias=1.2))
    assert found.scaling.temperature == pytest.approx(3.0, rel=0.15)
    assert found.scaling.bias == pytest.approx(1.2, abs=0.35)
    assert found.after.ece < 0.05 < found.before.ece
    assert found.after.brier.value < found.before.brier.value
    assert found.after.accuracy.value >= found.before.accuracy.value - 0.01
    assert (found.n_pairs, found.n_contexts) == (2000, 1000)


def test_no_pair_is_measured_with_what_was_fitted_on_its_context() -> None:
    """Two contexts, and in one of them the judge is always wrong: only what was fitted on a context knows that of it.

    Fitted on the other one, each is read as that would have it: the right context is taken for wrong, the wrong one
    for right. With anything of a context in its own fit, the figures would be others.
    """
    right = [judged(f"right {copy}", 0.9, 0.1, 1.0, context="right") for copy in range(6)]
    wrong = [judged(f"wrong {copy}", 0.9, 0.1, 0.0, context="wrong") for copy in range(6)]
    found = calibrate([*right, *wrong])
    crossed = [
        ((one.p_a(LetterReading(fit_on(others))) or 0.0) - one.truth) ** 2
        for several, others in ((right, wrong), (wrong, right))
        for one in several
    ]
    assert found.after.n == 12
    assert found.after.brier.value == pytest.approx(sum(crossed) / 12)
    own = [((one.p_a(LetterReading(fit_on([*right, *wrong]))) or 0.0) - one.truth) ** 2 for one in (*right, *wrong)]
    assert found.after.brier.value > sum(own) / 12 + 0.1


@given(
    st.lists(st.integers(0, 9), min_size=4, max_size=30).filter(lambda drawn: len(set(drawn)) > 1), st.integers(0, 3)
)
def test_folds_share_no_context(drawn: list[int], seed: int) -> None:
    """Whatever the contexts: the pairs that a part is measured with are of none that it was fitted on."""
    pairs = [judged(f"{n}", 0.7, 0.4, float(n % 2), context=f"c{context}") for n, context in enumerate(drawn)]
    parts = list(folds(pairs, n_folds=5, seed=seed))
    for fitted, measured in parts:
        assert not {one.context for one in fitted} & {one.context for one in measured}
        assert len(fitted) + len(measured) == len(pairs)
    assert sorted(one.id for _, measured in parts for one in measured) == sorted(one.id for one in pairs)


def test_figures_by_hand() -> None:
    """Four pairs: right and sure, wrong and sure, a tie of the judge, a tie of people."""
    rows = [(judged("a", 0.9, 0.1, 1.0), 0.9), (judged("b", 0.8, 0.2, 0.0), 0.8)]
    rows += [(judged("c", 0.5, 0.5, 1.0), 0.5), (judged("d", 0.7, 0.3, 0.5), 0.7)]
    found = measure(rows)
    assert found.accuracy.value == (1 + 0 + 0.5 + 0.5) / 4
    assert found.brier.value == pytest.approx((0.01 + 0.64 + 0.25 + 0.04) / 4)
    assert found.ece == pytest.approx((abs(1 - 0.9) + abs(0 - 0.8) + abs(0.5 - 0.5) + abs(0.5 - 0.7)) / 4)
    assert sum(one.n for one in found.bins) == found.n == 4


def test_people_who_are_not_sure_are_taken_at_their_word() -> None:
    """A judge that is as sure as they are has no calibration error, and what is fitted to them makes none."""
    rows = [judged(f"a{n}", 0.8, 0.2, 0.8) for n in range(6)] + [judged(f"b{n}", 0.3, 0.7, 0.3) for n in range(6)]
    found = measure([(one, one.verdicts[0].p_a or 0.0) for one in rows])
    assert (found.ece, found.brier.value) == (pytest.approx(0.0), pytest.approx(0.0))
    assert found.accuracy.value == 1.0
    calibrated = calibrate([judged(one.id, 0.95, 0.05, one.truth) for one in rows[:6]])
    assert calibrated.before.ece == pytest.approx(0.15)
    assert calibrated.after.ece < 0.01


def test_a_pair_weighs_the_same_however_many_verdicts_it_has() -> None:
    """One that was judged by five principles says no more than one that was judged by one."""
    many = JudgedPair(
        "many", "many", tuple(verdict(0.7, order, f"p{n}") for n in range(5) for order in ORDERS),
        1.0,
    )  # fmt: skip
    once = JudgedPair("many", "many", (verdict(0.7, "ab"), verdict(0.7, "ba")), 1.0)
    other = judged("other", 0.6, 0.3, 0.0)
    first, second = fit_on([many, other]), fit_on([once, other])
    assert (first.temperature, first.bias) == pytest.approx((second.temperature, second.bias))


def test_too_little_is_refused() -> None:
    """One context cannot be divided; invalid verdicts do not count."""
    unread = verdict(0.5).model_copy(update={"p_a": None, "p_first": None, "invalid": "no readable chain"})
    lost = JudgedPair("lost", "lost", (unread,), 1.0)
    with pytest.raises(ValueError, match="1 pairs of 1 contexts"):
        calibrate([judged("a", 0.5, 0.5, 1.0), lost])


@given(
    st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.05, 20), st.floats(-3, 3),
    st.sampled_from([None, (0.4, 0.6)]),
)  # fmt: skip
def test_swapping_a_pair_gives_one_minus_p_under_any_scaling(
    p_ab: float, p_ba: float, temperature: float, bias: float, clamp: tuple[float, float] | None
) -> None:
    """What was read with a first is then read with b first."""
    reading = LetterReading(Scaling(temperature, bias), clamp)
    one, other = judged("x", p_ab, p_ba, 1.0).p_a(reading), judged("x", p_ba, p_ab, 0.0).p_a(reading)
    assert one is not None
    assert other is not None
    assert one == pytest.approx(1 - other, abs=1e-12)


@given(st.permutations([("p", "ab", 0.9), ("p", "ba", 0.3), ("q", "ab", 0.2), ("q", "ba", 0.4)]))
def test_verdicts_may_come_in_any_order(said: list[tuple[str, Order, float]]) -> None:
    """The weighted mean knows none: p says (0.9 + 0.7) / 2, and q, which counts twice, (0.2 + 0.6) / 2."""
    weights = {"p": 1.0, "q": 2.0}
    judgement = combine_verdicts(
        [verdict(p, order, name).model_copy(update={"weight": weights[name]}) for name, order, p in said]
    )
    assert judgement.p_a == pytest.approx((0.8 + 2 * 0.4) / 3, abs=1e-15)
    assert judgement.position_bias == pytest.approx((0.2 + 0.4) / 2)


def test_a_recorded_verdict_is_read_again_as_it_would_be_now() -> None:
    """Also of a run that wrote the letters alone; chains of such a run cannot be read again, and are not guessed at."""
    reading = LetterReading(Scaling(2.0, 0.5), (0.4, 0.6))
    new, old = verdict(0.9), verdict(0.9).model_copy(update={"p_first": None})
    assert p_first_of(old) == pytest.approx(0.9)
    assert [one.p_a for one in read_again([new, old], reading)] == pytest.approx([0.6, 0.6])
    lost = verdict(0.9, chains=("because",)).model_copy(update={"p_first": None})
    again = read_again([lost], reading)[0]
    assert (again.p_a, again.invalid) == (None, "its probability before the clamp is not recorded")
    unread = verdict(0.5).model_copy(update={"p_a": None, "p_first": None, "invalid": "option mass below the minimum"})
    assert read_again([unread], reading) == (unread,)


def test_a_principle_is_left_out() -> None:
    """And what it said with it."""
    votes = [verdict(0.9, order, name) for name in ("p", "q") for order in ORDERS]
    assert {one.principle for one in without(votes, {"q"})} == {"p"}
