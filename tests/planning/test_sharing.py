"""What several processes share of a run, and what one of them does alone; figures are worked out here by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from charter.engines.specs import ModelSpec
from charter.planning.costing import cost_plan
from charter.planning.costs import Conditions, Cost, Played, Remark, StageCost, Way
from charter.planning.hardware import Machine, Range, find_machine, read_devices
from charter.planning.limits import Grown, find_limits
from charter.planning.plan import Plan
from charter.planning.preflight import Planner
from charter.planning.shapes import named_shape
from charter.planning.stage_plan import StagePlan, Training
from charter.planning.timing import Drawing, loading_seconds, working_seconds
from charter.planning.volume import measure_volume
from charter.recipe import Recipe, built_in_recipes, load_recipe

DEVICES = read_devices()
ROLES = ("policy", "critic", "reviser", "judge", "red_team")
ROW_STAGES = ("revise", "pairs", "label", "evaluate")
WAYS: tuple[Way, ...] = ("shards", "ray")
MILLIONS = 1e7
# Seconds of a merge for each call and each row of what shards did: least and most.
MERGED_CALL, MERGED_ROW = (4e-5, 1e-4), (1e-4, 3e-4)
WRITING = ("prompts.red_team=generated", "prompts.generate.n_per_principle=20", "prompts.n_train=null")


@pytest.fixture(scope="module")
def plan(planner: Planner) -> Plan:
    """Ten million prompts."""
    return planner.plan(MILLIONS)


def untrained(plan: Plan) -> Plan:
    """Give the plan without its trainings: what is left of SFT are the answers that it samples."""
    return replace(
        plan, stages=tuple(replace(one, demand=replace(one.demand, training=Training())) for one in plan.stages)
    )


def cost(recipe: Recipe, plan: Plan, machine: str, way: Way = "shards", **played: Played) -> Cost:
    """Cost a plan whose models are of 7B, where nothing else is said."""
    models = dict.fromkeys(ROLES, Played(ModelSpec("model"), named_shape("7b"))) | played
    return cost_plan(plan, recipe, Conditions(find_machine(machine, DEVICES), models, "lora", "none", {}, way))


def of(found: Cost, name: str) -> StageCost:
    """Find a stage's cost."""
    return next(stage for stage in found.stages if stage.stage == name)


def seconds(found: Cost, name: str) -> Range:
    """Find a stage's seconds."""
    stage = of(found, name)
    assert stage.seconds
    return stage.seconds


def driven(plan: Plan, stage: StagePlan) -> Range:
    """Work out what one process takes of a stage: each call and each row, and of what reads all, each labelled pair."""
    labelled = plan.stage("label").rows
    afterwards = {"dpo": (1e-4, 3e-4), "evaluate": (4e-4, 1.5e-3), "report": (1.2e-3, 3e-3)}
    low, high = afterwards.get(stage.stage, (0.0, 0.0))
    page = Range(0.7, 1.5) if stage.stage == "report" else Range()
    rows = Range(3e-4 * stage.calls + 2e-4 * stage.rows, 6e-4 * stage.calls + 6e-4 * stage.rows)
    return rows + Range(low * labelled, high * labelled) + page


def answered(stage: StagePlan, n: int) -> Range:
    """Work out what the models of 7B take where so many H200 share the answers."""
    shape, found = named_shape("7b"), Range()
    machine = Machine(DEVICES["h200"], n)
    assert stage.demand.asked == ("policy",)
    for work in stage.demand.loads["policy"].works:
        found += working_seconds(work, shape, machine, Drawing(2, 64, stage.demand.at_once))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_one_process_is_no_faster_on_a_larger_machine(recipe: Recipe, plan: Plan, way: Way) -> None:
    """The report on eight devices takes as long as on one, and so do choosing prompts and preparing a training."""
    bare = untrained(plan)
    one, eight = cost(recipe, bare, "h200"), cost(recipe, bare, "h200x8", way)
    for name in ("prompts", "dpo", "report"):
        assert seconds(eight, name) == seconds(one, name), name
        assert eight.money(of(eight, name)).low == pytest.approx(8 * one.money(of(one, name)).low)
    pairs = plan.stage("label").rows
    assert seconds(eight, "report").low == pytest.approx(0.7 + 1.2e-3 * pairs)
    assert seconds(eight, "report").high == pytest.approx(1.5 + 3e-3 * pairs)
    assert seconds(eight, "report").times(1 / 3600).high == pytest.approx(15.5, rel=0.05)


def test_shards_share_no_answers_of_sft(recipe: Recipe, plan: Plan) -> None:
    """The helpful answers that are mixed in are drawn by one process, on one device; Ray's actors share them."""
    bare, stage = untrained(plan), plan.stage("sft")
    one, shards, ray = (
        seconds(cost(recipe, bare, machine, way), "sft")
        for machine, way in (("h200", "shards"), ("h200x8", "shards"), ("h200x8", "ray"))
    )
    assert shards == one
    driving, loading = (
        driven(plan, stage),
        loading_seconds(2 * 2 * named_shape("7b").parameters, Machine(DEVICES["h200"])),
    )
    for found, n in ((shards, 1), (ray, 8)):
        models = answered(stage, n) + loading
        assert found.low == pytest.approx(max(models.low, driving.low))
        assert found.high == pytest.approx(models.high + driving.high)
    assert answered(stage, 1).high > 6 * answered(stage, 8).high


def test_shards_share_rows_and_one_process_merges_them(recipe: Recipe, plan: Plan) -> None:
    """Each shard takes its part of the calls and rows; a merge goes through all of them, once, when models are done."""
    found, loading = (
        cost(recipe, plan, "h200x8"),
        loading_seconds(2 * named_shape("7b").parameters, Machine(DEVICES["h200"])),
    )
    for name in ("revise", "pairs", "label"):
        stage = plan.stage(name)
        whole = driven(plan, stage)
        merged = Range(
            MERGED_CALL[0] * stage.calls + MERGED_ROW[0] * stage.rows,
            MERGED_CALL[1] * stage.calls + MERGED_ROW[1] * stage.rows,
        )
        assert of(found, name).driving.low == pytest.approx(whole.low / 8 + merged.low)
        assert of(found, name).driving.high == pytest.approx(whole.high / 8 + merged.high)
        if name == "pairs":
            models = answered(stage, 8) + loading
            assert seconds(found, name).high == pytest.approx(models.high + whole.high / 8 + merged.high)
            assert seconds(found, name).low == pytest.approx(max(models.low, whole.low / 8) + merged.low)


def test_on_ray_one_driver_does_all_beside_the_models(recipe: Recipe, plan: Plan) -> None:
    """Nothing of it is divided, and there is no merge."""
    for stage in cost(recipe, plan, "h200x8", "ray").stages:
        whole = driven(plan, plan.stage(stage.stage))
        assert stage.driving.low == pytest.approx(whole.low)
        assert stage.driving.high == pytest.approx(whole.high)


def test_remarks_name_what_is_shared_and_by_what(recipe: Recipe, plan: Plan) -> None:
    """Shards share the stages that are done row by row, and Ray all answers; on one device nothing is shared."""
    shared = Remark("answers", "are planned as shared by 8: with --shard 1/8 and so on, or --on ray")
    alone = Remark(
        "all answers", "are planned as given by one process: no shard does any of them; with --on ray 8 share them"
    )
    by_ray = Remark("answers", "are planned as shared by 8, with --on ray")

    def said(machine: str, way: Way) -> dict[str, Remark]:
        stages = cost(recipe, plan, machine, way).stages
        return {stage.stage: one for stage in stages for one in stage.remarks if one.key.endswith("answers")}

    assert said("h200x8", "shards") == dict.fromkeys(ROW_STAGES, shared) | {"sft": alone}
    assert said("h200x8", "ray") == dict.fromkeys((*ROW_STAGES, "sft"), by_ray)
    assert said("h200", "shards") == said("h200", "ray") == {}


def test_prompts_that_are_written_are_no_shards_work() -> None:
    """One shard has them written, while the others wait; on Ray the actors share them."""
    writing = load_recipe(built_in_recipes()["smollm2-135m"], WRITING)
    plan = Planner(writing).plan(MILLIONS)
    assert plan.stage("prompts").calls
    one, shards, ray = (
        seconds(cost(writing, plan, machine, way), "prompts")
        for machine, way in (("h200", "shards"), ("h200x8", "shards"), ("h200x8", "ray"))
    )
    assert shards == one
    assert ray.high < shards.high / 2


def test_a_model_on_several_devices_leaves_fewer_processes(recipe: Recipe, plan: Plan) -> None:
    """Where one model takes two devices, four processes share all rows: a run has one number of them."""
    divided = Played(ModelSpec("large", engine="vllm", n_gpus=2), named_shape("7b"))
    for way in WAYS:
        stages = cost(recipe, plan, "h200x8", way, policy=divided).stages
        said = {
            one.said.split(":")[0].split(",")[0] for stage in stages for one in stage.remarks if one.key == "answers"
        }
        assert said == {"are planned as shared by 4"}


def test_servers_are_asked_by_one_process(recipe: Recipe, plan: Plan) -> None:
    """Where no model of a stage runs on the machine, its devices divide nothing."""
    judge = Played(ModelSpec("judge", engine="http", server="http://localhost:1"), None)
    label = of(cost(recipe, plan, "h200x8", judge=judge), "label")
    assert label.driving == driven(plan, plan.stage("label"))
    assert not label.remarks


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("machine", ["h200", "h200x8"])
def test_limits_stand_on_the_tables_figures(recipe: Recipe, planner: Planner, machine: str, way: Way) -> None:
    """At the number of prompts that a limit names, the processes of the very cost take a day, and models a week."""

    def grown(n: float) -> Grown:
        plan = planner.plan(n)
        return Grown(n, plan, cost(recipe, plan, machine, way))

    limits = find_limits(grown(1e5), grown(1e6))
    found = {limit.what: limit.n_prompts for limit in limits}
    week = found["the models take a week"]
    remedy = "take more devices; most of it is sft"
    if (machine, way) == ("h200x8", "shards"):
        remedy += ", whose answers --on ray shares"
    assert remedy in {limit.remedy for limit in limits}
    day = next(n for what, n in found.items() if what.startswith("the process takes a day"))
    assert sum(stage.driving.high for stage in grown(day).cost.stages) == pytest.approx(24 * 3600, rel=0.01)
    at_week = grown(week).cost
    driving = sum(stage.driving.high for stage in at_week.stages)
    assert at_week.seconds.high - driving == pytest.approx(7 * 24 * 3600, rel=0.02)


def test_a_training_over_several_machines_is_remarked_on(recipe: Recipe, plan: Plan) -> None:
    """A run starts its processes on one machine: where more are planned, the plan says so."""
    many = recipe.model_copy(update={"sft": recipe.sft.model_copy(update={"batch_size": 32})})
    said = Remark("training", "is planned on up to 16 devices, and a run starts its processes on one machine alone")
    for machine, is_said in (("h200x16", True), ("h200x8", False)):
        found = cost(many, plan, machine)
        assert (said in of(found, "sft").remarks) is is_said
        assert not any(one.key == "training" for one in of(found, "dpo").remarks), "eight rows a step need no more"


def test_a_process_has_the_memory_of_one_node(recipe: Recipe, planner: Planner) -> None:
    """More nodes are no more memory for the process that holds all rows, and fewer devices have less beside them."""
    for machine, gib in (("h200x2", 480), ("h200x8", 1_920), ("h200x64", 1_920)):
        small, large = (Grown(n, plan, cost(recipe, plan, machine)) for n in (1e5, 1e6) for plan in (planner.plan(n),))
        fills = next(limit for limit in find_limits(small, large) if "fills" in limit.what)
        assert f"fills the machine's {gib:,} GiB of memory" in fills.what
        volume = measure_volume(planner.plan(fills.n_prompts))
        assert volume.memory == pytest.approx(gib * 2**30, rel=0.01)
