"""The accounts of actors, without Ray: what they told, and what their journals say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charter.engines.specs import ModelSpec
from charter.engines.spending import Budget, Price, Spending
from charter.engines.usage import KindUsage, Usage
from charter.journal.store import Journal
from charter.runs.spent import tallies_of
from charter.runs.tally import Tally
from charter.scale.accounts import Accounts
from charter.scale.stand_ins import EngineName
from charter.scale.worker import Told

SERVED, OWN = ModelSpec("served", engine="http"), ModelSpec("own")


def used(n: int) -> dict[str, Usage]:
    """Make what an actor took of a served model, and ten times of that of one of its own."""
    kinds = {"served": KindUsage(n_calls=1, n_prompt_tokens=n), "own": KindUsage(n_calls=1, n_prompt_tokens=10 * n)}
    return {label: Usage(complete=kind) for label, kind in kinds.items()}


def actor(source: str, n: int) -> Any:
    """Make an actor that has told of so many tokens."""
    return SimpleNamespace(source=source, told=Told(1, used(n)))


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    """Give a run's journal."""
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


def test_what_a_lost_actor_had_not_told_is_counted(journal: Journal) -> None:
    """Its journal's count takes the place of what it told: on the run's account, and of its part of the budget."""
    spending = Spending({"served": Price(prompt=1_000_000.0)}, Budget(tokens=100))
    accounts = Accounts(spending, journal)
    for number, spec in enumerate((SERVED, OWN)):
        accounts.open(EngineName(number, spec))
    part = spending.budget.divide(spending, Spending(), 2, " (a part)")
    lost, other = actor("lost", 3), actor("other", 5)
    for _ in range(2):
        accounts.hear([lost, other])
    assert (spending.tokens, spending.money) == (8, 8.0)
    accounts.settle("lost", used(20))
    accounts.settle("other", {})  # of a journal that says nothing
    assert (spending.tokens, spending.money) == (25, 25.0)
    assert accounts.left_of(part, ["lost", "never came"]) == Budget(tokens=30, part=" (a part)")
    assert accounts.left_of(part, []) == part


def test_failed_tries_of_actors_are_told_once_each(journal: Journal) -> None:
    """Whoever watches the run hears of them as of its own."""
    said: list[str] = []
    accounts = Accounts(Spending(), journal, said.append)
    accounts.open(EngineName(0, SERVED))
    for n_refused in (1, 1, 3):
        failed = {"status 429": n_refused, "no answer in time": 1}
        told = Told(1, {"served": Usage(complete=KindUsage(n_calls=n_refused), failed_tries=failed)})
        accounts.hear([SimpleNamespace(source="one", told=told)])  # type: ignore[list-item]  # of a member only this
    refused = "served: a try of an actor's call failed: status 429"
    assert sorted(said) == sorted([refused] * 3 + ["served: a try of an actor's call failed: no answer in time"])


def test_what_was_told_stands_in_the_run_until_it_is_taken_in(journal: Journal) -> None:
    """Whoever looks at the run sees it, and it is not written again once the journals were taken in."""
    accounts = Accounts(Spending({"served": Price(prompt=1.0)}), journal)
    for number, spec in enumerate((SERVED, OWN)):
        accounts.open(EngineName(number, spec))
    accounts.hear([actor("one", 3), actor("two", 4)])
    accounts.keep("revise", at_once=True)
    kept = sum(map(Tally.from_json, tallies_of(journal)), Tally())
    assert {label: usage.total.n_prompt_tokens for label, usage in kept.usage.items()} == {"served": 7, "own": 70}
    assert kept.money == {"served": pytest.approx(7e-6)}
    accounts.settle("one", used(9))
    accounts.close()
    accounts.keep("label", at_once=True)
    assert journal.taken_tallies("label") == {}
    assert list(map(Tally.from_json, tallies_of(journal))) == [
        Tally(usage=used(n), money={"served": n * 1e-6}) for n in (3, 4)
    ]
