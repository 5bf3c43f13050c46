"""Tokenizers of SentencePiece, such as Mistral's and Llama 2's: what each token scores, and where a space is put.

llama.cpp joins the two neighbours whose token scores best, transformers those whose merge comes first in a list. These
are the same where the list has every way to make a token, and a token scores by where its merges stand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.errors import ModelError

_SPACE = "\u2581"  # stands for a space
_TEXTS = ("Say why.", " Say why.", "\nSay why.")
_OTHERWISE = "export the model merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"


@dataclass(frozen=True, slots=True)
class Pieces:
    """A score for each token, and whether llama.cpp is to put a space before every stretch of text."""

    scores: tuple[float, ...]
    puts_space: bool
    notes: tuple[str, ...]


def read_pieces(tokenizer: Any, backend: Mapping[str, Any], tokens: Sequence[str], chat: str) -> Pieces:
    """Read what llama.cpp must know of such a tokenizer.

    Args:
        tokenizer: as transformers loads it.
        backend: the same as tokenizers writes it.
        tokens: by their ids.
        chat: a conversation as it renders them, whose tokens must come out right; empty where it has no template.

    Raises:
        ModelError: where llama.cpp would read conversations as other tokens, whatever it is told.
    """
    ranks: dict[str, int] = {}
    merges = {tuple(pair) for pair in backend["model"]["merges"]}
    for rank, (left, right) in enumerate(backend["model"]["merges"]):
        ranks.setdefault(left + right, rank)
    _require_every_merge(backend, merges)
    puts_space = _find_space(tokenizer, backend, chat or _TEXTS[0])
    written = _as_llama_cpp(backend, puts_space=puts_space)
    differs = [text for text in _TEXTS if written.encode(text).ids != _ids(tokenizer, text)]
    note = "a text that is no conversation begins with a space here, and as it is written there"
    last = len(merges)
    return Pieces(tuple(-float(ranks.get(one, last)) for one in tokens), puts_space, (note,) if differs else ())


def _require_every_merge(backend: Mapping[str, Any], merges: set[tuple[Any, ...]]) -> None:
    vocabulary = backend["model"]["vocab"]
    added = {one["content"] for one in backend["added_tokens"]}
    for token in vocabulary.keys() - added:
        for left, right in ((token[:place], token[place:]) for place in range(1, len(token))):
            if left in vocabulary and right in vocabulary and (left, right) not in merges:
                raise ModelError(
                    f"its tokenizer never joins {left!r} and {right!r} to its token {token!r}, and llama.cpp would; "
                    f"{_OTHERWISE}"
                )


def _find_space(tokenizer: Any, backend: Mapping[str, Any], text: str) -> bool:
    for puts_space in (False, True):
        if _as_llama_cpp(backend, puts_space=puts_space).encode(text).ids == _ids(tokenizer, text):
            return puts_space
    raise ModelError(f"its tokenizer puts spaces where llama.cpp would not, in {text!r}; {_OTHERWISE}")


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _as_llama_cpp(backend: Mapping[str, Any], *, puts_space: bool) -> Any:
    """Make the tokenizer that llama.cpp would be: spaces are written as their sign, after one more or none."""
    from tokenizers import Tokenizer

    steps: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}]
    if puts_space:
        steps.insert(0, {"type": "Prepend", "prepend": _SPACE})
    told = {"normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": None, "post_processor": None}
    return Tokenizer.from_str(json.dumps({**backend, **told}))
