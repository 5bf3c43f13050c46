"""How far raters agree with each other, and with a judge. Pure, and seeded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from charter.rating.items import Item
from charter.rating.records import Rating
from charter.records import Comparison
from charter.statistics import TIE, Interval, alpha_interval, label_agreement

_SIDES = ("model", "tie", "base")


@dataclass(frozen=True)
class Together:
    """Two who said something of the same items.

    Attributes:
        one: a rater, or all of them; ``other`` is another, or the judge.
        same: how often both say the same, a tie being one of three things to say.
        kappa: the same beyond chance, Cohen's.
    """

    one: str
    other: str
    same: Interval
    kappa: Interval


def between_raters(by_rater: Mapping[str, Mapping[str, Rating]], groups: Mapping[str, str]) -> tuple[Together, ...]:
    """Compare every two raters on the items that both rated.

    Args:
        by_rater: what stands of each, by item; skipped items are not among them.
        groups: of the prompts, by id (see ``prompts.grouping.prompt_groups``).
    """
    found = []
    for one, other in combinations(by_rater, 2):
        both = [item for item in by_rater[one] if item in by_rater[other]]
        rows = [(by_rater[one][item], by_rater[other][item]) for item in both]
        if rows:
            found.append(_together(one, other, [(a.choice, b.choice, groups[a.prompt]) for a, b in rows]))
    return tuple(found)


def krippendorff(by_rater: Mapping[str, Mapping[str, Rating]], groups: Mapping[str, str]) -> Interval | None:
    """Measure Krippendorff's alpha of all raters together; None where no item has two."""
    units: dict[str, list[Rating]] = defaultdict(list)
    for ratings in by_rater.values():
        for item, one in ratings.items():
            units[item].append(one)
    told = list(units.values())
    return alpha_interval(
        [[one.choice for one in unit] for unit in told], groups=[groups[unit[0].prompt] for unit in told]
    )


def people_say(ratings: Iterable[Rating]) -> dict[str, float]:
    """Average what raters say of each item: from 0, ``base``'s answer, to 1, ``model``'s."""
    wins: dict[str, list[float]] = defaultdict(list)
    for one in ratings:
        if one.win is not None:
            wins[one.item].append(one.win)
    return {item: fmean(told) for item, told in wins.items()}


def with_judge(
    items: Sequence[Item], said: Mapping[str, float], comparisons: Iterable[Comparison], groups: Mapping[str, str]
) -> Together | None:
    """Hold what most raters say of each item against a judge's comparison of the same answers.

    Args:
        items: that were rated.
        said: by item, as ``people_say`` gives it; without a majority it is a tie.
        comparisons: of the same models' answers to the same prompts.
        groups: of the prompts, by id.

    Returns:
        None where the judge said nothing of any.
    """
    judged = {}
    for one in comparisons:
        if one.win is not None:
            judged[one.prompt.id, one.model, one.base] = one.win
            judged[one.prompt.id, one.base, one.model] = 1.0 - one.win
    rows = []
    for item in items:
        key = (item.match.prompt.id, item.match.model, item.match.base)
        if item.id in said and key in judged:
            rows.append((_side(said[item.id]), _side(judged[key]), groups[item.match.prompt.id]))
    return _together("people", "judge", rows) if rows else None


def _together(one: str, other: str, rows: Sequence[tuple[str, str, str]]) -> Together:
    first, second, groups = zip(*rows, strict=True)
    found = label_agreement(first, second, labels=_SIDES, groups=groups)
    return Together(one, other, found.agreement, found.kappa)


def _side(win: float) -> str:
    return "tie" if win == TIE else "model" if win > TIE else "base"
