"""What the actors of a run took: each on its own account, under the name of its journal, and all on the run's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from charter.engines.specs import ModelSpec
from charter.engines.spending import Budget, Spending
from charter.engines.usage import Usage
from charter.journal.store import Journal
from charter.runs.spent import money_of
from charter.runs.tally import Tally
from charter.scale.member import Member
from charter.scale.stand_ins import EngineName

_KEEP_SECONDS = 1.0


class Accounts:
    """The accounts of actors.

    An actor keeps in its own journal what it took, which goes into the run's with that journal, under its name. What it
    has told before then stands in the run's under that name too, and is replaced: so nothing is counted twice.

    Args:
        spending: what calls to servers came to in the run.
        journal: of the run.
        on_retry: told of each try of a call that failed.
    """

    def __init__(self, spending: Spending, journal: Journal, on_retry: Callable[[str], None] | None = None) -> None:
        self._spending = spending
        self._journal = journal
        self._on_retry = on_retry
        self._specs: dict[str, ModelSpec] = {}
        self._took: dict[str, Mapping[str, Usage]] = {}
        self._unkept: set[str] = set()
        self._kept_at = 0.0

    def open(self, name: EngineName) -> None:
        """Note a model that is asked from now on."""
        self._specs[name.called] = name.spec

    def hear(self, members: Iterable[Member]) -> None:
        """Count what actors took, as far as they have told."""
        for member in members:
            if self._took.get(member.source) is not member.told.usage:
                self.settle(member.source, member.told.usage)

    def settle(self, source: str, usage: Mapping[str, Usage]) -> None:
        """Count what an actor took in all, by its journal's name; where that is not known, what it told is left."""
        before = self._took.get(source, {})
        if usage:
            self._took[source] = usage
            self._unkept.add(source)
            for label, now in usage.items():
                if now != before.get(label):
                    self._count(self._spending, label, now, before.get(label, Usage()))
                    self._tell_failed(label, now, before.get(label, Usage()))

    def keep(self, stage: str, *, at_once: bool = False) -> None:
        """Keep in the run's journal what was told of a stage, now and then, for whoever looks at the run meanwhile."""
        if self._unkept and (at_once or time.monotonic() - self._kept_at >= _KEEP_SECONDS):
            self._journal.keep_taken(stage, {source: self._tally(self._took[source]) for source in self._unkept})
            self._unkept.clear()
            self._kept_at = time.monotonic()

    def close(self) -> None:
        """Keep nothing more of what was told: the journals were taken in."""
        self._unkept.clear()

    def left_of(self, part: Budget, sources: Iterable[str]) -> Budget:
        """Say what actors, by the names of their journals, have left of a part of the budget."""
        spent = Spending(self._spending.prices)
        for source in sources:
            for label, used in self._took.get(source, {}).items():
                self._count(spent, label, used, Usage())
        return part.divide(spent, Spending(), 1, part.part)

    def _tell_failed(self, label: str, now: Usage, before: Usage) -> None:
        if self._on_retry is not None:
            for cause in (Counter(now.failed_tries) - Counter(before.failed_tries)).elements():
                self._on_retry(f"{label}: a try of an actor's call failed: {cause}")

    def _count(self, spending: Spending, label: str, now: Usage, before: Usage) -> None:
        if label in self._specs and self._specs[label].engine == "http":
            spending.count(
                label,
                now.total.n_prompt_tokens - before.total.n_prompt_tokens,
                now.total.n_completion_tokens - before.total.n_completion_tokens,
                now.n_prompt_tokens_from_prefix - before.n_prompt_tokens_from_prefix,
            )

    def _tally(self, usage: Mapping[str, Usage]) -> str:
        return Tally(usage=dict(usage), money=money_of(self._specs.values(), self._spending, usage)).to_json()
