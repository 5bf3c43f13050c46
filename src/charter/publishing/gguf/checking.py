"""A GGUF file held against the model that it was made of, by llama.cpp itself: tokens, chats, next tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.engines.quiet import quiet_libraries
from charter.engines.tokenizers import load_tokenizer
from charter.engines.weights import resolve_model
from charter.errors import ModelError, UserError
from charter.publishing.gguf.tensors import Numbers

_N_CONTEXT = 1024
_N_LIKELIEST = 20
_TIMEOUT = 600.0  # seconds for an answer: the first waits until the weights are in memory
#: The mean gap of log-probabilities that rounding explains, by the format of the weights.
_LARGEST_GAP: dict[Numbers, float] = {"f32": 0.005, "f16": 0.02, "bf16": 0.1, "q8_0": 0.3}

_TEXTS = (
    "How do I clean 3 kettles, or 12345?",
    " a space before, two  within, one after ",
    "lines\n\nand\r\ntabs\tand \u00a0others\n",
    "Don't, we'LL, I'm: 'S",
    "\u00dcn\u00efcode, \u6f22\u5b57, \u0627\u0644\u0639, \U0001f600\u200d\U0001f525",
    "{braces} <tags> %s \\n (A) ```code```",
)
_CHATS = (
    *((("user", text),) for text in _TEXTS),
    (("user", _TEXTS[0]), ("assistant", "With vinegar."), ("user", _TEXTS[4])),
    (("system", "You know kettles."), ("user", _TEXTS[2].strip())),
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far llama.cpp does with a file what transformers does with its model.

    ``n_chats`` conversations are rendered the same, and ``n_texts`` texts are the same tokens: these conversations, or
    plain texts where the model has no chat template. Of their likeliest next tokens, ``n_tokens`` in all, ``mean_gap``
    and ``largest_gap`` are differences of log-probabilities (nats).
    """

    n_texts: int
    n_chats: int
    n_tokens: int
    mean_gap: float
    largest_gap: float


def check_gguf(path: Path, folder: Path, numbers: Numbers) -> Agreement:
    """Load a file in llama.cpp, and the model that it was made of in transformers, and hold one against the other.

    Both are in memory at once, the model in float32.

    Args:
        path: the file.
        folder: of the whole model.
        numbers: the format of the file's matrices, which says what rounding explains.

    Raises:
        UserError: where llama.cpp is not installed.
        ModelError: where a text is other tokens there, a conversation is rendered otherwise, or next tokens are
            likelier or less likely than rounding explains.
    """
    tokenizer = load_tokenizer(resolve_model(str(folder)))
    with _served(path) as server:
        texts = (
            list(_chats(server, tokenizer)) if tokenizer.chat_template else [(one, tokenizer(one)) for one in _TEXTS]
        )
        prompts = [list(told["input_ids"]) for _, told in texts]
        for (text, _), ids in zip(texts, prompts, strict=True):
            _require_same(server.tokens(text), ids, f"reads {text!r} as the tokens")
        model, drawn = _loaded(folder), tokenizer("a", add_special_tokens=False)["input_ids"][-1]
        gaps = [gap for ids in prompts for gap in _gaps(server, model, ids, drawn)]
    n_chats = len(texts) if tokenizer.chat_template else 0
    found = Agreement(len(texts), n_chats, len(gaps), sum(gaps) / len(gaps), max(gaps))
    if found.mean_gap > _LARGEST_GAP[numbers]:
        raise ModelError(
            f"{path}: llama.cpp finds next tokens likelier or less likely by {found.mean_gap:.3f} nats on average (n "
            f"{found.n_tokens}), where {_LARGEST_GAP[numbers]} would be rounding to {numbers}"
        )
    return found


def _require_same(there: object, here: object, what: str) -> None:
    if there != here:
        raise ModelError(f"llama.cpp {what} {there!r}, where transformers has {here!r}")


def _chats(server: _Server, tokenizer: Any) -> Iterator[tuple[str, Any]]:
    """Give conversations as llama.cpp renders them, which is held to the template, and with what transformers makes."""
    from jinja2 import TemplateError

    for chat in _CHATS:
        messages = [{"role": role, "content": content} for role, content in chat]
        try:
            here = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError:  # some take no system text
            continue
        there = server.render(messages)
        # It leaves out the token that begins a text where it puts that before every text itself.
        is_same = here in {there, f"{tokenizer.bos_token}{there}"}
        _require_same(here if is_same else there, here, "renders a conversation as")
        yield there, tokenizer(here, add_special_tokens=False)


@dataclass(frozen=True, slots=True)
class _Server:
    running: Any
    client: Any

    def ask(self, path: str, **body: Any) -> Any:
        answer = self.client.post(f"{self.running.listening_address}{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        return str(self.ask("/apply-template", messages=messages)["prompt"])

    def tokens(self, text: str) -> list[int]:
        return list(self.ask("/tokenize", content=text, add_special=True, parse_special=True)["tokens"])

    def likeliest(self, ids: Sequence[int], drawn: int) -> dict[int, float]:
        """Give the log-probabilities of the likeliest next tokens, by their ids.

        They are those before anything is drawn; ``drawn`` is what is drawn, for of a token that is no whole character
        nothing is told.
        """
        settings = {"n_predict": 1, "n_probs": _N_LIKELIEST, "logit_bias": [[drawn, 1000]], "cache_prompt": False}
        (told,) = self.ask("/completion", prompt=list(ids), **settings)["completion_probabilities"]
        return {one["id"]: one["logprob"] for one in told["top_logprobs"]}


@contextmanager
def _served(path: Path) -> Iterator[_Server]:
    """Start llama.cpp's server on a file, for this process alone."""
    try:
        import xllamacpp
    except ImportError as error:
        raise UserError("llama.cpp is not installed; give: pip install 'charter[gguf]'") from error
    import httpx2

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_parallel, settings.n_ctx, settings.port = 1, _N_CONTEXT, 0
    settings.verbosity, settings.warmup = 0, False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = os.cpu_count() or 1
    # Keys and values in 32 bits: what is held here is the file.
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type(0)
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    with httpx2.Client(timeout=_TIMEOUT, trust_env=False) as client:
        yield _Server(xllamacpp.Server(settings), client)


def _loaded(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_libraries():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)


def _gaps(server: _Server, model: Any, ids: list[int], drawn: int) -> list[float]:
    import torch

    with torch.no_grad():
        here = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    return [abs(there - here[number].item()) for number, there in server.likeliest(ids, drawn).items()]
