"""The recipes of published sizes: they load and plan without the hub, and train tiny weights of their architectures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.pipeline import run_stages
from charter.planning.preflight import Planner
from charter.recipe import Recipe, built_in_recipes, load_recipe
from charter.recipe.stages import TRAINING_STAGES, stages_of
from charter.runs.folder import open_run

LORA = ("mistral-7b", "paper", "smollm2-1.7b")
PUBLISHED = (*LORA, "mistral-7b-full")
#: What keeps a run on a CPU to seconds, and changes nothing of what is trained how.
SMALL = (
    "prompts.n_evaluation=2",
    "prompts.n_evaluation_helpful=2",
    "prompts.n_train=8",
    "prompts.n_train_helpful=8",
    "revise.n_few_shots=0",
    "revise.max_tokens=6",
    "revise.max_critique_tokens=4",
    "revise.on_cut=open",
    "pairs.n=6",
    "pairs.max_tokens=6",
    "pairs.on_cut=open",
    "label.n_few_shots=0",
    "label.min_option_mass=0",
    "label.held_out=0",
)


def test_there_are_these() -> None:
    """Each comes with Charter under its name."""
    assert set(PUBLISHED) <= set(built_in_recipes())
    assert load_recipe(built_in_recipes()["mistral-7b-full"]).training.n_processes == 8


@pytest.mark.parametrize("name", PUBLISHED)
def test_they_are_planned_before_anything_is_fetched(name: str) -> None:
    """Datasets and models of the hub are stood in for; every stage that trains has rows to train on."""
    recipe = load_recipe(built_in_recipes()[name], ["scale=0.01"])
    planner = Planner(recipe, by_characters=True)
    plan = planner.plan(planner.n_prompts)
    assert [one.stage for one in plan.stages] == list(stages_of(recipe))
    for stage in TRAINING_STAGES:
        if stage in stages_of(recipe):
            assert plan.stage(stage).trained_tokens > 0, stage


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _said(*texts: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, texts, strict=False)]


def _conversation(split: str, number: int) -> dict[str, Any]:
    """Make a row as cai-conversation has it."""
    asked, first, last = f"Harm {split} {number}: how is it done?", f"Do {number}.", f"I object to {number}, and why."
    revised = {
        "critic_prompt": "Say what is harmful.",
        "critic_response": f"Number {number} is.",
        "revision_prompt": "Rewrite it.",
        "revision_response": last if split.endswith("sft") else "",
    }
    sides = {"messages": _said(asked, last), "chosen": _said(asked, last), "rejected": _said(asked, first)}
    named = {"index": number, "prompt": asked, "init_prompt": asked, "init_response": first}
    return named | revised | sides


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets in the layouts of the hub: a folder each, Parquet files under ``data`` named after splits."""
    folder = tmp_path_factory.mktemp("hub")
    for split in ("train_sft", "test_sft", "train_prefs", "test_prefs"):
        for part in (0, 1):
            rows = [_conversation(split, 10 * part + number) for number in range(10)]
            _table(folder / f"cai/data/{split}-0000{part}-of-00002.parquet", rows)
    chats = [
        {
            "prompt": f"Thing {number}?",
            "prompt_id": f"c{number}",
            "messages": _said(f"Thing {number}?", f"It is {number}."),
        }
        for number in range(20)
    ]
    _table(folder / "chat/data/train_sft-00000-of-00001.parquet", chats)
    judged = [
        {
            "prompt": f"Question {number}?",
            "prompt_id": f"u{number}",
            "chosen": _said(f"Question {number}?", f"A good answer to {number}."),
            "rejected": _said(f"Question {number}?", f"No {number}."),
            "messages": _said(f"Question {number}?", f"A good answer to {number}."),
            "score_chosen": 8.0,
            "score_rejected": 3.0,
        }
        for number in range(20)
    ]
    _table(folder / "judged/data/train_prefs-00000-of-00001.parquet", judged)
    return folder


def _overridden(name: str, model: Path, hub: Path) -> Recipe:
    """Load a recipe as it is, but for where its model and its datasets lie, and how much there is of it."""
    path = built_in_recipes()[name]
    given = load_recipe(path)
    where = [
        f"models.policy={{name: {model}, dtype: float32, device: cpu}}",
        f"prompts.red_team.source={hub}/cai",
        f"prompts.helpful.source={hub}/chat",
    ]
    where += [f"revise.given.source={hub}/cai"] if given.revise.given else []
    where += [f"pairs.given.source={hub}/cai"] if given.pairs.given else []
    if given.preference_model is not None:
        where.append(f"preference_model.helpfulness.source={hub}/judged")
    if given.dpo is not None and given.dpo.helpfulness is not None:
        where.append(f"dpo.helpfulness.source={hub}/judged")
    if given.rl is not None:
        where += [f"models.second_judge={{name: {model}, dtype: float32, device: cpu, max_rows: 2}}", "rl.n=4"]
        where += ["rl.max_tokens=6", "rl.guard.max_tokens=6"]
    # Two processes share a model as eight do, and two cores start them in a quarter of the time.
    training = "training.n_processes=2" if given.training.launch else "training={logs: []}"
    small = [one for one in SMALL if given.pairs.n or not one.startswith("pairs.n=")]
    return load_recipe(path, [*where, *small, training])


def _told(folder: Path, stage: str) -> Any:
    return json.loads((folder / f"run/stages/{stage}.json").read_text("utf-8"))


@pytest.mark.model
@pytest.mark.parametrize("name", [*LORA, pytest.param("mistral-7b-full", marks=pytest.mark.thorough)])
def test_tiny_weights_of_the_same_architecture_train(
    name: str, hub: Path, tiny_model: Path, tiny_mistral: Path, tmp_path: Path
) -> None:
    """Every stage up to the last training is done with the recipe's own settings, on datasets in the hub's layouts."""
    recipe = _overridden(name, tiny_model if name.startswith("smollm2") else tiny_mistral, hub)
    trainings = [stage for stage in TRAINING_STAGES if stage in stages_of(recipe)]
    names = stages_of(recipe)[: stages_of(recipe).index(trainings[-1]) + 1]
    with open_run(recipe, tmp_path / "run", recipe_text="") as run:
        run_stages(run, names)
    for stage in trainings:
        assert _told(tmp_path, stage)["training"]["n_rows"] > 0, stage
        assert len(_told(tmp_path, stage)["training"]["steps"]) >= 1, stage
    if recipe.revise.given:
        revised = _told(tmp_path, "revise")
        assert revised["n_done"] == revised["counts"]["given"] > 0  # and nothing is revised by the model
        assert _told(tmp_path, "sft")["counts"]["rows"]["helpful reference"] > 0
        assert _told(tmp_path, "pairs")["counts"]["made"]["red_team given"] > 0
    if recipe.dpo is not None and recipe.dpo.helpfulness is not None:
        assert _told(tmp_path, "dpo")["counts"]["mixed in of people"] > 0
    whole = (tmp_path / "run/models/sft/model.safetensors").exists()
    assert whole == (recipe.sft.lora is None)
