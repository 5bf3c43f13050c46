"""What the actors of a stage took: of each engine, and of the run's budget."""

from __future__ import annotations

from collections.abc import Collection

from charter.engines.spending import Budget, Spending
from charter.engines.usage import Usage
from charter.scale.member import Member
from charter.scale.stand_ins import EngineName


class Accounts:
    """The accounts of a stage.

    Args:
        spending: what calls to servers came to in the run.
    """

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self._names: dict[int, EngineName] = {}
        self._gone: dict[int, Usage] = {}
        self._counted: dict[int, Usage] = {}

    def open(self, name: EngineName) -> None:
        """Begin an engine's account."""
        self._names[name.number] = name

    def keep(self, member: Member) -> None:
        """Keep what an actor that was lost took, as far as it had told."""
        for number, used in member.usage.items():
            self._gone[number] = self._gone.get(number, Usage()) + used

    def usage_of(self, name: EngineName, members: Collection[Member]) -> Usage:
        """Say what these actors, and those that were lost, took of an engine, as far as they have told."""
        told = [member.usage.get(name.number, Usage()) for member in members]
        return sum(told, self._gone.get(name.number, Usage()))

    def count(self, members: Collection[Member]) -> None:
        """Count for the run what calls to servers came to since this was last done."""
        for number, name in self._names.items():
            if name.spec.engine == "http":
                now, before = self.usage_of(name, members), self._counted.get(number, Usage())
                self._counted[number] = now
                _count(self._spending, name, now, before)

    def left_of(self, member: Member) -> Budget:
        """Say what is left of an actor's part of the budget, as far as it has told."""
        spent = Spending(self._spending.prices)
        for number, used in member.usage.items():
            if number in self._names and self._names[number].spec.engine == "http":
                _count(spent, self._names[number], used, Usage())
        return member.budget.divide(spent, Spending(), 1, member.budget.part)


def _count(spending: Spending, name: EngineName, now: Usage, before: Usage) -> None:
    spending.count(
        name.spec.label,
        now.total.n_prompt_tokens - before.total.n_prompt_tokens,
        now.total.n_completion_tokens - before.total.n_completion_tokens,
        now.n_prompt_tokens_from_prefix - before.n_prompt_tokens_from_prefix,
    )
