from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from charter.engines.specs import ModelSpec
from charter.engines.spending import Price
from charter.errors import UserError
from charter.planning.costing import cost_plan
from charter.planning.costs import Conditions, Cost, Played, Remark, StageCost
from charter.planning.estimate import Estimator, Place, read_number
from charter.planning.hardware import Range, find_machine, read_devices
from charter.planning.plan import Plan
from charter.planning.preflight import Planner
from charter.planning.shapes import named_shape
from charter.recipe import Recipe, built_in_recipes, load_recipe
from charter.recipe.settings import LaunchSettings
from run_examples import small_recipe

DEVICES = read_devices()
# Seconds of stages on two cores with AVX512-BF16, and the share of the planned rows that came to them: filters leave
# pairs out. `charter run recipes/smoke.yaml`, and seed 0 of docs/results.md. DPO's were 6.6 and 62 where each side read
# a prompt of its own, and are divided by 1.7 (`benchmarks.pair_layouts --prompt 60 --chosen 2 --rejected 2`).
MEASURED = {
    "smoke": {
        "revise": (19.7, 1),
        "sft": (18.1, 1),
        "pairs": (7.7, 1),
        "label": (4.0, 0.5),
        "dpo": (3.9, 0.5),
        "evaluate": (24.8, 1),
        "report": (1.0, 1),
    },
    "smollm2-135m": {
        "revise": (167, 1),
        "sft": (207, 1),
        "pairs": (84, 1),
        "label": (26, 0.48),
        "dpo": (36, 0.5),
        "evaluate": (223, 1),
        "report": (0.8, 1),
    },
}
ROLES = ("policy", "critic", "reviser", "judge", "red_team")
CLEVER = named_shape("14b")
SERVED = ModelSpec("judge-model", engine="http", server="http://localhost:1")


def cost(recipe: Recipe, plan: Plan, machine: str = "h200x8", size: str = "7b", **changed: object) -> Cost:
    """Cost a plan whose models are all of one size."""
    played = Played(ModelSpec("model"), named_shape(size))
    conditions = Conditions(find_machine(machine, DEVICES), dict.fromkeys(ROLES, played), "lora", "none", {})
    return cost_plan(plan, recipe, replace(conditions, **changed))


@pytest.mark.parametrize("name", list(MEASURED))
def test_stages_take_what_they_were_seen_to(name: str) -> None:
    """The middle of each stage's range is within twice and half of what was measured, in proportion to its rows."""
    found = load_recipe(built_in_recipes()[name])
    estimate = Estimator(found, Place(find_machine("cpu-2", DEVICES), shape=named_shape("135m"))).estimate()
    assert estimate.cost
    for stage in estimate.cost.stages:
        if stage.stage in MEASURED[name]:
            seconds, share = MEASURED[name][stage.stage]
            assert stage.seconds
            assert 0.5 < share * stage.seconds.middle / seconds < 2, stage.stage
    checked = sum(stage.seconds for stage in estimate.plan.stages)
    assert estimate.cost.seconds.low < checked < estimate.cost.seconds.high, "check and plan disagree"


def test_more_prompts_are_never_cheaper(recipe: Recipe, planner: Planner) -> None:
    """Hours, money and volume of every stage rise with the prompts, on GPUs and on a CPU."""
    plans = [planner.plan(n) for n in (10, 140, 1_000, 12_345, 1e6, 1e7)]
    for machine, size in (("h200x8", "7b"), ("cpu-2", "135m"), ("l4", "1b")):
        costs = [cost(recipe, plan, machine, size) for plan in plans]
        for less, more in itertools.pairwise(costs):
            for one, other in zip(less.stages, more.stages, strict=True):
                assert one.seconds
                assert other.seconds
                assert one.seconds.low <= other.seconds.low, one.stage
                assert one.seconds.high <= other.seconds.high, one.stage
            assert less.money().low < more.money().low


@pytest.mark.parametrize("n_prompts", [20, 5_000])
def test_more_devices_are_never_slower(recipe: Recipe, planner: Planner, n_prompts: int) -> None:
    """Every stage ends no later on more of the same devices, however few rows it has."""
    plan = planner.plan(n_prompts)
    costs = [cost(recipe, plan, f"a100-80x{n}") for n in (1, 2, 3, 4, 8, 16, 64)]
    for less, more in itertools.pairwise(costs):
        for one, other in zip(less.stages, more.stages, strict=True):
            assert one.seconds
            assert other.seconds
            assert other.seconds.low <= one.seconds.low * (1 + 1e-9), (one.stage, more.machine.n)
            assert other.seconds.high <= one.seconds.high * (1 + 1e-9), (one.stage, more.machine.n)


def test_what_is_held_out_does_not_grow(planner: Planner) -> None:
    """Ten times the prompts make ten times the traces and pairs; the evaluation grows by held-out preferences alone."""
    small, large = planner.plan(140), planner.plan(1_400)
    for stage in ("revise", "pairs", "label"):
        assert large.stage(stage).rows == 10 * small.stage(stage).rows
    assert large.stage("sft").trained_tokens == pytest.approx(10 * small.stage("sft").trained_tokens, abs=10)
    assert large.stage("evaluate").completion_tokens == small.stage("evaluate").completion_tokens
    assert large.stage("evaluate").calls > small.stage("evaluate").calls
    assert large.stage("revise").prompt_tokens < 10 * small.stage("revise").prompt_tokens, "examples are read once"


def test_a_plan_of_as_many_prompts_is_the_checks(recipe: Recipe, planner: Planner, tmp_path: Path) -> None:
    """What ``plan`` shows without options is what ``check`` ends with."""
    from charter.planning.preflight import check_recipe

    checked = check_recipe(recipe, tmp_path / "run").plan
    assert checked is not None
    planned = planner.plan(planner.n_prompts)
    assert [one.to_dict() for one in planned.stages] == [one.to_dict() for one in checked.stages]


def test_all_devices_are_paid_for_while_one_works(recipe: Recipe, planner: Planner) -> None:
    """Device hours are the hours of all of them, and money is their price."""
    found = cost(recipe, planner.plan(1_000), "h200x8")
    assert found.device_hours() == found.hours().times(8)
    assert found.money() == found.device_hours().times(3.5)
    assert found.kilowatt_hours == pytest.approx(found.device_hours().high * 0.7)


def test_what_does_not_fit_is_not_costed(recipe: Recipe, planner: Planner) -> None:
    """Stages that a device has no room for have no hours, and each says what to do."""
    found = cost(recipe, planner.plan(140), "l4", "14b")
    stages = {stage.stage: stage for stage in found.stages}
    assert not found.fits
    assert stages["revise"].seconds is None
    assert [trouble.remedy for trouble in stages["revise"].troubles] == [
        "take devices of 33 GiB, a smaller model, or divide it over 2 (models.policy: engine vllm, n_gpus 2)"
    ]
    assert [trouble.problem.split()[0] for trouble in stages["sft"].troubles] == ["answering", "training"]
    assert stages["prompts"].seconds


def test_vllm_divides_a_model_that_is_too_large(recipe: Recipe, planner: Planner) -> None:
    """70B go onto no single card and onto four of them; of two, the plan says that they are too few."""
    plan = planner.plan(1_000)

    def divided(n_gpus: int, machine: str) -> StageCost:
        played = Played(ModelSpec("model", engine="vllm", n_gpus=n_gpus), named_shape("70b"))
        found = cost(recipe, plan, machine, "70b", models=dict.fromkeys(ROLES, played))
        return next(stage for stage in found.stages if stage.stage == "revise")

    alone, together, few = divided(1, "h100x8"), divided(4, "h100x8"), divided(4, "h100x2")
    assert "(models.policy: engine vllm, n_gpus 2)" in alone.troubles[0].remedy
    assert together.seconds
    assert together.memory
    assert together.memory.parts["weights"] == 2 * named_shape("70b").parameters / 4
    assert few.troubles[0].problem == "models.policy.n_gpus is 4, and h100x2 has 2"


def test_vllm_starts_a_step_sooner(recipe: Recipe, planner: Planner) -> None:
    """With as many rows at once it is faster, since nothing is started from Python."""
    plan = planner.plan(1_000)
    by_vllm = Played(ModelSpec("model", engine="vllm", max_rows=64), named_shape("7b"))
    found = cost(recipe, plan, models=dict.fromkeys(ROLES, by_vllm))
    assert found.seconds.high < cost(recipe, plan).seconds.high


def test_what_a_machine_leaves_unused_is_said(recipe: Recipe, planner: Planner) -> None:
    """Four rows a step are for four devices, and 64 rows at once leave memory empty."""
    stages = {stage.stage: stage for stage in cost(recipe, planner.plan(10_000)).stages}
    said = "is 4, and each device needs a row of every step: 4 of 8 train"
    assert Remark("sft.batch_size", said) in stages["sft"].remarks
    more, shared = sorted(stages["pairs"].remarks, key=lambda one: one.key != "models.policy.max_rows")
    assert more.key == "models.policy.max_rows"
    assert shared == Remark("answers", "are planned as shared by 8: with --shard 1/8 and so on, or --on ray")
    assert more.most
    assert more.most > 64
    assert not any(stage.remarks for stage in cost(recipe, planner.plan(140), "cpu-2", "135m").stages)


def test_a_launch_that_the_recipe_does_not_ask_for_is_said(recipe: Recipe, planner: Planner) -> None:
    """Several devices train only as they are launched: a plan that takes them so names the key."""
    launched = recipe.model_copy(update={"training": LaunchSettings(launch="several-gpus")})
    said = Remark("training.launch", "is null, by which one device trains; planned as if it were several-gpus")
    for asked, is_said in ((recipe, True), (launched, False)):
        stages = {stage.stage: stage for stage in cost(asked, planner.plan(10_000)).stages}
        assert (said in stages["sft"].remarks) is is_said


def test_servers_cost_what_their_prices_say(recipe: Recipe, planner: Planner) -> None:
    """A judge behind a server takes no device's memory, and every token of its calls is paid, shared ones with each."""
    plan = planner.plan(140)
    models = dict.fromkeys(ROLES, Played(ModelSpec("model"), named_shape("135m"))) | {"judge": Played(SERVED, None)}
    prices = {"judge-model": Price(prompt=10.0, completion=20.0, cached=1.0)}
    found = cost(recipe, plan, "cpu-2", "135m", models=models, prices=prices)
    label = next(stage for stage in found.stages if stage.stage == "label")
    load = plan.stage("label").demand.loads["judge"]
    read = load.prompt_tokens + load.repeated_tokens
    assert label.served.high == pytest.approx((10 * read + 20 * load.completion_tokens) / 1e6)
    assert label.served.low == pytest.approx((10 * load.prompt_tokens + load.repeated_tokens) / 1e6, rel=1e-3)
    assert label.memory is None
    assert label.seconds
    assert label.seconds.high > label.seconds.low > 0
    without = cost(recipe, plan, "cpu-2", "135m", models=models)
    assert without.money().high < found.money().high


def test_a_scripted_recipe_costs_nothing_until_it_has_a_size(tmp_path: Path) -> None:
    """A script runs on no device; with a size it is planned as a model of that size."""
    scripted, machine = small_recipe(tmp_path), find_machine("h200", DEVICES)
    assert Estimator(scripted, Place(machine)).estimate().cost.hours().high < 0.01  # type: ignore[union-attr]
    sized = Estimator(scripted, Place(machine, shape=named_shape("7b"))).estimate().cost
    assert sized
    assert {stage.stage for stage in sized.stages if stage.memory} == {
        "revise",
        "sft",
        "pairs",
        "label",
        "dpo",
        "evaluate",
    }


def test_what_gives_first_gives_at_its_number(recipe: Recipe) -> None:
    """At the number of prompts that a limit names, it is used up: neither far before nor far behind."""
    estimator = Estimator(recipe, Place(find_machine("cpu-2", DEVICES), shape=named_shape("135m")))
    found = estimator.estimate(1_000).limits
    limits = {word: one for one in found for word in ("week", "fills", "terabyte") if word in one.what}
    assert [one.n_prompts for one in found] == sorted(one.n_prompts for one in found)
    at_week = estimator.estimate(limits["week"].n_prompts)
    assert at_week.cost
    assert at_week.cost.seconds.high == pytest.approx(7 * 24 * 3600, rel=0.05)
    assert estimator.estimate(limits["fills"].n_prompts).volume.memory == pytest.approx(24 * 2**30, rel=0.05)
    assert estimator.estimate(limits["terabyte"].n_prompts).volume.disk == pytest.approx(1e12, rel=0.05)


def test_a_recipe_with_an_error_is_not_planned(tmp_path: Path) -> None:
    """Every error has its line, as for a run."""
    with pytest.raises(UserError, match=r"prompts.helpful: .*nowhere"):
        Planner(small_recipe(tmp_path, "prompts.helpful=nowhere.jsonl"))


@pytest.mark.parametrize(("text", "n"), [("5000", 5_000), ("100k", 1e5), ("10M", 1e7), ("1.5m", 1.5e6), ("2K", 2_000)])
def test_numbers_of_prompts_are_read(text: str, n: float) -> None:
    """With and without thousands and millions."""
    assert read_number(text) == n


@pytest.mark.parametrize("text", ["", "many", "0", "-5", "k", "nan", "inf", "10G"])
def test_what_is_no_number_of_prompts_is_refused(text: str) -> None:
    """With what would be one."""
    with pytest.raises(UserError, match="expected a number such as 5000, 100k or 10M"):
        read_number(text)


def test_ranges_add_up() -> None:
    """The least to the least, the most to the most; the middle is as far from both by ratio."""
    assert Range(1, 4) + Range(2, 3) == Range(3, 7)
    assert Range(1, 4).middle == 2
    assert Range(1, 4).times(0.5) == Range(0.5, 2)


def rl_cost(machine: str, *overrides: str, size: str = "7b", **models: Played) -> StageCost:
    """Cost the reinforcement learning of a recipe whose models are all of one size, but those that are given."""
    recipe = load_recipe(built_in_recipes()["smollm2-135m"], ["preference_model={}", "rl={}", *overrides])
    played = dict.fromkeys((*ROLES, "second_judge"), Played(ModelSpec("model"), named_shape(size))) | models
    found = cost(recipe, Planner(recipe).plan(140), machine, models=played)
    return next(stage for stage in found.stages if stage.stage == "rl")


def test_what_rewards_a_policy_lies_beside_it() -> None:
    """Its reference, the preference model and both judges take memory at once; one model in two roles does so once."""
    weights = 2 * named_shape("7b").parameters
    plain = rl_cost("h200", "rl.rewards={preference_model: 0, length: 1}", "rl.beta=0")
    judged = rl_cost("h200", "rl.rewards.judge=1", "models.judge=clever", judge=Played(ModelSpec("clever"), CLEVER))
    assert plain.memory
    assert judged.memory
    assert judged.memory.parts.keys() - plain.memory.parts.keys() == {
        "the reference", "the preference model", "models.judge"
    }  # fmt: skip
    assert judged.memory.parts["the preference model"] == weights
    clever = 2 * CLEVER.parameters
    assert clever < judged.memory.parts["models.judge"] < 1.5 * clever
    twice = rl_cost(
        "h200", "rl.rewards.judge=1", "models.second_judge=clever", "models.judge=clever",
        judge=Played(ModelSpec("clever"), CLEVER), second_judge=Played(ModelSpec("clever"), CLEVER),
    )  # fmt: skip
    assert twice.memory
    assert twice.memory.total == pytest.approx(judged.memory.total)
    served = rl_cost("h200", "rl.rewards.judge=1", "models.judge=judge-model", judge=Played(SERVED, None))
    assert served.memory
    assert served.memory.total == pytest.approx(judged.memory.total - judged.memory.parts["models.judge"])


def test_a_policy_reads_one_answer_and_not_two() -> None:
    """A group's answers are rows of a batch, where a pair is one row with two sides."""
    found = rl_cost("h200", "rl.batch_size=8", "rl.max_tokens=256", "rl.rewards={preference_model: 0, length: 1}")
    twice = rl_cost("h200", "rl.batch_size=16", "rl.max_tokens=256", "rl.rewards={preference_model: 0, length: 1}")
    assert found.memory
    assert twice.memory
    assert twice.memory.parts["activations"] == pytest.approx(2 * found.memory.parts["activations"])
    shape = named_shape("7b")
    longest = 2 * (256 + 60)  # about: twice the mean of a prompt with its answer
    a_row = 2 * shape.layers * longest * (6 * shape.width + 3 * shape.attention_width + 4 * shape.inner)
    assert 0.5 < found.memory.parts["activations"] / 8 / a_row < 1.3


def test_what_does_not_fit_beside_a_policy_is_said() -> None:
    """A training that fits alone has no room for the models that reward it: what helps is named, and fits."""
    overrides = ("rl.rewards.judge=1", "models.judge=clever", "rl.batch_size=4")
    clever = Played(ModelSpec("clever"), named_shape("7b"))
    (trouble,) = rl_cost("a100-40", *overrides, judge=clever).troubles
    assert trouble.problem.startswith("training beside what rewards it needs")
    assert trouble.remedy.startswith("ask a server (models.judge: engine http), or ")
    assert "--sharding" not in trouble.remedy, "it has one device"
    alone = rl_cost("a100-40", "rl.rewards={preference_model: 0, length: 1}", "rl.batch_size=4")
    assert not alone.troubles
    vllm = Played(ModelSpec("clever", engine="vllm"), named_shape("1b"))
    taken = rl_cost("h200", *overrides, judge=vllm)
    assert taken.memory
    assert taken.memory.parts["models.judge"] == 0.9 * find_machine("h200", DEVICES).device.memory
    assert [one.problem.split(" needs")[0] for one in taken.troubles] == ["training beside what rewards it"]
