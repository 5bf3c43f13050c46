"""Loading a model for generation: which number format, which device, and which way of decoding."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch

from charter.engines.devices import choose_device, choose_dtype
from charter.engines.quiet import quiet_libraries
from charter.engines.tokenizers import find_end_ids, load_tokenizer
from charter.engines.transformers.attention import Prefill
from charter.engines.transformers.body import Body, Head, LibraryBody, LlamaBody, is_llama
from charter.engines.transformers.decoding import Decoder, SharedPrefixDecoder
from charter.engines.transformers.store import CacheShape
from charter.engines.transformers.waves import WaveDecoder
from charter.engines.weights import ModelFolder, model_fingerprint
from charter.errors import ModelError
from charter.seeds import digest

_UNBOUNDED = 2**31 - 1
_WIDE_WINDOW = 2048  # a window that most texts fit into: within it, attention is plainly causal
_PROBE_TOKENS = 24
_PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.08, torch.float16: 0.02}  # of the logits' spread


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory, and what else generation must know of it."""

    model: Any
    tokenizer: Any
    identity: str
    dtype: str
    n_context: int
    end_ids: frozenset[int]


def load_model(folder: ModelFolder, *, dtype: str, device: str) -> LoadedModel:
    """Load a model's folder, with its adapter merged into the weights.

    Args:
        folder: where the files are.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto`` or a torch device.

    Raises:
        ModelError: an unknown dtype or device; files that cannot be loaded.
    """
    place = choose_device(device)
    number = choose_dtype(dtype, place)
    tokenizer = load_tokenizer(folder)
    try:
        with quiet_libraries():
            model = _load_weights(folder, number).to(place).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the model in {folder.path} cannot be loaded: {error}") from error
    return LoadedModel(
        model=model.requires_grad_(False),  # noqa: FBT003 - torch's signature
        tokenizer=tokenizer,
        identity=digest(["transformers", model_fingerprint(folder), str(number), _quantisation(model)]),
        dtype=str(number).removeprefix("torch."),
        n_context=_context(model),
        end_ids=find_end_ids(tokenizer, model.generation_config, model.config),
    )


@torch.inference_mode()
def make_decoder(model: Any, n_context: int, stop: threading.Event, *, fused: bool = True) -> Decoder:
    """Choose how a model is decoded: with shared prefixes where that gives the library's own logits.

    Args:
        model: a loaded model; it is taken over, and only the decoder may use it afterwards.
        n_context: the longest text that it will see.
        stop: set when the decoder is to leave a pass in the middle.
        fused: whether the layers of Llama's family may be run in their faster form.

    Raises:
        ModelError: the faster form does not give the library's logits.
    """
    if not _is_plainly_causal(model, n_context):
        return WaveDecoder(model, stop)
    before = model.config._attn_implementation  # noqa: SLF001 - the library has no other name for it
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.arange(min(_PROBE_TOKENS, n_context), device=model.device) * 7919 % vocabulary
    expected = model(input_ids=ids.unsqueeze(0), use_cache=False).logits[0].float()
    head, dtype = Head(model), model.dtype
    try:
        body: Body = LibraryBody(model)
        found, shape = _probe(body, head, ids, dtype)
        agrees = _agree(expected, found, dtype)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError):
        agrees = False  # this architecture does not hand our object on to its attention
    if not agrees:
        model.set_attn_implementation(before)
        return WaveDecoder(model, stop)
    if fused and is_llama(model):
        body = LlamaBody(model, head)
        if not _agree(expected, _probe(body, head, ids, dtype)[0], dtype):
            raise ModelError(
                f"the faster form of this {model.config.model_type} model does not give its own logits; "
                "load it with fused=False, and report it"
            )
    return SharedPrefixDecoder(body, head, shape, stop)


def _probe(body: Body, head: Head, ids: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, CacheShape]:
    """Run a few tokens: their logits, and what the keys and values look like."""
    one_pass = Prefill([len(ids)], None, threading.Event(), ids.device, capture=True)
    logits = head(body(ids, torch.arange(len(ids), device=ids.device), one_pass)).float()
    n_kv_heads, _, head_size = one_pass.captured[0][0].shape
    return logits, CacheShape(len(one_pass.captured), n_kv_heads, head_size, dtype, ids.device)


def _agree(expected: torch.Tensor, found: torch.Tensor, dtype: torch.dtype) -> bool:
    return bool((found - expected).square().mean().sqrt() <= _PROBE_TOLERANCE[dtype] * expected.std())


def _is_plainly_causal(model: Any, n_context: int) -> bool:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        bool(getattr(model, "_supports_attention_backend", False))
        and not getattr(model, "_is_stateful", False)
        and kinds <= {"full_attention", "sliding_attention"}
        and _window(model) >= n_context
        and getattr(config, "attention_chunk_size", None) is None
        and not model.config.is_encoder_decoder
    )


def _load_weights(folder: ModelFolder, number: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    options = {"use_safetensors": True, "trust_remote_code": folder.trust_remote_code}
    if folder.adapter is None:
        return AutoModelForCausalLM.from_pretrained(folder.path, dtype=number, **options)
    from peft import PeftModel

    # Merged in float32: in bfloat16 the rounding of the sum would lose most of a small adapter.
    base = AutoModelForCausalLM.from_pretrained(folder.path, dtype=torch.float32, **options)
    return PeftModel.from_pretrained(base, folder.adapter).merge_and_unload().to(number)


def _context(model: Any) -> int:
    """Find the longest text; where every layer looks through one wide window, what fits into it."""
    config = model.config.get_text_config()
    declared = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len")]
    longest = next((int(value) for value in declared if value), _UNBOUNDED)
    window = _window(model)
    return min(longest, window) if window >= _WIDE_WINDOW else longest


def _window(model: Any) -> int:
    """How far back every layer looks at least."""
    config = model.config.get_text_config()
    if not getattr(config, "use_sliding_window", True):
        return _UNBOUNDED
    return getattr(config, "sliding_window", None) or _UNBOUNDED


def _quantisation(model: Any) -> str:
    return str(getattr(model, "quantization_method", None) or "none")
