"""What the whole suite shares: a clean environment, hypothesis settings, a tiny model and the embedded one."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before any library reads them: no test asks the hub, reports to a service, opens a window or forks a tokenizer.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    WANDB_DISABLED="true",
    MPLBACKEND="Agg",
)

# A suite that a script starts in the background is told to ignore Ctrl-C, and hands that on to the commands it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import HealthCheck, settings

from tiny_texts import CHATML, TINY_CORPUS

pytest.register_assert_rewrite("engines.contract")

# Examples that load a model or write a file are slow on their first turn and quick afterwards.
settings.register_profile("charter", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("charter")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests: of two workers, none is left with such a file at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # stable: among themselves they stay in their random order


@pytest.fixture(scope="module", autouse=True)
def _light_heap() -> None:
    """Have no collection of a module look through what others left: a run collects after each stage."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser; without one the tests are skipped, but fail where CI is set."""
    usual = Path("/usr/bin/chromium")
    path = shutil.which("chromium") or (str(usual) if usual.exists() else None)
    if path is None:
        message = "chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, from a development package; without it tests are skipped, but fail where CI is set."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        message = "axe-core is not installed (pip install axe-playwright-python)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return Path(found.origin).with_name("axe.min.js").read_text("utf-8")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the embedded model; fetched once on a new machine."""
    from charter.engines.weights import resolve_model

    return resolve_model("smollm2-135m").path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer Llama in float32, and a byte-level tokenizer with a ChatML template."""
    folder = tmp_path_factory.mktemp("tiny_model")
    n_tokens = _save_tiny_tokenizer(folder)
    _save_tiny_llama(folder, n_tokens)
    return folder


@pytest.fixture(scope="session")
def tiny_mistral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a random two-layer Mistral."""
    folder = tmp_path_factory.mktemp("tiny_mistral")
    _save_tiny_mistral(folder, _save_tiny_tokenizer(folder))
    return folder


def _save_tiny_tokenizer(folder: Path) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # The embedded model's ids: unknown 0, bos 1, eos = pad = 2. Every byte is a token, so that any text can be read.
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TINY_CORPUS, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|endoftext|>",  # noqa: S106 - a token of a vocabulary, not a secret
        bos_token="<|im_start|>",  # noqa: S106 - as above
        eos_token="<|im_end|>",  # noqa: S106 - as above
        pad_token="<|im_end|>",  # noqa: S106 - as above
        chat_template=CHATML,
        model_max_length=2048,
    ).save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def _tiny_shape(n_tokens: int) -> dict[str, Any]:
    return {
        "vocab_size": n_tokens,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        # Wider than the usual 0.02, which leaves all tokens about equally likely: a rounding error would then
        # change which is likeliest.
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }


def _save_tiny_llama(folder: Path, n_tokens: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(**_tiny_shape(n_tokens), tie_word_embeddings=True)).save_pretrained(folder)


def _save_tiny_mistral(folder: Path, n_tokens: int) -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(**_tiny_shape(n_tokens), head_dim=16, sliding_window=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        MistralForCausalLM(config).save_pretrained(folder)
