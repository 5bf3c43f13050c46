"""Games: judged matches as numbers, with what each prompt shares with others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.evaluation.head_to_head.matches import Match
from charter.records import Comparison
from charter.statistics.resampling import Floats, group_codes


@dataclass(frozen=True)
class Game:
    """A match with a verdict that could be read.

    Attributes:
        model: who meets.
        base: whom.
        win: 1 where the judge prefers ``model``'s answer, 0 where the other's, a half for a tie.
        n_longer: by how many characters ``model``'s answer is the longer; less than 0 where it is the shorter.
        group: of the prompt (see ``prompts.grouping.prompt_groups``).
    """

    model: str
    base: str
    win: float
    n_longer: int
    group: str

    def seen_from(self, model: str) -> Game:
        """Give the same game with ``model`` as the one who meets."""
        if model == self.model:
            return self
        return Game(self.base, self.model, 1.0 - self.win, -self.n_longer, self.group)


def games_of(matches: Iterable[Match], comparisons: Iterable[Comparison], groups: Mapping[str, str]) -> list[Game]:
    """Give the games of judged matches; those without a verdict that could be read are none.

    Args:
        matches: whose answers were compared.
        comparisons: of some of them.
        groups: of the prompts, by id.
    """
    met = {match.id: match for match in matches}
    return [
        Game(
            one.model, one.base, one.win, len(met[one.id].answer) - len(met[one.id].base_answer), groups[one.prompt.id]
        )
        for one in comparisons
        if one.win is not None
    ]


@dataclass(frozen=True)
class Table:
    """Games as columns, for what is computed again for every resample.

    Attributes:
        names: of the models.
        first: for each game, the place of its model in ``names``.
        second: the place of whom it met.
        win: its outcome.
        group: the number of its group, from 0.
        n_groups: how many there are.
    """

    names: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    win: Floats
    group: NDArray[np.int64]
    n_groups: int

    def points(self, counts: Floats | None = None) -> Floats:
        """Add up what each model (row) won against each other (column); ties give a half to both.

        Args:
            counts: how often each group is taken, for several resamples, as (resamples, groups); None takes each once.

        Returns:
            (models, models), or (resamples, models, models).
        """
        size = len(self.names)
        by_group = np.zeros((self.n_groups, size, size))
        np.add.at(by_group, (self.group, self.first, self.second), self.win)
        np.add.at(by_group, (self.group, self.second, self.first), 1.0 - self.win)
        if counts is None:
            total: Floats = by_group.sum(axis=0)
            return total
        drawn: Floats = np.tensordot(counts, by_group, axes=1)
        return drawn


def make_table(names: Sequence[str], games: Sequence[Game]) -> Table:
    """Put games into columns; each is between two of ``names``."""
    place = {name: number for number, name in enumerate(names)}
    group = group_codes(len(games), [game.group for game in games]) if games else np.zeros(0, dtype=np.int64)
    return Table(
        tuple(names),
        np.array([place[game.model] for game in games], dtype=np.int64),
        np.array([place[game.base] for game in games], dtype=np.int64),
        np.array([game.win for game in games], dtype=np.float64),
        group,
        int(group.max()) + 1 if games else 0,
    )


def draw_groups(n_groups: int, n_resamples: int, seed: int) -> Floats:
    """Draw whole groups with replacement, as many as there are: how often each is taken, as (resamples, groups)."""
    rng = np.random.default_rng(seed)
    counts: Floats = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples).astype(np.float64)
    return counts


def joined_to(anchor: str, games: Iterable[Game]) -> set[str]:
    """Name the models that games join to one, itself among them: those who met it, who met these, and so on."""
    met: dict[str, set[str]] = {}
    for game in games:
        met.setdefault(game.model, set()).add(game.base)
        met.setdefault(game.base, set()).add(game.model)
    found, waiting = {anchor}, [anchor]
    while waiting:
        new = met.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
