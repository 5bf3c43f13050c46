"""A run's model, taken out whole: merged into its base, or as a file for llama.cpp."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from charter.engines.quiet import quiet_libraries
from charter.errors import RunError, UserError
from charter.release import export_model
from publishing.publishable import make_run

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def whole(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose DPO trained an adapter of the tiny model, and whose SFT trained all weights."""
    from charter.training.adapters import LoraSettings, load_trainee, save_trained

    run = make_run(tmp_path_factory.mktemp("whole") / "run")
    for stage in ("sft", "dpo"):
        shutil.rmtree(run / "models" / stage)
    trainee = load_trainee(tiny_model, lora=LoraSettings(r=4), seed=3, dtype="float32", device="cpu")
    _move(trainee.model)
    save_trained(trainee.model, trainee.tokenizer, run / "models/dpo", str(tiny_model))
    shutil.copytree(tiny_model, run / "models/sft")
    (run / "models/sft/training.json").write_text("{}")
    return run


def _move(model: Any) -> None:
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.05)


def _next_tokens(folder: Path, adapter: Path | None = None) -> Any:
    """Give the log-probabilities after a text, of a model or of an adapter on it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_libraries(), torch.no_grad():
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        if adapter:
            model = PeftModel.from_pretrained(model, str(adapter))
        ids = AutoTokenizer.from_pretrained(folder)("How do I mend a chain?", return_tensors="pt")["input_ids"]
        return model.eval()(input_ids=ids).logits[0, -1].log_softmax(-1)


def test_an_adapter_is_merged_into_a_folder_of_its_own(whole: Path, tiny_model: Path, tmp_path: Path) -> None:
    """It answers as base and adapter do together, with a tokenizer and no record of its training."""
    import torch

    done = export_model(whole, tmp_path / "out", "merged")
    assert (done.stage, done.numbers, done.form) == ("dpo", "float32", "merged")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(done.files)
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(done.files)
    expected = _next_tokens(tiny_model, whole / "models/dpo")
    torch.testing.assert_close(_next_tokens(tmp_path / "out"), expected, rtol=0, atol=1e-4)
    assert (expected - _next_tokens(tiny_model)).abs().max() > 0.01


def test_a_whole_model_is_copied(whole: Path, tiny_model: Path, tmp_path: Path) -> None:
    """What was trained without an adapter needs no merging, and no record of its training goes with it."""
    done = export_model(whole, tmp_path / "out", "merged", model="sft")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    assert "training.json" not in done.files
    assert not (tmp_path / "out/training.json").exists()


@pytest.mark.parametrize(("model", "numbers"), [(None, None), (None, "q8_0"), ("sft", "f16")])
def test_a_gguf_file_is_the_model_of_its_stage(whole: Path, tmp_path: Path, model: Any, numbers: Any) -> None:
    """llama.cpp agrees with the merged weights, and nothing but the file is left."""
    told: list[str] = []
    out = tmp_path / "files" / "model.gguf"
    done = export_model(whole, out, "gguf", model=model, numbers=numbers, check=True, say=told.append)
    assert done.agreement is not None
    assert (done.numbers, done.agreement.n_chats) == (numbers or "f32", 8)
    assert list(out.parent.iterdir()) == [out]
    assert any("merging" in one for one in told) is (model is None)
    assert json.loads(json.dumps(done.to_dict()))["files"] == {"model.gguf": out.stat().st_size}


def test_what_cannot_be_exported_is_refused(whole: Path, tmp_path: Path) -> None:
    """A name that is no file's, one that is there, a stage that trained nothing, a run without a model."""
    with pytest.raises(UserError, match=r"a GGUF file's name ends in \.gguf; name the file, such as .*out/model\.gguf"):
        export_model(whole, tmp_path / "out", "gguf")
    (tmp_path / "there.gguf").touch()
    with pytest.raises(UserError, match="is there already"):
        export_model(whole, tmp_path / "there.gguf", "gguf")
    with pytest.raises(UserError, match="is a file; name a new folder"):
        export_model(whole, tmp_path / "there.gguf", "merged")
    with pytest.raises(UserError, match="trained no such model; it trained sft, dpo"):
        export_model(whole, tmp_path / "out", "merged", model="rl")
    with pytest.raises(RunError, match="holds nothing that a run writes"):
        export_model(tmp_path, tmp_path / "out", "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["there.gguf"]
