from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charter.constitution import write_constitution
from charter.engines.weights import ModelFolder
from charter.errors import ConstitutionError, Interrupted, ModelError, RunError
from charter.recipe import Recipe, dump_recipe, load_recipe
from charter.runs import folder as run_module
from charter.runs import inputs
from charter.runs.environment import gpu_names
from charter.runs.folder import Run, check_files, check_place, open_run
from charter.runs.place import RESOLVED, check_writable
from charter.runs.roles import role_specs
from method_examples import CONSTITUTION
from run_examples import RECIPE, small_recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a run's folder that does not exist yet."""
    return tmp_path / "runs" / "demo"


def _open(folder: Path, recipe: Recipe, **options: Any) -> None:
    """Open a run and close it again."""
    with open_run(recipe, folder, recipe_text=RECIPE, **options) as run:
        assert isinstance(run, Run)


def _refusal(folder: Path, recipe: Recipe) -> str:
    with pytest.raises(RunError) as caught:
        _open(folder, recipe)
    message = str(caught.value)
    assert message.startswith(str(folder))
    return message.removeprefix(str(folder))


def test_a_new_folder_says_what_it_is(tmp_path: Path, folder: Path) -> None:
    """A run's folder holds the recipe as given and in full, its inputs and where it ran; no file half written."""
    recipe = small_recipe(tmp_path, "seed=7")
    _open(folder, recipe)
    assert (folder / "recipe.yaml").read_text("utf-8") == RECIPE
    assert load_recipe(folder / "recipe.resolved.yaml") == recipe
    inputs = json.loads((folder / "inputs.json").read_text("utf-8"))
    assert {"constitution", "helpful constitution", "model policy", "model judge"} <= inputs.keys()
    assert (folder / "journal.sqlite").exists()
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".partial")]
    assert not (folder / ".holder").exists()


def test_the_environment_names_versions_and_no_person(tmp_path: Path, folder: Path) -> None:
    """What the run ran on is told by versions and machine; paths, names and the machine's name are not."""
    _open(folder, small_recipe(tmp_path))
    text = (folder / "environment.json").read_text("utf-8")
    environment = json.loads(text)
    assert environment["python"] == platform.python_version()
    assert environment["packages"]["charter"]
    assert environment["n_cpus"] >= 1
    assert environment["models"]["policy"]["name"] == "small"
    for private in (f"{tmp_path}", f"{Path.home()}/", f'"{platform.node()}"', f'"{getpass.getuser()}"'):
        assert private not in text


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("printf 'NVIDIA H200\\nNVIDIA H200\\n'", ["NVIDIA H200", "NVIDIA H200"]),
        ("echo 'no driver'; exit 9", []),
    ],
)
def test_gpus_are_named_as_their_driver_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: list[str]
) -> None:
    """What the driver's command prints, line by line; where it fails or there is none, no GPU is known."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    assert gpu_names() == expected
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert gpu_names() == []


def test_the_same_recipe_continues(tmp_path: Path, folder: Path) -> None:
    """Opening again with the same recipe changes nothing in the folder's papers."""
    _open(folder, small_recipe(tmp_path))
    before = {path.name: path.read_bytes() for path in folder.glob("*.*") if path.suffix in {".json", ".yaml"}}
    _open(folder, small_recipe(tmp_path))
    assert {path.name: path.read_bytes() for path in folder.glob("*.*") if path.suffix in {".json", ".yaml"}} == before


def test_a_key_that_changed_is_not_shown(tmp_path: Path, folder: Path) -> None:
    """A key of capitals can pass for the name of a variable: what changed is named alone."""
    served = "models.judge={name: x, engine: http, server: openai, key_name: PLANTED}"
    _open(folder, small_recipe(tmp_path, served))
    message = _refusal(folder, small_recipe(tmp_path, served.replace("PLANTED", "OPENAI_API_KEY")))
    assert "  models.judge.key_name: was ***, is ***\n" in message
    assert "PLANTED" not in message
    message = _refusal(folder, small_recipe(tmp_path, served.replace(", key_name: PLANTED", "")))
    assert "  models.judge.key_name: was ***, is empty (null)\n" in message


def test_another_recipe_is_refused_with_what_changed(tmp_path: Path, folder: Path) -> None:
    """Every key that changed is named with both values, and what to do."""
    _open(folder, small_recipe(tmp_path, "revise.rounds=2"))
    without_helpful = ("prompts.helpful=null", "pairs.kinds={red_team: 0.5, benign_twin: 0.5}")
    message = _refusal(folder, small_recipe(tmp_path, "revise.rounds=3", "sft.lora.r=4", *without_helpful))
    assert message.startswith(": belongs to another recipe. Changed:\n")
    assert "  revise.rounds: was 2, is 3\n" in message
    assert "  sft.lora.r: was 16, is 4\n" in message
    assert "  prompts.helpful.source: was 'built-in', is not set\n" in message
    assert message.endswith("Name a new folder with --out, or undo the change.")
    assert "seed" not in message
    _open(folder, small_recipe(tmp_path, "revise.rounds=2"))


def test_a_run_may_go_on_in_vllms_other_place(tmp_path: Path) -> None:
    """What vLLM answers does not depend on where it runs; what another engine answers does."""
    folder = tmp_path / "run"
    folder.mkdir()
    began = small_recipe(tmp_path, "models.policy={name: big, engine: vllm}")
    (folder / RESOLVED).write_text(dump_recipe(began, folder))
    check_place(small_recipe(tmp_path, "models.policy={name: big, engine: vllm-server}"), folder)
    for others in ("engine: transformers", "engine: vllm-server, dtype: float32"):
        with pytest.raises(RunError, match="belongs to another recipe"):
            check_place(small_recipe(tmp_path, f"models.policy={{name: big, {others}}}"), folder)


def test_files_that_lie_elsewhere_are_the_same_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project, or a run's folder, that was moved goes on from its recipe, and from the resolved one inside."""
    monkeypatch.chdir(tmp_path)
    Path("project/data").mkdir(parents=True)
    Path("project/data/mine.csv").write_text("prompt\none\ntwo\n")
    Path("project/recipe.yaml").write_text(RECIPE.replace("{n_train", "{red_team: data/mine.csv, n_train"), "utf-8")
    _open(Path("project/runs/one"), load_recipe(Path("project/recipe.yaml")))
    Path("project").rename("moved")
    for recipe in ("moved/recipe.yaml", str(tmp_path / "moved/recipe.yaml"), "moved/runs/one/recipe.resolved.yaml"):
        _open(Path("moved/runs/one"), load_recipe(Path(recipe)))
    run = Path("moved/runs/one").rename("two")
    _open(run, load_recipe(Path("moved/recipe.yaml")))
    Path("moved/data/mine.csv").write_text("prompt\none\nthree\n")
    changed = "  prompts red_team: moved/data/mine.csv is not what the run began with\n"
    assert changed in _refusal(run, load_recipe(Path("moved/recipe.yaml")))
    other = load_recipe(Path("moved/recipe.yaml"), ["prompts.red_team=built-in"])
    assert "prompts.red_team.source: was '../../data/mine.csv', is 'built-in'" in _refusal(run, other)


def test_a_changed_constitution_is_refused(tmp_path: Path, folder: Path) -> None:
    """A constitution whose content changed is another input, under the same name; a comment in it is not."""
    path = tmp_path / "mine.yaml"
    write_constitution(CONSTITUTION, path)
    recipe = small_recipe(tmp_path, f"constitution.source={path}")
    _open(folder, recipe)
    path.write_text(f"# a comment\n{path.read_text('utf-8')}", "utf-8")
    _open(folder, recipe)
    path.write_text(path.read_text("utf-8").replace("Be kind.", "Be unkind."), "utf-8")
    message = _refusal(folder, recipe)
    assert message.startswith(f": belongs to other inputs:\n  constitution: {path} is not what the run began with\n")
    assert message.endswith(
        "Put back what was there to go on with this run, or begin another in a new folder with --out."
    )


def test_changed_prompts_are_refused(tmp_path: Path, folder: Path) -> None:
    """A prompt file, or a file of a saved dataset's folder, that changed is another input."""
    (tmp_path / "red.csv").write_text("prompt\none\ntwo\n")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "part.arrow").write_bytes(b"one")
    recipe = small_recipe(tmp_path, f"prompts.red_team={tmp_path / 'red.csv'}", f"prompts.helpful={tmp_path / 'saved'}")
    _open(folder, recipe)
    (tmp_path / "red.csv").write_text("prompt\none\nthree\n")
    assert f"  prompts red_team: {tmp_path / 'red.csv'} is not what" in _refusal(folder, recipe)
    with pytest.raises(RunError, match=r"red\.csv is not what the run began with"):
        check_files(recipe, folder)
    (tmp_path / "red.csv").write_text("prompt\none\ntwo\n")
    _open(folder, recipe)
    (tmp_path / "saved" / "part.arrow").rename(tmp_path / "saved" / "other.arrow")
    assert f"  prompts helpful: {tmp_path / 'saved'} is not what" in _refusal(folder, recipe)
    shutil.rmtree(tmp_path / "saved")
    assert f"  prompts helpful: {tmp_path / 'saved'} is gone since" in _refusal(folder, recipe)


def test_a_changed_multiple_choice_file_is_refused(tmp_path: Path, folder: Path) -> None:
    """Evaluation's own files are inputs too; a missing one is named before anything runs."""
    path = tmp_path / "choices.jsonl"
    recipe = small_recipe(tmp_path, f"evaluate.multiple_choice=[{path}]")
    with pytest.raises(RunError, match=r"choices\.jsonl: no such file; check the recipe"):
        _open(folder, recipe)
    path.write_text("{}")
    _open(folder, recipe)
    path.write_text("{ }")
    assert f"  multiple choice 1 (choices.jsonl): {path} is not what" in _refusal(folder, recipe)


def test_wrong_names_are_told_before_anything_is_written(tmp_path: Path, folder: Path) -> None:
    """A constitution or a model that does not exist is an error of its own; the folder can be used afterwards."""
    with pytest.raises(ConstitutionError):
        _open(folder, small_recipe(tmp_path, "constitution.source=none.yaml"))
    with pytest.raises(ModelError):
        _open(folder, small_recipe(tmp_path, "models.judge={name: ./no-such-model}"))
    _open(folder, small_recipe(tmp_path))


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were fetched: names in order; what is called ``missing`` does not exist."""
    names: list[str] = []

    def fetch(name: str, **_: Any) -> ModelFolder:
        names.append(name)
        if name == "missing":
            raise ModelError("no model 'missing'")
        return ModelFolder(name, Path(name), "hub")

    monkeypatch.setattr(run_module, "resolve_model", fetch)
    monkeypatch.setattr(inputs, "model_fingerprint", str)
    return names


REAL = ("models.policy={name: big}",)


def test_models_are_fetched_once_the_folder_is_known_to_be_free(
    tmp_path: Path, folder: Path, fetched: list[str]
) -> None:
    """Another recipe, a folder in use, and files of somebody else are told before anything is fetched."""
    recipe = small_recipe(tmp_path, *REAL)
    _open(folder, recipe)
    assert fetched.count("big") == 5
    fetched.clear()
    assert "belongs to another recipe" in _refusal(folder, small_recipe(tmp_path, *REAL, "seed=1"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    assert "holds other files" in _refusal(tmp_path / "mine", recipe)
    with open_run(small_recipe(tmp_path), tmp_path / "other", recipe_text=RECIPE):
        assert "is running on this folder" in _refusal(tmp_path / "other", recipe)
    assert fetched == []


def test_a_folder_is_held_while_models_are_fetched(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two commands on a new folder the second is refused at once, not after its download."""
    refusals = []

    def fetch(_: str, **__: Any) -> ModelFolder:
        refusals.append(_refusal(folder, small_recipe(tmp_path)))
        raise ModelError("no network")

    monkeypatch.setattr(run_module, "resolve_model", fetch)
    with pytest.raises(ModelError):
        _open(folder, small_recipe(tmp_path, *REAL))
    assert len(refusals) == 1
    assert "is running on this folder" in refusals[0]


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path, folder: Path, fetched: list[str]) -> None:
    """Folders made for a run whose model does not exist are gone again; those that were there stay."""
    with pytest.raises(ModelError):
        _open(folder, small_recipe(tmp_path, "models.policy={name: missing}"))
    assert fetched == ["missing"]
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    with pytest.raises(ModelError):
        _open(folder, small_recipe(tmp_path, "models.policy={name: missing}"))
    assert folder.is_dir()
    _open(folder, small_recipe(tmp_path))


def test_downloads_are_reported(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a run can see how far its models are."""
    said = []

    def fetch(name: str, *, progress: Any, **_: Any) -> ModelFolder:
        progress("downloading", 1, 2)
        return ModelFolder(name, Path(name), "hub")

    monkeypatch.setattr(run_module, "resolve_model", fetch)
    monkeypatch.setattr(inputs, "model_fingerprint", str)
    _open(folder, small_recipe(tmp_path, *REAL), on_download=lambda *report: said.append(report))
    assert ("downloading", 1, 2) in said


def test_a_folder_of_something_else_is_refused(tmp_path: Path, folder: Path) -> None:
    """A folder with files of its own, or a file, is not taken over; an empty one, or hidden files, are no obstacle."""
    recipe = small_recipe(tmp_path)
    folder.mkdir(parents=True)
    (folder / ".hidden").write_text("x")
    _open(folder, recipe)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("thesis.tex", "a.txt", "b.txt", "c.txt"):
        (foreign / name).write_text("mine")
    assert _refusal(foreign, recipe) == ": holds other files (a.txt, b.txt, c.txt); name a new folder with --out"
    assert sorted(path.name for path in foreign.iterdir()) == ["a.txt", "b.txt", "c.txt", "thesis.tex"]
    assert _refusal(foreign / "a.txt", recipe) == ": is a file; name a folder with --out"


@pytest.mark.parametrize("damage", ["", "- a\n", "name: [\n", "\x00"])
def test_a_damaged_recipe_of_a_run_is_named(tmp_path: Path, folder: Path, damage: str) -> None:
    """A resolved recipe that cannot be read is an error of its own, not a crash."""
    _open(folder, small_recipe(tmp_path))
    (folder / "recipe.resolved.yaml").write_text(damage, "utf-8")
    assert _refusal(folder, small_recipe(tmp_path)).startswith("/recipe.resolved.yaml")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A place where no folder can be made is named, with the system's reason."""
    (tmp_path / "file").write_text("x")
    assert _refusal(tmp_path / "file" / "run", small_recipe(tmp_path)).startswith(
        ": cannot be written (Not a directory)"
    )


def test_whether_a_folder_can_be_written_is_known_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking leaves nothing behind, and names the folder that was asked for, not the one that there is."""
    check_writable(tmp_path / "runs" / "demo")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        RunError, match=r"file/run: cannot be written \(Not a directory\); name another folder with --out"
    ):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(RunError, match="/proc/charter/run: cannot be written"):
        check_writable(Path("/proc/charter/run"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=500_000_000))
    with pytest.raises(RunError, match=r"runs/demo: 0\.50 GB are free"):
        check_writable(tmp_path / "runs" / "demo")


def test_a_full_disk_is_told_before_anything_runs(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too little is free, the run does not begin."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=500_000_000))
    message = _refusal(folder, small_recipe(tmp_path))
    assert message.startswith(": 0.50 GB are free, a run needs 1 GB; make room")


def test_one_process_at_a_time(tmp_path: Path, folder: Path) -> None:
    """While a run holds the folder, another is refused, with who holds it; afterwards it is free, after errors too."""
    recipe = small_recipe(tmp_path)
    with open_run(recipe, folder, recipe_text=RECIPE):
        message = _refusal(folder, recipe)
        who = f"process {os.getpid()} on {platform.node()}"
        assert message == f": {who} is running on this folder; wait for it, or name another with --out"
    with pytest.raises(ZeroDivisionError), open_run(recipe, folder, recipe_text=RECIPE):
        raise ZeroDivisionError
    _open(folder, recipe)


HOLDING = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from charter.runs.folder import open_run
from run_examples import RECIPE, small_recipe
with open_run(small_recipe(Path(sys.argv[2])), Path(sys.argv[1]), recipe_text=RECIPE):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that holds the folder."""
    arguments = [str(folder), str(tmp_path / "other"), str(Path(__file__).parents[1])]
    process = subprocess.Popen([sys.executable, "-c", HOLDING, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_another_process_holds_the_folder_and_lets_go_when_killed(
    tmp_path: Path, folder: Path, holder: subprocess.Popen[str]
) -> None:
    """Another process's run is respected, by its number; a killed one leaves no lock behind."""
    recipe = small_recipe(tmp_path)
    assert _refusal(folder, recipe).startswith(f": process {holder.pid} on {platform.node()} is running on this folder")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    _open(folder, recipe)


@pytest.mark.parametrize("n_written", range(4))
def test_a_run_killed_at_its_beginning_can_be_continued(
    tmp_path: Path, folder: Path, n_written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its papers were written when it was killed, the same command goes on."""
    written = []

    class KilledError(BaseException):
        """The process ends here."""

    def until(write: Any) -> Any:
        def writes(path: Path, value: Any) -> None:
            if len(written) == n_written:
                raise KilledError
            write(path, value)
            written.append(path.name)

        return writes

    recipe = small_recipe(tmp_path)
    with monkeypatch.context() as patch:
        for name in ("write_text", "write_json"):
            patch.setattr(run_module, name, until(getattr(run_module, name)))
        with pytest.raises(KilledError):
            _open(folder, recipe)
    assert len(written) == n_written
    _open(folder, recipe)
    assert {"recipe.yaml", "recipe.resolved.yaml", "inputs.json", "environment.json"} <= {
        path.name for path in folder.iterdir()
    }
    if n_written:
        assert "seed: was 0, is 1" in _refusal(folder, small_recipe(tmp_path, "seed=1"))


def test_roles_fall_back_on_one_another(tmp_path: Path) -> None:
    """The policy plays critic and judge, and the critic the reviser, where a recipe names nobody."""

    def names(*overrides: str) -> dict[str, str]:
        return {role: spec.name for role, spec in role_specs(small_recipe(tmp_path, *overrides)).items()}

    assert names() == dict.fromkeys(("policy", "critic", "reviser", "judge", "red_team"), "small")
    assert names("models.critic.name=c") == {
        "policy": "small",
        "critic": "c",
        "reviser": "c",
        "judge": "small",
        "red_team": "small",
    }
    assert names("models.reviser.name=r", "models.judge.name=j") == {
        "policy": "small",
        "critic": "small",
        "reviser": "r",
        "judge": "j",
        "red_team": "small",
    }


def test_a_run_that_is_to_stop_says_so(tmp_path: Path, folder: Path) -> None:
    """The stop flag is looked at between stages."""
    stop = threading.Event()
    with open_run(small_recipe(tmp_path), folder, recipe_text=RECIPE, stop=stop) as run:
        run.check_stop()
        stop.set()
        with pytest.raises(Interrupted):
            run.check_stop()


@pytest.mark.parametrize("stage", ["sft", "dpo", "rl"])
@pytest.mark.parametrize("change", ["guard.then=keep", "guard=null", "guard.length=[0, 9]", "guard.every=7"])
def test_what_a_guard_s_error_says_to_do_can_be_done(tmp_path: Path, stage: str, change: str) -> None:
    """In the same folder, for every stage that has a guard: it changes nothing of what is made."""
    more = ("preference_model={}", "rl={}")
    with open_run(small_recipe(tmp_path, *more), tmp_path / "run", recipe_text=RECIPE):
        pass
    changed = small_recipe(tmp_path, *more, f"{stage}.{change}")
    with open_run(changed, tmp_path / "run", recipe_text=RECIPE) as run:
        assert run.recipe == changed
    with (
        pytest.raises(RunError, match=rf"{stage}\.learning_rate"),
        open_run(small_recipe(tmp_path, *more, f"{stage}.learning_rate=0.5"), tmp_path / "run", recipe_text=RECIPE),
    ):
        pass
