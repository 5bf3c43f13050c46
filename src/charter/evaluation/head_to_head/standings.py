"""Standings: everything that the games of several models come to on prompts of one kind. Pure, and seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from statistics import fmean

from charter.evaluation.head_to_head.games import Game, games_of
from charter.evaluation.head_to_head.length_control import length_controlled_rate
from charter.evaluation.head_to_head.matches import Match
from charter.evaluation.head_to_head.ratings import Rating, rate
from charter.feedback.votes import both_orders
from charter.records import Comparison
from charter.statistics import Interval, even_test, holm, rate_of, some_rate

_EVEN = 0.5


@dataclass(frozen=True)
class Met:
    """How two models met.

    Attributes:
        name: of the model that is looked at.
        other: whom it met.
        win_rate: the rate at which it beats the other, ties a half.
        n_ties: games without a winner.
        p_value: of the test of that rate against one half, over the groups of the interval (see
            ``statistics.even_test``); the same from both sides.
        p_adjusted: adjusted for all pairs of models that met beside these (see ``statistics.holm``).
    """

    name: str
    other: str
    win_rate: Interval
    n_ties: int
    p_value: float
    p_adjusted: float


@dataclass(frozen=True)
class Standing:
    """What one model came to.

    Attributes:
        name: of the model.
        rating: by Bradley-Terry and by Elo; None where no games join it to the anchor.
        length_controlled: how often it would beat the anchor at equal length; None of the anchor itself, of a model
            that did not meet it, and where length cannot be told apart from the model.
        n_characters: the mean length of its answers; None where it has none.
    """

    name: str
    rating: Rating | None
    length_controlled: Interval | None
    n_characters: float | None


@dataclass(frozen=True)
class Standings:
    """What all models came to.

    Attributes:
        anchor: the model that ratings are measured from.
        models: in the order in which they were named.
        met: every pair that has a game, from both sides.
        n_prompts: prompts with a match.
        n_comparisons: matches that were judged.
        n_ties: games without a winner, of which ``n_equal`` had equal answers and needed no judge.
        n_invalid: matches without a verdict that could be read, which are in no figure.
        same_position: the share of readings in both orders that pick the same position both times, whatever stands
            there; None where there are none.
        longer_wins: how often the longer answer wins, ties a half; None where all are of one length.
    """

    anchor: str
    models: tuple[Standing, ...]
    met: tuple[Met, ...]
    n_prompts: int
    n_comparisons: int
    n_ties: int
    n_equal: int
    n_invalid: int
    same_position: Interval | None
    longer_wins: Interval | None


def standings(
    matches: Sequence[Match],
    comparisons: Sequence[Comparison],
    names: Sequence[str],
    *,
    anchor: str,
    groups: Mapping[str, str],
    seed: int = 0,
) -> Standings:
    """Say what judged matches come to; all intervals are of 95 %, and take groups of prompts whole.

    Args:
        matches: of models among ``names``.
        comparisons: what the judge said of them.
        names: of the models.
        anchor: the one that others are measured from.
        groups: of the prompts, by id (see ``prompts.grouping.prompt_groups``).
        seed: of the resamples.
    """
    games = games_of(matches, comparisons, groups)
    ratings = {one.name: one for one in rate(games, names, anchor=anchor, seed=seed)}
    longer = [(game.win if game.n_longer > 0 else 1.0 - game.win, game.group) for game in games if game.n_longer]
    read = [(both.picks != "response", groups[both.prompt]) for both in both_orders(comparisons)]
    return Standings(
        anchor=anchor,
        models=tuple(
            Standing(name, ratings.get(name), _controlled(games, name, anchor, seed), _mean_length(matches, name))
            for name in names
        ),
        met=every_met(games, names),
        n_prompts=len({match.prompt.id for match in matches}),
        n_comparisons=len(comparisons),
        n_ties=sum(game.win == _EVEN for game in games),
        n_equal=sum(one.win == _EVEN and not one.verdicts for one in comparisons),
        n_invalid=len(comparisons) - len(games),
        same_position=rate_of(read),
        longer_wins=rate_of(longer),
    )


def every_met(games: Sequence[Game], names: Sequence[str]) -> tuple[Met, ...]:
    """Say how every two models that have a game met, from both sides, p-values adjusted for the number of pairs."""
    tested = {frozenset(pair): _even(own) for pair in combinations(names, 2) if (own := _between(games, *pair))}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return tuple(
        _met(_between(games, *pair), *pair, tested[both], adjusted[both])
        for pair in permutations(names, 2)
        if (both := frozenset(pair)) in tested
    )


def _between(games: Sequence[Game], name: str, other: str) -> list[Game]:
    """Give the games of two models, seen from the first."""
    return [game.seen_from(name) for game in games if {game.model, game.base} == {name, other}]


def _even(own: Sequence[Game]) -> float:
    """Test the games of two models against one half."""
    return even_test([game.win for game in own], groups=[game.group for game in own])[0]


def _met(own: Sequence[Game], name: str, other: str, p_value: float, p_adjusted: float) -> Met:
    n_ties = sum(game.win == _EVEN for game in own)
    return Met(name, other, some_rate([(game.win, game.group) for game in own]), n_ties, p_value, p_adjusted)


def _controlled(games: Sequence[Game], name: str, anchor: str, seed: int) -> Interval | None:
    return None if name == anchor else length_controlled_rate(_between(games, name, anchor), seed=seed)


def _mean_length(matches: Sequence[Match], name: str) -> float | None:
    """Average a model's answers' lengths, each answer once, however many it met."""
    lengths = {match.prompt.id: len(match.answer) for match in matches if match.model == name}
    lengths |= {match.prompt.id: len(match.base_answer) for match in matches if match.base == name}
    return fmean(lengths.values()) if lengths else None
