"""What calls to servers come to, in tokens and money, and where that ends.

A call is held at the most that it can come to when it is about to be sent, so that all of those under way together stay
within the budget, and counted at what it took once it is answered. One that does not fit beside those under way waits
until they are back; where none is under way, that is the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
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

    @property
    def is_endless(self) -> bool:
        """Whether it sets no end."""
        return self.money is None and self.tokens is None

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
        self._n_held = 0
        self._waiting: deque[tuple[_Call, Future[None]]] = deque()  # from the loops of several engines
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
        with self._lock:
            self._count(model, Taken(n_prompt, n_completion, n_cached))

    @contextlib.asynccontextmanager
    async def hold(
        self, model: str, n_prompt: int, n_completion: int, taken: Taken | None = None
    ) -> AsyncIterator[Taken]:
        """Hold what a call can come to at most, for as long as it is under way; wait until it fits beside others.

        Args:
            model: that is asked.
            n_prompt: tokens that it reads at most.
            n_completion: tokens that it writes at most.
            taken: where it is noted what the call took.

        Raises:
            BudgetSpent: where it would go beyond the budget with no other call under way.
        """
        most = _Call(self._price(model).of(n_prompt, n_completion), n_prompt + n_completion)
        await self._enter(most)
        taken = taken or Taken()
        try:
            yield taken
        finally:
            with self._lock:
                try:
                    self._count(model, taken)
                finally:  # whatever becomes of that, who waits is let in
                    self._give_back(most)

    def _price(self, model: str) -> Price:
        return self.prices.get(model, Price())

    def _count(self, model: str, taken: Taken) -> None:
        self.money += self._price(model).of(taken.n_prompt, taken.n_completion, taken.n_cached)
        self.tokens += taken.n_prompt + taken.n_completion

    async def _enter(self, most: _Call) -> None:
        turn: Future[None] = Future()
        with self._lock:
            self._waiting.append((most, turn))
            self._let_in()
        try:
            await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            with self._lock:
                if turn.cancel() or turn.exception() is not None:  # else it was let in while it was called off
                    self._let_in()
                else:
                    self._give_back(most)
            raise

    def _let_in(self) -> None:
        """Let calls in by their order, as far as they fit; where none is under way refuse them all."""
        spent: BudgetSpent | None = None
        while self._waiting:
            most, turn = self._waiting[0]
            refusal = None if turn.cancelled() else self._refusal(most)
            if refusal is not None and self._n_held:
                return
            spent = refusal or spent
            self._waiting.popleft()
            if not turn.set_running_or_notify_cancel():
                continue
            if spent is not None:
                turn.set_exception(spent)
                continue
            self._held.money += most.money
            self._held.tokens += most.tokens
            self._n_held += 1
            turn.set_result(None)

    def _give_back(self, most: _Call) -> None:
        self._n_held -= 1
        self._held.money = self._held.money - most.money if self._n_held else 0.0  # sums of fractions leave a rest
        self._held.tokens -= most.tokens
        self._let_in()

    def _refusal(self, most: _Call) -> BudgetSpent | None:
        money, tokens, part = self.budget.money, self.budget.tokens, self.budget.part
        if money is not None and self.money + self._held.money + most.money > money:
            return BudgetSpent(_message("budget.money", f"{money:g}{part}", f"{self.money:.4g}", f"{most.money:.2g}"))
        if tokens is not None and self.tokens + self._held.tokens + most.tokens > tokens:
            return BudgetSpent(_message("budget.tokens", f"{tokens:,}{part}", f"{self.tokens:,}", f"{most.tokens:,}"))
        return None


@dataclass
class Taken:
    """What a call took: set once it is answered, 0 where it failed."""

    n_prompt: int = 0
    n_completion: int = 0
    n_cached: int = 0

    def took(self, n_prompt: int, n_completion: int, n_cached: int = 0) -> None:
        """Note what the server counted."""
        self.n_prompt, self.n_completion, self.n_cached = n_prompt, n_completion, n_cached


def _message(key: str, limit: str, spent: str, more: str) -> str:
    return (
        f"{key} is {limit}: {spent} are spent, and the next call may take {more}. Raise {key} and run the same command "
        "again; what was recorded is kept."
    )
