"""What an audit means for whoever wants to spend money on a judge: a grade, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from charter.feedback.audit import Audit
from charter.feedback.self_preference import SelfPreference
from charter.statistics import Interval

Grade = Literal["unusable", "weak", "usable", "good"]

#: Published yardsticks (RLAIF, arXiv 2309.00267): the best agreement with people that was reported on harmless
#: dialogue, and how often a large, a small and an extra-small judge picked the same position in both orders.
BEST_AGREEMENT = 0.72
SAME_POSITION = {"large": 0.18, "small": 0.21, "extra-small": 0.56}

_EVEN = 0.5
_WEAK_AGREEMENT = 0.6  # below it, two labels of five are people's opposite
_MANY_INVALID = 0.05
_NEARLY_ALWAYS = 0.9
_FEW = 100  # labelled pairs: at 75 % agreement the interval is 17 points wide there
#: Of verdicts that cannot be read, and of pairs without a label: above a share no better grade is given, for nothing is
#: known of what the judge makes of those.
_MOST_LOST: tuple[tuple[float, Grade], ...] = ((0.5, "unusable"), (0.2, "weak"), (_MANY_INVALID, "usable"))
_WORST_FIRST: tuple[Grade, ...] = get_args(Grade)
_CALIBRATED = 0.05  # of the calibration error: below it, scaling has little to mend


def grade(found: Audit) -> Grade:
    """Say what the judge is good for, by its agreement with people, what position does to it, and what is lost.

    Of every figure that end of its interval counts which speaks against the judge.
    """
    return min(_by_agreement(found), _by_losses(found), key=_WORST_FIRST.index)


def _by_agreement(found: Audit) -> Grade:
    low = None if found.quality is None else found.quality.accuracy.low
    if low is None or low <= _EVEN:
        return "unusable"
    follows = found.position is not None and _high(found.position.same_position) > SAME_POSITION["extra-small"]
    if low < _WEAK_AGREEMENT or follows:
        return "weak"
    return "good" if low >= BEST_AGREEMENT else "usable"


def _by_losses(found: Audit) -> Grade:
    """Give the best grade that what cannot be read leaves room for."""
    lost = max(_high(found.invalid), _high(found.unlabelled))
    return next((most for share, most in _MOST_LOST if lost > share), "good")


def _high(share: Interval) -> float:
    """Give the upper end of a share; where there is none it may be anything."""
    return 1.0 if share.high is None else share.high


def advise(found: Audit) -> tuple[str, ...]:
    """Say what to do, the weightiest first."""
    return (_on_agreement(found), *_on_the_rest(found))


def _on_agreement(found: Audit) -> str:
    quality = found.quality
    if quality is None:
        return "No verdict could be read: ask another judge, or lower label.min_option_mass if its letters are spread."
    low = quality.accuracy.low
    if low is None or low <= _EVEN <= (quality.accuracy.high or 1.0):
        return (
            f"Its agreement with people on these {quality.n:,} pairs may be chance: take a larger judge, or audit it "
            "on more pairs before a run."
        )
    if low <= _EVEN:
        return "It agrees with people less than chance would: take another judge."
    return {
        "weak": "Its labels hold something and much noise: train on soft labels from both orders and several "
        "principles, and expect little of small data; a larger judge is the better remedy.",
        "usable": "Its labels are worth training on, as soft ones from both orders.",
        "good": "It agrees with people as well as the best that was published on harmless dialogue.",
        "unusable": "Nothing is known of what it makes of most pairs: it is no judge as it is asked here.",
    }[grade(found)]


def _on_the_rest(found: Audit) -> Iterator[str]:
    position, length, calibration = found.position, found.length, found.calibration
    if found.quality is not None and found.quality.n < _FEW:
        yield f"{found.quality.n:,} pairs are few to know a judge by, as its intervals say: audit it on some hundreds."
    if position is not None and position.same_position.value > SAME_POSITION["small"]:
        place = "" if position.first is None else f", {_mostly(position.first)}"
        often = "nearly always" if position.same_position.value > _NEARLY_ALWAYS else "often"
        yield (
            f"Position decides {often}{place}: of such pairs its labels say little, even asked in both orders, as they "
            "are here and in the stage label."
        )
    longer, shorter = length.where_longer, length.where_shorter
    if longer and shorter and (shorter.high or 1.0) < (longer.low or 0.0):
        yield (
            f"It follows length: {100 * longer.value:.0f} % agreement where the better answer is the longer one, "
            f"{100 * shorter.value:.0f} % where it is the shorter. Look at the lengths of what is trained on."
        )
    yield from _on_self_preference(found.self_preference)
    if found.invalid.value > _MANY_INVALID:
        yield f"{100 * found.invalid.value:.0f} % of its verdicts could not be read: verdicts.parquet says why."
    if found.unlabelled.value > _MANY_INVALID:
        yield (
            f"{100 * found.unlabelled.value:.0f} % of the pairs got no label, and the figures are over the others: it "
            "may do worse on what it could not read."
        )
    if found.n_chains and found.n_chains_lost > _MANY_INVALID * found.n_chains:
        yield (
            f"{found.n_chains_lost:,} of {found.n_chains:,} chains of thought are in no verdict: they have no text, or "
            "the letters behind them could not be read."
        )
    if calibration is not None and calibration.scaling.is_at_its_bound:
        yield (
            "The fit ends at its highest temperature: its verdicts are noise, or far surer than they are right. Look "
            "at reliability.svg before a recipe names calibrator.json."
        )
    elif (
        calibration is not None
        and calibration.after.ece < calibration.before.ece > _CALIBRATED
        and grade(found) != "unusable"  # of noise nothing is worth being calibrated
    ):
        yield (
            f"Its probabilities are off by {calibration.before.ece:.2f}, and by {calibration.after.ece:.2f} once they "
            "are calibrated: name calibrator.json in the recipe (label.calibrator)."
        )


def _on_self_preference(found: SelfPreference | None) -> Iterator[str]:
    own, other = (found.own_against_people, found.other_against_people) if found else (None, None)
    if own and other and (own.low or 0.0) > (other.high or 1.0):
        yield (
            f"It prefers its own answers: where people prefer the other, it takes its own in {100 * own.value:.0f} %, "
            f"and the other in {100 * other.value:.0f} % where they prefer its own. Let it judge no pairs that have "
            "its own answers on one side; take a judge of another family."
        )


def _mostly(first: Interval) -> str:
    """Say which position is picked, as far as the interval tells."""
    if (first.low or 0.0) > _EVEN:
        return "mostly for the first"
    return "mostly for the second" if (first.high or 1.0) < _EVEN else "now for the first, now for the second"
