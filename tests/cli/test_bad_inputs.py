from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cli.command import RECIPE, Command

FILES = {
    "empty.jsonl": "",
    "blank.jsonl": "\n\n",
    "broken.jsonl": '{"prompt": "one"}\n{"prompt": "two"}\n{"prompt": \n',
    "no_prompt.jsonl": '{"words": "one"}\n',
    "twice.yaml": "name: x\nprinciples:\n- {id: a, text: Be kind.}\n- {id: a, text: Be brief.}\n",
    "none.yaml": "name: x\nprinciples: []\n",
    "not_yaml.yaml": "name: [x\n",
    "unknown_key.yaml": RECIPE.replace("pairs:", "pears:"),
    "unknown_stage_key.yaml": RECIPE + "revise: {round: 3}\n",
    "no_models.yaml": "name: x\nconstitution: harmless\n",
    "choices.jsonl": '{"prompt": "Which?", "corrects": [" (A)"], "incorrects": [" (B)"]}\n{"prompt": "Which?"}\n',
}

# What is asked for, and what the message must name.
CASES = {
    "unknown recipe key": (["unknown_key.yaml"], ["unknown_key.yaml:5", "'pears'", "did you mean 'pairs'"]),
    "unknown key of a stage": (["unknown_stage_key.yaml"], ["unknown_stage_key.yaml:6", "revise.round", "'rounds'"]),
    "missing key": (["no_models.yaml"], ["'models' is missing"]),
    "missing recipe": (["nowhere.yaml"], ["nowhere.yaml"]),
    "recipe that is not YAML": (["not_yaml.yaml"], ["not_yaml.yaml:2"]),
    "missing prompt file": (["demo.yaml", "prompts.red_team=nowhere.jsonl"], ["nowhere.jsonl: no such file"]),
    "empty prompt file": (["demo.yaml", "prompts.red_team=empty.jsonl"], ["empty.jsonl", "holds no rows"]),
    "blank prompt file": (["demo.yaml", "prompts.helpful=blank.jsonl"], ["blank.jsonl", "holds no rows"]),
    "malformed JSON line": (["demo.yaml", "prompts.red_team=broken.jsonl"], ["broken.jsonl:3", "not JSON"]),
    "no prompt column": (["demo.yaml", "prompts.red_team=no_prompt.jsonl"], ["no_prompt.jsonl:1", "words"]),
    "principle id twice": (["demo.yaml", "constitution=twice.yaml"], ["twice.yaml:4", '"a" is used twice']),
    "no principles": (["demo.yaml", "constitution=none.yaml"], ["none.yaml:2", "principles"]),
    "unknown constitution": (["demo.yaml", "constitution=harmles"], ["harmles", "harmless"]),
    "malformed choices": (["demo.yaml", "evaluate.multiple_choice=[choices.jsonl]"], ["choices.jsonl:2", "corrects"]),
    "missing choices": (["demo.yaml", "evaluate.multiple_choice=[nowhere.jsonl]"], ["nowhere.jsonl"]),
    "missing model folder": (["demo.yaml", "models.policy=./nowhere"], ["./nowhere", "no folder"]),
    "missing hub model": (["demo.yaml", "models.policy=nobody/nothing"], ["nobody/nothing"]),
    "override without value": (["demo.yaml", "revise.rounds"], ["'revise.rounds'", "key=value"]),
    "override of an unknown key": (["demo.yaml", "revise.round=2"], ["revise.round", "'rounds'"]),
    "override with a wrong value": (["demo.yaml", "revise.rounds=many"], ["revise.rounds=many"]),
    "override out of range": (["demo.yaml", "revise.rounds=99"], ["revise.rounds"]),
    "shares that do not add up": (["demo.yaml", "pairs.kinds={red_team: 0.5}"], ["pairs.kinds", "0.5"]),
    "too many held out": (["demo.yaml", "prompts.n_evaluation=9999"], ["9999", "prompts.n_evaluation"]),
}


@pytest.fixture
def bad_files(place: Path) -> Path:
    """The folder with every file that is wrong in one way."""
    for name, text in FILES.items():
        (place / name).write_text(text, "utf-8")
    return place


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("verb", ["run", "check"])
def test_bad_input_is_refused_by_name(charter: Command, bad_files: Path, verb: str, case: str) -> None:
    """What is wrong is named, with exit code 2, no traceback, and nothing left behind."""
    arguments, named = CASES[case]
    done = charter(verb, *arguments)
    if verb == "check" and case == "missing hub model":  # the hub is not asked before the run
        assert done.code == 0
        assert "nobody/nothing is not on this machine" in done.out
        return
    said = done.err if verb == "run" or done.err else done.out
    assert done.code == 2, said
    assert "error: " in said
    assert "Traceback" not in done.out + done.err
    for part in named:
        assert part in said
    assert not (bad_files / "runs").exists()


def test_run_folder_of_another_recipe(charter: Command) -> None:
    """A folder that belongs to other settings is refused, and the settings are named with both values."""
    assert charter("run", "demo.yaml", "--until", "prompts").code == 0
    done = charter("run", "demo.yaml", "revise.rounds=3")
    assert done.code == 2
    assert "revise.rounds: was 2, is 3" in done.err
    assert "--out" in done.err


def test_folder_with_other_files(charter: Command, place: Path) -> None:
    """A folder that holds something else is left alone."""
    (place / "mine").mkdir()
    (place / "mine/letter.txt").write_text("dear", "utf-8")
    done = charter("run", "demo.yaml", "--out", "mine")
    assert done.code == 2
    assert "letter.txt" in done.err
    assert [path.name for path in (place / "mine").iterdir()] == ["letter.txt"]


def test_out_that_is_a_file(charter: Command, place: Path) -> None:
    """A file cannot be a run's folder."""
    (place / "taken").write_text("", "utf-8")
    done = charter("run", "demo.yaml", "--out", "taken")
    assert done.code == 2
    assert "taken: is a file" in done.err


def test_out_that_cannot_be_written(charter: Command, place: Path) -> None:
    """A folder that cannot be made or written is named."""
    if os.geteuid() == 0:
        out = "/proc/charter"  # the one place where the superuser cannot write
    else:
        (place / "closed").mkdir(mode=0o500)
        out = str(place / "closed/run")
    done = charter("run", "demo.yaml", "--out", out)
    assert done.code == 2
    assert f"{out}: cannot be written" in done.err


def test_changed_prompt_file_is_noticed(charter: Command, place: Path) -> None:
    """A run whose prompt file changed in the meantime is not mixed from both."""
    lines = "".join(f'{{"prompt": "Question number {number}?"}}\n' for number in range(30))
    (place / "mine.jsonl").write_text(lines, "utf-8")
    own = ("run", "demo.yaml", "prompts.red_team=mine.jsonl", "prompts.benign_twin=null", "--until", "prompts")
    assert charter(*own).code == 0
    (place / "mine.jsonl").write_text(lines.replace("number 3", "no. 3"), "utf-8")
    done = charter(*own)
    assert done.code == 2
    assert "prompts red_team" in done.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["status", "nowhere"], "nowhere: no such folder"),
        (["status", "."], "is no run's folder"),
        (["report", "nowhere"], "nowhere: no such folder"),
        (["show", "nowhere", "rt-1"], "nowhere: no such folder"),
        (["constitution", "show", "nowhere"], "nowhere"),
        (["constitution", "check", "nowhere.yaml"], "nowhere.yaml"),
        (["prompts", "show", "helpful", "--category", "nowhere"], "nowhere"),
        (["chat", "./nowhere"], "./nowhere"),
        (["run"], "Missing argument"),
        (["run", "demo.yaml", "--until", "nowhere"], "nowhere"),
        (["run", "demo.yaml", "--nowhere"], "--nowhere"),
        (["rum"], "Did you mean 'run'?"),
        (["prompts"], "Missing command"),
    ],
)
def test_wrong_arguments_of_other_verbs(charter: Command, arguments: list[str], named: str) -> None:
    """Every verb refuses what it cannot use in the same way."""
    done = charter(*arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert named in done.err
    assert done.out == ""


def test_damaged_run_folder(charter: Command, place: Path, finished: Path) -> None:
    """A damaged table is named, with what to do."""
    shutil.copytree(finished, place / "run")
    (place / "run/data/pairs.parquet").write_bytes(b"PAR1 and nothing else")
    done = charter("show", "run", "rt-")
    assert done.code == 2
    assert "pairs.parquet" in done.err
