from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from charter.recipe.stages import stages_of
from pages import DOCS
from run_examples import RECIPE, small_recipe, small_run, table_bytes

SLURM = DOCS / "cluster/slurm.sh"
SKYPILOT = DOCS / "cluster/skypilot.yaml"

# Does each job at once, task by task, and fails where a job waits for one that did not end well.
SBATCH = """\
import os, re, subprocess, sys
from pathlib import Path
place = Path(os.environ["STAND_IN"])
options = dict(one.split("=", 1) if "=" in one else (one, "") for one in sys.argv[1:])
job = len(list(place.glob("*.job"))) + 1
ended = {path.stem: path.read_text().splitlines()[0] for path in place.glob("*.job")}
after = options.get("--dependency", "")
assert not after or ended[after.removeprefix("afterok:")] == "0", (after, ended)
first, _, last = options.get("--array", "0").partition("-")
codes = []
for task in range(int(first), int(last or first) + 1):
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task)} if "--array" in options else dict(os.environ)
    log = Path(options["--output"].replace("%A", str(job)).replace("%a", str(task)))
    with log.open("w") as out:
        done = subprocess.run(["bash", "-c", options["--wrap"]], env=environment, stdout=out, stderr=out)
        codes.append(done.returncode)
(place / f"{job}.job").write_text(f"{max(codes)}\\n{options['--job-name']} {after} {options.get('--array', '')}\\n")
print(f"{job};cluster")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, whose name needs quoting, and stand-ins for sbatch and charter on the path."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    (folder / "small.yaml").write_text(RECIPE, "utf-8")
    (tmp_path / "bin").mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "sbatch.py").write_text(SBATCH, "utf-8")
    for name, command in (("sbatch", tmp_path / "sbatch.py"), ("charter", "-m charter")):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n', "utf-8")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(tmp_path / "jobs"))
    return folder


def require_plain(run: Path, folder: Path, *overrides: str) -> None:
    """Require that a run has all its stages done, and the tables of the run in one piece."""
    stages = stages_of(small_recipe(folder, *overrides))
    assert {path.stem for path in (run / "stages").iterdir()} == set(stages)
    assert table_bytes(run) == table_bytes(small_run(folder, stages, *overrides))
    assert (run / "evaluation.json").exists()
    assert (run / "report.html").exists()


def set_in_recipe(place: Path, overrides: tuple[str, ...]) -> None:
    """Write into the recipe what would be overrides of it."""
    lines = "".join(f"{one.replace('=', ': ')}\n" for one in overrides)
    (place / "small.yaml").write_text(RECIPE + lines, "utf-8")


def jobs(folder: Path) -> list[str]:
    """Read what the stand-in was handed: each job's name, what it waits for and its tasks; all of them ended well."""
    found = sorted(folder.glob("*.job"), key=lambda path: int(path.stem))
    told = [path.read_text("utf-8").splitlines() for path in found]
    assert [code for code, _ in told] == ["0"] * len(told)
    return [job for _, job in told]


def test_the_slurm_script_is_well_formed() -> None:
    """The shell reads it."""
    subprocess.run(["bash", "-n", str(SLURM)], check=True)


def hand_in(folder: Path, n: int) -> str:
    """Hand a run in to the stand-in, and give what the script says."""
    command = ["bash", str(SLURM), str(folder / "small.yaml"), str(folder / "run")]
    environment = {**os.environ, "SHARDS": str(n)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    logs = "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("run.logs/*")))
    assert done.returncode == 0, done.stderr + logs
    return done.stdout


@pytest.mark.slow
def test_the_slurm_script_does_a_whole_run(place: Path, tmp_path: Path) -> None:
    """Handed in, its jobs come one after another to the plain run; handed in again, they have nothing to do."""
    assert "handed in: the last job is 9;" in hand_in(place, 2)
    assert jobs(tmp_path / "jobs") == [
        "charter-prompts  ",
        "charter-revise afterok:1 1-2",
        "charter-merge-revise afterok:2 ",
        "charter-sft afterok:3 ",
        "charter-pairs afterok:4 1-2",
        "charter-merge-pairs afterok:5 ",
        "charter-dpo afterok:6 ",
        "charter-evaluate afterok:7 1-2",
        "charter-merge-evaluate afterok:8 ",
    ]
    require_plain(place / "run", tmp_path / "plain")
    before = table_bytes(place / "run")
    hand_in(place, 2)
    assert table_bytes(place / "run") == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "later"),
    [
        pytest.param(
            ("preference_model={}",), ["pairs", "merge-pairs", "preference_model"], marks=pytest.mark.thorough
        ),
        pytest.param(
            ("preference_model={}", "rl={}", "dpo=null"),
            ["pairs", "merge-pairs", "preference_model"],
            marks=pytest.mark.thorough,
        ),
        (("iterations=2",), ["pairs", "merge-pairs", "dpo", "pairs-2", "merge-pairs-2", "dpo-2"]),
        pytest.param(("dpo=null",), None, marks=pytest.mark.thorough),
    ],
)
def test_the_slurm_script_does_every_recipe(
    place: Path, tmp_path: Path, overrides: tuple[str, ...], later: list[str] | None
) -> None:
    """Whatever stages it has, they are all done, and as many jobs are handed in as they take."""
    set_in_recipe(place, overrides)
    hand_in(place, 2)
    end = ["pairs", "merge-pairs"] if later is None else [*later, "evaluate", "merge-evaluate"]
    names = [one.partition(" ")[0].removeprefix("charter-") for one in jobs(tmp_path / "jobs")]
    assert names == ["prompts", "revise", "merge-revise", "sft", *end]
    require_plain(place / "run", tmp_path / "plain", *overrides)


def test_the_slurm_script_hands_in_nothing_of_a_recipe_that_is_wrong(place: Path, tmp_path: Path) -> None:
    """It ends with what is wrong."""
    (place / "small.yaml").write_text(RECIPE + "iterations: 0\n", "utf-8")
    command = ["bash", str(SLURM), str(place / "small.yaml"), str(place / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "iterations" in done.stderr
    assert not list((tmp_path / "jobs").iterdir())
    assert not (place / "run.logs").exists()


def tasks() -> list[dict[str, Any]]:
    """Read the tasks of the pipeline; the first part names it."""
    name, *found = yaml.safe_load_all(SKYPILOT.read_text("utf-8"))
    assert name == {"name": "charter"}
    return found


def test_the_skypilot_pipeline_is_well_formed() -> None:
    """Its tasks have what SkyPilot asks for, and as many nodes as there are shards wherever there are shards."""
    found = tasks()
    assert [one["name"] for one in found] == ["prompts", "revise", "sft", "pairs", "train", "evaluate", "report"]
    for one in found:
        assert set(one) <= {"name", "num_nodes", "resources", "volumes", "envs", "setup", "run"}
        assert (one["volumes"], one["envs"]["RUN"]) == ({"/runs": "charter-runs"}, "/runs/mine")
        assert ("--shard" in one["run"]) == (one.get("num_nodes") == 16)
        subprocess.run(["bash", "-n"], input=one["run"], text=True, check=True)


def launch(place: Path) -> list[int]:
    """Do the tasks one after another, those of many nodes on two, until one fails; give their exit codes."""
    codes = []
    for one in tasks():
        n = 2 if one.get("num_nodes") else 1
        for rank in range(n):
            environment = os.environ | {
                "RECIPE": str(place / "small.yaml"),
                "RUN": str(place / "run"),
                "SKYPILOT_NODE_RANK": str(rank),
                "SKYPILOT_NUM_NODES": str(n),
            }
            done = subprocess.run(["bash", "-c", one["run"]], env=environment, capture_output=True, check=False)
            codes.append(done.returncode)
        if any(codes):
            break
    return codes


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        pytest.param(("preference_model={}", "rl={}", "dpo=null"), marks=pytest.mark.thorough),
        pytest.param(("dpo=null",), marks=pytest.mark.thorough),
    ],
)
def test_the_skypilot_pipeline_does_a_whole_run(place: Path, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """Its commands, done on two nodes where there are many, come to the plain run, whatever the recipe trains."""
    set_in_recipe(place, overrides)
    assert launch(place) == [0] * 10
    require_plain(place / "run", tmp_path / "plain", *overrides)


@pytest.mark.thorough
def test_a_pipeline_that_is_too_short_fails_and_goes_on(place: Path, tmp_path: Path) -> None:
    """Of a recipe with more iterations than it has tasks for the last task fails; launched again, the run ends."""
    set_in_recipe(place, ("iterations=2",))
    assert launch(place) == [*[0] * 9, 1]
    assert launch(place) == [0] * 10
    require_plain(place / "run", tmp_path / "plain", "iterations=2")
