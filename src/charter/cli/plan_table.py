"""A plan in columns: what ``check`` ends with, and ``plan`` begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charter.cli import console
from charter.cli.progress import clock_time

if TYPE_CHECKING:
    from charter.planning.plan import Plan
    from charter.planning.stage_plan import StagePlan

_HEADER = ("stage", "rows", "calls", "tokens read", "written", "trained on")


def write_plan(plan: Plan, *, with_times: bool = True) -> None:
    """Print every stage's rows, calls and tokens, with times as this machine would take them, if those are wanted."""
    console.write()
    timed = ("time (estimate)",) if with_times else ()
    console.write_columns(
        (*_HEADER, *timed),
        [_cells(stage, with_times=with_times) for stage in (*plan.stages, plan.total)],
        right=tuple(range(1, len(_HEADER) + len(timed))),
    )
    for basis in plan.basis if with_times else ():
        console.write(f"times are estimates: {basis}")
    of_times = ", and times are of all of them: what is left out on the way takes none (fetching models is not counted)"
    console.write(f"rows and calls are what there is at most{of_times if with_times else ''}")


def _cells(stage: StagePlan, *, with_times: bool) -> tuple[str, ...]:
    counts = (stage.rows, stage.calls, stage.prompt_tokens, stage.completion_tokens, stage.trained_tokens)
    cells = (stage.stage, *(f"{count:,}" if count else "" for count in counts))
    return (*cells, clock_time(stage.seconds)) if with_times else cells
