"""What calls cost is counted, and no call begins that could go beyond the budget."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.prices import read_prices
from charter.engines.spending import Budget, Price, Spending
from charter.errors import BudgetSpent, ModelError, RecipeError

PRICES = {"m": Price(prompt=1.0, completion=10.0, cached=0.5)}


def test_what_was_taken_is_counted() -> None:
    """Prompt, cached prompt and completion tokens each at their price, per million."""
    spending = Spending(PRICES)
    with spending.hold("m", 100, 100) as counting:
        counting.took(60, 20, 40)
    assert spending.money == pytest.approx((20 * 1.0 + 40 * 0.5 + 20 * 10.0) / 1e6)
    assert spending.tokens == 80
    assert Price(2.0, 0.0).of(10, 0, 10) == pytest.approx(20 / 1e6), "without a price of their own they cost the same"


def test_a_failed_call_counts_nothing_and_holds_nothing() -> None:
    """What was held for it is free again."""
    spending = Spending(budget=Budget(tokens=100))
    with pytest.raises(ValueError, match="broken"), spending.hold("m", 60, 40):
        raise ValueError("broken")
    assert spending.tokens == 0
    with spending.hold("m", 60, 40):
        pass


def test_a_call_that_could_go_beyond_does_not_begin() -> None:
    """Counted with those under way, each at the most that it can come to; the message says what to do."""
    spending = Spending(PRICES, Budget(money=0.002))
    with spending.hold("m", 500, 100), pytest.raises(BudgetSpent) as error, spending.hold("m", 500, 100):
        pass
    assert str(error.value).startswith("budget.money is 0.002: 0 are spent and 0.0015 held for calls under way")
    assert str(error.value).endswith("Raise budget.money and run the same command again; what was recorded is kept.")
    with pytest.raises(BudgetSpent, match=r"budget\.tokens is 1,000: 900 are taken and 0 held .* may take 101"):
        Spending(budget=Budget(tokens=1000), tokens=900).hold("m", 100, 1).__enter__()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0.0, 1.0)), max_size=40))
def test_the_end_is_never_passed(calls: list[tuple[int, int, float]]) -> None:
    """Whatever calls come to of what was held for them."""
    spending = Spending(budget=Budget(tokens=500))
    for n_prompt, n_completion, share in calls:
        try:
            with spending.hold("m", n_prompt, n_completion) as counting:
                counting.took(n_prompt, int(n_completion * share))
        except BudgetSpent:
            assert spending.tokens + n_prompt + n_completion > 500
        assert spending.tokens <= 500


def test_calls_of_many_threads_add_up() -> None:
    """No count is lost."""
    spending = Spending(PRICES)

    def call() -> None:
        for _ in range(500):
            with spending.hold("m", 1, 1) as counting:
                counting.took(1, 1)

    threads = [threading.Thread(target=call) for _ in range(4)]
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
