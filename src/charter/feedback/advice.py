"""What an audit means for whoever wants to spend money on a judge: a grade, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

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
_CALIBRATED = 0.05  # of the calibration error: below it, scaling has little to mend


def grade(found: Audit) -> Grade:
    """Say what the judge is good for, by its agreement with people and what position does to it."""
    if found.quality is None or (found.quality.accuracy.low or 0.0) <= _EVEN:
        return "unusable"
    follows = found.position is not None and found.position.same_position.value > SAME_POSITION["extra-small"]
    if found.quality.accuracy.value < _WEAK_AGREEMENT or follows:
        return "weak"
    return "good" if found.quality.accuracy.value >= BEST_AGREEMENT else "usable"


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
        "unusable": "",
    }[grade(found)]


def _on_the_rest(found: Audit) -> Iterator[str]:
    position, length, calibration = found.position, found.length, found.calibration
    if position is not None and position.same_position.value > SAME_POSITION["small"]:
        place = "" if position.first is None else f", {_mostly(position.first)}"
        yield f"Position decides often{place}: ask in both orders, as the stage label does."
    longer, shorter = length.where_longer, length.where_shorter
    if longer and shorter and (shorter.high or 1.0) < (longer.low or 0.0):
        yield (
            f"It follows length: {100 * longer.value:.0f} % agreement where the better answer is the longer one, "
            f"{100 * shorter.value:.0f} % where it is the shorter. Look at the lengths of what is trained on."
        )
    yield from _on_self_preference(found.self_preference)
    if found.invalid.value > _MANY_INVALID:
        yield f"{100 * found.invalid.value:.0f} % of its verdicts could not be read: verdicts.parquet says why."
    if (
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
    """Say which position is picked, where the interval tells."""
    if (first.low or 0.0) > _EVEN:
        return "mostly for the first"
    return "mostly for the second" if (first.high or 1.0) < _EVEN else "for either"
