"""Style: marks of a text's form and manner, which say nothing of whether it is right, kind or harmless."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from charter.text_quality.boilerplate import is_boilerplate, preachy_phrases
from charter.text_quality.declining import declines
from charter.text_quality.repetition import is_repetitive
from charter.text_quality.sentences import split_sentences, without_code

_MARKDOWN = re.compile(
    r"\*\*[^*\n]+\*\*|__[^_\n]+__|^#{1,6} \S|^>\s\S|^\|.*\|[^\S\n]*$"
    r"|\[[^\[\]\n]+\]\((?:[^()\s]|\([^()\s]*+\))++\)",
    re.MULTILINE,
)
_ITEM = re.compile(r"^[^\S\n]*(?:[-*+\u2022\u2013]|\(?\d{1,2}[.)])\s+\S", re.MULTILINE)
_ITEMS = 2  # that make a list: one is a dash
_CODE = re.compile(r"```|`[^`\n]+`")
_ENDS_ASKING = re.compile(r"[?\uff1f\u061f][\"'\u2019\u201d)\]*_\s]*\Z")
_FIRST_PERSON = re.compile(r"\b(?:I|I['\u2019](?:m|ve|d|ll)|[Mm]e|[Mm]y|[Mm]ine|[Mm]yself)\b")
_APOLOGY = re.compile(r"\b(?:sorry|apolog(?:y|ies|i[sz]e[sd]?|i[sz]ing)|forgive me|my bad)\b", re.IGNORECASE)
# Pictographs, and the selector that turns a sign into one; arrows, digits and punctuation are none.
_EMOJI = re.compile("[\u2600-\u27bf\u2b50\u2b55\ufe0f\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")


def has_markdown(text: str) -> bool:
    """Say whether a text is set with Markdown: bold type, a heading, a quotation, a table or a link."""
    return _MARKDOWN.search(without_code(text)) is not None


def has_list(text: str) -> bool:
    """Say whether a text has a list: two lines or more that open with a bullet or a number."""
    return len(_ITEM.findall(without_code(text))) >= _ITEMS


def has_code(text: str) -> bool:
    """Say whether a text shows code, in a block or in a line."""
    return _CODE.search(text) is not None


def has_declining_sentence(text: str) -> bool:
    """Say whether any sentence of a text declines to help."""
    return any(declines(sentence.plain) for sentence in split_sentences(text))


def ends_with_question(text: str) -> bool:
    """Say whether a text ends by asking."""
    return _ENDS_ASKING.search(text) is not None


def speaks_of_itself(text: str) -> bool:
    """Say whether a text speaks in the first person, in English."""
    return _FIRST_PERSON.search(text) is not None


def apologises(text: str) -> bool:
    """Say whether a text apologises."""
    return _APOLOGY.search(text) is not None


def has_emoji(text: str) -> bool:
    """Say whether a text has a pictograph."""
    return _EMOJI.search(text) is not None


#: Each mark of style by its name; whether a text has it.
STYLES: Mapping[str, Callable[[str], bool]] = {
    "markdown": has_markdown,
    "list": has_list,
    "code": has_code,
    "refusal phrase": has_declining_sentence,
    "preachy phrase": lambda text: preachy_phrases(text) > 0,
    "boilerplate": is_boilerplate,
    "repetition": is_repetitive,
    "question at the end": ends_with_question,
    "first person": speaks_of_itself,
    "apology": apologises,
    "exclamation mark": lambda text: "!" in text or "\uff01" in text,
    "emoji": has_emoji,
}
