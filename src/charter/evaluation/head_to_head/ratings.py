"""Ratings of models by who beats whom: Bradley-Terry and Elo, computed by evalica. Pure, and seeded.

Both are in Elo points, in which 400 are odds of ten to one. Bradley-Terry takes all games at once and is the one to go
by; Elo goes through them one after another, so that its result depends on their order and on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.evaluation.head_to_head.games import Game, Table, draw_groups, joined_to, make_table
from charter.statistics import ANY_NUMBER, Interval
from charter.statistics.resampling import Floats, bootstrap_bounds, n_groups_of

#: Ties that every pair which met is given beside its games, so that who always wins has a rating too. One tie is half a
#: win to each side, which for two models is Jeffreys' prior.
PRIOR_TIES = 1.0
POINTS = 400.0  # for odds of ten to one
START, K = 1000.0, 32.0  # of Elo: where all begin, and the most points that a game moves
N_ORDERS = 100  # of the games that Elo is averaged over
N_RESAMPLES = 1000
_TOLERANCE, _MOST_STEPS = 1e-9, 10_000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rating:
    """A model's ratings, as points above those of the anchor, which has 0 and no interval."""

    name: str
    bradley_terry: Interval
    elo: Interval


def rate(
    games: Sequence[Game], names: Sequence[str], *, anchor: str, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> tuple[Rating, ...]:
    """Rate models by their games, with 95 % intervals by the bootstrap over whole groups of prompts.

    Models that no games join to the anchor have no place on its scale, and no rating.

    Args:
        games: between models, of any number.
        names: of the models, in the order of the result.
        anchor: the model that the others are held against.
        n_resamples: how many resamples are drawn.
        seed: of the draws, and of the orders in which Elo goes through the games.

    Returns:
        The ratings; a model's ``n`` are its games, and ``n_groups`` the groups of prompts behind the resamples.
    """
    joined = joined_to(anchor, games)
    rated = [name for name in names if name in joined]
    table = make_table(rated, [game for game in games if game.model in joined])
    if table.n_groups == 0:
        return ()
    place = rated.index(anchor)
    counts = draw_groups(table.n_groups, n_resamples, seed)
    points = table.points()
    met = (points + points.T) > 0  # of a resample too, in which a pair may have no game
    strengths = _above(bradley_terry(points, met), place)
    resampled = _above(np.array([bradley_terry(drawn, met) for drawn in table.points(counts)]), place)
    orders = np.random.default_rng([seed, 1])
    elos = _above(np.mean([elo(table, orders.permutation(len(table.win))) for _ in range(N_ORDERS)], axis=0), place)
    redrawn = _above(np.array([elo(table, orders.permutation(_taken(table, count))) for count in counts]), place)
    n_games = np.bincount(np.concatenate([table.first, table.second]), minlength=len(rated))
    return tuple(
        Rating(
            name,
            _interval(float(strengths[at]), resampled[:, at], int(n_games[at]), table.n_groups),
            _interval(float(elos[at]), redrawn[:, at], int(n_games[at]), table.n_groups),
        )
        for at, name in enumerate(rated)
    )


def bradley_terry(points: Floats, met: NDArray[np.bool_], *, prior_ties: float = PRIOR_TIES) -> Floats:
    """Fit the strengths under which ``P(i beats j) = 1 / (1 + 10^((r_j - r_i) / 400))``, with mean 0, in Elo points.

    The maximum of the likelihood, each pair that met having tied ``prior_ties`` times more: a model that won all of its
    games has a finite rating, which grows with their number. Sources: Bradley and Terry 1952, Biometrika 39; the
    iteration, Newman 2023, J. Mach. Learn. Res. 24.

    Args:
        points: what each model (row) won against each other (column), ties a half to both.
        met: which pairs did, (models, models); they join all models to each other.
        prior_ties: of each of these; 0 for none, where every model has both won and lost.
    """
    import evalica

    won = points + met * prior_ties / 2
    rows, columns = np.nonzero(won)
    found = evalica.bradley_terry(
        rows.tolist(),
        columns.tolist(),
        [evalica.Winner.X] * len(rows),
        weights=won[rows, columns].tolist(),
        tolerance=_TOLERANCE,
        limit=_MOST_STEPS,
    )
    logs: Floats = POINTS * np.log10(found.scores.reindex(range(len(points))).to_numpy())
    centred: Floats = logs - logs.mean()
    return centred


def elo(table: Table, order: NDArray[np.int64]) -> Floats:
    """Give the ratings after games in an order: each moves both sides by ``K (outcome - expected)``, from 1000 on.

    Args:
        table: the games.
        order: the numbers of those that are played, one after another.
    """
    import evalica

    winners = np.where(
        table.win == 0.5, evalica.Winner.Draw, np.where(table.win > 0.5, evalica.Winner.X, evalica.Winner.Y)
    )
    found = evalica.elo(
        table.first[order].tolist(),
        table.second[order].tolist(),
        winners[order].tolist(),
        initial=START,
        scale=POINTS,
        k=K,
    )
    # who has no game in a resample stays where all began
    scores: Floats = found.scores.reindex(range(len(table.names)), fill_value=START).to_numpy()
    return scores


def _taken(table: Table, count: Floats) -> NDArray[np.int64]:
    """Number the games of a resample, those of a group as often as it is taken."""
    return np.repeat(np.arange(len(table.win)), count[table.group].astype(np.int64))


def _above(ratings: Floats, place: int) -> Floats:
    """Measure ratings, of one or of many resamples, from those at a place."""
    found: Floats = ratings - ratings[..., place : place + 1]
    return found


def _interval(value: float, resampled: Floats, n: int, n_groups: int) -> Interval:
    low, high = bootstrap_bounds(value, resampled, n_groups, _CONFIDENCE, ANY_NUMBER)
    return Interval(value, low, high, n, n_groups_of(n, n_groups))
