"""Ids for principles whose file has none of ours: made of what they say, so that a new one renames no other."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_USABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MAX_LENGTH = 60
_MAX_READ = 500  # characters
_N_WORDS = 5
_N_HASH = 6
# What nearly every request begins with names none of them.
_PASSED_OVER = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as assistant assistants at be by choose compare critique discuss does explain for from given "
        "human i identify if in is it its last make me my of on one or please prefer preceding revise rewrite say "
        "select so response responses s than that the their them these this those to was way ways what where whether "
        "which who will with you your",
    )
)


def with_ids(principles: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give each principle that has no id one of its own.

    It is the source's id where that is a word, else made of the title, else of the first telling words of the text. One
    that is taken already gets a mark of its content behind it.
    """
    taken = {principle["id"]: 1 for principle in principles if "id" in principle}
    named = []
    for principle in principles:
        one = dict(principle)
        if "id" not in one:
            one["id"] = _free(_stem(one), one, taken)
            taken[one["id"]] = 1
        named.append(one)
    return named


def slug(words: Iterable[str]) -> str:
    """Join words as an id: small letters and digits of ASCII, accents taken off, dashes between."""
    text = unicodedata.normalize("NFKD", " ".join(words)[:_MAX_READ]).encode("ascii", "ignore").decode("ascii").lower()
    parts = re.findall(r"[a-z0-9]+", text)
    while len("-".join(parts)) > _MAX_LENGTH and len(parts) > 1:
        parts.pop()
    return "-".join(parts)[:_MAX_LENGTH]


def _stem(principle: Mapping[str, Any]) -> str:
    own = str(principle.get("source_id", ""))
    if _USABLE.fullmatch(own) and re.search("[A-Za-z]", own) and len(own) <= _MAX_LENGTH:
        return own
    return slug([principle.get("title", "")]) or _telling(principle) or f"principle-{_mark(principle)}"


def _telling(principle: Mapping[str, Any]) -> str:
    text = next((str(principle[key]) for key in _CONTENT if principle.get(key)), "")
    plain = unicodedata.normalize("NFKD", text[:_MAX_READ]).encode("ascii", "ignore").decode("ascii").lower()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    return slug(([word for word in words if word not in _PASSED_OVER] or words)[:_N_WORDS])


_CONTENT = ("text", "critique_request", "revision_request", "choice_question")


def _mark(principle: Mapping[str, Any]) -> str:
    content = "\x00".join(str(principle.get(key, "")) for key in ("source_id", "title", *_CONTENT))
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:_N_HASH]


def _free(stem: str, principle: Mapping[str, Any], taken: dict[str, int]) -> str:
    """Find a name that nobody has; ``taken`` counts how often each was wanted, so that equal ones take no long time."""
    if stem not in taken:
        return stem
    marked = name = f"{stem}-{_mark(principle)}"
    while name in taken:  # the same content once more
        taken[marked] += 1
        name = f"{marked}-{taken[marked]}"
    return name
