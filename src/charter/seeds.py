"""Identities and seeds: both are hashes, so that nothing depends on order, batch or machine."""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring
from typing import Any

_ID_HEX_DIGITS = 16
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_SEED_BYTES = 7  # 56 bits: exact as a JSON number in most readers' int64, and as a torch seed
_UNIT_BITS, _UNIT_BYTES = 52, 7  # with one half added still exact as a float, and so never 0 or 1
_N_UNITS = float(2**_UNIT_BITS)


def canonical_json(value: Any) -> str:
    """Write a JSON value in its one canonical form (sorted keys, no spaces, no escapes but JSON's own).

    Raises:
        ValueError: for NaN and infinities, which JSON cannot hold.
    """
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """Hash a JSON value: the sha256 of its canonical form, as 64 hexadecimal digits."""
    return digest_text(canonical_json(value))


def digest_text(text: str) -> str:
    """Hash a text, such as a JSON value in its canonical form: the sha256 as 64 hexadecimal digits."""
    return _sha256(text).hex()


def canonical_text(text: str) -> str:
    """Write a text in its one canonical form, as ``canonical_json`` does."""
    return encode_basestring(text)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def row_id(kind: str, *parts: Any) -> str:
    """Name a row after what determines it.

    Args:
        kind: a short prefix that a reader recognises, such as ``trace`` or ``pair``.
        parts: JSON values; two rows with equal parts are the same row.

    Returns:
        ``kind-`` and 16 hexadecimal digits (a collision in a million rows: about 3e-8).
    """
    return f"{kind}-{digest([kind, *parts])[:_ID_HEX_DIGITS]}"


def derive_seed(run_seed: int, row: str, purpose: str) -> int:
    """Give one row its own seed for one purpose, in [0, 2**56).

    Args:
        run_seed: the recipe's ``seed``.
        row: the row's id.
        purpose: what the seed is for, such as ``initial`` or ``round 2 principle``.
    """
    # By hand, because it is done for every call: the canonical form of [run_seed, row, purpose].
    written = f"[{run_seed},{canonical_text(row)},{canonical_text(purpose)}]"
    return int.from_bytes(_sha256(written)[:_SEED_BYTES], "big")


def derive_unit(seed: int, name: str) -> float:
    """Give a name its own number under a seed, as if drawn evenly from the open interval (0, 1).

    Args:
        seed: of the row, for one purpose.
        name: of one of those that take part in a draw; each has its number whoever else takes part.
    """
    drawn = int.from_bytes(_sha256(f"{seed} {name}")[:_UNIT_BYTES], "big") >> (8 * _UNIT_BYTES - _UNIT_BITS)
    return (drawn + 0.5) / _N_UNITS
