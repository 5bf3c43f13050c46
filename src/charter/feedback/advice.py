"""What an audit means for whoever wants to spend money on a judge: a grade, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from charter.feedback.audit import Audit

Grade = Literal["unusable", "weak", "usable", "good"]

#: Published yardsticks (RLAIF, arXiv 2309.00267): the best agreement with people that was reported on harmless
#: dialogue, and how often a large, a small and an extra-small judge picked the same position in both orders.
BEST_AGREEMENT = 0.72
SAME_POSITION = {"large": 0.18, "small": 0.21, "extra-small": 0.56}

_EVEN = 0.5
_WEAK_AGREEMENT = 0.6  # below it, two labels of five are people's opposite
_MANY_INVALID = 0.05
_LENGTH_GAP = 0.15  # between agreement where the better answer is the longer one and where it is the shorter
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
        place = "" if position.first is None else ("first" if position.first.value >= _EVEN else "second")
        yield f"Position decides often, mostly for the {place}: never ask in one order alone, as label does not."
    if length.where_longer and length.where_shorter:
        gap = length.where_longer.value - length.where_shorter.value
        if gap > _LENGTH_GAP:
            yield (
                f"It follows length: it agrees {gap:.0%} more where the better answer is the longer one. Balance the "
                "lengths of what is trained on (dpo), and look at them in the report."
            )
    if found.invalid.value > _MANY_INVALID:
        yield f"{found.invalid.value:.0%} of its verdicts could not be read: look at verdicts.parquet for why."
    if calibration is not None and calibration.after.ece < calibration.before.ece > _CALIBRATED:
        yield (
            f"Its probabilities are off by {calibration.before.ece:.2f}, and by {calibration.after.ece:.2f} once they "
            "are calibrated: name calibrator.json in the recipe (label.calibrator)."
        )
