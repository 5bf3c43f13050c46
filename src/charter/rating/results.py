"""What ratings come to: win rates and ratings of models, what raters are worth, and what position and length did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from charter.evaluation.head_to_head import Game, Met, every_met, rate
from charter.evaluation.head_to_head import Rating as Rated
from charter.prompts.grouping import prompt_groups
from charter.rating.agreement import Together, between_raters, krippendorff, people_say, with_judge
from charter.rating.items import Item
from charter.rating.records import Rating, standing
from charter.records import Comparison
from charter.statistics import Interval, rate_of, statistic_interval


@dataclass(frozen=True)
class Rater:
    """One rater.

    Attributes:
        name: as they gave it.
        n: items that they compared.
        n_ties: of these, those without a preference.
        n_skipped: items that they left out.
        gold: the share of items with a known answer on which they gave it, ties being wrong; None without any.
        left: the share of preferences for what stood first; a half is no bias.
        seconds: the median time that answers were in view, of all compared items, gold among them.
    """

    name: str
    n: int
    n_ties: int
    n_skipped: int
    gold: Interval | None
    left: Interval | None
    seconds: Interval | None


@dataclass(frozen=True)
class Side:
    """What prompts of one kind, or all of them, come to.

    Attributes:
        n: ratings, of any number of raters.
        met: every pair that has one, from both sides.
        ratings: of the models, above the anchor's; none of all prompts where these are of several kinds, for to be
            harmless and to be helpful are two scales.
        longer_wins: how often the longer answer wins, ties a half.
    """

    n: int
    met: tuple[Met, ...]
    ratings: tuple[Rated, ...]
    longer_wins: Interval | None


@dataclass(frozen=True)
class Results:
    """All that ratings come to.

    Attributes:
        anchor: the model that ratings are measured from.
        names: of the models.
        sides: all prompts as ``all``, and each kind where there are several.
        raters: in the order of their first record.
        agreement: of every two raters.
        alpha: Krippendorff's, of all raters together; None where no item has two ratings.
        judge: what most raters say, beside the run's judge; None where there is none.
        left: the share of all preferences for what stood first.
        questions: that raters were asked.
        n_items: items of the models that somebody rated, of which ``n_rated`` were compared.
        n_gone: ratings of what is none of the items, such as answers that were made anew, or those of other models.
    """

    anchor: str
    names: tuple[str, ...]
    sides: Mapping[str, Side]
    raters: tuple[Rater, ...]
    agreement: tuple[Together, ...]
    alpha: Interval | None
    judge: Together | None
    left: Interval | None
    questions: tuple[str, ...]
    n_items: int
    n_rated: int
    n_gone: int


def assess(
    items: Sequence[Item],
    names: Sequence[str],
    by_rater: Mapping[str, Sequence[Rating]],
    comparisons: Iterable[Comparison] = (),
    *,
    seed: int = 0,
) -> Results:
    """Say what ratings come to; all intervals are of 95 %, and take groups of prompts whole.

    Several raters of one item hang together as its prompt does.

    Args:
        items: of the source, without gold.
        names: of the models; the first is the anchor.
        by_rater: everybody's records in their order.
        comparisons: of the same answers by a judge.
        seed: of the resamples.
    """
    known = {item.id: item for item in items}
    stands = {rater: standing(own) for rater, own in by_rater.items()}
    kept = {
        rater: {name: one for name, one in own.items() if name in known and one.win is not None}
        for rater, own in stands.items()
    }
    every = [one for own in kept.values() for one in own.values()]
    groups = prompt_groups(item.match.prompt for item in items)
    said = people_say(every)
    met = {known[name].who for own in stands.values() for name in own if name in known}
    raters = tuple(_rater(rater, own.values(), known, groups) for rater, own in stands.items())
    return Results(
        anchor=names[0],
        names=tuple(names),
        sides=_sides(every, known, groups, names, seed),
        raters=raters,
        agreement=between_raters(kept, groups),
        alpha=krippendorff(kept, groups),
        judge=with_judge(items, said, comparisons, groups),
        left=_left(every, groups),
        questions=tuple(dict.fromkeys(one.question for one in every)),
        n_items=sum(item.who in met for item in items),
        n_rated=len(said),
        n_gone=sum(one.gold is None and one.item not in known for own in stands.values() for one in own.values()),
    )


def _sides(
    ratings: Sequence[Rating], known: Mapping[str, Item], groups: Mapping[str, str], names: Sequence[str], seed: int
) -> dict[str, Side]:
    kinds: list[str] = list(dict.fromkeys(item.match.prompt.kind for item in known.values()))
    games = {kind: _games(ratings, known, groups, kind) for kind in kinds}
    every = [game for kind in kinds for game in games[kind]]
    if len(kinds) == 1:
        return {"all": _side(every, names, rate(every, names, anchor=names[0], seed=seed))} if every else {}
    parts = {
        kind: _side(own, names, rate(own, names, anchor=names[0], seed=seed)) for kind, own in games.items() if own
    }
    return {"all": _side(every, names, ()), **parts} if every else {}


def _side(games: Sequence[Game], names: Sequence[str], ratings: tuple[Rated, ...]) -> Side:
    longer = [(game.win if game.n_longer > 0 else 1.0 - game.win, game.group) for game in games if game.n_longer]
    return Side(len(games), every_met(games, names), ratings, rate_of(longer))


def _games(ratings: Iterable[Rating], known: Mapping[str, Item], groups: Mapping[str, str], kind: str) -> list[Game]:
    """Give the games of prompts of one kind, one a rating."""
    told = [(one.win, known[one.item].match) for one in ratings]
    return [
        Game(match.model, match.base, win, len(match.answer) - len(match.base_answer), groups[match.prompt.id])
        for win, match in told
        if win is not None and match.prompt.kind == kind
    ]


def _rater(name: str, own: Iterable[Rating], known: Mapping[str, Item], groups: Mapping[str, str]) -> Rater:
    own = list(own)
    told = [one for one in own if one.win is not None]
    kept = [one for one in told if one.item in known]
    seconds = [(one.seconds, groups.get(one.prompt, one.prompt)) for one in told if one.seconds is not None]
    return Rater(
        name=name,
        n=len(kept),
        n_ties=sum(one.choice == "tie" for one in kept),
        n_skipped=sum(one.choice == "skip" and one.item in known for one in own),
        gold=rate_of([(float(one.choice == one.gold), one.prompt) for one in told if one.gold is not None]),
        left=_left(kept, groups),
        seconds=_median(seconds),
    )


def _left(ratings: Iterable[Rating], groups: Mapping[str, str]) -> Interval | None:
    return rate_of([(float(one.choice == one.left), groups[one.prompt]) for one in ratings if one.choice != "tie"])


def _median(told: Sequence[tuple[float, str]]) -> Interval | None:
    """Bound the median of seconds over groups of prompts."""
    if not told:
        return None
    seconds = np.array([value for value, _ in told])
    return statistic_interval(
        lambda rows: float(median(seconds[rows])), len(seconds), groups=[group for _, group in told], n_resamples=1000
    )
