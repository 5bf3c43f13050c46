"""Sentences, words and stems: how the other modules of this package see a text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_CONTRACTIONS = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"\*\*|__", ""),
        (r"\bcannot\b|\bcan'?t\b", "can not"),
        (r"\bwon'?t\b", "will not"),
        (r"\b(do|does|did|is|are|was|were|would|could|should|have|has|had)n'?t\b", r"\1 not"),
        (r"\bain'?t\b", "is not"),
        (r"\bi'?m\b", "i am"),
        (r"\b(it|that|there|here|what|this|he|she|who)'s\b", r"\1 is"),
        (r"\blet's\b", "let us"),
        (r"(\w)'re\b", r"\1 are"),
        (r"(\w)'ve\b", r"\1 have"),
        (r"(\w)'ll\b", r"\1 will"),
        (r"(\w)'d\b", r"\1 would"),
        (r"\bunable to\b", "not able to"),
        (r"\s+", " "),
    )
)
_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LIST_ITEM = re.compile(r"\s*(?:\(?\d{1,2}[.)]|[a-h][.)]|[-*\u2022\u2013]|(?:\*\*)?step \d+\b[:.]?)\s+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+(?=[\"'(\[*]*[A-Z0-9])|(?<=[\u3002\uff01\uff1f])")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Sr|Jr|vs|etc|e\.g|i\.e|No|Fig|U\.S|[A-Z])\.|^\s*\d+\.)$")
_QUOTATION = re.compile(r'"[^"\n]{1,400}"|(?<![\w])\'[^\'\n]{1,400}\'(?![\w])')
_WORD = re.compile(r"\w+(?:'\w+)?")
_SUFFIXES = (
    "ations",
    "ation",
    "ingly",
    "ings",
    "ing",
    "ities",
    "ity",
    "ments",
    "ment",
    "ies",
    "ers",
    "ed",
    "es",
    "ly",
    "er",
    "s",
)
_COMMON = """
    a about above after again all also am an and any anyone are as at be because been before being best better but by
    can could did do does doing don down each easiest else even ever every few find for from get getting give go going
    good had has have having he help her here him his how i if in into is it its just know like list make may me might
    more most much must my need no not now of off on one or other our out over own people person please possible
    pretend right same say she should so some somebody someone something steps such take tell than that the their them
    then there these they thing things think this those to too up use using very want was way ways we were what when
    where which who whom whose why will with without won would write yes you your yourself
"""
_STOPWORDS = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as written, the same in plain form (see ``plain``), and whether it is an item of a list."""

    text: str
    plain: str
    is_item: bool


def any_of(*patterns: str) -> re.Pattern[str]:
    """Compile alternatives, one a line where they are written."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def plain(text: str) -> str:
    """Write a text in the one form that patterns are written for: lower case, straight quotes, no contractions."""
    text = text.translate(_APOSTROPHES).lower()
    for pattern, written in _CONTRACTIONS:
        text = pattern.sub(written, text)
    return text.strip()


def without_code(text: str) -> str:
    """Leave out fenced code blocks."""
    return _CODE_BLOCK.sub("\n", text)


def without_quotations(text: str) -> str:
    """Empty what stands between quotation marks: words that are mentioned or put into another mouth."""
    return _QUOTATION.sub('""', text.translate(_APOSTROPHES))


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Split a text into sentences; a line break always ends one, an item of a list keeps its mark."""
    lines = ((_LIST_ITEM.match(line) is not None, _split_line(line)) for line in text.splitlines())
    return tuple(Sentence(part, plain(part), is_item) for is_item, parts in lines for part in parts)


def words(text: str) -> tuple[str, ...]:
    """Give a text's words in lower case."""
    return tuple(_WORD.findall(text.translate(_APOSTROPHES).lower()))


def stems(text: str) -> frozenset[str]:
    """Give the crude stems of a text's content words: ``killing`` and ``kills`` are ``kill``."""
    return frozenset(_stem(word) for word in words(text) if len(word) > 2 and word not in _STOPWORDS)


def _split_line(line: str) -> list[str]:
    parts: list[str] = []
    held = ""
    for piece in _SENTENCE_END.split(line):
        held = f"{held} {piece}".strip() if held else piece.strip()
        if held and not _ABBREVIATION.search(held):
            parts.append(held)
            held = ""
    return [*parts, held] if held else parts


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] == word[-2]:  # robbing, robb, rob
        word = word[:-1]
    return word.rstrip("e") if len(word) > 3 else word
