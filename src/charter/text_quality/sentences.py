"""Sentences, words and stems: how the other modules of this package see a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
# What is written out, by what, and what stands in every text in which the pattern is found: most texts hold none of it.
_CONTRACTIONS = tuple(
    (re.compile(pattern), written, tuple(needs.split("|")))
    for pattern, written, needs in (
        (r"\*\*|__", "", "**|__"),
        (r"\bcannot\b|\bcan'?t\b", "can not", "cannot|can't|cant"),
        (r"\bwon'?t\b", "will not", "won't|wont"),
        (
            r"\b(do|does|did|is|are|was|were|would|could|should|have|has|had)n'?t\b",
            r"\1 not",
            "n't|dont|doesnt|didnt|isnt|arent|wasnt|werent|wouldnt|couldnt|shouldnt|havent|hasnt|hadnt",
        ),
        (r"\bain'?t\b", "is not", "ain't|aint"),
        (r"\bi'?m\b", "i am", "i'm|im"),
        (r"\b(it|that|there|here|what|this|he|she|who)'s\b", r"\1 is", "'s"),
        (r"\blet's\b", "let us", "let's"),
        (r"(\w)'re\b", r"\1 are", "'re"),
        (r"(\w)'ve\b", r"\1 have", "'ve"),
        (r"(\w)'ll\b", r"\1 will", "'ll"),
        (r"(\w)'d\b", r"\1 would", "'d"),
        (r"\bunable to\b", "not able to", "unable to"),
    )
)
_HINTS = ("'", "nt", "im", "cannot", "unable to", "**", "__")  # one of them is in each of those needs
_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LIST_ITEM = re.compile(r"\s*(?:\(?\d{1,2}[.)]|[a-h][.)]|[-*\u2022\u2013]|(?:\*\*)?step \d+\b[:.]?)\s+", re.IGNORECASE)
# The sentence keeps the first sign; brackets and quotation marks that close after it are dropped with the space.
_SENTENCE_END = re.compile(r"[.!?][\"')\]*]*\s+(?=[\"'(\[*]*[A-Z0-9])|[\u3002\uff01\uff1f]")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Sr|Jr|vs|etc|e\.g|i\.e|No|Fig|U\.S|[A-Z])\.$")
_LONGEST_ABBREVIATION = 5
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
_RECENT = 16  # texts: the rules read the same one, one rule after the other


@dataclass(frozen=True)
class Sentence:
    """A sentence as written, and whether it is an item of a list; its other forms are made when first read."""

    text: str
    is_item: bool

    @cached_property
    def plain(self) -> str:
        """The sentence in plain form (see ``plain``)."""
        return _write_plain(self.text)

    @cached_property
    def plain_unquoted(self) -> str:
        """The same without what it quotes."""
        emptied = without_quotations(self.text)
        return self.plain if emptied == self.text else _write_plain(emptied)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The sentence's words (see ``words``)."""
        return _find_words(self.text)


@lru_cache(maxsize=_RECENT)
def plain(text: str) -> str:
    """Write a text in the one form that patterns are written for: lower case, straight quotes, no contractions."""
    return _write_plain(text)


def _write_plain(text: str) -> str:
    text = _straight(text).lower()
    for hint in _HINTS:
        if hint in text:
            text = _write_out(text)
            break
    return " ".join(text.split())


def _write_out(text: str) -> str:
    for pattern, written, needs in _CONTRACTIONS:
        for need in needs:
            if need in text:
                text = pattern.sub(written, text)
                break
    return text


def without_code(text: str) -> str:
    """Leave out fenced code blocks."""
    return _CODE_BLOCK.sub("\n", text) if "```" in text else text


def without_quotations(text: str) -> str:
    """Empty what stands between quotation marks: words that are mentioned or put into another mouth."""
    text = _straight(text)
    return _QUOTATION.sub('""', text) if text.count('"') > 1 or text.count("'") > 1 else text


@lru_cache(maxsize=_RECENT)
def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Split a text into sentences; a line break always ends one, an item of a list keeps its mark."""
    lines = ((_LIST_ITEM.match(line) is not None, _split_line(line)) for line in text.splitlines())
    return tuple(Sentence(part, is_item) for is_item, parts in lines for part in parts)


@lru_cache(maxsize=_RECENT)
def words(text: str) -> tuple[str, ...]:
    """Give a text's words in lower case."""
    return _find_words(text)


def _find_words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(_straight(text).lower()))


def stems(text: str) -> frozenset[str]:
    """Give the crude stems of a text's content words: ``killing`` and ``kills`` are ``kill``."""
    return frozenset(_stem(word) for word in words(text) if len(word) > 2 and word not in _STOPWORDS)


def _straight(text: str) -> str:
    return text if text.isascii() else text.translate(_APOSTROPHES)


def _split_line(line: str) -> list[str]:
    parts: list[str] = []
    held = ""
    start = 0
    for mark in _SENTENCE_END.finditer(line):
        held = f"{held} {line[start : mark.start() + 1]}".strip()
        start = mark.end()
        if held and not _goes_on(held):
            parts.append(held)
            held = ""
    held = f"{held} {line[start:]}".strip()
    return [*parts, held] if held else parts


def _goes_on(held: str) -> bool:
    is_number = held.endswith(".") and held[:-1].isdecimal()
    return is_number or _ABBREVIATION.search(held, max(0, len(held) - _LONGEST_ABBREVIATION)) is not None


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] == word[-2]:  # robbing, robb, rob
        word = word[:-1]
    return word.rstrip("e") if len(word) > 3 else word
