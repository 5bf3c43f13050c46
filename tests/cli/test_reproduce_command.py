"""``charter reproduce``: all figures of a tiny model, that the command goes on, and what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from charter.reproduction.figures import FIGURES
from cli.command import Command

SOURCES = {kind: {"on_policy": 1.0} for kind in ("red_team", "benign_twin", "helpful")}
TRAINED = {"batch_size": 4, "learning_rate": 5e-3}


@pytest.fixture
def recipe(place: Path, tiny_model: Path) -> Path:
    """A recipe of the tiny model: every stage that figures read, in seconds."""
    file = place / "tiny.yaml"
    values: dict[str, Any] = {
        "name": "tiny",
        "constitution": "harmless",
        "models": {"policy": str(tiny_model)},
        "prompts": {"n_train": 6, "n_evaluation": 6, "n_evaluation_helpful": 6, "n_train_helpful": 6},
        "revise": {"max_tokens": 8, "max_critique_tokens": 6, "n_few_shots": 0, "on_cut": "open"},
        "sft": {"max_tokens": 8, "on_cut": "open", "batch_size": 4, "lora": {"r": 4, "alpha": 8}, "guard": None},
        "pairs": {"n": 24, "max_tokens": 8, "on_cut": "open", "sources": SOURCES},
        "label": {"k_principles": 1, "n_few_shots": 0, "min_option_mass": 0.0},
        "preference_model": TRAINED,
        "dpo": TRAINED | {"snapshots": 1, "guard": None},
        "evaluate": {"max_tokens": 8},
    }
    file.write_text(yaml.safe_dump(values), "utf-8")
    return file


@pytest.mark.parametrize(
    "names",
    [("2", "3", "4", "12", "soft-labels"), pytest.param(tuple(FIGURES), marks=pytest.mark.thorough)],
    ids=["some", "all"],
)
@pytest.mark.model
@pytest.mark.timeout(1800)
def test_figures_are_made(charter: Command, recipe: Path, place: Path, names: tuple[str, ...]) -> None:
    """Each leaves values, points, pictures and a caption; the page tells of all; what is there is not made again."""
    done = charter("reproduce", *names, "--recipe", recipe, "--n", "6", "--out", place / "made", "--json")
    assert done.code == 0, done.err
    assert [one["figure"] for one in done.value] == list(names)
    for one in done.value:
        folder = place / "made" / f"figure-{one['figure']}"
        points = pq.read_table(folder / "points.parquet").to_pylist()
        rows = pq.read_table(folder / "values.parquet").num_rows
        assert points
        assert rows >= sum(point["n"] for point in points) or one["figure"] in {"2", "3"}, one["figure"]
        assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"
        assert all(claim["told"] and claim["shows"] in {"yes", "no", "undecided"} for claim in one["claims"])
    page = (place / "made" / "reproduction.md").read_text("utf-8")
    assert all(FIGURES[name].title in page for name in names)

    lost = place / "made" / "figure-4"
    before = pq.read_table(lost / "values.parquet")
    shutil.rmtree(lost)
    again = charter("reproduce", "4", "12", "--recipe", recipe, "--n", "6", "--out", place / "made")
    assert again.code == 0, again.err
    assert "figure 12: is there" in again.err
    assert "loading" not in again.err, "answers are recalled"
    assert pq.read_table(lost / "values.parquet") == before
    assert again.out.splitlines()[-1] == str(place / "made" / "reproduction.md")

    labels = place / "made" / "figure-soft-labels"
    before = pq.read_table(labels / "values.parquet")
    (labels / "figure.json").unlink()  # as where somebody stopped behind the trainings
    again = charter("reproduce", "soft-labels", "--recipe", recipe, "--n", "6", "--out", place / "made")
    assert again.code == 0, again.err
    assert "seed 0" not in again.err, "no preference model is trained again"
    assert pq.read_table(labels / "values.parquet") == before

    other = charter("reproduce", "4", "--recipe", recipe, "--out", place / "made", "evaluate.max_tokens=9")
    assert other.code == 2
    assert "was begun with another --recipe" in other.err
    runs = {one.name for one in (place / "made" / "runs").iterdir()}
    other = charter("reproduce", "7", "--recipe", recipe, "--out", place / "made", "evaluate.max_tokens=9")
    assert other.code == 2
    assert {one.name for one in (place / "made" / "runs").iterdir()} == runs, "no run of another recipe is begun"


@pytest.mark.parametrize("arguments", [["99"], ["5", "--data", "choices=x.jsonl"], ["5", "revise.round=3"]])
def test_what_is_refused_loads_nothing_heavy(place: Path, arguments: list[str]) -> None:
    """A wrong figure, file or setting is told at once: before a training library is imported."""
    code = f"""if True:
        import sys
        from charter.cli import main
        try:
            main(["reproduce", *{arguments!r}])
        finally:
            print(sorted({{"torch", "transformers", "peft"}} & sys.modules.keys()))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["11"], "FIGURE is '11'; expected 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, soft-labels, clamp, chains, all"),
        (["4", "--data", "choices"], "--data choices: expected NAME=FILE"),
        (["5", "--data", "choices=x.jsonl"], "--data choices: is read by none of these figures; there are: none"),
        (["5", "--recipe", "nothing.yaml"], "nothing.yaml: no such file"),
        (["9", "--recipe", "tiny.yaml", "--data", "choices=x.jsonl"], "x.jsonl"),
        (["4", "--recipe", "tiny.yaml", "--data", "choices=x.jsonl"], "x.jsonl: no such file"),
        (["4", "--recipe", "tiny.yaml", "-m", "a=x@nothing"], "nothing"),
        (["5", "revise.round=3"], "did you mean"),
        (["revise.rounds=3"], "name a figure"),
    ],
)
def test_what_is_refused(charter: Command, recipe: Path, arguments: list[str], said: str) -> None:
    """What cannot be made is named before any model is asked, with what to do."""
    assert recipe.exists()
    done = charter("reproduce", *arguments, "--out", "made")
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not Path("made", "runs").exists()
