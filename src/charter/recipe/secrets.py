"""What may hold a key, a token or a password: messages show its name, and ``***`` in place of what it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

HIDDEN = "***"
# "tokens" are counted, and a tokenizer is no secret.
_WORDS = r"key|secret|password|passwd|passphrase|credential|bearer|authorization|token(?!s|iz)"
_NAME = re.compile(_WORDS, re.IGNORECASE)
_NAMED = re.compile(rf"""(?:{_WORDS})[\w.-]*[\\'"]*\s*[:=]""", re.IGNORECASE)


def is_secret(name: object) -> bool:
    """Tell from a setting's name whether its value may be a key, or stand where one was put by mistake."""
    return isinstance(name, str) and _NAME.search(name) is not None


def hide(text: str) -> str:
    """Give a text up to the value of the first secret in it: where that ends only the reader of the text can tell."""
    found = _NAMED.search(text)
    if found is None or not text[found.end() :].strip():
        return text
    return f"{text[: found.end()]}{' ' if text[found.end()].isspace() else ''}{HIDDEN}"


def hide_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Give overrides as messages may quote them.

    What has no name may be the rest of a secret that a shell took apart at a space.
    """
    holds_secret = any(map(_NAMED.search, overrides))
    return tuple(HIDDEN if holds_secret and "=" not in override else hide(override) for override in overrides)


def named_beside_secret(name: object, section: Any) -> bool:
    """Tell whether a name without a value may be the rest of a secret in its section, behind a comma between braces."""
    if not isinstance(section, dict) or section.get(name, HIDDEN) is not None:
        return False
    return not is_secret(name) and any(is_secret(other) for other in section)
