"""What calls to servers come to, in tokens and money, and where that ends.

A call is held at the most that it can come to before it is made, so that all of those under way together stay within
the budget, and counted at what it took once it is answered.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from charter.errors import BudgetSpent, ModelError

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """What a model's tokens cost, per million; ``cached`` are those of prompts that the server had read before."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None

    def of(self, n_prompt: int, n_completion: int, n_cached: int = 0) -> float:
        """Add up what tokens cost."""
        cached = self.prompt if self.cached is None else self.cached
        return ((n_prompt - n_cached) * self.prompt + n_cached * cached + n_completion * self.completion) / _MILLION


@dataclass(frozen=True)
class Budget:
    """The most that calls may come to over a whole run; None sets no end.

    ``part`` says of a part of a run's budget what it is a part of.
    """

    money: float | None = None
    tokens: int | None = None
    part: str = ""

    def divide(self, spent: Spending, own: Spending, n: int, part: str, since: Sequence[Spending] = ()) -> Budget:
        """Give one of ``n`` equal parts of what is left once so much is ``spent``, and what of that was its own.

        ``since`` is what of the parts was spent after that; where it is more than a part, the others' become smaller.
        """
        money = None if self.money is None else _part(self.money - spent.money, [one.money for one in since], n)
        tokens = None if self.tokens is None else _part(self.tokens - spent.tokens, [one.tokens for one in since], n)
        return Budget(
            None if money is None else own.money + money, None if tokens is None else own.tokens + int(tokens), part
        )


def _part(left: float, since: Sequence[float], n: int) -> float:
    """Say how much each of ``n`` may spend, where some have spent already: those who spent more get no more."""
    for one in sorted(since, reverse=True):
        if n == 0 or one * n <= left:
            break
        left, n = left - one, n - 1
    return max(left, 0.0) / n if n else 0.0


@dataclass
class _Call:
    """One call: held at the most, then counted."""

    money: float
    tokens: int


@dataclass
class Spending:
    """What was spent, and what is held for calls under way. Safe to use from several threads.

    Args:
        prices: by model; one without a price costs nothing that is known.
        budget: where it ends.
        money: spent before.
        tokens: taken before.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    money: float = 0.0
    tokens: int = 0

    def __post_init__(self) -> None:
        self._held = _Call(0.0, 0)
        self._lock = threading.Lock()

    def require_price(self, model: str) -> None:
        """Check that a model has a price, where money has an end.

        Raises:
            ModelError: where it has none.
        """
        if self.budget.money is not None and model not in self.prices:
            raise ModelError(
                f"budget.money is {self.budget.money:g}, and {model!r} has no price; put it into the file of prices "
                "(budget.prices), 0 where it costs nothing"
            )

    def count(self, model: str, n_prompt: int, n_completion: int, n_cached: int = 0) -> None:
        """Count tokens that were taken."""
        price = self.prices.get(model, Price())
        with self._lock:
            self.money += price.of(n_prompt, n_completion, n_cached)
            self.tokens += n_prompt + n_completion

    @contextlib.contextmanager
    def hold(self, model: str, n_prompt: int, n_completion: int) -> Iterator[Counting]:
        """Hold what a call can come to at most, for as long as it is under way.

        Raises:
            BudgetSpent: where that would go beyond the budget.
        """
        price = self.prices.get(model, Price())
        most = _Call(price.of(n_prompt, n_completion), n_prompt + n_completion)
        with self._lock:
            self._require_room(most)
            self._held.money += most.money
            self._held.tokens += most.tokens
        counting = Counting()
        try:
            yield counting
        finally:
            with self._lock:
                self._held.money -= most.money
                self._held.tokens -= most.tokens
            self.count(model, counting.n_prompt, counting.n_completion, counting.n_cached)

    def _require_room(self, most: _Call) -> None:
        money, tokens, part = self.budget.money, self.budget.tokens, self.budget.part
        if money is not None and self.money + self._held.money + most.money > money:
            spent = f"{self.money:.4g} are spent and {self._held.money:.4g} held for calls under way"
            raise BudgetSpent(_message("budget.money", f"{money:g}{part}", spent, f"{most.money:.2g}"))
        if tokens is not None and self.tokens + self._held.tokens + most.tokens > tokens:
            spent = f"{self.tokens:,} are taken and {self._held.tokens:,} held for calls under way"
            raise BudgetSpent(_message("budget.tokens", f"{tokens:,}{part}", spent, f"{most.tokens:,}"))


@dataclass
class Counting:
    """What a call took: set once it is answered, 0 where it failed."""

    n_prompt: int = 0
    n_completion: int = 0
    n_cached: int = 0

    def took(self, n_prompt: int, n_completion: int, n_cached: int = 0) -> None:
        """Note what the server counted."""
        self.n_prompt, self.n_completion, self.n_cached = n_prompt, n_completion, n_cached


def _message(key: str, limit: str, spent: str, more: str) -> str:
    return (
        f"{key} is {limit}: {spent}, and the next call may take {more}. Raise {key} and run the same command again; "
        "what was recorded is kept."
    )
