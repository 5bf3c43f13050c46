"""The volume of a run is what runs were seen to take (``python -m benchmarks.volume --prompts 1000 10000 100000``)."""

from __future__ import annotations

import pytest
from benchmarks.volume import write_recipe

from charter.planning.preflight import Planner
from charter.planning.volume import driver_seconds, held_bytes, measure_volume, starting_seconds
from charter.recipe import load_recipe

# Answers had 44 words; limits of 61 tokens are planned as 57.
LIMITS = tuple(
    f"{key}=61"
    for key in (
        "revise.max_tokens",
        "revise.max_critique_tokens",
        "sft.max_tokens",
        "pairs.max_tokens",
        "evaluate.max_tokens",
    )
)
DISK = {1_000: 20.9e6, 10_000: 172.2e6, 100_000: 1_673.1e6}
# Bytes at the peak, and seconds, by stage; with 10,000 prompts pairs took 110 s beside other work, and are left out.
PEAK = {
    1_000: {"prompts": 216, "revise": 246, "sft": 256, "pairs": 260, "label": 243, "evaluate": 243, "report": 339},
    10_000: {"prompts": 304, "revise": 370, "sft": 430, "pairs": 448, "label": 359, "evaluate": 398, "report": 660},
    100_000: {
        "prompts": 1_193,
        "revise": 1_586,
        "sft": 2_292,
        "pairs": 2_214,
        "label": 1_408,
        "evaluate": 1_814,
        "report": 4_261,
    },
}
SECONDS = {
    1_000: {"revise": 1.9, "sft": 1.4, "pairs": 1.1, "label": 0.7, "evaluate": 0.9, "report": 1.9},
    10_000: {"prompts": 4.1, "revise": 18.7, "sft": 14.5, "label": 17.4, "evaluate": 4.0, "report": 21.8},
    100_000: {
        "prompts": 72.6,
        "revise": 231.1,
        "sft": 217.9,
        "pairs": 141.9,
        "label": 95.4,
        "evaluate": 108.9,
        "report": 204.9,
    },
}


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    """Plans the recipe that was measured."""
    return Planner(load_recipe(write_recipe(tmp_path_factory.mktemp("volume"), 200), LIMITS))


@pytest.mark.parametrize("n", list(DISK))
def test_volume_is_what_was_measured(planner: Planner, n: int) -> None:
    """Within a third, from a thousand prompts to a hundred thousand."""
    plan = planner.plan(n)
    assert measure_volume(plan).disk == pytest.approx(DISK[n], rel=0.35)
    for stage, megabytes in PEAK[n].items():
        assert held_bytes(plan, plan.stage(stage)) == pytest.approx(megabytes * 1e6, rel=0.33), stage
    assert measure_volume(plan).fullest == "report"


@pytest.mark.parametrize("n", list(SECONDS))
def test_seconds_are_within_their_range(planner: Planner, n: int) -> None:
    """What stages took without a model lies between the least and the most, or beside them by a quarter."""
    plan = planner.plan(n)
    for stage, seconds in SECONDS[n].items():
        planned = driver_seconds(plan, plan.stage(stage))
        assert planned.low / 1.25 <= seconds <= planned.high * 1.25, stage
    assert starting_seconds(planner.plan(100_000)).high == pytest.approx(100, rel=0.05)
