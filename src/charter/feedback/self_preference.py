"""Whether a judge prefers its own answers, or another model's, beyond what people do. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from charter.feedback.calibration import JudgedPair, agrees
from charter.statistics import Interval, rate_of, some_rate

_EVEN = 0.5


@dataclass(frozen=True)
class SelfPreference:
    """A judge on pairs of which one answer is its own and the other is not.

    Attributes:
        n: pairs of which people prefer one answer.
        agreement: with people, on those pairs.
        own: the share of labels that prefer its own answer; a tie counts a half.
        own_by_people: the share of people's choices that do.
        own_against_people: how often it prefers its own answer where people prefer the other; None where they never do.
        other_against_people: how often it prefers the other answer where people prefer its own. A judge that errs to
            either side alike has the same in both.
    """

    n: int
    agreement: Interval
    own: Interval
    own_by_people: Interval
    own_against_people: Interval | None
    other_against_people: Interval | None


@dataclass(frozen=True)
class Author:
    """Who wrote answers: on ``n`` pairs with another author, how often judge and people prefer its answer."""

    name: str
    n: int
    chosen: Interval
    chosen_by_people: Interval


def self_preference(labelled: Iterable[tuple[JudgedPair, float]], own_names: Collection[str]) -> SelfPreference | None:
    """Measure how a judge treats its own answers.

    Args:
        labelled: pairs with their authors, each with the judge's P(a is better).
        own_names: by which its answers are told.

    Returns:
        None where no pair has one answer of its own and one of somebody else.
    """
    met = [
        (one, *((p_a, one.side) if one.author_a in own_names else (1.0 - p_a, 1.0 - one.side)))
        for one, p_a in labelled
        if one.truth != _EVEN
        and one.author_a
        and one.author_b
        and (one.author_a in own_names) != (one.author_b in own_names)
    ]
    if not met:
        return None
    sided = [(agrees(p_own, 1.0), people, one.context) for one, p_own, people in met]
    return SelfPreference(
        n=len(met),
        agreement=some_rate([(agrees(p_own, people), one.context) for one, p_own, people in met]),
        own=some_rate([(own, context) for own, _, context in sided]),
        own_by_people=some_rate([(people, context) for _, people, context in sided]),
        own_against_people=rate_of([(own, context) for own, people, context in sided if people < _EVEN]),
        other_against_people=rate_of([(1.0 - own, context) for own, people, context in sided if people > _EVEN]),
    )


def by_author(labelled: Iterable[tuple[JudgedPair, float]]) -> tuple[Author, ...]:
    """Measure how a judge treats the answers of each author, against those of all others, by their names."""
    found: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for one, p_a in labelled:
        if not one.author_a or not one.author_b or one.author_a == one.author_b or one.truth == _EVEN:
            continue
        found[one.author_a].append((agrees(p_a, 1.0), one.side, one.context))
        found[one.author_b].append((agrees(p_a, 0.0), 1.0 - one.side, one.context))
    return tuple(_author(name, found[name]) for name in sorted(found))


def _author(name: str, rows: Sequence[tuple[float, float, str]]) -> Author:
    chosen = some_rate([(own, context) for own, _, context in rows])
    return Author(name, len(rows), chosen, some_rate([(people, context) for _, people, context in rows]))
