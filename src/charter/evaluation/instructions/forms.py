"""Constraints on what can be seen of an answer: lists, highlights, titles, JSON, its beginning and its end. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_RESPONSES = "******"
# Answers may be of any length: none of these looks at a stretch of text again from each place in it.
_PLACEHOLDER = re.compile(r"\[(?=[^\[\]\n]*[^\[\]\s])[^\[\]\n]*+\]")
_BULLET = re.compile(r"^[^\S\n]*+[-*+\u2022][^\S\n].*\w", re.MULTILINE)
_HIGHLIGHT = re.compile(r"(?<!\*)(\*\*?)(?=[^\s*])[^\n*]+(?<=\S)\1(?!\*)")
_TITLE = re.compile(r"<<(?=[^\n<>]*[^\s<>])[^\n<>]*+>>")
_FENCE = re.compile(r"```(?:json)?(.*)```", re.DOTALL | re.IGNORECASE)


def inside_ends(parts: Sequence[str]) -> list[str]:
    """Give the parts of an answer without white space, and without an empty one before or behind all of them."""
    bare = [part.strip() for part in parts]
    return bare[1 if not bare[0] else 0 : -1 if len(bare) > 1 and not bare[-1] else None]


def has_placeholders(answer: str, *, num_placeholders: int) -> bool:
    """Tell whether at least so many placeholders in square brackets are there, such as ``[address]``."""
    return len(_PLACEHOLDER.findall(answer)) >= num_placeholders


def has_postscript(answer: str, *, postscript_marker: str) -> bool:
    """Tell whether something is said behind the marker of a postscript, in any case, with or without blanks in it."""
    marker = r"\s?".join(re.escape(mark) for mark in postscript_marker if not mark.isspace())
    # What stands behind it may be another marker, of a model that repeats itself: that says nothing.
    return re.search(rf"(?<![\w.]){marker}\W*+(?!{marker})\w", answer, re.IGNORECASE) is not None


def has_bullets(answer: str, *, num_bullets: int) -> bool:
    """Tell whether exactly so many lines are bullet points: a mark (``*``, ``-``), a blank and words."""
    return len(_BULLET.findall(answer)) == num_bullets


def picks_option(answer: str) -> bool:
    """Tell whether exactly one of the three options is there, word for word."""
    return sum(option in answer for option in OPTIONS) == 1


def has_highlights(answer: str, *, num_highlights: int) -> bool:
    """Tell whether at least so many passages are highlighted: ``*so*`` or ``**so**``."""
    return len(_HIGHLIGHT.findall(answer)) >= num_highlights


def has_sections(answer: str, *, section_spliter: str, num_sections: int) -> bool:
    """Tell whether at least so many sections begin with the word and a number, such as ``Section 2``."""
    heads = re.compile(rf"(?<!\w){re.escape(section_spliter.strip())}\s?\d+")
    return len(heads.findall(answer)) >= num_sections


def is_json(answer: str) -> bool:
    """Tell whether the whole answer is JSON, in a fence or without one."""
    text = answer.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


def has_title(answer: str) -> bool:
    """Tell whether there is a title in double angular brackets: ``<<poem of joy>>``."""
    return _TITLE.search(answer) is not None


def has_two_responses(answer: str) -> bool:
    """Tell whether six asterisks part exactly two responses that differ; some before or behind both do not count."""
    parts = inside_ends(answer.split(_RESPONSES))
    return len(parts) == 2 and all(parts) and parts[0] != parts[1]


def repeats_prompt(answer: str, *, prompt_to_repeat: str) -> bool:
    """Tell whether the answer begins with the request, word for word, in any case."""
    return answer.strip().casefold().startswith(prompt_to_repeat.strip().casefold())


def ends_with(answer: str, *, end_phrase: str) -> bool:
    """Tell whether the answer ends with the phrase, in any case; quotation marks behind it do not count."""
    return answer.strip().strip('"').rstrip().casefold().endswith(end_phrase.strip().strip('"').casefold())


def is_quoted(answer: str) -> bool:
    """Tell whether the whole answer is in double quotation marks."""
    text = answer.strip()
    return len(text) > 2 and text.startswith('"') and text.endswith('"')


def has_no_comma(answer: str) -> bool:
    """Tell whether the answer has no comma."""
    return "," not in answer
