"""Several judges of one pair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.feedback import label
from charter.feedback.ensemble import FurtherJudge, judge_together, make_judges
from charter.feedback.influence import influences, votes_on
from charter.feedback.judge import Judging, judge_one
from charter.feedback.settling import Settling, label_without
from charter.feedback.votes import Judgement, Voter, combine_verdicts, votes_of
from charter.records import Pair, Preference, make_prompt
from charter.statistics.scaling import Scaling
from method_examples import CONSTITUTION, PLAIN, run

PROMPT = make_prompt("How?", "red_team")
WEIGHTS = st.floats(0.1, 10.0)
SPREADS = st.floats(0.1, 5.0)
#: Judges that say something else each, by their scripts' names; a weight and how far they spread.
ENSEMBLES = st.lists(st.tuples(WEIGHTS, SPREADS), min_size=1, max_size=3)


def _further(drawn: Sequence[tuple[float, float]]) -> list[FurtherJudge]:
    return [
        FurtherJudge(f"j{number}", ScriptedEngine(option_spread=spread, script=f"j{number}"), weight)
        for number, (weight, spread) in enumerate(drawn)
    ]


def _judged(further: Sequence[FurtherJudge], a: str = "one", b: str = "two", row: str = "row") -> Judgement:
    judges = make_judges(ScriptedEngine(), CONSTITUTION, Judging(), further)
    return run(judge_together(judges, row, PROMPT, a, b, CONSTITUTION.principles))


def _favouring(p: float, mass: float = 1.0) -> ScriptedEngine:
    """Judge by content alone: ``one`` is better with probability ``p``, wherever it stands."""

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        first = request.messages is not None and "\n(A) one\n" in request.messages[-1].content
        sides = (p * mass, (1.0 - p) * mass)
        return sides if first else (sides[1], sides[0])

    return ScriptedEngine(preference=preference, script=f"favouring {p} {mass}")


def _label(own: ScriptedEngine, *further: FurtherJudge, **options: Any) -> Any:
    pair = Pair(id="pair-1", prompt=PROMPT, a="one", b="two", source="on_policy")
    return label([pair], PLAIN, own, further=further, k_principles=1, **options)


@given(drawn=ENSEMBLES, turn=st.randoms(use_true_random=False))
def test_the_order_of_judges_does_not_matter(drawn: list[tuple[float, float]], turn: Any) -> None:
    """Neither that of the recipe nor that in which their verdicts came, to the last bit."""
    further = _further(drawn)
    found = _judged(further)
    assert {_judged(order).p_a for order in itertools.permutations(further)} == {found.p_a}
    shuffled = list(found.verdicts)
    turn.shuffle(shuffled)
    again = combine_verdicts(shuffled)
    assert (again.p_a, again.position_bias) == (found.p_a, found.position_bias)


@given(weight=WEIGHTS, spread=SPREADS)
def test_one_judge_of_any_weight_is_the_judge_alone(weight: float, spread: float) -> None:
    """A weight is beside others; where there are none, or they say the same, it changes nothing."""
    engine = ScriptedEngine(option_spread=spread)
    own, heavy = make_judges(engine, CONSTITUTION, Judging(), [FurtherJudge("same", engine, weight)])
    principles = CONSTITUTION.principles
    alone = run(judge_one(own, "row", PROMPT, "one", "two", principles))
    assert alone.p_a is not None
    for judges in ([heavy], [own, heavy]):
        found = run(judge_together(judges, "row", PROMPT, "one", "two", principles))
        assert found.p_a == pytest.approx(alone.p_a, abs=1e-12)
        assert found.position_bias == pytest.approx(alone.position_bias, abs=1e-12)


@given(drawn=ENSEMBLES)
def test_swapping_the_pair_gives_one_minus_p(drawn: list[tuple[float, float]]) -> None:
    """Whoever judges, and however much it weighs."""
    found, swapped = _judged(_further(drawn)), _judged(_further(drawn), "two", "one")
    assert found.p_a is not None
    assert swapped.p_a == pytest.approx(1 - found.p_a, abs=1e-12)


@given(drawn=ENSEMBLES)
def test_a_label_lies_between_its_judges(drawn: list[tuple[float, float]]) -> None:
    """It is a mean, of which each judge's votes are a part of their own."""
    found = _judged(_further(drawn))
    names = dict.fromkeys(verdict.judge for verdict in found.verdicts)
    assert list(names) == ["", *(f"j{number}" for number in range(len(drawn)))]
    alone = [combine_verdicts([one for one in found.verdicts if one.judge == name]).p_a for name in names]
    sides = [p for p in alone if p is not None]
    assert found.p_a is not None
    assert min(sides) - 1e-9 <= found.p_a <= max(sides) + 1e-9
    weights = [1.0, *(weight for weight, _ in drawn)]
    mean = math.fsum(weight * p for weight, p in zip(weights, sides, strict=True)) / math.fsum(weights)
    assert found.p_a == pytest.approx(mean, abs=1e-9)


def test_votes_are_averaged_by_weight() -> None:
    """0.9 of weight 1 and 0.3 of weight 3 are 0.45; each verdict says whose it is, and what it weighs."""
    (found,) = _label(_favouring(0.9), FurtherJudge("other", _favouring(0.3), 3.0)).done
    assert found.chosen_side == "b"
    assert found.p_chosen == pytest.approx(0.55)
    assert [(one.judge, one.weight) for one in found.verdicts] == [("", 1.0)] * 2 + [("other", 3.0)] * 2
    assert votes_of(found.verdicts).keys() == {Voter("kind"), Voter("kind", "other")}


def test_each_judge_is_read_through_its_own_calibrator() -> None:
    """The own judge's temperature is not the other's."""
    other = FurtherJudge("other", _favouring(0.8), scaling=Scaling(temperature=2.0, bias=0.0))
    (found,) = _label(_favouring(0.8), other).done
    p = {one.judge: one.p_a for one in found.verdicts}
    assert p[""] == pytest.approx(0.8)
    assert p["other"] == pytest.approx(2 / 3)
    (turned,) = _label(_favouring(0.8), FurtherJudge("other", _favouring(0.8)), scaling=Scaling(2.0, 0.0)).done
    assert {one.judge: one.p_a for one in turned.verdicts} == pytest.approx({"": 2 / 3, "other": 0.8})


def test_a_pair_is_labelled_where_one_judge_can_be_read() -> None:
    """What the others said stays on the row as invalid; where none can be read there is no label."""
    mute = FurtherJudge("mute", _favouring(0.1, mass=0.2), 9.0)
    (found,) = _label(_favouring(0.7), mute).done
    assert found.p_chosen == pytest.approx(0.7)
    assert [one.invalid is not None for one in found.verdicts if one.judge == "mute"] == [True, True]
    (found,) = _label(_favouring(0.7, mass=0.2), FurtherJudge("other", _favouring(0.2))).done
    assert found.p_chosen == pytest.approx(0.8)
    assert _label(_favouring(0.7, mass=0.2), mute).filtered == {"pair-1": "no valid verdict"}


def test_what_each_judge_carries_is_read_off_the_votes() -> None:
    """0.9 and 0.3 of equal weights: of the margin of 0.1 the one brings 0.25 and the other -0.15."""
    (found,) = _label(_favouring(0.9), FurtherJudge("other", _favouring(0.3))).done
    carried = {one.principle: one for one in influences({"pair-1": votes_on(found, "judge")})}
    assert carried[""].carried == pytest.approx((0.4 + (0.1 + 0.2)) / 2 / 0.1)
    assert carried["other"].carried == pytest.approx((-0.2 + (0.1 - 0.4)) / 2 / 0.1)
    assert (carried[""].turned, carried["other"].turned) == (1, 0)
    (whole,) = influences({"pair-1": votes_on(found)})
    assert (whole.principle, whole.carried) == ("kind", pytest.approx(1.0))


def test_a_label_can_be_told_without_a_judge() -> None:
    """From what is recorded: as if it had not been asked."""
    (found,) = _label(_favouring(0.9), FurtherJudge("other", _favouring(0.3))).done
    without, own = (label_without(found, (), Settling(), judges=[name]) for name in ("other", ""))
    assert isinstance(without, Preference)
    assert isinstance(own, Preference)
    assert without.p_chosen == pytest.approx(0.9)
    assert (own.chosen_side, own.p_chosen) == ("b", pytest.approx(0.7))
