"""What a run's calls to servers came to so far, over all its sittings, and what it shows of that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from charter.engines.prices import read_prices
from charter.engines.specs import ModelSpec
from charter.engines.spending import Budget, Spending
from charter.engines.usage import Usage
from charter.errors import JournalError
from charter.journal.store import Journal
from charter.progress import Progress
from charter.recipe import Recipe
from charter.runs.place import holder_of
from charter.runs.tally import Tally
from charter.runs.unmerged import BySource, ShardTallies, read_shard_tallies, read_tallies, together


def spending_so_far(recipe: Recipe, specs: Iterable[ModelSpec], tallies: Iterable[str]) -> Spending:
    """Add up what the served models of a run took before, and set the end that its recipe names.

    Args:
        recipe: what is run.
        specs: its models.
        tallies: what each stage took, as a journal keeps it.

    Raises:
        UserError: where the file of prices cannot be read.
    """
    settings = recipe.budget
    spending = Spending(read_prices(settings.prices), Budget(settings.money, settings.tokens))
    served = _served(specs)
    for kept in tallies:
        for model, used in Tally.from_json(kept).usage.items():
            if model in served:
                total = used.total
                spending.count(
                    model, total.n_prompt_tokens, total.n_completion_tokens, used.n_prompt_tokens_from_prefix
                )
    return spending


def spending_in(folder: Path, recipe: Recipe, specs: Iterable[ModelSpec]) -> Spending:
    """Add up what the served models of a run took before, as its folder says it; see ``spending_so_far``.

    Where somebody is at work in it, nothing is known of that: whoever opens the run waits, or is refused.
    """
    tallies: list[str] = []
    if recipe.budget.is_set and (folder / "journal.sqlite").exists() and not holder_of(folder):
        with contextlib.suppress(JournalError):  # as above, and of a damaged one
            own, taken = read_tallies(folder)
            tallies = [*own, *together(taken, read_shard_tallies(folder)).values()]
    return spending_so_far(recipe, specs, tallies)


def tallies_of(journal: Journal, shards: Iterable[ShardTallies] = ()) -> Iterator[str]:
    """Give what each stage of a run took, here, in what was taken in from elsewhere, and in shards not merged yet."""
    taken: BySource = {}
    for stage in journal.tallied():
        own = journal.tally(stage)
        yield from () if own is None else (own,)
        taken |= {(source, stage): kept for source, kept in journal.taken_tallies(stage).items()}
    yield from together(taken, shards).values()


def money_of(specs: Iterable[ModelSpec], spending: Spending, usage: Mapping[str, Usage]) -> dict[str, float]:
    """Say what served models cost, those whose price is known."""
    priced = sorted(model for model in _served(specs) if model in usage and model in spending.prices)
    return {model: _price(spending, model, usage[model]) for model in priced}


def _price(spending: Spending, model: str, used: Usage) -> float:
    total = used.total
    return spending.prices[model].of(total.n_prompt_tokens, total.n_completion_tokens, used.n_prompt_tokens_from_prefix)


def _served(specs: Iterable[ModelSpec]) -> set[str]:
    return {spec.label for spec in specs if spec.engine == "http"}


class SpendingProgress:
    """Progress that says what was spent so far, and what a stage will have come to at its end.

    Args:
        shown: where progress is shown.
        spending: of the run.
    """

    def __init__(self, shown: Progress, spending: Spending) -> None:
        self._shown = shown
        self._spending = spending
        self._begun: dict[str, tuple[int, float]] = {}
        self._n_done: dict[str, int] = {}

    def begin(self, stage: str, total: int, done: int) -> None:
        """Open a bar."""
        self._begun[stage] = (total - done, self._spending.money)
        self._n_done[stage] = 0
        self._shown.begin(stage, total, done)

    def advance(self, stage: str, note: str = "") -> None:
        """Count one row more, with what was spent."""
        self._n_done[stage] += 1
        n_rows, before = self._begun[stage]
        now = self._spending.money
        if not note and now > before:
            in_the_end = before + (now - before) * n_rows / self._n_done[stage]
            note = f"{now:.3g} spent, about {in_the_end:.3g} when this is done"
        self._shown.advance(stage, note)

    def end(self, stage: str) -> None:
        """Close the bar."""
        self._shown.end(stage)
