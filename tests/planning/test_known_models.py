from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charter.engines import devices
from charter.engines.hub import HubModel
from charter.engines.specs import ModelSpec
from charter.errors import ModelError
from charter.planning import models
from charter.planning.findings import Finding, Preflight
from charter.planning.models import ALWAYS, KnownModel, look_at
from charter.planning.rates import find_device
from engines.model_folders import make_adapter, make_model


def looked(spec: ModelSpec) -> tuple[KnownModel, list[Finding]]:
    """Look at a policy's model, and give what is known and what was found."""
    report = Preflight()
    return look_at(report, "models.policy", spec), report.findings


def error(spec: ModelSpec) -> Finding:
    """Look at a model that cannot be used, and give the one error."""
    (found,) = [one for one in looked(spec)[1] if one.severity == "error"]
    return found


def test_a_folders_template_is_known_without_its_weights(tmp_path: Path) -> None:
    """A model folder can be asked everything, and messages where its tokenizer has a template."""
    folder = make_model(tmp_path / "model")
    assert looked(ModelSpec(str(folder)))[0].capabilities == ALWAYS | {"chat"}
    (folder / "chat_template.jinja").unlink()
    known, findings = looked(ModelSpec(str(folder)))
    assert known.capabilities == ALWAYS
    assert findings == []


def test_an_adapters_template_is_its_own_or_its_bases(tmp_path: Path) -> None:
    """Where an adapter brings a tokenizer, that one counts."""
    base = make_model(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", str(base))
    assert looked(ModelSpec(str(adapter)))[0].capabilities == ALWAYS | {"chat"}
    (adapter / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    assert looked(ModelSpec(str(adapter)))[0].capabilities == ALWAYS


def test_a_damaged_tokenizer_is_told_before_the_run(tmp_path: Path) -> None:
    """What would end a stage with a foreign error is an error with the file's path."""
    folder = make_model(tmp_path / "model")
    (folder / "tokenizer.json").write_text('{"model": {}}')
    assert error(ModelSpec(str(folder))).message.startswith(f"{folder / 'tokenizer.json'} is no tokenizer: ")


def test_an_adapters_base_may_be_still_to_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base of the hub, or the embedded one, need not be here yet; a folder that is named must be."""
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "ask_hub", lambda _: HubModel(270_000_000, chats=False))
    adapter = make_adapter(tmp_path / "of the hub", "owner/base")
    known, (note,) = looked(ModelSpec(str(adapter)))
    assert known.capabilities == ALWAYS
    assert "owner/base is not on this machine" in note.message
    (adapter / "tokenizer.json").write_text("{}")
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    assert looked(ModelSpec(str(adapter)))[0].capabilities == ALWAYS | {"chat"}
    embedded = make_adapter(tmp_path / "embedded", "/elsewhere/models/smollm2-135m-bcc81830")
    known, (note,) = looked(ModelSpec(str(embedded)))
    assert known.capabilities == ALWAYS | {"chat"}
    assert "smollm2-135m is not on this machine" in note.message
    assert "/gone/base" in error(ModelSpec(str(make_adapter(tmp_path / "lost", "/gone/base")))).message


def test_the_embedded_model_is_known_before_it_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It chats, and a note says what its fetching takes."""
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path))
    known, (note,) = looked(ModelSpec("smollm2-135m"))
    assert known.capabilities == ALWAYS | {"chat"}
    assert note.severity == "note"
    assert "93 MB" in note.message


@pytest.mark.parametrize(
    ("device", "said"),
    [("gpu", "no device 'gpu'"), ("cuda:99", "no device 'cuda:99'"), ("meta", "'meta' keeps no weights"), ("", "''")],
)
def test_a_device_that_is_not_there(tmp_path: Path, device: str, said: str) -> None:
    """Nonsense, a GPU too many, and a device that holds nothing are told by the recipe's key."""
    found = error(ModelSpec(str(make_model(tmp_path / "model")), device=device))
    assert found.about == "models.policy.device"
    assert said in found.message
    assert "use auto, cpu or cuda" in found.message


@pytest.mark.skipif(find_device("auto") == "cuda", reason="float16 is fine on a GPU")
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_number_format_that_the_machine_cannot_do(tmp_path: Path, device: str) -> None:
    """Half precision on a processor is refused, with what to take."""
    found = error(ModelSpec(str(make_model(tmp_path / "model")), device=device, dtype="float16"))
    assert found.about == "models.policy.dtype"
    assert "use auto, bfloat16 or float32" in found.message


@pytest.mark.parametrize(
    ("able", "dtype", "n_warnings"), [(False, "bfloat16", 1), (True, "bfloat16", 0), (False, "auto", 0)]
)
def test_an_emulated_number_format_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, able: bool, dtype: str, n_warnings: int
) -> None:
    """Where the hardware does not multiply bfloat16 a run in it may never end, and nothing else would say why."""
    monkeypatch.setattr(devices, "computes_in_bfloat16", lambda _: able)
    _, findings = looked(ModelSpec(str(make_model(tmp_path / "model")), device="cpu", dtype=dtype))
    assert [(one.severity, one.about) for one in findings] == n_warnings * [("warning", "models.policy.dtype")]


def test_an_ordinary_machine_is_not_asked(tmp_path: Path) -> None:
    """With the defaults nothing heavy is imported: a check takes a second."""
    make_model(tmp_path / "model")
    script = """
import sys
from charter.engines.specs import ModelSpec
from charter.planning.findings import Preflight
from charter.planning.models import look_at

look_at(Preflight(), "models.policy", ModelSpec(sys.argv[1]))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "model")], check=False).returncode == 0


def test_scripted_models_need_nothing() -> None:
    """A script can be asked everything, on any device."""
    known, findings = looked(ModelSpec("anything", engine="scripted", device="gpu"))
    assert known.capabilities is not None
    assert known.capabilities == ALWAYS | {"chat"}
    assert findings == []


def test_what_the_hub_says_is_known_before_the_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not here is asked for at the hub: its size, and whether it chats."""
    for chats, expected in ((True, ALWAYS | {"chat"}), (False, ALWAYS), (None, None)):
        monkeypatch.setattr(models, "ask_hub", lambda _, chats=chats: HubModel(270_000_000, chats))
        known, (note,) = looked(ModelSpec("owner/name"))
        assert known.capabilities == expected
        assert note.message == "owner/name is not on this machine: 270 MB will be fetched"
        assert "135M" in known.rates.basis


def test_what_the_hub_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that does not exist, or may not be had, is told before the run."""

    def refuse(_: str) -> HubModel:
        raise ModelError("no model 'owner/name': there is none")

    monkeypatch.setattr(models, "ask_hub", refuse)
    assert error(ModelSpec("owner/name")).message == "no model 'owner/name': there is none"


def test_a_hub_that_does_not_answer_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network nothing is known, and the run will see."""
    monkeypatch.setattr(models, "ask_hub", lambda _: None)
    known, (note,) = looked(ModelSpec("owner/name-3b"))
    assert known.capabilities is None
    assert note.severity == "note"
    assert "the hub cannot be asked now" in note.message
    assert "3B" in known.rates.basis


def test_a_path_that_leads_nowhere_says_where_it_led(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place that was looked at is named, and what paths are relative to."""
    monkeypatch.chdir(tmp_path)
    message = error(ModelSpec("./recipes/model")).message
    assert f"{tmp_path}/recipes/model was looked for" in message
    assert f"relative to the recipe's file, a path in an override to {tmp_path}" in message
