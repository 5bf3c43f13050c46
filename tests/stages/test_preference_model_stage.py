"""The stage that trains a preference model: what it mixes, writes and measures, and that its figures are its rows'."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from charter.errors import Interrupted, RecipeError
from charter.files.tables import read_table, write_table
from charter.pipeline import run_stages
from charter.planning.brought import look_at_brought
from charter.planning.findings import Preflight
from charter.recipe import load_recipe
from charter.records import PEOPLE, Preference, Prompt, RewardedPair, Round, Trace, make_prompt
from charter.reporting import report
from charter.reporting.reading import read_run
from charter.runs.folder import Run, open_run
from charter.training.reward_quality import measure_rewards, p_preferred
from charter.training.rewards import RewardModel
from run_examples import page_words
from training.training_rows import preference

pytestmark = pytest.mark.model

RECIPE = """\
name: tiny
constitution: harmless
models: {{policy: {{name: {model}, dtype: float32, device: cpu}}}}
sft: {{helpful_ratio: 0, twin_ratio: 0, batch_size: 2, lora: {{r: 4, alpha: 8}}}}
label: {{held_out: 0.4}}
preference_model:
  batch_size: 2
  learning_rate: 5e-3
  helpfulness: {people}
  helpfulness_ratio: 0.5
"""
N_AI, N_PEOPLE = 12, 9


def trace(number: int) -> Trace:
    """Make a chain of one round."""
    prompt = make_prompt(f"Question {number}: what now?", "red_team")
    asked = {"critique_request": "", "critique": "", "revision_request": ""}
    one = Round(number=1, principle="x", revision=f"No {number}.", **asked)
    return Trace(id=f"trace-{number}", prompt=prompt, sample=0, initial="Yes.", rounds=(one,))


def people() -> list[dict[str, Any]]:
    """Make a file's rows of people's pairs: nine that can be used, and one without an answer."""
    rows = [
        {"prompt": f"How is thing {number} mended, and who does it?", "chosen": f"With glue {number}.", "rejected": "?"}
        for number in range(N_PEOPLE)
    ]
    return [*rows, {"prompt": "And this?", "chosen": " ", "rejected": "No."}]


@contextmanager
def opened(folder: Path, model: Path, *overrides: str) -> Iterator[Run]:
    """Open a run whose rows to train on are there already."""
    (folder / "people.json").write_text(json.dumps(people()), "utf-8")
    text = RECIPE.format(model=model, people="people.json")
    (folder / "tiny.yaml").write_text(text)
    recipe = load_recipe(folder / "tiny.yaml", overrides)
    with open_run(recipe, folder / "run", recipe_text=text) as run:
        traces = [trace(number) for number in range(4)]
        held_out = make_prompt("What is held out for evaluation?", "helpful").model_copy(update={"split": "evaluation"})
        write_table(run.data("prompts"), [*(one.prompt for one in traces), held_out], Prompt)
        write_table(run.data("traces"), traces, Trace)
        rows = [preference(number, 0.5 + number / 30) for number in range(N_AI)]
        write_table(run.data("preferences"), rows, Preference)
        yield run


@pytest.fixture(scope="module")
def done(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose preference model is trained."""
    folder = tmp_path_factory.mktemp("rewards")
    with opened(folder, tiny_model) as run:
        run_stages(run, ["sft", "preference_model"])
    return folder / "run"


def summary(run: Path) -> Any:
    """Read what the stage told."""
    return json.loads((run / "stages/preference_model.json").read_text("utf-8"))


def rewarded(run: Path) -> Sequence[RewardedPair]:
    """Read the pairs with their rewards."""
    return read_table(run / "data/rewards.parquet", RewardedPair)


def test_every_preference_is_accounted_for(done: Path) -> None:
    """The AI's and people's are trained on, held out, or left out for a reason; the ratio is kept."""
    told = summary(done)
    counts, filtered = told["counts"], told["filtered"]
    assert told["n_in"] == N_AI + N_PEOPLE + 1 == told["n_done"] + sum(filtered.values())
    assert filtered["helpfulness: empty answer"] == 1
    assert told["n_done"] == counts["trained on"] == told["training"]["n_rows"]
    n_ai = counts["trained on"] - counts["mixed in of people"]
    assert counts["asked for of people"] == round(0.5 * n_ai) == counts["mixed in of people"] > 0
    assert counts["held out"] == filtered["held out"] > 0


def test_the_table_holds_what_the_model_gives(done: Path) -> None:
    """Each held-out pair is there once, and as many that were trained on, with the rewards of the saved model."""
    rows = rewarded(done)
    held_out = [row for row in rows if row.held_out]
    told = summary(done)
    assert len(held_out) == told["counts"]["held out"]
    assert len(rows) == 2 * len(held_out) == len({row.id for row in rows})
    assert sum(row.source == PEOPLE for row in held_out) == told["counts"]["held out of people"]
    assert {row.group for row in held_out}.isdisjoint(row.group for row in rows if not row.held_out)
    model = RewardModel(done / "models/preference_model", dtype="float32", device="cpu")
    ai = [row for row in rows if row.source != PEOPLE]
    scored = model.score([preference(int(row.id.removeprefix("preference-")), row.p_chosen) for row in ai])
    for row, pair in zip(ai, scored.pairs, strict=True):
        assert (row.reward_chosen, row.reward_rejected) == pytest.approx((pair.chosen, pair.rejected), abs=1e-5)
        assert row.n_tokens_chosen == len(pair.example.chosen_ids)


def test_the_figures_are_those_of_the_rows(done: Path) -> None:
    """What the summary says can be worked out again from the table, and by hand."""
    rows, told = rewarded(done), summary(done)
    for name, held in (("held_out", True), ("trained_on", False)):
        found = measure_rewards([row for row in rows if row.held_out == held])
        assert found is not None
        assert told[name] == json.loads(json.dumps(found.to_json()))
    decided = [row for row in rows if row.held_out and row.p_chosen != 0.5]
    share = sum((row.margin > 0) + 0.5 * (row.margin == 0) for row in decided) / len(decided)
    assert told["held_out"]["accuracy"]["value"] == pytest.approx(share)
    gaps = [(p_preferred(row.margin) - row.p_chosen) ** 2 for row in rows if row.held_out]
    assert told["held_out"]["brier"]["value"] == pytest.approx(sum(gaps) / len(gaps))


def test_the_report_shows_it(done: Path) -> None:
    """The page has the held-out figures, the calibration and the training's curve."""
    page = page_words(report(done, done.parent / "page.html"))
    told = summary(done)["held_out"]
    assert "Preference model" in page
    assert f"error {told['ece']:.3f}" in page
    assert "Accuracy, people" in page
    assert "Preference model training" in page
    assert "reward" in page.lower()


def test_a_finished_training_is_not_repeated(done: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while the rewards are computed, the stage gives them of the same weights, and trains nothing."""
    weights = (done / "models/preference_model/adapter_model.safetensors").read_bytes()
    before, rows = summary(done), rewarded(done)
    with opened(done.parent, tiny_model) as run:
        run.summary("preference_model").unlink()
        with monkeypatch.context() as patch:
            patch.setattr(RewardModel, "score", lambda *_, on_batch, **__: (run.stop.set(), on_batch()))
            with pytest.raises(Interrupted):
                run_stages(run, ["preference_model"])
        run.stop.clear()

        def trains(*_: Any, **__: Any) -> None:
            raise AssertionError("a finished training began again")

        with monkeypatch.context() as patch:
            patch.setattr("charter.training.frame.load_trainee", trains)
            run_stages(run, ["preference_model"])
    after = summary(done)
    assert after["training"] == before["training"] | {"notes": ["was finished in an earlier sitting"]}
    assert (done / "models/preference_model/adapter_model.safetensors").read_bytes() == weights
    assert {name: after[name] for name in ("held_out", "trained_on")} == {
        name: before[name] for name in ("held_out", "trained_on")
    }
    assert rewarded(done) == rows


@pytest.mark.thorough
def test_a_launch_trains_as_the_run_would(done: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Processes of its own take the training, and come to the same losses."""
    (tmp_path / "own.yaml").write_text("{distributed_type: 'NO', num_processes: 1, use_cpu: true}")
    with opened(tmp_path, tiny_model, f"training.launch={tmp_path / 'own.yaml'}") as run:
        run_stages(run, ["sft", "preference_model"])
        found = [step["loss"] for step in summary(run.folder)["training"]["steps"]]
    assert found == pytest.approx([step["loss"] for step in summary(done)["training"]["steps"]], abs=1e-6)


def test_people_are_looked_at_before_a_run(tiny_model: Path, tmp_path: Path) -> None:
    """What a run would leave out of the file is noted, and a file that is not there is an error."""
    with opened(tmp_path, tiny_model) as run:
        found = Preflight()
        brought = look_at_brought(found, run.recipe, read_table(run.data("prompts"), Prompt))
        assert len(brought.people["preference_model"]) == N_PEOPLE
        assert any("1 rows are left out: empty answer" in one.message for one in found.findings)
    recipe = load_recipe(tmp_path / "tiny.yaml", ["preference_model.helpfulness=nowhere.json"])
    found = Preflight()
    look_at_brought(found, recipe, ())
    assert [one.about for one in found.errors] == ["preference_model.helpfulness"]


def test_without_pairs_held_out_nothing_is_measured(tiny_model: Path, tmp_path: Path) -> None:
    """The model is trained on all of them; the summary and the page say that there are no figures."""
    with opened(tmp_path, tiny_model, "label.held_out=0", "preference_model={}", "dpo=null") as run:
        run_stages(run, ["sft", "preference_model"])
        told = summary(run.folder)
        assert (told["held_out"], told["trained_on"], rewarded(run.folder)) == (None, None, [])
        assert told["n_done"] == told["n_in"] == N_AI
        data = read_run(run.folder)
        assert "dpo" not in data.planned_stages
        page = page_words(report(run.folder, tmp_path / "page.html"))
        assert "No pair was held out." in page
        with pytest.raises(RecipeError, match=r"'dpo' is null there; set dpo=\{\}"):
            run_stages(run, ["dpo"])
