"""What may hold a key, a token or a password: messages show its name, and ``***`` in place of what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

HIDDEN = "***"
# "tokens" are counted, and a tokenizer is no secret.
_WORDS = r"key|secret|password|passwd|passphrase|credential|bearer|authorization|token(?!s|iz)"
_NAME = re.compile(_WORDS, re.IGNORECASE)
# What stands in examples where a password would: such an address gives nothing away.
_EXAMPLE_PASSWORDS = r"passw(?:or)?d|pass|pwd|secret|token|x+|\*+|\.+|[<{\[$%][^\s@/]*"


@dataclass(frozen=True, slots=True)
class Form:
    """What something looks like: its kind in words, and a pattern for texts that have one of its ``signs``."""

    kind: str
    signs: tuple[str, ...]
    pattern: re.Pattern[str]

    def find(self, text: str) -> Iterator[re.Match[str]]:
        """Find it in a text; where no sign of it is, that takes next to no time."""
        return self.pattern.finditer(text) if any(sign in text for sign in self.signs) else iter(())


#: Keys and passwords, strictly enough that a text about keys holds none.
KEY_FORMS = tuple(
    Form(kind, tuple(signs.split(", ")), re.compile(pattern))
    for kind, signs, pattern in (
        (
            "a private key in PEM form",
            "PRIVATE KEY",
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        ),
        ("a token of Hugging Face (hf_...)", "hf_, api_org_", r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}"),
        (
            "an API key (sk-...)",
            "sk-, sk_",
            r"(?<![\w-])sk[-_](?=[\w-]{0,200}[0-9])[A-Za-z0-9_-]{20,}",
        ),
        ("a key of AWS (AKIA...)", "AKIA, ASIA", r"\b(?:AKIA|ASIA)(?![0-9A-Z]{9}EXAMPLE\b)[0-9A-Z]{16}\b"),
        (
            "a token of GitHub or GitLab",
            "gh, github_pat_, glpat-",
            r"\b(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,})",
        ),
        ("a token of Slack (xox...)", "xox", r"\bxox[abeoprs]-[0-9A-Za-z-]{20,}"),
        ("a key of Google (AIza...)", "AIza", r"\bAIza[\w-]{35}"),
        ("a JSON web token", "eyJ", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
        (
            "a password in an address",
            "://",
            (
                r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@\"']{1,200}:"
                rf"(?!(?:{_EXAMPLE_PASSWORDS})@)[^/\s@\"']{{1,200}}@[\w.\[]"
            ),
        ),
    )
)
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
