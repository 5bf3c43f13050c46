"""What preferences are about, and what their labels say: prompts and their kinds, certainty, votes, intentions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from charter.evaluation.preference_data.rows import PreferenceData
from charter.evaluation.shares import Share, shares_of
from charter.feedback.influence import votes_on
from charter.feedback.settling import is_tie
from charter.feedback.votes import TIE_WIDTH
from charter.records import Preference
from charter.statistics import TIE, Interval, mean_interval, rate_of, some_rate

_EVEN = 0.5
_BIN = 0.1  # of p_chosen
_BINS = tuple(f"{_EVEN + _BIN * place:.1f} to {_EVEN + _BIN * (place + 1):.1f}" for place in range(5))
_PARTS: Mapping[str, Callable[[Preference], str]] = {
    "kind": lambda row: row.prompt.kind,
    "category": lambda row: row.prompt.category,
    "principle": lambda row: row.prompt.principle,
    "pair source": lambda row: row.source,
}
UNNAMED = "none"


@dataclass(frozen=True)
class Coverage:
    """What pairs are about.

    Attributes:
        n: pairs.
        n_prompts: that they are to.
        n_groups: of prompts that hang together.
        most_pairs: the most of any prompt.
        parts: by what the prompts or pairs say of themselves (kind, category, principle, pair source), each name's
            share of the pairs, the largest first; only what any pair says.
    """

    n: int
    n_prompts: int
    n_groups: int
    most_pairs: int
    parts: Mapping[str, Mapping[str, Share]]


@dataclass(frozen=True)
class PrincipleVotes:
    """A principle's votes: how many pairs it voted on, their share of all votes, and how often it sides with the label.

    Votes of a half side with it by a half; labels that are ties are left out, and ``sides`` is None of none other.
    """

    n: int
    share: Interval
    sides: Interval | None


@dataclass(frozen=True)
class LabelFigures:
    """What labels say.

    Attributes:
        bins: of ``p_chosen``, each with its share of the pairs; the last one has 1.
        ties: labels that prefer neither side.
        p_chosen: its mean.
        are_hard: whether every label is certain, as those of people are.
        intended: of pairs whose source means one side to be better, how often the judge alone prefers that; None where
            nothing says it.
        principles: that voted, by id, the most frequent first; none of people.
    """

    bins: Mapping[str, Share]
    ties: Share
    p_chosen: Interval
    are_hard: bool
    intended: Interval | None
    principles: Mapping[str, PrincipleVotes]


def measure_coverage(data: PreferenceData) -> Coverage:
    """Count what pairs are about."""
    said = {name: [read(row) or UNNAMED for row in data.rows] for name, read in _PARTS.items()}
    return Coverage(
        n=len(data.rows),
        n_prompts=len({row.prompt.id for row in data.rows}),
        n_groups=len(set(data.groups)),
        most_pairs=max(Counter(row.prompt.id for row in data.rows).values()),
        parts={
            name: shares_of(values, [value for value, _ in Counter(values).most_common()], data.groups)
            for name, values in said.items()
            if set(values) != {UNNAMED}
        },
    )


def measure_labels(data: PreferenceData) -> LabelFigures:
    """Measure how sure labels are, whether they keep to what the pairs intend, and whose votes they are made of."""
    intended = [(float(row.agrees), group) for row, group in _grouped(data) if row.agrees is not None]
    return LabelFigures(
        bins=shares_of([_bin(row.p_chosen) for row in data.rows], _BINS, data.groups),
        ties=shares_of([is_tie(row.p_chosen) for row in data.rows], [True], data.groups)[True],
        p_chosen=mean_interval([row.p_chosen for row in data.rows], groups=data.groups, limits=(_EVEN, 1.0)),
        are_hard=all(row.p_chosen == 1.0 for row in data.rows),
        intended=rate_of(intended),
        principles=_votes(data),
    )


def _grouped(data: PreferenceData) -> list[tuple[Preference, str]]:
    return list(zip(data.rows, data.groups, strict=True))


def _bin(p_chosen: float) -> str:
    # Of 0.6 less a half a tenth is a little less than one.
    return _BINS[min(int((p_chosen - _EVEN + TIE_WIDTH) / _BIN), len(_BINS) - 1)]


def _votes(data: PreferenceData) -> dict[str, PrincipleVotes]:
    voters: list[tuple[str, str]] = []
    sides: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row, group in _grouped(data):
        for vote in votes_on(row):
            voters.append((vote.principle, group))
            if not is_tie(row.p_chosen):
                sides[vote.principle].append((_sides(vote.p_a, row), group))
    return {
        name: PrincipleVotes(n, some_rate([(one == name, group) for one, group in voters]), rate_of(sides[name]))
        for name, n in Counter(name for name, _ in voters).most_common()
    }


def _sides(p_a: float, row: Preference) -> float:
    if is_tie(p_a):
        return TIE
    return float((p_a > _EVEN) == (row.chosen_side == "a"))
