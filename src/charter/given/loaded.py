"""What became of the rows of a file: those that are kept, and each of the others with its place and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from charter.records import Pair, SftRow, Trace

UNDECIDED = "no side is said to be better"
DUPLICATE = "exact duplicate"
EQUAL_SIDES = "the two answers are equal"
LabelsBy = Literal["people", "a judge", "the pairs' sources"]
_LABELS_BY: Mapping[str, LabelsBy] = {
    "native preferences": "a judge",
    "native pairs": "the pairs' sources",
}


class RejectedRowError(ValueError):
    """A row cannot be used; the message is the reason, which many rows may share."""


@dataclass(frozen=True)
class Noted:
    """A row's place, and what is to be said of it."""

    place: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A file that was read: every row is kept, or among those ``left_out``.

    ``layout`` is how it was understood. ``mended`` names kept rows that are not as the file has them, and why;
    ``doubted`` those that are, and look wrong. ``unused`` are the columns that nothing was taken from. ``places`` says
    where each kept row was read, by its id.
    """

    source: str
    layout: str
    left_out: tuple[Noted, ...] = ()
    mended: tuple[Noted, ...] = ()
    doubted: tuple[Noted, ...] = ()
    unused: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def rejected(self) -> dict[str, int]:
        """How many rows are left out, by reason."""
        return dict(Counter(one.reason for one in self.left_out))


@dataclass(frozen=True, kw_only=True)
class LoadedTraces(Loaded):
    """Traces read from one file (see ``Loaded``)."""

    traces: tuple[Trace, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedSftRows(Loaded):
    """Rows for SFT read from one file (see ``Loaded``)."""

    rows: tuple[SftRow, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedPairs(Loaded):
    """Pairs read from one file (see ``Loaded``), with what it says of them besides, by the pair's id.

    ``reasoning`` is what is said for a choice; ``authors`` which models wrote a and b, empty where it does not say;
    ``p_intended`` the probability that the intended side is the better one.
    """

    pairs: tuple[Pair, ...]
    reasoning: Mapping[str, str] = field(default_factory=dict)
    authors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    p_intended: Mapping[str, float] = field(default_factory=dict)

    @property
    def sided(self) -> tuple[Pair, ...]:
        """The pairs of which it is said which side is better; the others say nothing, not even that they are ties."""
        return tuple(pair for pair in self.pairs if pair.intended is not None)

    @property
    def left_out_or_undecided(self) -> dict[str, int]:
        """How many rows are left out, and how many pairs say no side to be better, by reason."""
        n_undecided = len(self.pairs) - len(self.sided)
        return dict(Counter(self.rejected) + Counter({UNDECIDED: n_undecided}))

    @property
    def labels_by(self) -> LabelsBy:
        """Whose labels these are: our own preferences are a judge's, our own pairs say what their sources intend."""
        return _LABELS_BY.get(self.layout, "people")
