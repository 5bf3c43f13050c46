"""How a byte-level tokenizer cuts text before it merges, by the name that llama.cpp has for it.

Its names stand for patterns that are compiled into it (``llama-vocab.cpp``): a tokenizer that cuts otherwise cannot be
written, and one that is written under another's name reads other tokens without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charter.errors import ModelError

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"
_LLAMA_3 = rf"{_CONTRACTIONS}|{_BEFORE}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_ENDS}"
_QWEN_2 = rf"{_CONTRACTIONS}|{_BEFORE}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_ENDS}"
_TEKKEN = rf"{_BEFORE}{_UPPER}*{_LOWER}+|{_BEFORE}{_UPPER}+{_LOWER}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_ENDS}"

_BYTES, _WORDS = "bytes", "bytes by words"
#: The steps of a tokenizer, and whether it takes a whole word that is a token without merging: llama.cpp's name.
_NAMES: Mapping[tuple[tuple[str, ...], bool], str] = {
    ((_WORDS,), False): "gpt-2",
    (("digits", _WORDS), False): "smollm",
    ((_QWEN_2, _BYTES), False): "qwen2",
    ((_LLAMA_3, _BYTES), True): "llama-bpe",
    ((_LLAMA_3, _BYTES), False): "smaug-bpe",
    ((_TEKKEN, _BYTES), True): "tekken",
}


def split_name(backend: Mapping[str, Any]) -> str:
    """Name the way that a tokenizer cuts text.

    Args:
        backend: the tokenizer as tokenizers writes it (``tokenizer.json``).

    Raises:
        ModelError: where llama.cpp has no name for it that is known here.
    """
    steps = tuple(_steps(backend["pre_tokenizer"] or {"type": "none"}))
    name = _NAMES.get((steps, bool(backend["model"].get("ignore_merges"))))
    if name is None:
        raise ModelError(
            f"its tokenizer cuts text in a way that cannot be written as GGUF here: {' then '.join(steps)}; export the "
            "model merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    return name


def _steps(step: Mapping[str, Any]) -> Iterator[str]:
    kind = step["type"]
    if kind == "Sequence":
        for one in step["pretokenizers"]:
            yield from _steps(one)
    elif kind == "ByteLevel" and not step["add_prefix_space"]:
        yield _WORDS if step["use_regex"] else _BYTES
    elif kind == "Digits" and step["individual_digits"]:
        yield "digits"
    # To isolate what matches, and to drop what does not, is the same for a pattern that matches everything.
    elif kind == "Split" and (step["behavior"], step["invert"]) in {("Isolated", False), ("Removed", True)}:
        yield str(step["pattern"].get("Regex", step["pattern"]))
    else:
        yield f"{kind} { ({key: value for key, value in step.items() if key != 'type'}) }"
