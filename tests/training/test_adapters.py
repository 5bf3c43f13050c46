"""Adapters on their base: how they begin, are written and are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import sft_rows

from charter.engines.quiet import quiet_libraries
from charter.errors import ModelError
from charter.training.adapters import LoraSettings, load_trainee, save_trained
from charter.training.pace import Pace
from charter.training.sft import sft
from pages import DOCS, blocks

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained adapter."""
    out = tmp_path_factory.mktemp("models") / "sft"
    lora = LoraSettings(r=4, alpha=8)
    pace = Pace(learning_rate=1e-2)
    return sft(sft_rows(4), tiny_model, out=out, seed=1, pace=pace, lora=lora, dtype="float32").folder


def test_saving_asks_the_hub_nothing(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter is written without a question about its base, whose name may be nobody's on the hub."""
    from peft.utils import save_and_load

    asked: list[str] = []
    monkeypatch.setattr(save_and_load, "check_file_exists_on_hf_hub", lambda name, _: asked.append(name))
    trainee = load_trainee(tiny_model, lora=LoraSettings(r=4), seed=0, dtype="float32")
    save_trained(trainee.model, trainee.tokenizer, tmp_path / "adapter", "smollm2-135m")
    assert (tmp_path / "adapter/adapter_model.safetensors").exists()
    assert not asked


def test_pinned_base_is_written_as_peft_reads_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub model's name and its revision are two fields, and both are kept when the adapter is trained on."""
    from peft import PeftConfig

    from charter.engines import weights

    monkeypatch.setattr(weights, "find_hub_model", lambda *_, **__: tiny_model)
    first = load_trainee("acme/tiny@v1", lora=LoraSettings(r=4), seed=0, dtype="float32")
    save_trained(first.model, first.tokenizer, tmp_path / "first", first.base)
    second = load_trainee(tmp_path / "first", lora=None, seed=0, dtype="float32")
    save_trained(second.model, second.tokenizer, tmp_path / "second", second.base)
    for folder in (tmp_path / "first", tmp_path / "second"):
        settings = PeftConfig.from_pretrained(str(folder))
        assert (settings.base_model_name_or_path, settings.revision) == ("acme/tiny", "v1")
        base = weights.resolve_model(str(folder)).base
        assert base is not None
        assert (base.name, base.source) == ("acme/tiny@v1", "hub")


def test_page_loads_a_trained_model_as_it_was_in_training(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page on the run folder shows gives the log-probabilities that training saw."""
    (tmp_path / "runs/mine/models").mkdir(parents=True)
    (tmp_path / "runs/mine/models/dpo").symlink_to(adapter)
    monkeypatch.chdir(tmp_path)
    example = next(block for block in blocks(DOCS / "run-folder.md") if block.title == "load.py")
    loaded: dict[str, Any] = {}
    with quiet_libraries():
        exec(example.text, loaded)  # noqa: S102 - our own page
    trained = load_trainee(adapter, lora=None, seed=0, dtype="float32").model
    ids = loaded["tokenizer"]("How do I mend a chain?", return_tensors="pt")["input_ids"]
    logprobs, expected = (model.eval()(ids).logits.log_softmax(-1) for model in (loaded["model"], trained))
    torch.testing.assert_close(logprobs, expected, rtol=0, atol=1e-5)
    with loaded["model"].disable_adapter():
        assert (loaded["model"](ids).logits.log_softmax(-1) - expected).abs().max() > 1e-2


def test_new_adapter_is_seeded_and_leaves_the_random_state_alone(tiny_model: Path) -> None:
    """The first weights depend on the seed only, and drawing them disturbs nobody."""

    def first_weights(seed: int) -> torch.Tensor:
        model = load_trainee(tiny_model, lora=LoraSettings(r=4), seed=seed, dtype="float32").model
        return next(weight for name, weight in model.named_parameters() if "lora_A" in name).detach()

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = first_weights(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(first_weights(3), first)
    assert not torch.equal(first_weights(4), first)


def test_half_precision_of_gpus_is_refused_on_a_cpu(tiny_model: Path) -> None:
    """float16 has no place on a CPU; the message says what to name instead."""
    with pytest.raises(ModelError, match="bfloat16"):
        load_trainee(tiny_model, lora=LoraSettings(), seed=0, dtype="float16", device="cpu")
