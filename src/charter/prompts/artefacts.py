"""What stands where a prompt should in files that a model wrote: a label before it, or an instruction of the method."""

from __future__ import annotations

import re

LABEL_TAKEN_OFF = "label before the prompt taken off"
INSTRUCTION = "an instruction stands where the prompt should"

_LABEL = re.compile(r"\s*red[ -]team(?:ing)? prompt\s*:\s*", re.IGNORECASE)
_PAIRS = {"'": "'", '"': '"', "\u2018": "\u2019", "\u201c": "\u201d"}
_APOSTROPHE = re.compile(r"(?<=\w)['\u2019](?=\w)")
_QUOTES = str.maketrans(dict.fromkeys('\u2018\u2019\u201c\u201d"`', "'"))
# How requests to criticise, to rewrite, or to look at a response begin.
_REQUEST = re.compile(
    r"(?:critique|revision) ?request:"
    r"|(?:critique|criticise|criticize|revise|rewrite) (?:the|this|your|that) "
    r"(?:(?:initial|original|first|last|previous|following|provided|given|above|assistant's|model's|ai's|llm's) )"
    r"{0,2}response\b"
    r"|identify (?:the )?specific ways in which\b[^.:]{0,60}\bresponse\b"
    r"|the response (?:from|of) an? (?:llm|ai|model|assistant|language model)\b"
)


def is_instruction(text: str) -> bool:
    """Tell whether a text begins as a request to criticise or rewrite a response does."""
    return _REQUEST.match(plain(text)) is not None


def without_label(text: str) -> str | None:
    """Give the prompt behind a label such as ``Red team prompt:``, empty where it is; None where there is no label."""
    label = _LABEL.match(text)
    return None if label is None else _unquoted(text[label.end() :].strip())


def plain(text: str) -> str:
    """Write a text in lower case, with one kind of quotation mark and single spaces."""
    return " ".join(text.translate(_QUOTES).lower().split())


def _unquoted(text: str) -> str:
    """Take quotation marks off that stand around the whole, and not around its beginning and its end apart."""
    end = _PAIRS.get(text[:1])
    if end is None or len(text) < 2 or text[-1] != end:
        return text
    inner = text[1:-1]
    bare = _APOSTROPHE.sub("", inner)
    return text if text[0] in bare or end in bare else inner
