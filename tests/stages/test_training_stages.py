"""The two training stages in a run: what they tell a training, and that a finished one is never repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from charter.errors import ModelError, RunError
from charter.files.tables import write_table
from charter.pipeline import run_stages
from charter.progress import NoProgress, Progress
from charter.recipe import load_recipe
from charter.records import Preference, Prompt, Round, Trace, make_prompt
from charter.runs.folder import Run, open_run
from training.training_rows import preference, preferences

pytestmark = pytest.mark.model

RECIPE = """\
name: tiny
constitution: harmless
models: {{policy: {{name: {model}, dtype: float32, device: {device}}}}}
sft: {{helpful_ratio: 0, twin_ratio: 0, batch_size: 2, lora: {{r: 4, alpha: 8}}}}
label: {{held_out: 0}}
dpo: {{batch_size: 2, warmup: 0.5}}
"""


def trace(number: int) -> Trace:
    """Make a chain of one round."""
    prompt = make_prompt(f"Question {number}: what now?", "red_team")
    asked = {"critique_request": "", "critique": "", "revision_request": ""}
    one = Round(number=1, principle="x", revision=f"No {number}.", **asked)
    return Trace(id=f"trace-{number}", prompt=prompt, sample=0, initial="Yes.", rounds=(one,))


@contextmanager
def opened(
    folder: Path, model: Path, *overrides: str, device: str = "cpu", progress: Progress | None = None
) -> Iterator[Run]:
    """Open a run whose rows to train on are there already."""
    text = RECIPE.format(model=model, device=device)
    (folder / "tiny.yaml").write_text(text)
    recipe = load_recipe(folder / "tiny.yaml", overrides)
    with open_run(recipe, folder / "run", recipe_text=text, progress=progress) as run:
        traces = [trace(number) for number in range(4)]
        write_table(run.data("prompts"), [one.prompt for one in traces], Prompt)
        write_table(run.data("traces"), traces, Trace)
        write_table(run.data("preferences"), preferences(4), Preference)
        yield run


def told(run: Run, stage: str) -> Any:
    """Read what a stage tells of its training."""
    return json.loads(run.summary(stage).read_text("utf-8"))["training"]


def test_a_finished_training_is_not_repeated(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the model and the summary, a stage tells the same of the same weights, and trains nothing."""
    from peft import AutoPeftModelForCausalLM

    from charter.engines.quiet import quiet_libraries

    with opened(tmp_path, tiny_model) as run:
        run_stages(run, ["sft", "dpo"])
        before = {stage: told(run, stage) for stage in ("sft", "dpo")}
        weights = {stage: (run.model(stage) / "adapter_model.safetensors").read_bytes() for stage in before}
        for stage in before:
            run.summary(stage).unlink()

    def trains(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished training began again")

    monkeypatch.setattr("charter.training.frame.load_trainee", trains)
    with opened(tmp_path, tiny_model) as run:
        run_stages(run, ["sft", "dpo"])
        for stage, expected in before.items():
            assert told(run, stage) == expected | {"notes": [*expected["notes"], "was finished in an earlier sitting"]}
            assert (run.model(stage) / "adapter_model.safetensors").read_bytes() == weights[stage]
            with quiet_libraries():
                AutoPeftModelForCausalLM.from_pretrained(str(run.model(stage)))
        assert sorted(path.name for path in (run.folder / "models").iterdir()) == ["dpo", "sft"]


def test_other_rows_are_trained_on_anew(tiny_model: Path, tmp_path: Path) -> None:
    """A model of other rows does not stand for the one that the stage is to make."""
    with opened(tmp_path, tiny_model) as run:
        run_stages(run, ["sft"])
        run.summary("sft").unlink()
        write_table(run.data("traces"), [trace(7)], Trace)
        run_stages(run, ["sft"])
        assert told(run, "sft")["n_rows"] == 1
        assert told(run, "sft")["notes"] == ["the finished model was deleted: it is of another training (rows)"]


def test_a_training_is_told_what_the_recipe_says(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Device and pace are the recipe's; DPO trains on with the adapter that SFT made, and asks for no other shape."""
    from charter.training.adapters import LoraSettings
    from charter.training.pace import Pace

    heard: dict[str, dict[str, Any]] = {}

    class Result:
        n_rows = 4
        rejected = ()

        def to_json(self) -> dict[str, Any]:
            return {}

    def listens(name: str) -> Any:
        return lambda *_, **settings: heard.update({name: settings}) or Result()

    for name in ("sft", "dpo"):
        monkeypatch.setattr(f"charter.training.{name}.{name}", listens(name))
    with opened(tmp_path, tiny_model, device="cuda:3") as run:
        run_stages(run, ["sft", "dpo"])
    for settings in heard.values():
        assert settings["device"] == "cuda:3"
        assert settings["dtype"] == "float32"
        assert settings["lora"] == LoraSettings(r=4, alpha=8)
    assert heard["sft"]["pace"] == Pace(batch_size=2)
    assert heard["dpo"]["pace"] == Pace(batch_size=2, learning_rate=5e-5, warmup=0.5)


def test_openings_are_trained_on_where_the_recipe_says_so(tiny_model: Path, tmp_path: Path) -> None:
    """Each stage's own number of tokens reaches its loss."""
    with opened(tmp_path, tiny_model, "sft.opening_tokens=2", "dpo.opening_tokens=3") as run:
        run_stages(run, ["sft", "dpo"])
        assert told(run, "sft")["n_loss_tokens"] == 2 * 4
        assert told(run, "dpo")["n_loss_tokens"] == 2 * 3 * 4


def test_rows_that_a_training_left_out_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    """What could not be trained on is filtered by reason, not done: every row that went in is accounted for."""
    overrides = ("sft.max_length=80", "dpo.opening_tokens=1", "label.held_out=0.3")
    with opened(tmp_path, tiny_model, *overrides) as run:
        long = trace(9)
        long = long.model_copy(update={"rounds": (long.rounds[0].model_copy(update={"revision": "No. " * 90}),)})
        write_table(run.data("traces"), [*(trace(number) for number in range(4)), long], Trace)
        alike = [preference(number, chosen="No, thanks.", rejected="No, never.") for number in range(8, 14)]
        write_table(run.data("preferences"), [*preferences(8), *alike], Preference)
        run_stages(run, ["sft", "dpo"])
        sft, dpo = (json.loads(run.summary(stage).read_text("utf-8")) for stage in ("sft", "dpo"))
    assert (sft["n_in"], sft["n_done"], sft["filtered"]) == (5, 4, {"training: too_long": 1})
    assert dpo["filtered"].keys() == {"held out", "training: same_opening"}
    assert dpo["n_in"] == 14 == dpo["n_done"] + sum(dpo["filtered"].values())
    assert dpo["counts"] == {"trained on": dpo["training"]["n_rows"], "held out": dpo["filtered"]["held out"]}
    assert dpo["n_done"] == dpo["training"]["n_rows"] > 0


def test_dpo_keeps_to_its_shares(tiny_model: Path, tmp_path: Path) -> None:
    """Of a kind that gave more pairs than its share the surplus is left out; a kind that gave none is named."""
    twins = [
        row.model_copy(update={"id": f"twin-{number}", "prompt": make_prompt(f"Twin {number}?", "benign_twin")})
        for number, row in enumerate(preferences(6))
    ]
    with opened(tmp_path, tiny_model, "dpo.kinds={red_team: 0.5, benign_twin: 0.5}") as run:
        run_stages(run, ["sft"])
        with pytest.raises(RunError, match=r"4 red_team preferences to train on and none of benign_twin.*pairs.kinds"):
            run_stages(run, ["dpo"])
        write_table(run.data("preferences"), [*twins, *preferences(4)], Preference)
        run_stages(run, ["dpo"])
        summary = json.loads(run.summary("dpo").read_text("utf-8"))
    assert (summary["n_in"], summary["n_done"]) == (10, 8)
    assert summary["filtered"] == {"over the shares of dpo.kinds": 2}
    assert summary["training"]["n_rows"] == 8


def test_a_device_that_is_not_there_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    """The device is named, and nothing is left of the training."""
    with opened(tmp_path, tiny_model, device="cuda:99") as run:
        with pytest.raises(ModelError, match="no device 'cuda:99' on this machine"):
            run_stages(run, ["sft"])
        assert not (run.folder / "models").exists()


def test_a_launch_of_the_recipe_trains_as_the_run_would(tiny_model: Path, tmp_path: Path) -> None:
    """Processes of its own take a stage's training, go by the recipe's own file, and may be chosen in mid-run."""
    with opened(tmp_path, tiny_model) as run:
        run_stages(run, ["sft"])
        expected = told(run, "sft")
    shown: list[str] = []

    class Watching(NoProgress):
        def advance(self, stage: str, note: str = "") -> None:
            shown.append(f"{stage}: {note}")

    (tmp_path / "own.yaml").write_text("{distributed_type: 'NO', num_processes: 1, use_cpu: true}")
    launch = f"training.launch={tmp_path / 'own.yaml'}"
    with opened(tmp_path, tiny_model, launch, progress=Watching()) as run:
        run_stages(run, ["sft"], again="sft")
        found = told(run, "sft")
        assert sorted(path.name for path in (run.folder / "models").iterdir()) == ["sft"]
    seconds = [[step.pop("seconds") for step in one["steps"]] for one in (found, expected)]
    assert len(seconds[0]) == len(seconds[1]) == len(shown)
    losses = [[step["loss"] for step in one["steps"]] for one in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert shown[0] == f"sft training: loss {losses[0][0]:.3f}"


def test_a_collapse_ends_a_run_until_a_person_decides(tiny_model: Path, tmp_path: Path) -> None:
    """The run stops with the reason; told to keep the last good checkpoint, it goes on, and tells of it."""
    from charter.errors import Collapsed

    fast = ("sft.learning_rate=2e-2", "sft.batch_size=4", "sft.epochs=4", "sft.lora={r: 8, alpha: 16}")
    guard = "sft.guard={every: 4, n_prompts: 8, max_tokens: 24}"

    def alike(number: int) -> Trace:
        one = trace(number)
        said = one.rounds[0].model_copy(update={"revision": "You are valid, valued, and cared for."})
        return one.model_copy(update={"rounds": (said,)})

    with opened(tmp_path, tiny_model, *fast, guard) as run:
        write_table(run.data("traces"), [alike(number) for number in range(16)], Trace)
        with pytest.raises(Collapsed, match=r"sft: limits were passed at step 8 of 16.*sft\.guard\.then=keep"):
            run_stages(run, ["sft"])
        assert not run.model("sft").exists()
    with opened(tmp_path, tiny_model, *fast, guard.replace("}", ", then: keep}")) as run:
        write_table(run.data("traces"), [alike(number) for number in range(16)], Trace)
        run_stages(run, ["sft"])
        result = told(run, "sft")
    assert result["n_steps"] == 4
    assert [look["step"] for look in result["looks"]] == [0, 4, 8]
    assert "the model is that of step 4" in result["notes"][-1]
    assert "then: keep" in (tmp_path / "run" / "recipe.resolved.yaml").read_text("utf-8")
    with opened(tmp_path, tiny_model, *fast, "sft.guard=null"):
        assert "guard: null" in (tmp_path / "run" / "recipe.resolved.yaml").read_text("utf-8")


def test_a_guard_is_the_recipes(tiny_model: Path, tmp_path: Path) -> None:
    """Each stage has its own: a number alone says how often it looks, null that it does not."""
    with opened(tmp_path, tiny_model, "sft.guard=1", "dpo.guard=null") as run:
        run_stages(run, ["sft", "dpo"])
        assert [look["step"] for look in told(run, "sft")["looks"]] == [0, 1, 2]
        assert told(run, "dpo")["looks"] == []


def test_a_run_has_curves_of_its_trainings(tiny_model: Path, tmp_path: Path) -> None:
    """Each stage writes its own beside the models, where the recipe says nothing, and none where it says so."""
    with opened(tmp_path, tiny_model) as run:
        run_stages(run, ["sft"])
        written = [path.relative_to(run.folder / "logs") for path in (run.folder / "logs").rglob("events.*")]
        assert [path.parent for path in written] == [Path("tensorboard/sft")]
    with opened(tmp_path, tiny_model, "training.logs=[]") as run:
        run_stages(run, ["dpo"])
        assert not (run.folder / "logs" / "tensorboard" / "dpo").exists()
