"""A plan in columns: what ``check`` ends with, and ``plan`` begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charter.cli import console
from charter.cli.progress import clock_time

if TYPE_CHECKING:
    from charter.planning.hardware import Range
    from charter.planning.plan import Plan
    from charter.planning.stage_plan import StagePlan

_TEN, _LEAST = 9.95, 0.01
_HEADER = ("stage", "rows", "calls", "tokens read", "written", "trained on")


def write_plan(plan: Plan, *, with_times: bool = True) -> None:
    """Print every stage's rows, calls and tokens, with times as this machine would take them, if those are wanted."""
    console.write()
    timed = ("time (estimate)",) if with_times else ()
    priced = ("money",) if with_times and plan.money else ()  # a machine's costs, which follow then, hold it too
    money = {**plan.money, plan.total.stage: plan.total_money}
    console.write_columns(
        (*_HEADER, *timed, *priced),
        [
            (*_cells(stage, with_times=with_times), *(_asked(money.get(stage.stage)) for _ in priced))
            for stage in (*plan.stages, plan.total)
        ],
        right=tuple(range(1, len(_HEADER) + len(timed) + len(priced))),
    )
    if priced:
        console.write("money is what servers ask: the least where they have in memory all that prompts share")
    for basis in plan.basis if with_times else ():
        console.write(f"times are estimates: {basis}")
    of_times = ", and times are of all of them: what is left out on the way takes none (fetching models is not counted)"
    console.write(f"rows and calls are what there is at most{of_times if with_times else ''}")


def _cells(stage: StagePlan, *, with_times: bool) -> tuple[str, ...]:
    counts = (stage.rows, stage.calls, stage.prompt_tokens, stage.completion_tokens, stage.trained_tokens)
    cells = (stage.stage, *(f"{count:,}" if count else "" for count in counts))
    return (*cells, clock_time(stage.seconds)) if with_times else cells


def _asked(money: Range | None) -> str:
    return between(money) if money else ""


def between(found: Range) -> str:
    """Write a range with two figures: ``0.12-0.4``."""
    low, high = figure(found.low), figure(found.high)
    if not found.high or found.high < _LEAST:
        return high
    return low if low == high else f"{low or 0}-{high}"


def figure(value: float) -> str:
    """Write two figures, or whole numbers from ten on: an estimate has no more."""
    if not value:
        return ""
    if value < _LEAST:
        return f"<{_LEAST}"
    return f"{value:,.0f}" if value >= _TEN else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
