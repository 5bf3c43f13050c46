from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from cli.command import RECIPE, Command
from engines.model_folders import make_adapter, make_model

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
    "sub/demo.yaml": RECIPE.replace("prompts: {", "prompts: {red_team: mine.jsonl, "),
    "mine.jsonl": '{"prompt": "one"}\n',
    "blank_principle.yaml": 'name: x\nprinciples:\n- {id: a, text: " "}\n',
    "cells.csv": "prompt,topic\none\n",
    "same_id.jsonl": '{"key": "a", "prompt": "one"}\n{"key": "a", "prompt": "two"}\n',
    "latin.jsonl": '{"prompt": "caf\xe9"}\n',
    "latin.yaml": "name: caf\xe9\n",
    "table.xlsx": "PK",
    "folder/choices.jsonl": '{"prompt": "Which?", "corrects": [" (A)"], "incorrects": [" (B)"]}\n',
    "choices.jsonl": '{"prompt": "Which?", "corrects": [" (A)"], "incorrects": [" (B)"]}\n{"prompt": "Which?"}\n',
}

WITHOUT_TWINS = ("prompts.benign_twin=null", "pairs.kinds={red_team: 0.5, helpful: 0.5}")

ON_POLICY = "red_team: {on_policy: 1}, benign_twin: {on_policy: 1}"

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
    "recipe that is a folder": (["folder"], ["folder: is a folder", "smoke"]),
    "recipe in another encoding": (["latin.yaml"], ["latin.yaml", "UTF-8"]),
    "prompts in another encoding": (["demo.yaml", "prompts.helpful=latin.jsonl"], ["latin.jsonl", "UTF-8"]),
    "row with too few cells": (["demo.yaml", "prompts.helpful=cells.csv"], ["cells.csv:2", "1 cells"]),
    "id used twice": (
        ["demo.yaml", "prompts.helpful={source: same_id.jsonl, id_column: key}"],
        ["same_id.jsonl:2", "'a'"],
    ),
    "unknown kind of file": (["demo.yaml", "prompts.helpful=./table.xlsx"], ["table.xlsx", "'.xlsx'", ".csv"]),
    "path that is relative to the recipe": (
        ["sub/demo.yaml"],
        [
            "sub/mine.jsonl: no such file",
            "{here}/sub/mine.jsonl",
            "relative to the recipe's file",
            "override to {here}",
        ],
    ),
    "constitution that is a folder": (["demo.yaml", "constitution=./folder"], ["folder"]),
    "blank principle": (
        ["demo.yaml", "constitution=blank_principle.yaml"],
        ["constitution: principle a", "write the text"],
    ),
    "unknown device": (["demo.yaml", "models.policy={name: ./base, device: gpu}"], ["models.policy.device", "'gpu'"]),
    "GPU too many": (["demo.yaml", "models.judge={name: ./base, device: 'cuda:99'}"], ["models.judge", "'cuda:99'"]),
    "unknown number format": (["demo.yaml", "models.policy={name: ./base, dtype: int4}"], ["models.policy", "'int4'"]),
    "damaged tokenizer": (
        ["demo.yaml", "models.policy=./chats"],
        ["models.policy", "chats/tokenizer.json is no tokenizer", "fetch or save the model again"],
    ),
    "model without a chat template": (["demo.yaml", "models.policy=./base"], ["./base has no chat template", "sft"]),
    "folder without a model": (["demo.yaml", "models.policy=./folder"], ["folder holds no model", "choices.jsonl"]),
    "pickled model": (["demo.yaml", "models.policy=./pickled"], ["pickled weights only", "pytorch_model.bin"]),
    "adapter of nothing": (
        ["demo.yaml", "models.critic=./adapter"],
        ["models.critic", "the base of the adapter", "./nowhere"],
    ),
    "share without prompts": (
        ["demo.yaml", "prompts.helpful=null"],
        ["'prompts.helpful' is null", "'pairs.kinds' to {"],
    ),
    "share that nothing makes": (
        ["demo.yaml", f"pairs.sources={{{ON_POLICY}, helpful: {{revision_vs_initial: 1}}}}"],
        ["pairs.sources.helpful", "only red_team prompts are revised"],
    ),
    "files of one name": (
        ["demo.yaml", "evaluate.multiple_choice=[choices.jsonl, folder/choices.jsonl]"],
        ["2 files called 'choices.jsonl'"],
    ),
    "too many to train on": (["demo.yaml", "prompts.n_train=9999"], ["prompts.n_train", "9999"]),
    "too few traces": (["demo.yaml", "pairs.n=500"], ["revision_vs_initial", "there are 6 traces", "pairs.n"]),
    "too many held out": (["demo.yaml", "prompts.n_evaluation=9999"], ["9999", "prompts.n_evaluation"]),
}


@pytest.fixture
def bad_files(place: Path) -> Path:
    """The folder with every file that is wrong in one way."""
    for name, text in FILES.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text, "latin-1")
    (make_model(place / "chats") / "tokenizer.json").write_text('{"model": {}}')
    (make_model(place / "base") / "chat_template.jinja").unlink()
    (make_model(place / "pickled") / "model.safetensors").rename(place / "pickled/pytorch_model.bin")
    make_adapter(place / "adapter", "./nowhere")
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
        assert part.replace("{here}", str(bad_files)) in said
    assert not (bad_files / "runs").exists()


def test_run_folder_of_another_recipe(charter: Command) -> None:
    """A folder that belongs to other settings is refused, and the settings are named with both values."""
    assert charter("run", "demo.yaml", "--until", "prompts").code == 0
    done = charter("run", "demo.yaml", "revise.rounds=3")
    assert done.code == 2
    assert "revise.rounds: was 2, is 3" in done.err
    assert "--out" in done.err
    checked = charter("check", "demo.yaml", "revise.rounds=3")
    assert checked.code == 2
    assert "error: run folder: runs/demo: belongs to another recipe" in checked.out
    assert "\ntotal" in checked.out  # a variant is planned all the same
    assert checked.out.endswith("1 error\n")
    assert charter("check", "demo.yaml").code == 0
    assert charter("check", "demo.yaml", "revise.rounds=3", "--out", "runs/other").code == 0


def test_folder_with_other_files(charter: Command, place: Path) -> None:
    """A folder that holds something else is left alone."""
    (place / "mine").mkdir()
    (place / "mine/letter.txt").write_text("dear", "utf-8")
    done = charter("run", "demo.yaml", "--out", "mine")
    assert done.code == 2
    assert "letter.txt" in done.err
    assert [path.name for path in (place / "mine").iterdir()] == ["letter.txt"]


def test_a_folder_that_another_run_is_in(charter: Command, place: Path) -> None:
    """A second run on one folder is refused, by who is in it, with what to do."""
    (place / "runs/demo").mkdir(parents=True)
    (place / "runs/demo/.holder").write_text("process 12345", "utf-8")
    with FileLock(place / "runs/demo/.lock"):
        done = charter("run", "demo.yaml")
    assert done.code == 2
    assert done.err == (
        "error: runs/demo: process 12345 is running on this folder; wait for it, or name another with --out\n"
    )


def test_a_full_disk(charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room a run does not begin: what there is, what is needed, and what to do."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    done = charter("run", "demo.yaml")
    assert done.code == 2
    assert "0.20 GB are free, a run needs 1 GB; make room, or name a folder on another disk with --out" in done.err
    assert not (place / "runs").exists()


def test_a_name_that_means_something_else_than_what_lies_here(charter: Command, place: Path) -> None:
    """A model's folder beside the shell, named as if it lay beside the recipe, is not loaded, nor sought at the hub."""
    make_model(place / "models/mine")
    (place / "sub").mkdir()
    (place / "sub/r.yaml").write_text(RECIPE.replace("{name: demo, engine: scripted}", "models/mine"), "utf-8")
    for verb in ("run", "check"):
        done = charter(verb, "sub/r.yaml")
        assert done.code == 2
        said = done.out + done.err
        assert "models.policy: 'models/mine' is taken for a name" in said
        assert str(place / "models/mine") in said
        assert "./models/mine in an override" in said
    assert charter("run", "sub/r.yaml", "models.policy=./models/mine", "--until", "prompts").code == 0


def test_every_error_is_told_at_once(charter: Command, place: Path) -> None:
    """Whoever has three things to mend hears of all three."""
    del place
    wrong = ("constitution=nowhere.yaml", "prompts.helpful=nowhere.csv", "models.judge=./nowhere")
    done = charter("run", "demo.yaml", *wrong)
    assert done.code == 2
    assert [line.partition(": ")[0] for line in done.err.removeprefix("error: ").splitlines()] == [
        "constitution",
        "prompts.helpful",
        "models.judge",
    ]


def test_a_stage_alone_asks_for_what_it_needs_alone(charter: Command, place: Path) -> None:
    """A base model may revise in transcripts; a whole run with it is refused before its prompts are chosen."""
    (make_model(place / "base") / "chat_template.jinja").unlink()
    base = ("models.policy=./base", "revise.layout=transcript")
    done = charter("run", "demo.yaml", *base)
    assert done.code == 2
    assert "(needed by sft, pairs, dpo, evaluate)" in done.err
    assert charter("run", "demo.yaml", *base, "--until", "prompts").code == 0


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
    checked = charter("check", "demo.yaml", "--out", out)
    assert checked.code == 2
    assert f"error: run folder: {out}: cannot be written" in checked.out


def test_changed_prompt_file_is_noticed(charter: Command, place: Path) -> None:
    """A run whose prompt file changed in the meantime is not mixed from both."""
    lines = "".join(f'{{"prompt": "Question number {number}?"}}\n' for number in range(30))
    (place / "mine.jsonl").write_text(lines, "utf-8")
    own = ("run", "demo.yaml", "prompts.red_team=mine.jsonl", *WITHOUT_TWINS, "--until", "prompts")
    assert charter(*own).code == 0
    (place / "mine.jsonl").write_text(lines.replace("number 3", "no. 3"), "utf-8")
    done = charter(*own)
    assert done.code == 2
    assert "prompts red_team: mine.jsonl is not what the run began with" in done.err
    checked = charter("check", *own[1:-2])
    assert checked.code == 2
    assert "prompts red_team: mine.jsonl is not what the run began with" in checked.out


@pytest.mark.parametrize("arguments", [["unknown_key.yaml", "seed=-1"], ["nowhere"], ["demo.yaml", "seed=1", "seed=2"]])
def test_a_recipe_that_cannot_be_read_is_told_as_json(charter: Command, bad_files: Path, arguments: list[str]) -> None:
    """Whoever reads findings gets findings, also where there is no recipe to look into."""
    del bad_files
    done = charter("check", *arguments, "--json")
    assert done.code == 2
    assert done.value["ok"] is False
    assert done.value["plan"] is None
    assert {one["severity"] for one in done.value["findings"]} == {"error"}
    assert done.value.keys() == charter("check", "demo.yaml", "--json").value.keys()
    if arguments[0] == "unknown_key.yaml":
        places = {one["message"].partition(": ")[0] for one in done.value["findings"]}
        assert places == {"unknown_key.yaml:5", "override 'seed=-1'"}


def test_a_misspelt_model_is_told_what_was_meant(charter: Command, place: Path) -> None:
    """Where the hub gives no answer, the embedded name that is near, and that no folder is there, are said."""
    for verb in ("run", "check"):
        done = charter(verb, "demo.yaml", "models.policy=smollm2-135")
        assert done.code == 2
        assert f"there is no folder {place}/smollm2-135; did you mean 'smollm2-135m'?" in done.out + done.err
        assert "HF_HUB_OFFLINE" in done.out + done.err
    done = charter("chat", "nosuchfolder")
    assert done.code == 2
    assert f"there is no folder {place}/nosuchfolder" in done.err
    done = charter("check", "demo.yaml", "models.policy=nosuchfolder")
    assert done.code == 0
    assert f"there is no folder {place}/nosuchfolder; a run would be refused unless the hub has it by then" in done.out
    assert "scaled to 7B, which is a guess: nothing here tells the size of nosuchfolder" in done.out


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
        (
            ["run", "demo.yaml", "--until", "labels"],
            "there is no stage 'labels'; this recipe does prompts, revise",
        ),
        (["run", "demo.yaml", "--until", "labels"], 'report; did you mean "label"?'),
        (
            ["prompts", "show", "red_teem"],
            "'red_teem' is not one of 'red_team', 'benign_twin', 'helpful'; did you mean",
        ),
        (["status", "demo.yaml"], "demo.yaml: is a file; name the folder of a run"),
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


@pytest.mark.parametrize("verb", [["status", "run"], ["show", "run", "rt-"], ["run", "demo.yaml", "--out", "run"]])
def test_damaged_journal(charter: Command, place: Path, finished: Path, verb: list[str]) -> None:
    """A journal that is none is the person's to mend, as every other file of a run."""
    shutil.copytree(finished, place / "run")
    (place / "run/journal.sqlite").write_bytes(b"this is no database, but a text of some length " * 40)
    done = charter(*verb)
    assert done.code == 2
    assert "journal.sqlite: the journal cannot be read" in done.err
    assert "estore the file" in done.err


def test_damaged_run_folder(charter: Command, place: Path, finished: Path) -> None:
    """A damaged table is named, with what to do."""
    shutil.copytree(finished, place / "run")
    (place / "run/data/pairs.parquet").write_bytes(b"PAR1 and nothing else")
    done = charter("show", "run", "rt-")
    assert done.code == 2
    assert "pairs.parquet" in done.err
