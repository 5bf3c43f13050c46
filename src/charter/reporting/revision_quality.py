"""What critique and revision did to responses, by round and by principle. Pure: traces in, figures out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from charter.records import Round, Trace
from charter.statistics import Interval, rate_interval

#: What rounds are put together by.
KeyT = TypeVar("KeyT", int, str, tuple[str, int])


@dataclass(frozen=True)
class Revised:
    """One round of a trace: whose prompt, the text before, and the round."""

    prompt: str
    before: str
    round: Round

    @property
    def changed(self) -> bool:
        """Whether the revision is another text."""
        return self.round.revision.strip() != self.before.strip()


@dataclass(frozen=True)
class RevisionQuality:
    """Some rounds.

    Attributes:
        n: of them.
        changed: the share whose revision is another text.
        words: of those, the mean of how many words are other ones (see ``word_change``); None where there are none.
        confirmed: the share that the judge found better than what they replaced, of those that it said anything of;
            None where it was not asked, or could not be read.
        n_checked: how many it was asked about; ``n_invalid`` of those it said nothing of that can be read.
        p_better: the mean of its probabilities.
    """

    n: int
    changed: Interval
    words: float | None
    confirmed: Interval | None
    n_checked: int
    n_invalid: int
    p_better: float | None


def all_rounds(traces: Iterable[Trace]) -> list[Revised]:
    """Give every round of every trace."""
    found = []
    for trace in traces:
        before = trace.initial
        for one in trace.rounds:
            found.append(Revised(trace.prompt.id, before, one))
            before = one.revision
    return found


def by_round(rounds: Iterable[Revised]) -> dict[int, RevisionQuality]:
    """Measure the rounds of each number."""
    return _measured(rounds, lambda one: one.number)


def by_principle(rounds: Iterable[Revised]) -> dict[str, RevisionQuality]:
    """Measure the rounds of each principle."""
    return _measured(rounds, lambda one: one.principle)


def by_principle_and_round(rounds: Iterable[Revised]) -> dict[tuple[str, int], RevisionQuality]:
    """Measure the rounds of each principle and number."""
    return _measured(rounds, lambda one: (one.principle, one.number))


def word_change(before: str, after: str) -> float:
    """Say how far two texts differ in their words, whatever the order: 0 the same words, 1 none in common.

    One minus twice the words in common, by the words of both (Dice 1945, Ecology 26(3)).
    """
    old, new = Counter(before.split()), Counter(after.split())
    n_all = old.total() + new.total()
    return 1.0 - 2 * (old & new).total() / n_all if n_all else 0.0


def _measured(rounds: Iterable[Revised], key: Callable[[Round], KeyT]) -> dict[KeyT, RevisionQuality]:
    groups: dict[KeyT, list[Revised]] = defaultdict(list)
    for one in rounds:
        groups[key(one.round)].append(one)
    return {name: _quality(groups[name]) for name in sorted(groups)}


def _quality(rounds: Sequence[Revised]) -> RevisionQuality:
    words = [word_change(one.before, one.round.revision) for one in rounds if one.changed]
    checked = [one for one in rounds if one.round.verdicts]
    read = [(one, one.round.p_better) for one in checked if one.round.p_better is not None]
    return RevisionQuality(
        n=len(rounds),
        changed=rate_interval([one.changed for one in rounds], groups=[one.prompt for one in rounds]),
        words=fmean(words) if words else None,
        confirmed=rate_interval([bool(one.round.confirmed) for one, _ in read], groups=[one.prompt for one, _ in read])
        if read
        else None,
        n_checked=len(checked),
        n_invalid=len(checked) - len(read),
        p_better=fmean(p for _, p in read) if read else None,
    )
