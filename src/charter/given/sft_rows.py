"""Texts that a user brings for SFT: a question and its answer in one, written out by some model's chat template.

A template is undone by writing a conversation of two marks with it: what stands around them stands around every
question and answer. A text that could be read in more ways than one is left out: a template's own marks in it may be
somebody's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from charter.engines.templates import CHATML, Render, TemplateRefusedError, find_template
from charter.errors import ModelError
from charter.given.loaded import DUPLICATE, LoadedSftRows, Noted, RejectedRowError
from charter.given.own_pairs import GIVEN
from charter.given.reading import GivenFile, GivenRow, read_file
from charter.given.sifting import require_rows, sift_rows
from charter.given.values import has_columns, text_of, unknown_layout
from charter.prompts.row_prompts import content_id
from charter.prompts.table_folders import evaluation_split
from charter.records import Message, Prompt, PromptKind, Role, SftRow
from charter.seeds import row_id

_LAYOUT = "texts"
_NEEDED = ("text",)
_SHAPES: tuple[tuple[Role, ...], ...] = (("user", "assistant"), ("system", "user", "assistant"))
_NOT_OF_TEMPLATE = "not one question and its answer as the template writes them"
_AMBIGUOUS = "holds marks of the template inside of a turn"
_JOINED = "its line breaks are gone"


@dataclass(frozen=True)
class _Frame:
    """What a template writes before, between and after the turns of a conversation.

    ``joined`` frames are those of texts that somebody took the line breaks out of.
    """

    roles: tuple[Role, ...]
    pieces: tuple[str, ...]
    joined: bool

    def read(self, text: str) -> tuple[Message, ...] | None:
        """Give the turns of a text, None where it has another frame."""
        first, *between, last = self.pieces
        if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
            return None
        rest = text[len(first) : len(text) - len(last)]
        contents = []
        for piece in between:
            content, found, rest = rest.partition(piece)
            if not found:
                return None
            contents.append(content)
        return tuple(
            Message(role=role, content=content) for role, content in zip(self.roles, (*contents, rest), strict=True)
        )


@dataclass
class _Reading:
    """What the rows of one file are read with, and what was found on the way."""

    file: GivenFile
    kind: PromptKind
    render: Render
    frames: tuple[_Frame, ...]
    kept: dict[str, SftRow] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    doubted: list[Noted] = field(default_factory=list)


def load_sft_rows(
    source: str | Path,
    *,
    template: str | Render = CHATML,
    kind: PromptKind = "red_team",
    split: str | None = None,
    escaped: bool | None = None,
) -> LoadedSftRows:
    """Read rows for SFT out of texts: a column ``text``, each a question and its answer in a chat template.

    A text whose line breaks were taken out when it was written is read too, and named among the ``doubted``: what was
    a list or a verse is one line now.

    Args:
        source: CSV, JSON lines, JSON, Parquet, a folder or a dataset.
        template: the model whose chat template the texts are in, ``ChatML``, or what writes a conversation as text.
        kind: what the prompts are for.
        split: of a dataset; what begins with ``test`` or ``eval`` is held out.
        escaped: see ``reading.read_file``.

    Returns:
        Distinct rows in the file's order, and what became of every other.

    Raises:
        PromptError: for a file that cannot be read or has no column ``text``, and where no row is left.
        ModelError: where there is no such template.
    """
    render = find_template(template) if isinstance(template, str) else template
    file = read_file(source, split=split, escaped=escaped)
    if not has_columns(file, _NEEDED):
        raise unknown_layout(file, "rows for SFT", {_LAYOUT: _NEEDED})
    reading = _Reading(file, kind, render, tuple(_frames(render)))
    if not reading.frames:
        raise ModelError("this chat template does not write a question and its answer out whole; name another")
    left_out = sift_rows(file, partial(_keep, reading))
    loaded = LoadedSftRows(
        rows=tuple(reading.kept.values()),
        source=file.source,
        layout=_LAYOUT,
        left_out=left_out,
        doubted=tuple(reading.doubted),
        unused=tuple(name for name in file.columns if name not in _NEEDED),
        places=reading.places,
    )
    require_rows(loaded, len(loaded.rows), "name the model whose chat template the texts are in (template=)")
    return loaded


def _frames(render: Render) -> Iterator[_Frame]:
    whole = [frame for roles in _SHAPES if (frame := _frame(render, roles)) is not None]
    yield from whole
    for one in whole:
        pieces = tuple(map(_without_breaks, one.pieces))
        if pieces != one.pieces and all(pieces[1:-1]):
            yield _Frame(one.roles, pieces, joined=True)


def _frame(render: Render, roles: tuple[Role, ...]) -> _Frame | None:
    """Find what stands around turns of these roles; None where the template has no place for one of them."""
    marks = [f"charter{number}turn" for number in range(len(roles))]
    try:
        rest = render([Message(role=role, content=mark) for role, mark in zip(roles, marks, strict=True)])
    except TemplateRefusedError:
        return None
    pieces = []
    for mark in marks:
        piece, found, rest = rest.partition(mark)
        if not found or mark in rest:
            return None
        pieces.append(piece)
    return _Frame(roles, (*pieces, rest), joined=False) if all(pieces[1:]) else None


def _keep(reading: _Reading, row: GivenRow) -> None:
    """Make a row and keep it, or say why it is left out."""
    text = text_of(row, "text")
    frame, turns = _read(reading, text)
    *before, answer = turns
    if not before[-1].content.strip():
        raise RejectedRowError("empty prompt")
    if not answer.content.strip():
        raise RejectedRowError("empty answer")
    prompt = Prompt(
        id=content_id(reading.kind, before),
        turns=tuple(before),
        kind=reading.kind,
        source=reading.file.source,
        split=evaluation_split(reading.file.split),
    )
    name = row_id("sft", prompt.id, answer.content)
    if name in reading.kept:
        raise RejectedRowError(DUPLICATE)
    reading.kept[name] = SftRow(id=name, prompt=prompt, response=answer.content, origin=GIVEN)
    reading.places[name] = row.place
    if frame.joined:
        reading.doubted.append(Noted(row.place, _JOINED))


def _read(reading: _Reading, text: str) -> tuple[_Frame, tuple[Message, ...]]:
    for frame in reading.frames:
        turns = frame.read(text)
        if turns is None or (frame.joined and "\n" in text) or not _is_written(reading.render, frame, turns, text):
            continue
        if any(_has_marks(turn.content, reading.frames) for turn in turns):
            raise RejectedRowError(_AMBIGUOUS)
        return frame, turns
    raise RejectedRowError(_NOT_OF_TEMPLATE)


def _is_written(render: Render, frame: _Frame, turns: tuple[Message, ...], text: str) -> bool:
    """Tell whether the template writes these turns as that text."""
    try:
        written = render(turns)
    except TemplateRefusedError:
        return False
    return (_without_breaks(written) if frame.joined else written) == text


def _has_marks(content: str, frames: tuple[_Frame, ...]) -> bool:
    """Tell whether a turn holds what could be the end of one, or the beginning of the next."""
    marks = {piece.strip() for frame in frames for piece in frame.pieces} - {""}
    return any(mark in content for mark in marks)


def _without_breaks(text: str) -> str:
    return text.replace("\n", "")
