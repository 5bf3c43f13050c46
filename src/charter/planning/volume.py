"""What a run takes beside the models: disk, memory of the process that drives it, and its time. Pure.

Fitted to runs of a scripted engine with 1,000, 10,000 and 100,000 prompts (``benchmarks/volume.py``, whose figures are
in docs/planning.md), in which an answer had 44 words. What grows there in a straight line is taken to go on so.
"""

from __future__ import annotations

from dataclasses import dataclass

from charter.planning.hardware import NOTHING, Range
from charter.planning.plan import Plan
from charter.planning.stage_plan import StagePlan
from charter.recipe.stages import ITERATED, in_iteration, parted

_TEXT = 4.5  # bytes of a token of English text
_CALL, _ROW = 300.0, 1_300.0  # bytes in the journal beside texts that were written: of a completion, and of a row
_TABLE = 0.12  # bytes of compressed tables for each of the journal
_REPORT = 5e6  # bytes of its page, whose rows have an upper limit

_CALL_SECONDS, _ROW_SECONDS = Range(0.0003, 0.0006), Range(0.0002, 0.0006)
#: Of a merge, for each call and each row that shards recorded: 2 shards of 500 and of 2,500 prompts (docs/planning.md).
_MERGED_CALL_SECONDS, _MERGED_ROW_SECONDS = Range(0.00004, 0.0001), Range(0.0001, 0.0003)
_START_SECONDS = Range(0.0002, 0.0005)  # for each prompt: files are read, near-duplicates looked for
_PAGE_SECONDS = Range(0.7, 1.5)  # of a report of hardly any rows

_PROCESS = 220e6  # bytes of a process that has looked at no row yet
_HELD_TEXTS = 4.0  # times that a text is there at once: as a record, as JSON, in the tables; not measured
#: Bytes of the process for each row of a stage beside the texts: what it makes, and what it reads for that.
_HELD = {"prompts": 4.9e3, "revise": 8.3e3, "sft": 3.3e3, "pairs": 12.7e3, "label": 10e3}
#: Likewise, and seconds, for each labelled pair: what trains, measures and reports reads all that was made.
_HELD_AFTERWARDS = {"preference_model": 10e3, "dpo": 10e3, "rl": 10e3, "evaluate": 14e3, "report": 31e3}
_SECONDS_AFTERWARDS = {
    "preference_model": Range(1e-4, 3e-4),  # taken to be what DPO's is
    "dpo": Range(1e-4, 3e-4),
    "rl": Range(1e-4, 3e-4),  # as above
    "evaluate": Range(4e-4, 1.5e-3),
    "report": Range(1.2e-3, 3e-3),
}
#: Whose texts a stage holds.
_READS = {
    "revise": ("revise",),
    "sft": ("revise", "sft"),
    "pairs": ("revise", "pairs"),
    "label": ("pairs",),
    "preference_model": ("pairs",),
    "dpo": ("pairs",),
    "rl": (),
    "evaluate": ("pairs",),
    "report": ("revise", "sft", "pairs", "evaluate"),
}


@dataclass(frozen=True)
class Volume:
    """Bytes on the disk beside the models, and of memory in the stage that needs most."""

    disk: float
    memory: float
    fullest: str


def measure_volume(plan: Plan) -> Volume:
    """Estimate the volume of a run."""
    held = {stage.stage: held_bytes(plan, stage) for stage in plan.stages}
    fullest = max(held, key=lambda name: held[name])
    return Volume(_journal(plan) * (1 + _TABLE) + _REPORT, held[fullest], fullest)


def held_bytes(plan: Plan, stage: StagePlan) -> float:
    """Estimate the memory of the process in a stage; it holds all of the stage's rows."""
    name = parted(stage.stage).stage
    rows = _labelled(plan, stage) * _HELD_AFTERWARDS[name] if name in _HELD_AFTERWARDS else stage.rows * _HELD[name]
    texts = sum(one.completion_tokens for read in _READS.get(name, ()) for one in _read_by(plan, stage, read)) * _TEXT
    return _PROCESS + rows + _HELD_TEXTS * texts


def driver_seconds(plan: Plan, stage: StagePlan, n_shards: int = 1) -> Range:
    """Estimate the seconds that the process itself takes over a stage: requests, journal, flags, tables.

    Args:
        plan: of the run.
        stage: of the plan.
        n_shards: that share the stage's calls and rows, at the same time; what is made of all rows each does by itself.
    """
    seconds = (_CALL_SECONDS.times(stage.calls) + _ROW_SECONDS.times(stage.rows)).times(1 / n_shards)
    return seconds + _of_all_rows(plan, stage) + (_PAGE_SECONDS if stage.stage == "report" else NOTHING)


def merging_seconds(plan: Plan, stage: StagePlan) -> Range:
    """Estimate the seconds in which one process takes in what shards did of a stage, and goes through all of it."""
    seconds = _MERGED_CALL_SECONDS.times(stage.calls) + _MERGED_ROW_SECONDS.times(stage.rows)
    return seconds + _of_all_rows(plan, stage)


def starting_seconds(plan: Plan) -> Range:
    """Estimate the seconds before a started command does anything."""
    return _START_SECONDS.times(plan.stage("prompts").rows)


def _of_all_rows(plan: Plan, stage: StagePlan) -> Range:
    return _SECONDS_AFTERWARDS.get(parted(stage.stage).stage, NOTHING).times(_labelled(plan, stage))


def _labelled(plan: Plan, stage: StagePlan) -> int:
    return sum(one.rows for one in _read_by(plan, stage, "label"))


def _read_by(plan: Plan, stage: StagePlan, name: str) -> list[StagePlan]:
    """Find the stages of a name that a stage reads: of its own iteration; in the report, those of all."""
    if stage.stage == "report":
        return plan.every(name)
    own = in_iteration(name, parted(stage.stage).iteration) if name in ITERATED else name
    return [plan.stage(own)]


def _journal(plan: Plan) -> float:
    """Completions, and rows with their texts: what is written is there twice, and in pairs once more as labels."""
    recorded = [one for name in ("revise", "pairs", "label", "evaluate") for one in plan.every(name)]
    rows = sum(one.rows for one in recorded) + plan.stage("sft").calls
    tokens = 2 * plan.total.completion_tokens + sum(one.completion_tokens for one in plan.every("pairs"))
    return plan.total.calls * _CALL + rows * _ROW + tokens * _TEXT
