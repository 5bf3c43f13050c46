"""A tokenizer as llama.cpp reads it: tokens with their kinds, how they are merged, special ones, the chat template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charter.errors import ModelError
from charter.publishing.gguf.pieces import Pieces, read_pieces
from charter.publishing.gguf.splitting import split_name

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # llama.cpp's kinds of tokens
_CHAT = tuple({"role": role, "content": "Say why."} for role in ("user", "assistant", "user"))
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What llama.cpp must know of a tokenizer.

    ``tokens`` and ``kinds`` have a place for each row of the model's embedding. A byte-level tokenizer has ``merges``,
    and ``splits`` names how it cuts text before; one of SentencePiece has ``pieces``. ``special`` are ids by role
    (``bos``, ``eos``, ``eot``, ``unk``, ``pad``).
    """

    tokens: list[str]
    kinds: list[int]
    special: Mapping[str, int]
    adds_bos: bool
    adds_eos: bool
    template: str
    splits: str = ""
    merges: tuple[str, ...] = ()
    pieces: Pieces | None = None
    notes: tuple[str, ...] = ()


def read_vocabulary(tokenizer: Any, n_vocabulary: int, end_ids: Iterable[int] = ()) -> Vocabulary:
    """Read a tokenizer by what it does, whatever its files say.

    Args:
        tokenizer: as transformers loads it.
        n_vocabulary: rows of the model's embedding.
        end_ids: tokens that end a text besides the tokenizer's own, of the model's configuration of generation.

    Raises:
        ModelError: for a tokenizer that llama.cpp would not follow.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    if backend["model"]["type"] != "BPE":
        raise ModelError(
            f"a tokenizer of the kind {backend['model']['type']} cannot be written as GGUF here; export the model "
            "merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    has_bytes = bool(backend["model"].get("byte_fallback"))
    tokens, kinds = _tokens(backend, n_vocabulary, has_bytes=has_bytes, unknown=tokenizer.unk_token_id)
    template = _template(tokenizer)
    chat = (
        str(tokenizer.apply_chat_template(list(_CHAT), tokenize=False, add_generation_prompt=True)) if template else ""
    )
    pieces = read_pieces(tokenizer, backend, tokens, chat) if has_bytes else None
    adds_bos, adds_eos = _ends(tokenizer)
    # llama.cpp begins a conversation as it begins a text: what the template leaves out must not be added.
    is_bare = bool(chat) and adds_bos and not chat.startswith(tokenizer.bos_token)
    return Vocabulary(
        tokens=tokens,
        kinds=kinds,
        special=_special(tokenizer, end_ids),
        adds_bos=adds_bos and not is_bare,
        adds_eos=adds_eos,
        template=template,
        splits="default" if pieces else split_name(backend),
        merges=() if pieces else tuple(" ".join(pair) for pair in backend["model"]["merges"]),
        pieces=pieces,
        notes=(*_notes(backend, template, is_bare=is_bare), *(pieces.notes if pieces else ())),
    )


def _tokens(
    backend: Mapping[str, Any], n_vocabulary: int, *, has_bytes: bool, unknown: int | None
) -> tuple[list[str], list[int]]:
    """Give the token of each id, and its kind; ids that no token has are unused."""
    tokens = [f"[PAD{number}]" for number in range(n_vocabulary)]
    kinds = [UNUSED] * n_vocabulary
    numbers = {**backend["model"]["vocab"], **{one["content"]: one["id"] for one in backend["added_tokens"]}}
    if max(numbers.values()) >= n_vocabulary:
        raise ModelError(
            f"its tokenizer has a token {max(numbers.values())}, and the model a vocabulary of {n_vocabulary}: they "
            "do not belong together"
        )
    for token, number in numbers.items():
        tokens[number] = token
        kinds[number] = BYTE if has_bytes and _BYTE_TOKEN.fullmatch(token) else NORMAL
    for one in backend["added_tokens"]:
        kinds[one["id"]] = CONTROL if one["special"] else USER_DEFINED
    if has_bytes and unknown is not None:
        kinds[unknown] = UNKNOWN
    return tokens, kinds


def _special(tokenizer: Any, end_ids: Iterable[int]) -> dict[str, int]:
    found = {role: getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "unk", "pad")}
    # One more that ends a turn is all that the format has a place for; llama.cpp finds the usual ones by their text.
    other = next((number for number in sorted(end_ids) if number != found["eos"]), None)
    return {role: number for role, number in {**found, "eot": other}.items() if number is not None}


def _ends(tokenizer: Any) -> tuple[bool, bool]:
    """Find out whether the tokenizer begins a text with its first token, and ends it with its last."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for adds_bos in (False, True):
        for adds_eos in (False, True):
            if whole == [tokenizer.bos_token_id] * adds_bos + bare + [tokenizer.eos_token_id] * adds_eos:
                return adds_bos, adds_eos
    raise ModelError(
        f"its tokenizer makes {whole} of a text of the tokens {bare}, where llama.cpp can only add the token that "
        f"begins a text ({tokenizer.bos_token_id}) and the one that ends it ({tokenizer.eos_token_id})"
    )


def _template(tokenizer: Any) -> str:
    told = tokenizer.chat_template
    return str((told.get("default") if isinstance(told, dict) else told) or "")


def _notes(backend: Mapping[str, Any], template: str, *, is_bare: bool) -> Iterator[str]:
    if not template:
        yield "it has no chat template: llama.cpp would take one of its own for conversations"
    if is_bare:
        yield "a text that is no conversation begins with a token here, and a conversation does not: none does there"
    if (backend["normalizer"] or {}).get("type") == "NFC":
        yield "text whose accents are characters of their own is read as it is there, and composed first here (NFC)"
    greedy = [one["content"] for one in backend["added_tokens"] if one["lstrip"] or one["rstrip"]]
    if greedy:
        yield f"white space beside {', '.join(greedy)} is taken with it here, and may be text there"
