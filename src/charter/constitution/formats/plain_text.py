"""Plain text and Markdown: a principle a bullet, or a line where nothing is bulleted; headings are categories.

An item is verbatim, its further lines too: those that are indented under it, and those that follow it at once. Code
fences, tables, quotes, comments and, beside bullets, paragraphs are no principles; they are kept as metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from charter.constitution.faults import shown
from charter.constitution.formats.fields import Fields
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.constitution.model import Constitution, Principle, Use
from charter.errors import ConstitutionError

NEEDS = "plain text or Markdown with a principle a line or a bullet, or a list of texts"

PROSE = "prose"
"""In ``Constitution.metadata``: what stands beside the principles, each text with the line that it begins on."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6})(?P<name>[ \t].*)?\Z")
_ITEM = re.compile(r"(?P<marker>[ \t]*(?:[-*+\u2022]|\(?\d{1,4}[.)])(?:[ \t]+|\Z))(?P<text>.*)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")
_UNDERLINE = re.compile(r" {0,3}(?:(=)=+|--+)[ \t]*\Z")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|={3,})\Z")
_ASIDE = re.compile(r"[ \t]*[|>]|[-:| \t]*\Z")
_TITLED = re.compile(r"\*\*(?P<title>[^*\n]+?)(?::\*\*|\*\*:)[ \t](?P<text>.*)\Z", re.DOTALL)
_ASKS_FOR_CHOICE = re.compile(
    r"\s*(?:please\s+)?(?:(?:choose|pick|select|prefer|rank)\b[^.?!]*\b(?:response|answer|option|reply)|"
    r"compare\b[^.?!]*\b(?:responses|answers|options|replies)|"
    r"which\b[^.?!]*\b(?:responses?|answers?|options?|repl(?:y|ies))\b)",
    re.IGNORECASE,
)


def recognise(source: SourceFile) -> bool:
    """Tell whether a file is text, or a list of nothing but texts."""
    data = source.data
    return source.text is not None or (
        isinstance(data, list) and bool(data) and all(isinstance(item, str) for item in data)
    )


def read(source: SourceFile) -> Part:
    """Read a file of the layout."""
    if source.text is None:
        return _listed(source)
    outline = _Outline()
    for line in _Lines(source.text).blocks():
        outline.add(line)
    return outline.part(source.document.source)


def write(constitution: Constitution) -> tuple[str, list[tuple[int, tuple[Use, ...]]]]:
    """Write Markdown, and give for each principle in it whose it is and what it is used for."""
    lines = [f"# {_one_line(constitution.name)}"]
    category = None
    for principle in constitution.principles:
        if principle.category != category:
            # a heading without a name ends the category before
            lines += ["", f"## {_one_line(principle.category)}".rstrip(" "), ""]
            category = principle.category
        lines += _item(principle)
    return "\n".join(lines) + "\n", [(number, ("revise", "judge")) for number in range(len(constitution.principles))]


def as_principle(text: str) -> dict[str, Any]:
    """Take a text that asks which response to choose as a choice question, and any other as the principle's text."""
    return {"choice_question": text} if _ASKS_FOR_CHOICE.match(text) else {"text": text}


def _one_line(text: str) -> str:
    """Write a text as a heading can hold it, so that what follows stays what it is."""
    return " ".join(text.split())


def _item(principle: Principle) -> list[str]:
    title = f"**{principle.title}**: " if principle.title else ""
    first, *others = f"{title}{principle.text}".split("\n")
    return [f"- {first}", *(f"  {line}" if line else "" for line in others)]


def _listed(source: SourceFile) -> Part:
    fields = Fields(source.document)
    for number, item in enumerate(source.data):
        if not isinstance(item, str) or not item.strip():
            fields.fault((number,), f"item {number + 1} is {shown(item)}; expected a principle as text")
    fields.finish()
    return Part(source=source.document.source, principles=tuple(as_principle(item) for item in source.data))


@dataclass(frozen=True)
class _Block:
    """A heading, an item, a line of text, or something beside them, and the line that it begins on."""

    kind: str
    line: int
    text: str
    level: int = 0


class _Lines:
    """Cuts a text into blocks."""

    def __init__(self, text: str) -> None:
        self._lines = _LINE_END.split(text)
        self._at = 0

    def blocks(self) -> Iterator[_Block]:
        """Give the blocks in order."""
        if self._lines[0].rstrip() == "---" and "---" in (line.rstrip() for line in self._lines[1:]):
            yield self._until(lambda line: line.rstrip() == "---", "aside")  # front matter
        while self._at < len(self._lines):
            block = self._block()
            if block is not None:
                yield block

    def _block(self) -> _Block | None:
        line, number = self._lines[self._at], self._at + 1
        if fence := _FENCE.match(line):
            mark = fence["mark"]
            return self._until(lambda one: one.strip().startswith(mark) and not one.strip(f" \t{mark[0]}"), "aside")
        if line.lstrip().startswith("<!--"):
            return self._comment()
        if item := _ITEM.fullmatch(line) if not _RULE.fullmatch(line) else None:
            return self._item(_indent(line) + 2, len(item["marker"].expandtabs(4)), item["text"])
        self._at += 1
        return None if not line.strip() or _RULE.fullmatch(line) else self._line(line, number)

    def _line(self, line: str, number: int) -> _Block:
        if heading := _HEADING.fullmatch(line):
            return _Block("heading", number, _heading_text(heading["name"] or ""), len(heading["level"]))
        if _ASIDE.match(line):
            return _Block("aside", number, line)
        if self._at < len(self._lines) and (under := _UNDERLINE.fullmatch(self._lines[self._at])):
            self._at += 1
            return _Block("heading", number, line.strip(), 1 if under[1] == "=" else 2)
        return _Block("line", number, line)

    def _until(self, ends: Any, kind: str) -> _Block:
        start = self._at
        self._at += 1
        while self._at < len(self._lines) and not ends(self._lines[self._at]):
            self._at += 1
        self._at += 1
        return _Block(kind, start + 1, "\n".join(self._lines[start : self._at]))

    def _comment(self) -> _Block:
        start = self._at
        while self._at < len(self._lines) and "-->" not in self._lines[self._at]:
            self._at += 1
        self._at += 1
        return _Block("aside", start + 1, "\n".join(self._lines[start : self._at]))

    def _item(self, indent: int, width: int, first: str) -> _Block:
        """Take an item with its further lines, those indented by so much; beyond the marker's width it is kept."""
        start = self._at
        texts = [first]
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                following = self._next_full()
                if following == len(self._lines) or _indent(self._lines[following]) < indent:
                    break
                texts += [""] * (following - self._at)
                self._at = following
                continue
            if _indent(line) >= indent:
                texts.append(_dedent(line, width))
            elif self._begins_something(line) or texts[-1] == "":
                break
            else:
                texts.append(line)
            self._at += 1
        return _Block("item", start + 1, "\n".join(texts))

    def _next_full(self) -> int:
        """Find the next line that is not blank; the number of lines where there is none."""
        at = self._at
        while at < len(self._lines) and not self._lines[at].strip():
            at += 1
        return at

    def _begins_something(self, line: str) -> bool:
        patterns = (_ITEM, _HEADING, _RULE)
        return any(pattern.fullmatch(line) for pattern in patterns) or bool(_FENCE.match(line) or _ASIDE.match(line))


def _heading_text(text: str) -> str:
    """Take the marks that may close a heading off, and the space around it."""
    text = text.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if bare == "" or bare[-1] in " \t" else text


def _indent(line: str) -> int:
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))


def _dedent(line: str, width: int) -> str:
    taken = 0
    while line and line[0] in " \t" and taken < width:
        taken += 4 - taken % 4 if line[0] == "\t" else 1
        line = line[1:]
    return line


@dataclass
class _Outline:
    """Sorts blocks into principles under headings, and what stands beside them."""

    blocks: list[_Block] = field(default_factory=list)

    def add(self, block: _Block) -> None:
        """Take the next block."""
        self.blocks.append(block)

    def part(self, source: str) -> Part:
        """Make a part of the blocks.

        Raises:
            ConstitutionError: where nothing is a principle.
        """
        kind = "item" if any(block.kind == "item" for block in self.blocks) else "line"
        title = self._title(kind)
        principles, prose = [], []
        category = ""
        for block in self.blocks:
            if block.kind == "heading":
                category = block.text  # no principle stands under the title
            elif block.kind == kind and block.text.strip():
                principles.append({**_titled(block.text), "category": category})
            elif block.text.strip():
                prose.append({"line": block.line, "text": block.text})
        if not principles:
            raise ConstitutionError(f"{source}:1: it holds no principle; write one a line, or one a bullet")
        return Part(
            source=source,
            principles=tuple(principles),
            about={"name": title.text} if title else {},
            metadata={PROSE: prose} if prose else {},
        )

    def _title(self, kind: str) -> _Block | None:
        """Find the heading that names the whole: the first, alone on its level, with no principle right under it."""
        headings = [block for block in self.blocks if block.kind == "heading"]
        if not headings or not headings[0].text.strip() or [one.level for one in headings].count(headings[0].level) > 1:
            return None
        first = headings[0]
        if min(one.level for one in headings) < first.level:
            return None
        following = self.blocks[self.blocks.index(first) + 1 :]
        nearest = next((block for block in following if block.kind in ("heading", kind)), None)
        before = any(block.kind == kind for block in self.blocks[: self.blocks.index(first)])
        return first if nearest is not None and nearest.kind == "heading" and not before else None


def _titled(text: str) -> dict[str, Any]:
    found = _TITLED.match(text)
    if found is None:
        return as_principle(text)
    return {"title": found["title"], **as_principle(found["text"])}
