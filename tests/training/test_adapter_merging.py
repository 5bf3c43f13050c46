"""An adapter merged into its base answers as the two did, and stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from charter.engines.quiet import quiet_libraries
from charter.engines.weights import resolve_model
from charter.errors import ModelError
from charter.training.adapters import LoraSettings, load_base, load_trainee, put_adapter, save_trained
from charter.training.merging import merge_adapter

pytestmark = pytest.mark.model
TEXT = "How do I mend a chain?"


def make_adapter(base: Path, out: Path, task: Any) -> Path:
    """Write an adapter whose every weight was moved, as a training would."""
    trainee = load_trainee(base, lora=LoraSettings(r=4, alpha=8), seed=3, dtype="float32", device="cpu", task=task)
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in trainee.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.05)
    save_trained(trainee.model, trainee.tokenizer, out, str(base))
    return out


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    """Ask a model for what it makes of a text."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**tokenizer(TEXT, return_tensors="pt")).logits
    return found


@pytest.mark.parametrize("task", ["text", "reward"])
def test_merged_weights_answer_as_the_adapter_did(tiny_model: Path, tmp_path: Path, task: Any) -> None:
    """A text model's logits and a preference model's reward, loaded with nothing but transformers."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    adapter = make_adapter(tiny_model, tmp_path / "adapter", task)
    merged = merge_adapter(adapter, tmp_path / "merged")
    assert merged.dtype == "float32"
    assert not (merged.folder / "adapter_config.json").exists()
    with quiet_libraries():
        tokenizer = AutoTokenizer.from_pretrained(merged.folder)
        kind = AutoModelForCausalLM if task == "text" else AutoModelForSequenceClassification
        found = logits(kind.from_pretrained(merged.folder), tokenizer)
        base = load_base(resolve_model(str(tiny_model)), "float32", tokenizer, task)
        expected = logits(put_adapter(base, adapter, task, is_trainable=False), tokenizer)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    if task == "text":
        plain = load_base(resolve_model(str(tiny_model)), "float32", tokenizer, task)
        assert (logits(plain, tokenizer) - expected).abs().max() > 1e-2
        assert found.shape[-1] > 1
    else:
        assert found.shape == (1, 1)


def test_weights_are_rounded_once_to_the_bases_own_format(tiny_model: Path, tmp_path: Path) -> None:
    """A base in bfloat16 gives a model in bfloat16, whose weights are the exact sums rounded; the same each time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_libraries():
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
        AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "half")
    adapter = make_adapter(tmp_path / "half", tmp_path / "adapter", "text")
    assert merge_adapter(adapter, tmp_path / "merged").dtype == "bfloat16"
    merge_adapter(adapter, tmp_path / "again")
    file = "model.safetensors"
    assert (tmp_path / "merged" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    name = "model.layers.0.mlp.down_proj"
    weights, base = load_file(tmp_path / "merged" / file), load_file(tmp_path / "half" / file)
    low = load_file(adapter / "adapter_model.safetensors")
    a, b = (low[f"base_model.model.{name}.lora_{letter}.weight"].double() for letter in "AB")
    exact = base[f"{name}.weight"].double() + 8 / 4 * b @ a
    assert weights[f"{name}.weight"].dtype == torch.bfloat16
    torch.testing.assert_close(weights[f"{name}.weight"].double(), exact, rtol=2**-8, atol=1e-6)


def test_a_whole_model_has_nothing_to_merge(tiny_model: Path, tmp_path: Path) -> None:
    """It is said, and nothing is written."""
    with pytest.raises(ModelError, match="a whole model already"):
        merge_adapter(tiny_model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
