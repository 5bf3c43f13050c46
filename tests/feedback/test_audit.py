from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.advice import advise, grade
from charter.feedback.audit import audit_judge, length_effect, position_bias
from charter.feedback.auditing import as_judged_pairs
from charter.feedback.calibration import JudgedPair
from charter.feedback.votes import LetterReading
from charter.records import Judged, Order, Side, Verdict, make_prompt

ORDERS: tuple[Order, ...] = ("ab", "ba")


def verdict(p_first: float | None, order: Order, principle: str = "p") -> Verdict:
    """A verdict as the judge writes it; None is one that it could not read."""
    return Verdict(
        principle=principle,
        order=order,
        logprob_first=None if p_first is None else math.log(p_first),
        logprob_second=None if p_first is None else math.log(1 - p_first),
        option_mass=1.0,
        p_a=None if p_first is None else LetterReading().p_a(p_first, order),
        invalid="option mass below the minimum" if p_first is None else None,
        p_first=p_first,
    )


def audited(
    name: str,
    said: dict[str, tuple[float | None, float | None]],
    truth: float = 1.0,
    *,
    longer_a: int = 10,
    category: str = "",
    authors: tuple[str, str] = ("", ""),
) -> JudgedPair:
    """A pair that principles judged: of each P(first) with a shown first, and with b shown first."""
    verdicts = tuple(
        verdict(p, order, principle) for principle, both in said.items() for p, order in zip(both, ORDERS, strict=True)
    )
    return JudgedPair(name, name, verdicts, truth, category, longer_a, *authors)


def test_position_by_hand() -> None:
    """One picks the response, one the first twice, one the second twice; a tie in one order picks nothing else."""
    pairs = [
        audited("response", {"p": (0.9, 0.2)}),
        audited("first", {"p": (0.8, 0.7)}),
        audited("second", {"p": (0.4, 0.1)}),
        audited("even", {"p": (0.5, 0.9)}),
    ]
    found = position_bias(pairs)
    assert found is not None
    assert (found.n, found.same_position.value) == (4, 0.5)
    assert found.first is not None
    assert (found.first.value, found.first.n) == (0.5, 2)
    assert found.shift.value == pytest.approx((0.1 + 0.5 + 0.5 + 0.4) / 4)


def test_length_by_hand() -> None:
    """The judge always takes the longer answer: right where people do, wrong where they do not."""
    pairs = [
        audited("right", {"p": (0.9, 0.1)}, truth=1.0),
        audited("wrong", {"p": (0.9, 0.1)}, truth=0.0),
        audited("wrong too", {"p": (0.1, 0.9)}, truth=1.0, longer_a=-10),
        audited("as long", {"p": (0.9, 0.1)}, longer_a=0),
        audited("people's tie", {"p": (0.9, 0.1)}, truth=0.5),
    ]
    found = length_effect([(one, 0.9 if one.verdicts[0].p_a == 0.9 else 0.1) for one in pairs])
    assert found.where_shorter is not None
    assert found.where_longer is not None
    assert found.longer is not None
    assert found.longer_by_people is not None
    assert (found.where_shorter.value, found.where_shorter.n) == (0.0, 2)
    assert (found.where_longer.value, found.where_longer.n) == (1.0, 1)
    assert (found.longer.value, found.longer_by_people.value) == (1.0, pytest.approx(1 / 3))


def test_self_preference_by_hand() -> None:
    """It takes its own twice where people do not and once where they do; pairs without both authors tell nothing."""
    own_a, own_b = ("own", "other"), ("third", "own")
    first, second = (0.9, 0.1), (0.2, 0.8)  # a is better; b is
    pairs = [
        audited("against", {"p": first}, truth=0.0, authors=own_a),
        audited("against too", {"p": second}, truth=1.0, authors=own_b),
        audited("with", {"p": first}, truth=1.0, authors=own_a),
        audited("other", {"p": first}, truth=0.0, authors=own_b),
        audited("tie", {"p": (0.5, 0.5)}, truth=0.0, authors=own_a),
        audited("people's tie", {"p": first}, truth=0.5, authors=own_a),
        audited("nobody says", {"p": first}, truth=0.0, authors=("own", "")),
        audited("both own", {"p": first}, truth=0.0, authors=("own", "own")),
        audited("none own", {"p": first}, truth=0.0, authors=("other", "third")),
    ]
    found = audit_judge(pairs, own_names=["own"]).self_preference
    assert found is not None
    assert found.n == 5
    assert found.own.value == pytest.approx((1 + 1 + 1 + 0 + 0.5) / 5)
    assert found.own_by_people.value == pytest.approx(2 / 5)
    assert found.agreement.value == pytest.approx((0 + 0 + 1 + 0 + 0.5) / 5)
    assert found.own_against_people is not None
    assert found.other_against_people is not None
    assert (found.own_against_people.value, found.own_against_people.n) == (pytest.approx(2.5 / 3), 3)
    assert (found.other_against_people.value, found.other_against_people.n) == (0.5, 2)
    assert audit_judge(pairs).self_preference is None


def test_authors_are_told_apart_by_hand() -> None:
    """Each author's answers against all others', as judge and people see them; both sides of a pair are counted."""
    pairs = [
        audited("one", {"p": (0.9, 0.1)}, truth=0.0, authors=("x", "y")),
        audited("two", {"p": (0.9, 0.1)}, truth=1.0, authors=("x", "z")),
        audited("alone", {"p": (0.9, 0.1)}, authors=("x", "x")),
    ]
    found = {one.name: (one.n, one.chosen.value, one.chosen_by_people.value) for one in audit_judge(pairs).by_author}
    assert found == {"x": (2, 1.0, 0.5), "y": (1, 0.0, 1.0), "z": (1, 0.0, 0.0)}


@pytest.mark.parametrize(("own", "is_told"), [(("own", "other"), True), (("other", "own"), False)])
def test_a_judge_that_prefers_its_own_answers_is_told_of(own: tuple[str, str], *, is_told: bool) -> None:
    """Forty times it takes the answer that people do not, which is its own, or is not."""
    pairs = [audited(f"{n}", {"p": (0.8, 0.2)}, truth=0.0, authors=own) for n in range(40)]
    pairs += [audited(f"too {n}", {"p": (0.8, 0.2)}, truth=1.0, authors=own) for n in range(40)]
    said = advise(audit_judge(pairs, own_names=["own"]))
    assert any(sentence.startswith("It prefers its own answers: ") for sentence in said) is is_told


def test_principles_and_categories_are_told_apart() -> None:
    """One principle is people's own, the other their opposite; what cannot be read is counted where it stands."""
    good, bad = (0.9, 0.1), (0.2, 0.8)
    pairs = [
        audited("one", {"like people": good, "unlike": bad}, category="fraud"),
        audited("two", {"like people": good, "unlike": (None, 0.8)}, category="fraud"),
        audited("three", {"like people": (None, None), "unlike": (None, None)}, category="drugs"),
    ]
    found = audit_judge(pairs)
    like, unlike = found.by_principle
    assert (like.name, like.n, like.n_invalid) == ("like people", 3, 1)
    assert like.agreement is not None
    assert (like.agreement.value, like.agreement.n) == (1.0, 2)
    assert (unlike.n, unlike.n_invalid) == (3, 2)
    assert unlike.agreement is not None
    assert (unlike.agreement.value, unlike.agreement.n) == (0.0, 1)
    drugs, fraud = found.by_category
    assert (drugs.name, drugs.n, drugs.n_invalid, drugs.agreement) == ("drugs", 1, 1, None)
    assert (fraud.n, fraud.n_invalid) == (2, 0)
    assert (found.n_pairs, found.n_unlabelled, found.n_verdicts) == (3, 1, 12)
    assert found.invalid.value == 5 / 12


def test_a_judge_that_says_nothing_that_can_be_read_is_unusable() -> None:
    """And all that would be measured of labels is missing."""
    found = audit_judge([audited(name, {"p": (None, None)}) for name in "xyz"])
    assert (found.quality, found.position, found.calibration, found.length.longer) == (None, None, None, None)
    assert grade(found) == "unusable"


def many(n_right: int, n_wrong: int, said: tuple[float, float] = (0.8, 0.2)) -> list[JudgedPair]:
    """Pairs on which a judge says the same, and people mostly too."""
    return [audited(f"{number}", {"p": said}, truth=float(number < n_right)) for number in range(n_right + n_wrong)]


def lost(n: int) -> list[JudgedPair]:
    """Pairs on which nothing can be read."""
    return [audited(f"lost {number}", {"p": (None, None)}) for number in range(n)]


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        (many(50, 50), "unusable"),
        (many(850, 150, (0.8, 0.79)), "weak"),
        (many(220, 180), "weak"),
        (many(66, 34), "weak"),
        (many(660, 340), "usable"),
        (many(75, 25), "usable"),
        (many(780, 220), "good"),
        (many(10, 4), "unusable"),
        ([*many(780, 220), *lost(30)], "good"),
        ([*many(780, 220), *lost(80)], "usable"),
        ([*many(780, 220), *lost(300)], "weak"),
        ([*many(780, 220), *lost(1_100)], "unusable"),
    ],
    ids=[
        "a coin",
        "follows position",
        "little better",
        "may be little better",
        "usable",
        "may be as the best",
        "as the best",
        "too few",
        "few lost",
        "some lost",
        "many lost",
        "most lost",
    ],
)
def test_the_grade_follows_agreement_position_and_losses(pairs: list[JudgedPair], wanted: str) -> None:
    """By the end of each interval that speaks against the judge: 10 of 14 may be a coin, 75 of 100 may be 66."""
    found = audit_judge(pairs)
    assert grade(found) == wanted
    assert advise(found)[0]


def test_a_grade_is_held_down_by_the_least_readable_principle() -> None:
    """Every pair has a label, from one of four principles: what the others make of it nobody knows."""
    said: dict[str, tuple[float | None, float | None]] = {"read": (0.8, 0.2)}
    said |= dict.fromkeys(("x", "y", "z"), (None, None))
    found = audit_judge([audited(f"{n}", said, truth=float(n < 390)) for n in range(500)])
    assert (found.n_unlabelled, found.invalid.value, grade(found)) == (0, 0.75, "unusable")


def test_what_is_lost_is_advised_on() -> None:
    """Pairs without a label, and chains that are in no verdict, each with its figure."""
    said = advise(audit_judge([*many(780, 220), *lost(300)]))
    assert any(sentence.startswith("23 % of the pairs got no label") for sentence in said)
    thought = [
        replace(
            one,
            verdicts=tuple(
                v.model_copy(update={"n_chains": 2, "chains": ("so",), "chains_read": (True,)}) for v in one.verdicts
            ),
        )
        for one in many(78, 22)
    ]
    found = audit_judge(thought)
    assert (found.n_chains, found.n_chains_lost) == (400, 200)
    assert any(sentence.startswith("200 of 400 chains of thought") for sentence in advise(found))


def test_people_are_as_sure_as_they_say_and_silence_is_no_tie() -> None:
    """A truth is what the file says, whichever side it is of; a pair of which nobody says anything is refused."""

    def row(intended: Side | None) -> Judged:
        verdicts = (verdict(0.8, "ab"), verdict(0.2, "ba"))
        prompt = make_prompt("How?", "red_team")
        return Judged(id="x", prompt=prompt, a="one", b="two", intended=intended, verdicts=verdicts)

    assert as_judged_pairs([row("a")])[0].truth == 1.0
    assert as_judged_pairs([row("b")])[0].truth == 0.0
    assert as_judged_pairs([row("a")], {"x": 0.75})[0].truth == 0.75
    assert as_judged_pairs([row("b")], {"x": 0.75})[0].truth == 0.25
    assert as_judged_pairs([row("b")], {"x": 0.5})[0].truth == 0.5
    with pytest.raises(ValueError, match="pair x intends no side"):
        as_judged_pairs([row(None)])


@pytest.mark.parametrize("n", range(1, 17))
def test_a_bins_edge_divides_no_label_from_its_mirror(n: int) -> None:
    """So many principles that the clamp holds to 0.6 for a, or for b: their means differ in the last bit alone."""
    for_a, for_b = ({f"p{number}": (p, 1 - p) for number in range(n)} for p in (0.6, 0.4))
    pairs = [audited(f"{k}", for_a, truth=float(k < 8)) for k in range(10)]
    pairs += [audited(f"b{k}", for_b, truth=float(k >= 4)) for k in range(10)]
    swapped = [*pairs[:10], *(audited(f"b{k}", for_a, truth=1 - float(k >= 4)) for k in range(10))]
    one, other = audit_judge(pairs).quality, audit_judge(swapped).quality
    assert one is not None
    assert other is not None
    assert one.ece == pytest.approx(other.ece)
    assert [found.n for found in one.bins] == [found.n for found in other.bins] == [20]


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.booleans()), min_size=3, max_size=8))
def test_swapping_every_pair_changes_nothing_but_the_names(said: list[tuple[float, float, bool]]) -> None:
    """Which response is called a is no property of a judge."""
    authors = ("own", "other")
    pairs = [audited(f"{n}", {"p": (ab, ba)}, float(truth), authors=authors) for n, (ab, ba, truth) in enumerate(said)]
    swapped = [
        audited(f"{n}", {"p": (ba, ab)}, 1.0 - float(truth), longer_a=-10, authors=("other", "own"))
        for n, (ab, ba, truth) in enumerate(said)
    ]
    one, other = (audit_judge(several, own_names=["own"]) for several in (pairs, swapped))
    assert one.quality is not None
    assert other.quality is not None
    assert one.quality.accuracy == other.quality.accuracy
    assert one.quality.brier.value == pytest.approx(other.quality.brier.value)
    assert one.quality.ece == pytest.approx(other.quality.ece)
    assert one.position is not None
    assert other.position is not None
    assert one.position.same_position == other.position.same_position
    assert one.length.longer == other.length.longer
    assert one.self_preference is not None
    assert one.self_preference == other.self_preference
    assert one.by_author == other.by_author


def test_calibration_is_advised_where_there_is_something_to_calibrate() -> None:
    """A judge that is right in seven of ten and nearly certain is told of it; one that is a coin is not."""
    sure, coin = audit_judge(many(140, 60, (0.97, 0.03))), audit_judge(many(100, 100, (0.97, 0.03)))
    assert any("label.calibrator" in sentence for sentence in advise(sure))
    assert not any("label.calibrator" in sentence for sentence in advise(coin))
    assert "may be chance" in advise(coin)[0]


def test_a_judge_that_calibration_would_silence_is_told_of() -> None:
    """One that points the wrong way: its calibrator leaves every label near a half, and is to be looked at first."""
    found = audit_judge([audited(f"p{number}", {"p": (0.9, 0.1)}, float(number % 5 == 0)) for number in range(100)])
    assert found.calibration is not None
    assert found.calibration.scaling.is_at_its_bound
    assert any("at reliability.svg before" in sentence for sentence in advise(found))
