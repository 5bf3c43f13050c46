"""What servers ask for a plan, and what ``charter check`` says of prices and of a budget that is too small."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.planning.estimate import Estimator
from charter.planning.findings import Preflight
from charter.planning.preflight import check_recipe
from run_examples import small_recipe

JUDGE = "models.judge={name: dear, engine: http, server: 'http://127.0.0.1:9/v1'}"


def check(folder: Path, prices: str | None, *budget: str) -> Preflight:
    """Check a recipe with a served judge, and these prices."""
    file = folder / "prices.yaml"
    if prices is not None:
        file.write_text(prices, "utf-8")
    return check_recipe(small_recipe(folder, JUDGE, f"budget.prices={file}", *budget), folder / "run")


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (None, "prices.yaml: cannot be read (No such file or directory)"),
        ("dear: {promt: 1}\n", "prices.yaml:1: 'dear' is {'promt': 1}; expected prompt, completion, cached"),
        ("dear: {promt: 1}\n", 'did you mean "prompt"?'),
        ("dear:\n  prompt: ten\n", "prices.yaml:2: 'prompt' is 'ten'; expected a number of 0 or more"),
        ("other: {prompt: 1}\n", "prices.yaml: 'dear' has no price; put it there, such as dear: {prompt: 0.5"),
    ],
)
def test_prices_that_a_run_would_refuse_are_errors(tmp_path: Path, prices: str | None, message: str) -> None:
    """With file, line, value and remedy, before a stage is done."""
    report = check(tmp_path, prices, "budget.money=1")
    (error,) = report.errors
    assert error.about == "budget.prices"
    assert message in error.message


def test_a_price_that_is_missing_is_pointed_out_where_money_has_no_end(tmp_path: Path) -> None:
    """What is spent is shown too low then."""
    report = check(tmp_path, "other: {prompt: 1}\n")
    assert not report.errors
    assert ["'dear' has no price" in one.message for one in report.findings if one.about == "budget.prices"] == [True]


def test_money_is_planned_for_every_judge(tmp_path: Path) -> None:
    """A further judge behind a server costs what it is asked, and needs a price."""
    further = "label.judges={dear: {model: {name: dear, engine: http, server: 'http://127.0.0.1:9/v1'}}}"
    (tmp_path / "prices.yaml").write_text("dear: {prompt: 10, completion: 100}\n", "utf-8")
    file = f"budget.prices={tmp_path / 'prices.yaml'}"
    plans = [check_recipe(small_recipe(tmp_path, one, file), tmp_path / "run").plan for one in (JUDGE, further)]
    assert plans[0] is not None
    assert plans[1] is not None
    assert plans[0].money["label"] == plans[1].money["label"]
    assert (plans[0].money["label"].high > 0, plans[1].money["evaluate"].high) == (True, 0)


def test_money_is_planned_for_served_models(tmp_path: Path) -> None:
    """By stage and in all, without a machine being named; without prices nothing is said of money."""
    plan = check(tmp_path, "dear: {prompt: 10, completion: 100, cached: 1}\n").plan
    assert plan is not None
    assert [stage for stage, money in plan.money.items() if money.high] == ["label", "evaluate"]
    assert plan.total_money is not None
    assert 0 < plan.total_money.low < plan.total_money.high
    by_stage = [one["money"]["high"] for one in plan.to_dict()["stages"]]
    assert plan.to_dict()["total"]["money"]["high"] == pytest.approx(sum(by_stage))
    estimate = Estimator(small_recipe(tmp_path, JUDGE, f"budget.prices={tmp_path / 'prices.yaml'}")).estimate()
    assert estimate.plan.total_money == plan.total_money
    plain = check_recipe(small_recipe(tmp_path, JUDGE), tmp_path / "run").plan
    assert plain is not None
    assert plain.total_money is None


def test_a_budget_below_the_plan_is_pointed_out(tmp_path: Path) -> None:
    """Both ends are held to what served models are planned to take; one that suffices is passed over."""
    prices = "dear: {prompt: 10, completion: 100, cached: 1}\n"
    small = {
        one.about: one.message for one in check(tmp_path, prices, "budget.money=0.001", "budget.tokens=9").findings
    }
    assert small["budget.money"].startswith("is 0.001, and servers are planned to cost 0.")
    assert small["budget.tokens"].startswith("is 9, and servers are planned to read and write ")
    assert all(message.endswith("raise it, or plan for less") for name, message in small.items() if "budget" in name)
    large = check(tmp_path, prices, "budget.money=1000", "budget.tokens=100000000").findings
    assert not [one for one in large if one.about.startswith("budget")]
