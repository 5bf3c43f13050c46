"""A document as passages that fit a request, and quotations found again in it, to the letter. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from charter.seeds import row_id

_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n")
_QUOTES = "\"'\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


@dataclass(frozen=True)
class Passage:
    """A part of a document, to the letter, and where it begins (in characters)."""

    text: str
    start: int

    @property
    def id(self) -> str:
        """The passage's name, after what it says and where."""
        return row_id("passage", self.text, self.start)


def split_passages(document: str, *, max_characters: int = 3_000) -> tuple[Passage, ...]:
    """Split a document into passages of whole paragraphs, each as long as it may be.

    A paragraph that is too long by itself is split between sentences, and where there is none between characters.
    """
    if max_characters < 1:
        raise ValueError(f"max_characters is {max_characters}; expected at least 1")
    passages: list[Passage] = []
    begin = end = None
    for start, stop in _pieces(document, max_characters):
        if begin is not None and end is not None and stop - begin > max_characters:
            passages.append(Passage(document[begin:end], begin))
            begin = None
        begin, end = start if begin is None else begin, stop
    if begin is not None and end is not None:
        passages.append(Passage(document[begin:end], begin))
    return tuple(passages)


def find_quotation(quotation: str, document: str, *, near: Passage | None = None) -> Passage | None:
    """Find a quotation in a document: its words in their order, with whatever white space the document has between.

    Args:
        quotation: what a model says that it quotes; quotation marks around it and an ellipsis at its ends do not count.
        document: where it is looked for.
        near: a passage in which it is looked for first.

    Returns:
        The document's own characters, or None where it does not say that.
    """
    words = quotation.strip().strip(_QUOTES).strip().strip("\u2026").removeprefix("...").removesuffix("...").split()
    if not words:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    found = None
    if near is not None:
        found = pattern.search(document, near.start, near.start + len(near.text))
    found = found or pattern.search(document)
    return None if found is None else Passage(found.group(), found.start())


def _pieces(document: str, max_characters: int) -> Iterator[tuple[int, int]]:
    """Give where paragraphs begin and end, long ones in parts."""
    breaks = [found.span() for found in _BLANK_LINE.finditer(document)]
    begins, ends = [0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(document)]
    for begin, end in zip(begins, ends, strict=True):
        paragraph = document[begin:end]
        if paragraph.strip():
            start = begin + len(paragraph) - len(paragraph.lstrip())
            yield from _parts(document, start, begin + len(paragraph.rstrip()), max_characters)


def _parts(document: str, start: int, stop: int, max_characters: int) -> Iterator[tuple[int, int]]:
    while stop - start > max_characters:
        ends = [
            end for end in _SENTENCE_END.finditer(document, start, start + max_characters + 1) if end.start() > start
        ]
        end, following = ends[-1].span() if ends else (start + max_characters, start + max_characters)
        yield start, end
        start = following
    if start < stop:
        yield start, stop
