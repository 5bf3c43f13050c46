from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from charter.constitution import load_constitution
from charter.engines.base import ChoiceRequest, CompletionRequest, Sampling
from charter.engines.devices import computes_in_bfloat16
from charter.feedback.pairs import guidance_messages
from charter.pipeline import run_stages
from charter.planning.plan import Plan, make_plan
from charter.planning.rates import Device, estimate_rates, find_device, parameters_in_name
from charter.planning.sizing import Load, Size, Sizer, estimate_tokens
from charter.planning.stage_plan import answer_tokens
from charter.prompts import load_prompts
from charter.prompts.selection import select_prompts
from charter.recipe import Recipe, built_in_recipes, load_recipe
from charter.records import Message, PromptKind
from charter.runs.folder import open_run

RECIPE = """\
name: demo
constitution: harmless
models: {policy: {name: demo, engine: scripted}}
prompts: {n_train: 8, n_train_helpful: 6, n_evaluation: 4, n_evaluation_helpful: 4}
pairs: {n: 16}
evaluate: {head_to_head: [red_team, helpful]}
"""
KINDS: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")


def read(folder: Path, *overrides: str) -> Recipe:
    """Read the recipe with overrides."""
    path = folder / "demo.yaml"
    path.write_text(RECIPE, "utf-8")
    return load_recipe(path, overrides)


def plan(recipe: Recipe, *, device: Device = "cpu", **arguments: Any) -> Plan:
    """Plan a recipe as a model of 135M parameters on a CPU would do it."""
    harmless, helpful = load_constitution("harmless"), load_constitution("helpful")
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in KINDS}
    prompts = select_prompts(loaded, (harmless, helpful), **recipe.prompts.numbers()).prompts
    rates = dict.fromkeys(("policy", "critic", "reviser", "judge"), estimate_rates(135e6, device))
    return make_plan(recipe, prompts, harmless, helpful, rates, **arguments)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("revise.rounds=1", "revise.n_samples=2", "sft.revisions=last"),
        ("revise.layout=transcript", "label.k_principles=3", "evaluate.head_to_head=[]"),
        ("label.chains=2", "pairs.n=24", "sft.helpful_ratio=0", "revise.initial_layout=chat"),
        ("evaluate.judge_reading=true", "evaluate.head_to_head=[]"),
    ],
)
def test_plan_is_what_a_run_does(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """On the scripted engine, which filters little, planned rows and calls are those of the run, stage by stage.

    The preferences held out are a share of prompts drawn by hash: the evaluation's calls may be off by those.
    """
    recipe = read(tmp_path, *overrides)
    planned = plan(recipe)
    with open_run(recipe, tmp_path / "run", recipe_text="", stop=threading.Event()) as run:
        run_stages(run, ["prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate"])
    for stage in planned.stages[:-1]:
        found = json.loads((tmp_path / f"run/stages/{stage.stage}.json").read_text("utf-8"))
        calls = sum(used["n_calls"] + used["n_cached"] for used in found["usage"].values())
        if stage.stage in {"dpo", "evaluate"}:
            held_out = 2 * 3 * recipe.pairs.n  # both sides, three models
            assert abs(calls - stage.calls) <= held_out, stage
            continue
        lost = sum(found["filtered"].values()) + sum(found["failed"].values()) if stage.stage != "prompts" else 0
        assert found["n_done"] + lost >= stage.rows >= found["n_done"], stage
        if not lost:
            assert calls == stage.calls, stage


@pytest.mark.parametrize("chains", [0, 2])
def test_checks_of_revisions_are_counted(tmp_path: Path, chains: int) -> None:
    """Both orders of every round, with chains where there are some: what the stage asks of a model that revises all."""
    recipe = read(tmp_path, "revise.check=true", f"label.chains={chains}")
    planned, without = (plan(one).stage("revise") for one in (recipe, read(tmp_path, f"label.chains={chains}")))
    with open_run(recipe, tmp_path / "run", recipe_text="", stop=threading.Event()) as run:
        run_stages(run, ["prompts", "revise"])
    found = json.loads((tmp_path / "run/stages/revise.json").read_text("utf-8"))
    assert sum(used["n_calls"] + used["n_cached"] for used in found["usage"].values()) == planned.calls > without.calls
    assert planned.prompt_tokens > without.prompt_tokens


def test_more_of_anything_costs_more(tmp_path: Path) -> None:
    """Rounds, samples, pairs and principles each add calls, tokens and time."""
    base = plan(read(tmp_path)).total
    for override in (
        "revise.rounds=4",
        "revise.n_samples=2",
        "pairs.n=64",
        "label.k_principles=4",
        "prompts.n_evaluation=20",
    ):
        more = plan(read(tmp_path, override)).total
        assert more.calls > base.calls, override
        assert more.prompt_tokens > base.prompt_tokens, override
        assert more.seconds > base.seconds, override


def test_longer_answers_take_longer_and_no_more_calls(tmp_path: Path) -> None:
    """Token limits change what is written, not how often."""
    short, long = plan(read(tmp_path, "revise.max_tokens=64")), plan(read(tmp_path, "revise.max_tokens=512"))
    assert short.total.calls == long.total.calls
    assert short.stage("revise").completion_tokens < long.stage("revise").completion_tokens
    assert short.stage("sft").trained_tokens < long.stage("sft").trained_tokens


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_training_on_openings_costs_less(tmp_path: Path, stage: str) -> None:
    """Of every response only so many tokens are trained on, and no more than it has."""
    whole = plan(read(tmp_path)).stage(stage)
    opening = plan(read(tmp_path, f"{stage}.opening_tokens=4")).stage(stage)
    assert opening.calls == whole.calls
    assert opening.trained_tokens < whole.trained_tokens
    assert plan(read(tmp_path, f"{stage}.opening_tokens=100000")).stage(stage) == whole


@pytest.mark.parametrize("stage", ["preference_model", "dpo"])
def test_sides_that_are_read_apart_are_counted_with_a_prompt_each(tmp_path: Path, stage: str) -> None:
    """Where processes share the weights, and where prompts are so short that sharing them does not pay."""
    short, long = (f"pairs.max_tokens={n}" for n in (16, 1000))
    more = ("preference_model={}", "label.held_out=0")
    prompts = []
    for limit, may_share in ((short, True), (long, False)):
        found = read(tmp_path, *more, limit)
        together, apart = (plan(found, spreads=spreads).stage(stage) for spreads in (False, True))
        assert (together.trained_tokens < apart.trained_tokens) == may_share
        assert together.demand.training.longest == apart.demand.training.longest
        assert together.seconds <= apart.seconds
        answers = 2 * apart.rows * answer_tokens(found.pairs.max_tokens)
        prompts.append((apart.trained_tokens - answers, together.trained_tokens - answers))
    assert prompts[0][0] == pytest.approx(2 * prompts[0][1], rel=0.1)
    assert prompts[1][0] == prompts[1][1] == pytest.approx(prompts[0][0], rel=0.1)


def test_only_the_shares_that_are_trained_on_are_planned(tmp_path: Path) -> None:
    """Of 8 red-team pairs and 4 of twins, as many as there are twins are trained on; asking costs the same."""
    whole = plan(read(tmp_path, "label.held_out=0"))
    part = plan(read(tmp_path, "label.held_out=0", "dpo.kinds={red_team: 0.5, benign_twin: 0.5}"))
    assert (whole.stage("dpo").rows, part.stage("dpo").rows) == (16, 8)
    assert part.stage("dpo").trained_tokens < whole.stage("dpo").trained_tokens
    assert part.stage("pairs") == whole.stage("pairs")


def test_shared_beginnings_are_read_once(tmp_path: Path) -> None:
    """Few-shots are read once a stage: eight times the rows do not read them eight times."""
    few = plan(read(tmp_path, "prompts.n_train=8")).stage("revise")
    many = plan(read(tmp_path, "prompts.n_train=64")).stage("revise")
    bare = plan(read(tmp_path, "prompts.n_train=8", "revise.n_few_shots=0")).stage("revise")
    shots = few.prompt_tokens - bare.prompt_tokens
    assert shots > 500
    grown = many.prompt_tokens - few.prompt_tokens
    assert grown == pytest.approx(7 * bare.prompt_tokens, rel=0.2)


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("revise.few_shots=changed", {"revise"}),
        ("revise.n_few_shots=1", {"revise"}),
        ("pairs.few_shots=changed", {"pairs"}),
        ("label.n_few_shots=1", {"label", "evaluate"}),
    ],
)
@pytest.mark.parametrize("layout", ["chat", "transcript"])
def test_only_the_examples_that_are_shown_are_counted(
    tmp_path: Path, layout: str, override: str, stages: set[str]
) -> None:
    """A setting that shows fewer worked examples reads less in the stages that show it, and nowhere else."""
    base = plan(read(tmp_path, f"revise.layout={layout}"))
    fewer = plan(read(tmp_path, f"revise.layout={layout}", override))
    read_less = {
        one.stage
        for one, other in zip(fewer.stages, base.stages, strict=True)
        if one.prompt_tokens < other.prompt_tokens
    }
    assert read_less == stages
    assert fewer.total.calls == base.total.calls


def test_guidance_is_counted_as_it_is_rendered(tmp_path: Path) -> None:
    """What the guided side has before its prompt is read once, with the chosen examples alone."""
    harmless = load_constitution("harmless")
    all_shown, changed = (
        plan(read(tmp_path, f"pairs.few_shots={which}")).stage("pairs").prompt_tokens for which in ("all", "changed")
    )
    sizes = [Sizer().messages(guidance_messages(harmless, which)) for which in ("all", "changed")]
    assert all_shown - changed == pytest.approx(sizes[0] - sizes[1], abs=1)
    assert sizes[0] > sizes[1]


def test_no_training_prompts_is_an_empty_plan(tmp_path: Path) -> None:
    """Nothing to do is planned as nothing, not as a division by zero."""
    recipe = read(tmp_path, "prompts.benign_twin=null", "prompts.helpful=null", "pairs.kinds={red_team: 1}")
    empty = make_plan(
        recipe,
        [],
        load_constitution("harmless"),
        load_constitution("helpful"),
        dict.fromkeys(("policy", "critic", "reviser", "judge"), estimate_rates(1e9, "cuda")),
    )
    assert empty.total.calls == 0
    assert empty.total.seconds == 0


def test_tokens_may_be_counted_by_a_tokenizer(tmp_path: Path) -> None:
    """Counting twice the tokens reads about twice as many, and writes the same."""
    once, twice = plan(read(tmp_path)), plan(read(tmp_path), count=lambda text: 2 * estimate_tokens(text))
    assert twice.stage("label").prompt_tokens > 1.1 * once.stage("label").prompt_tokens
    assert twice.total.completion_tokens == once.total.completion_tokens


def test_references_need_no_call(tmp_path: Path) -> None:
    """Helpful prompts and twins with a reference are trained on as they are: the stage asks nothing."""
    recipe = read(tmp_path)
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in KINDS}
    chosen = select_prompts(loaded, (), **recipe.prompts.numbers()).prompts
    answered = [one if one.kind == "red_team" else one.model_copy(update={"reference": "So."}) for one in chosen]
    constitutions = load_constitution("harmless"), load_constitution("helpful")
    rates = dict.fromkeys(("policy", "critic", "reviser", "judge"), estimate_rates(135e6, "cpu"))
    before, after = (make_plan(recipe, prompts, *constitutions, rates).stage("sft") for prompts in (chosen, answered))
    assert before.calls > 0
    assert (after.calls, after.completion_tokens) == (0, 0)
    assert 0 < after.rows <= before.rows


def test_choices_are_counted(tmp_path: Path) -> None:
    """Every model answers every multiple-choice row."""
    assert plan(read(tmp_path), n_choices=10).total.calls == plan(read(tmp_path)).total.calls + 30


@pytest.mark.parametrize(
    ("overrides", "calls"),
    [
        (("evaluate.head_to_head=[]",), 0),
        ((), 2 * 2 * (4 + 4)),
        (("evaluate.head_to_head=[]", "evaluate.judge_reading=true"), 2 * 3 * 4),
        (("evaluate.judge_reading=true", "label.chains=3"), 2 * 3 * (2 * 2 * (4 + 4) + 2 * 3 * 4)),
    ],
)
def test_the_evaluations_judge_is_counted(tmp_path: Path, overrides: tuple[str, ...], calls: int) -> None:
    """Two models meet the base and three are read, in both orders, with a chain and its letter where chains are set."""
    none = plan(read(tmp_path, "evaluate.head_to_head=[]")).stage("evaluate")
    found = plan(read(tmp_path, *overrides)).stage("evaluate")
    assert found.calls - none.calls == calls
    assert (found.prompt_tokens > none.prompt_tokens) is (calls > 0)


def test_every_judge_is_counted(tmp_path: Path) -> None:
    """Each is asked what the first is asked about the pairs; the evaluation asks the first alone."""
    judges = "label.judges={one: some-model, two: {model: another, weight: 3}}"
    rates = dict.fromkeys(
        ("policy", "critic", "reviser", "judge", "judge one", "judge two"), estimate_rates(1e9, "cpu")
    )
    prompts = load_prompts("built-in", "helpful").prompts
    constitutions = load_constitution("harmless"), load_constitution("helpful")
    alone, together = (
        make_plan(read(tmp_path, *more), prompts, *constitutions, rates) for more in ((), (judges, "label.chains=0"))
    )
    for name in ("calls", "prompt_tokens", "completion_tokens"):
        once = getattr(alone.stage("label"), name)
        assert getattr(together.stage("label"), name) == pytest.approx(3 * once, abs=3)  # rounded once, not thrice
    assert set(together.stage("label").demand.loads) == {"judge", "judge one", "judge two"}
    assert together.stage("evaluate") == alone.stage("evaluate")


@pytest.mark.parametrize(
    ("n_samples", "n_meetings", "met"), [(2, 1, 1), (2, 2, 1), (3, 1, 3), (4, 1, 4), (4, 2, 6), (4, 9, 6)]
)
def test_a_judge_that_rewards_is_asked_of_every_meeting(
    tmp_path: Path, n_samples: int, n_meetings: int, met: int
) -> None:
    """In both orders: of each group, and of the guard's answers at every look but the first."""
    overrides = [
        "rl={kinds: [helpful], rewards: {preference_model: 0, judge: 1}}",
        f"rl.n_samples={n_samples}",
        f"rl.n_meetings={n_meetings}",
        "rl.batch_size=12",
        "label.held_out=0",
    ]
    n_prompts, n_looks = 6, 1
    without = next(one for one in plan(read(tmp_path, *overrides, "rl.guard=null")).stages if one.stage == "rl")
    assert without.demand.loads["judge"].calls == 2 * n_prompts * met
    found = next(one for one in plan(read(tmp_path, *overrides)).stages if one.stage == "rl")
    assert found.demand.loads["judge"].calls == 2 * (n_prompts * met + n_looks * 16)


def test_scripted_models_take_no_time(tmp_path: Path) -> None:
    """What needs no model takes no time."""
    recipe = read(tmp_path)
    rates = dict.fromkeys(("policy", "critic", "reviser", "judge"), estimate_rates(0.0, "none"))
    prompts = load_prompts("built-in", "helpful").prompts
    found = make_plan(recipe, prompts, load_constitution("harmless"), load_constitution("helpful"), rates)
    assert found.total.seconds == 0
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["basis"] == ["scripted: no model runs"]


def test_requests_are_sized_by_what_they_share() -> None:
    """Messages that rows share are told from a row's own, and a prefill is the row's own."""
    sizer = Sizer(lambda text: len(text.split()))
    messages = (Message(role="system", content="one two three"), Message(role="user", content="four five"))
    assert sizer.request(ChoiceRequest(messages=messages, prefill="six (", n_shared=1)) == Size(3 + 4, 2 + 4 + 2)
    text = CompletionRequest(text="one two three", n_shared=4, sampling=Sampling())
    assert sizer.request(text) == Size(1, 2)
    assert sizer.mean_request([]) == Size()


def test_a_load_without_calls_reads_nothing() -> None:
    """What is shared is read only where somebody reads it."""
    load = Load()
    load.add(0, 10, 10, shared=100)
    assert (load.calls, load.prompt_tokens, load.completion_tokens) == (0, 0, 0)
    load.add(2, 10, 5, shared=100)
    assert (load.calls, load.prompt_tokens, load.completion_tokens) == (2, 120, 10)


def test_attention_looks_at_all_that_stands_before() -> None:
    """What rows share is looked at by each of their tokens, which is most of the work behind long examples."""
    bare, shown = Load(), Load()
    bare.add(2, 10, 5)
    shown.add(2, 10, 5, shared=1000)
    assert bare.attended == 2 * 15 * 7.5
    assert shown.attended == 2 * 15 * 1007.5 + 1000**2 / 2
    rates = estimate_rates(135e6, "cpu")
    read = {"n_read": shown.prompt_tokens, "n_written": 0, "n_rows": 2}
    assert rates.seconds(**read, attended=shown.attended) > 1.9 * rates.seconds(**read)


@pytest.mark.parametrize(("limit", "share"), [(24, 0.97), (80, 0.91), (256, 0.75), (2048, 0.2)])
def test_short_limits_are_used_up(limit: int, share: float) -> None:
    """Of a short limit an answer uses nearly all, of a long one what it needs."""
    assert answer_tokens(limit) / limit == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize(
    ("device", "measured", "total"),
    [
        ("cpu", {"revise": 19, "sft": 15, "pairs": 7, "evaluate": 26}, 85),
        ("cpu in float32", {"revise": 78, "sft": 121, "pairs": 28, "evaluate": 111}, 458),
    ],
)
def test_the_small_recipe_takes_as_long_as_it_was_seen_to(
    device: Device, measured: dict[str, float], total: float
) -> None:
    """A run of ``smoke`` on two quiet cores, with products of bfloat16 and without."""
    found = plan(load_recipe(built_in_recipes()["smoke"]), device=device)
    for stage, seconds in measured.items():
        assert 0.7 * seconds < found.stage(stage).seconds < 1.6 * seconds, stage
    assert 0.75 * total < found.total.seconds < 1.3 * total


def test_rates_are_the_measured_ones_and_scale() -> None:
    """On a CPU the 135M model's measured rates hold, and twice the parameters halve them."""
    small, large = estimate_rates(135e6, "cpu"), estimate_rates(270e6, "cpu")
    assert (small.prefill, small.decode, small.training) == (2800.0, 700.0, 920.0)
    assert (large.step, large.attention) == (2 * small.step, pytest.approx(2 ** (2 / 3) * small.attention))
    assert large.loading > small.loading > 1
    assert small.seconds(2800, 0, n_rows=1) == 1
    assert small.seconds(0, 42, n_rows=1) == pytest.approx(1, rel=0.1)
    assert small.seconds(0, 550, n_rows=64) == small.seconds(0, 550, n_rows=10_000) == pytest.approx(1, rel=0.05)
    assert large.prefill == pytest.approx(1400.0)
    assert "measured" in small.basis
    assert "not measured" in estimate_rates(7e9, "cuda").basis
    on_gpu, on_cpu = estimate_rates(7e9, "cuda"), estimate_rates(7e9, "cpu")
    assert on_gpu.seconds(0, 100, n_rows=64) < on_cpu.seconds(0, 100, n_rows=64)
    assert estimate_rates(135e6, "cpu", max_rows=4).seconds(0, 1, n_rows=64) > small.seconds(0, 1, n_rows=64)
    assert estimate_rates(0.0, "none").seconds(1, 1, n_rows=1) == 0


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.3", 7e9),
        ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.7e9),
        ("smollm2-135m", 135e6),
        ("gpt2", None),
        ("models/abc3beta", None),
    ],
)
def test_sizes_are_read_out_of_names(name: str, n: float | None) -> None:
    """A name that tells its size is believed; another one tells nothing."""
    assert parameters_in_name(name) == n


def test_device_is_found_without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the recipe names is taken; 'auto' looks for a driver, and a processor is what torch says that it is."""
    monkeypatch.setattr("charter.planning.rates._ABOUT_PROCESSOR", Path("/proc/cpuinfo"))
    on_cpu = "cpu" if computes_in_bfloat16(torch.device("cpu")) else "cpu in float32"
    assert find_device("cpu") == on_cpu
    assert find_device("cuda:1") == "cuda"
    assert find_device("auto") in {on_cpu, "cuda"}


@pytest.mark.parametrize(
    ("about", "device"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile\n", "cpu"),
        ("Features\t: fp asimd bf16 i8mm\n", "cpu"),
        ("flags\t\t: fpu avx avx2\nmodel name: bf16-less\n", "cpu in float32"),
        (None, "cpu"),
    ],
)
def test_processors_without_bfloat16_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, about: str | None, device: str
) -> None:
    """The kernel's words for what a processor multiplies are read; a system that says nothing is thought able."""
    if about is not None:
        (tmp_path / "cpuinfo").write_text(about)
    monkeypatch.setattr("charter.planning.rates._ABOUT_PROCESSOR", tmp_path / "cpuinfo")
    assert find_device("cpu") == device
    slow, fast = estimate_rates(135e6, "cpu in float32"), estimate_rates(135e6, "cpu")
    assert slow.seconds(1000, 1000, n_rows=8, attended=1e6) > 2 * fast.seconds(1000, 1000, n_rows=8, attended=1e6)
    assert "without bfloat16" in slow.basis
