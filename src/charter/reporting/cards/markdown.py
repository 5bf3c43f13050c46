"""Build Markdown from parts: every text is made inert, and only what was built here counts as Markdown.

A text from outside (a prompt, a name, a description) must not make a heading, a link, an image, a mention or HTML, nor
end the block that it stands in. What looks like a path, a key or an address of a person is blotted out besides.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

_LIVE = re.compile(r"[\\`*_{}\[\]<>#|&~^$@]|:(?=\S)")
# What begins a list, or a rule, where a line begins with it.
_OPENING = re.compile(r"^(?: ?[0-9]+(?=[.)](?: |$))| ?(?=[-+](?:[ -]|$)))")
_BREAKS = re.compile(r"[ \t\n\r\f\v\x1c-\x1f\x85\u2028\u2029]+")
_WWW = re.compile(r"(?i)\bwww\.")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # of Unicode: what has no shape, and may turn what stands beside it
_TICKS = re.compile(r"`+")
_BLOTS = (
    (re.compile(r"(?i)\bfile://\S+"), "[a path]"),
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^/\s@]+@\S*"), "[a secret]"),
    (re.compile(r"\b(?:(?:hf|sk|pk|rk|gh[opsu]|glpat|xox[abp])[-_]|AIza)[A-Za-z0-9_-]{16,}"), "[a secret]"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "[a secret]"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"), "[a secret]"),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/-]{8,}=*"), "[a secret]"),
    (re.compile(r"(?i)\b[\w-]*(?:api[_-]?key|token|passw(?:or)?d|secret)\s*=\s*[^\s\"',;]+"), "[a secret]"),
    (re.compile(r"\b[A-Z][A-Z0-9_]{2,}=[^\s\"',;]+"), "[a variable]"),
    (re.compile(r"\$\{?[A-Z][A-Z0-9_]+\}?"), "[a variable]"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[an address]"),
    (re.compile(r"(?<![\w\\])(?:[A-Za-z]:\\|\\\\)[^\s\"'<>|]+"), "[a path]"),
    (re.compile(r"(?<![\w/:.~])(?:~|\.{1,2})?/(?:[\w.@+-]+/)+[\w.@+-]*"), "[a path]"),
    (re.compile(r"(?<![\w/:.~])(?:~|\.{1,2})/[\w.@+-]+"), "[a path]"),
)


class Markdown(str):
    """Text that is already Markdown."""

    __slots__ = ()


def blotted(text: str) -> str:
    """Blot out what looks like a path of a machine, a secret, an environment variable or an address of a person."""
    for pattern, instead in _BLOTS:
        text = pattern.sub(instead, text)
    return text


def seen(text: str, *, kept: str = "") -> str:
    """Write what has no shape, such as control characters and marks of direction, by its number, as JSON does."""
    return "".join(
        one if one in kept or unicodedata.category(one) not in _UNSEEN else json.dumps(one)[1:-1] for one in text
    )


def plain(text: str) -> str:
    """Put a text from outside on one line, blotted, for where no Markdown is read."""
    return seen(blotted(_BREAKS.sub(" ", text)))


def inert(text: str) -> Markdown:
    """Put a text from outside on one line that says itself, whatever it holds; Markdown stays as it is."""
    if isinstance(text, Markdown):
        return text
    escaped = _OPENING.sub(r"\g<0>\\", _LIVE.sub(r"\\\g<0>", plain(text)))
    return Markdown(_WWW.sub(lambda found: f"{found[0][:-1]}\\.", escaped))


def line(*parts: str) -> Markdown:
    """Write parts one after the other: texts are made inert, Markdown is taken as it is."""
    return Markdown("".join(inert(part) for part in parts))


def paragraphs(*texts: str) -> Markdown:
    """Write blocks with an empty line between them; empty ones are left out."""
    return Markdown("\n\n".join(inert(text) for text in texts if text))


def heading(text: str, level: int = 2) -> Markdown:
    """Write a heading."""
    return Markdown(f"{'#' * level} {inert(text)}")


def bullets(items: Iterable[str]) -> Markdown:
    """Write a list."""
    return Markdown("\n".join(f"- {inert(item)}" for item in items))


def quoted(text: str) -> Markdown:
    """Write a block quotation of one line."""
    return Markdown(f"> {inert(text)}")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> Markdown:
    """Write a table; columns whose numbers are ``right`` are aligned to that side."""
    to_the_right = frozenset(right)
    rule = ["---:" if number in to_the_right else "---" for number in range(len(header))]
    lines: list[list[str]] = [[inert(cell) for cell in row] for row in (header, *rows)]
    return Markdown("\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], rule, *lines[1:])))


def fence(text: str, language: str = "") -> Markdown:
    """Write a block of code that its text cannot end, fenced by more ticks than it has in a row.

    Texts are blotted; what is marked as Markdown, such as code of ours, is shown as it is.
    """
    shown = (text if isinstance(text, Markdown) else seen(blotted(text), kept="\n\t")).rstrip("\n")
    ticks = "`" * max(3, 1 + max((len(found) for found in _TICKS.findall(shown)), default=0))
    return Markdown(f"{ticks}{language}\n{shown}\n{ticks}")
