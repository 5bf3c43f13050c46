"""What stands where a prompt should in files that a model wrote: a label before it, or an instruction of the method."""

from __future__ import annotations

import re

LABEL_TAKEN_OFF = "label before the prompt taken off"
INSTRUCTION = "an instruction stands where the prompt should"

_LABEL = re.compile(r"\s*red[ -]team(?:ing)? prompt\s*:\s*", re.IGNORECASE)
_QUOTED = re.compile(r"(['\"\u2018\u201c])(?P<inner>.*)(['\"\u2019\u201d])\s*", re.DOTALL)
_QUOTES = str.maketrans(dict.fromkeys('\u2018\u2019\u201c\u201d"`', "'"))
# How requests to criticise, to rewrite, or to look at a response begin.
_REQUEST = re.compile(
    r"(?:critique|revision) ?request:"
    r"|(?:critique|criticise|criticize|revise|rewrite) (?:the|this|your|that)\b[^.:]{0,60}\bresponse\b"
    r"|identify (?:the )?specific ways in which\b[^.:]{0,60}\bresponse\b"
    r"|the response (?:from|of) an? (?:llm|ai|model|assistant|language model)\b"
)


def is_instruction(text: str) -> bool:
    """Tell whether a text begins as a request to criticise or rewrite a response does."""
    return _REQUEST.match(plain(text)) is not None


def without_label(text: str) -> str | None:
    """Give the prompt behind a label such as ``Red team prompt:``; None where there is no label, or nothing behind."""
    label = _LABEL.match(text)
    return None if label is None else _unquoted(text[label.end() :]) or None


def plain(text: str) -> str:
    """Write a text in lower case, with one kind of quotation mark and single spaces."""
    return " ".join(text.translate(_QUOTES).lower().split())


def _unquoted(text: str) -> str:
    found = _QUOTED.fullmatch(text)
    return found["inner"] if found else text.strip()
