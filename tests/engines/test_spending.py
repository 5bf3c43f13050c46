"""What calls cost is counted, and no call begins that could go beyond the budget."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.prices import read_prices
from charter.engines.spending import Budget, Price, Spending
from charter.errors import BudgetSpent, ModelError, RecipeError

PRICES = {"m": Price(prompt=1.0, completion=10.0, cached=0.5)}


async def hold(spending: Spending, n_prompt: int, n_completion: int, n_taken: tuple[int, ...] = ()) -> None:
    """Make one call, which takes so much."""
    async with spending.hold("m", n_prompt, n_completion) as counting:
        counting.took(*(n_taken or (n_prompt, n_completion)))


def test_what_was_taken_is_counted() -> None:
    """Prompt, cached prompt and completion tokens each at their price, per million."""
    spending = Spending(PRICES)
    asyncio.run(hold(spending, 100, 100, (60, 20, 40)))
    assert spending.money == pytest.approx((20 * 1.0 + 40 * 0.5 + 20 * 10.0) / 1e6)
    assert spending.tokens == 80
    assert Price(2.0, 0.0).of(10, 0, 10) == pytest.approx(20 / 1e6), "without a price of their own they cost the same"


def test_a_failed_call_counts_nothing_and_holds_nothing() -> None:
    """What was held for it is free again."""
    spending = Spending(budget=Budget(tokens=100))

    async def fail() -> None:
        async with spending.hold("m", 60, 40):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(fail())
    assert spending.tokens == 0
    asyncio.run(hold(spending, 60, 40))
    assert spending.tokens == 100


def test_a_call_that_could_go_beyond_waits_for_those_under_way() -> None:
    """They give back what they did not take, and the calls that wait go in the order in which they came."""
    spending, order = Spending(PRICES, Budget(money=0.002)), []

    async def call(number: int) -> None:
        async with spending.hold("m", 500, 100) as counting:
            order.append(number)
            await asyncio.sleep(0)
            assert len(order) == number + 1, "each holds 0.0015 of 0.002"
            counting.took(20, 10)

    async def run() -> None:
        await asyncio.gather(*map(call, range(4)))

    asyncio.run(run())
    assert order == [0, 1, 2, 3]
    assert spending.money == pytest.approx(4 * 120 / 1e6)


def test_the_end_is_where_none_is_under_way_and_the_next_does_not_fit() -> None:
    """All that wait are refused; the message says what was spent, what the next may take, and what to do."""
    spending = Spending(budget=Budget(tokens=1000), tokens=850)

    async def run() -> list[object]:
        calls = [hold(spending, 100, 0), hold(spending, 100, 1), hold(spending, 1, 0)]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    first, second, third = asyncio.run(run())
    assert first is None
    assert isinstance(second, BudgetSpent)
    assert str(second).startswith("budget.tokens is 1,000: 950 are spent, and the next call may take 101. Raise budget")
    assert str(second).endswith("Raise budget.tokens and run the same command again; what was recorded is kept.")
    assert isinstance(third, BudgetSpent), "it came behind one that was refused"
    with pytest.raises(BudgetSpent, match=r"budget\.money is 0.002: 0 are spent, and the next call may take 0.0025"):
        asyncio.run(hold(Spending(PRICES, Budget(money=0.002)), 500, 200))


def test_who_is_called_off_while_waiting_leaves_the_room_to_others() -> None:
    """Also at the very moment at which it is let in."""
    spending = Spending(budget=Budget(tokens=10))

    async def run() -> None:
        async with spending.hold("m", 10, 0):
            waiting, behind = (asyncio.create_task(hold(spending, 10, 0, (1, 0))) for _ in range(2))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            late = asyncio.create_task(hold(spending, 10, 0, (1, 0)))
            await asyncio.sleep(0)
        behind.cancel()  # it was let in, and has not heard of it
        await asyncio.gather(behind, return_exceptions=True)
        await late

    asyncio.run(asyncio.wait_for(run(), 10.0))
    assert spending.tokens == 1


def test_a_count_that_breaks_lets_in_who_waits() -> None:
    """A number that no price can be put on is the call's own trouble."""
    spending = Spending(PRICES, Budget(money=0.002))

    async def run() -> list[BaseException | None]:
        calls = [hold(spending, 500, 100, (10**400, 1)), hold(spending, 500, 100)]
        return list(await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10.0))

    first, second = asyncio.run(run())
    assert isinstance(first, OverflowError)
    assert second is None
    assert spending.money == pytest.approx(1500 / 1e6)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0.0, 1.0)), max_size=40))
def test_the_end_is_never_passed(calls: list[tuple[int, int, float]]) -> None:
    """Whatever calls come to of what was held for them."""
    spending = Spending(budget=Budget(tokens=500))
    for n_prompt, n_completion, share in calls:
        try:
            asyncio.run(hold(spending, n_prompt, n_completion, (n_prompt, int(n_completion * share))))
        except BudgetSpent:
            assert spending.tokens + n_prompt + n_completion > 500
        assert spending.tokens <= 500


def test_calls_of_many_threads_add_up() -> None:
    """No count is lost, and who waits in one loop is let in from another."""
    spending = Spending(PRICES, Budget(tokens=4001))

    async def call() -> None:
        for _ in range(500):
            await hold(spending, 1, 1)

    threads = [threading.Thread(target=asyncio.run, args=(call(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spending.tokens == 4000
    assert spending.money == pytest.approx(2000 * 11.0 / 1e6)


def test_money_needs_a_price() -> None:
    """Where money has an end a model without a price is refused; 0 is a price."""
    with pytest.raises(ModelError, match=r"'other' has no price; put it into the file of prices"):
        Spending(PRICES, Budget(money=1.0)).require_price("other")
    Spending(PRICES, Budget(money=1.0)).require_price("m")
    Spending(PRICES, Budget(tokens=1)).require_price("other")


def test_prices_are_read(tmp_path: Path) -> None:
    """By model, whole numbers too; what is left out is 0, or costs what the prompt does."""
    file = tmp_path / "prices.yaml"
    file.write_text("gpt-x: {prompt: 1, completion: 2.5, cached: 0.1}\nlocal/m: {prompt: 0}\n", "utf-8")
    assert read_prices(str(file)) == {"gpt-x": Price(1.0, 2.5, 0.1), "local/m": Price()}
    assert read_prices(None) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "expected models with their prices, such as"),
        ("a: 3\n", "prices.yaml:1: 'a' is 3; expected prompt, completion, cached"),
        ("a: {promt: 3}\n", "prices.yaml:1: 'a' is {'promt': 3}; expected prompt"),
        ("a:\n  prompt: -1\n", "prices.yaml:2: 'prompt' is -1; expected a number of 0 or more"),
        ("a: {prompt: true}\n", "'prompt' is True; expected a number"),
        ("a: {prompt: .nan}\n", "'prompt' is nan; expected a number"),
    ],
)
def test_a_wrong_price_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    """With the value and what was expected."""
    file = tmp_path / "prices.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(RecipeError) as error:
        read_prices(str(file))
    assert message in str(error.value)
