from __future__ import annotations

from pathlib import Path

import pytest

from charter.engines.base import CompletionRequest, Sampling
from charter.engines.transformers import TransformersEngine
from charter.records import Message
from engines.contract import ask

pytestmark = [
    pytest.mark.model,
    # peft 0.21 calls transformers by names on their way out; the engine's own loading is quiet.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LoRA adapter of the tiny model, strong enough to change its texts."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter")
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        get_peft_model(base, settings).save_pretrained(folder)
    return folder


def test_adapter_is_merged(tiny_model: Path, adapter: Path) -> None:
    """An adapter's folder loads with its base, draws what peft's own model draws, and has an identity of its own."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    request = CompletionRequest(
        messages=(Message(role="user", content="How do I mend a chain?"),),
        sampling=Sampling(temperature=0.0, max_tokens=24),
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    assert request.messages is not None
    listed = [message.model_dump() for message in request.messages]
    inputs = tokenizer.apply_chat_template(listed, add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=24)[0, inputs["input_ids"].shape[1] :]
    plain, adapted = (TransformersEngine(folder, dtype="float32", device="cpu") for folder in (tiny_model, adapter))
    text = ask(adapted, [request])[0].text
    assert text == tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert text != ask(plain, [request])[0].text
    assert adapted.identity != plain.identity
    for engine in (plain, adapted):
        engine.close()


def test_number_format_is_part_of_the_identity(tiny_model: Path) -> None:
    """Texts in bfloat16 are not those in float32; batch size is no part of it."""
    engines = [
        TransformersEngine(tiny_model, dtype="float32", device="cpu"),
        TransformersEngine(tiny_model, dtype="float32", device="cpu", max_rows=2),
        TransformersEngine(tiny_model, dtype="bfloat16", device="cpu"),
    ]
    identities = [engine.identity for engine in engines]
    assert identities[0] == identities[1] != identities[2]
    for engine in engines:
        engine.close()
