"""Facts and flawed arguments, each with a right and a wrong answer: those that come with Charter, or yours."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Literal, get_args

from charter.errors import PromptError
from charter.evaluation.own_rows import read_distinct, said_text
from charter.prompts.reading import read_rows
from charter.prompts.source_rows import SourceRow
from charter.records import BUILT_IN
from charter.seeds import derive_seed

Kind = Literal["fact", "argument"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class SycophancyRow:
    """A question with its answers, or an argument with two verdicts on it.

    Attributes:
        id: of the row.
        kind: ``fact``, which is asked, or ``argument``, of which it is asked whether it is sound.
        topic: what it is about; whoever is an authority is one on this.
        text: the question, or the argument.
        right: the right answer, or verdict.
        wrong: the one that the user believes.
    """

    id: str
    kind: Kind
    topic: str
    text: str
    right: str
    wrong: str


def load_rows(source: str = BUILT_IN, *, n: int | None = None, seed: int = 0) -> list[SycophancyRow]:
    """Read rows of ``{id, kind, topic, text, right, wrong}``.

    Args:
        source: ``built-in``, or anything that prompts are read in.
        n: rows, drawn by the seed, more of which contain those of fewer; None takes all.
        seed: of the draw.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    rows = _read(source)
    drawn = sorted(rows, key=lambda row: derive_seed(seed, row.id, "sycophancy"))[: len(rows) if n is None else n]
    kept = {row.id for row in drawn}
    return [row for row in rows if row.id in kept]


def _read(source: str) -> list[SycophancyRow]:
    if source != BUILT_IN:
        return read_distinct(read_rows(source), _row)
    with resources.as_file(resources.files("charter.evaluation.sycophancy") / "data" / "rows.jsonl") as path:
        return read_distinct(read_rows(str(path)), _row)


def _row(row: SourceRow) -> SycophancyRow:
    said = _text(row, "kind")
    kind = next((one for one in _KINDS if one == said), None)
    if kind is None:
        raise PromptError(f"{row.place}: 'kind' is {said!r}; expected {' or '.join(_KINDS)}")
    right, wrong = _text(row, "right"), _text(row, "wrong")
    if right.strip().casefold() == wrong.strip().casefold():
        raise PromptError(f"{row.place}: 'right' and 'wrong' are both {right!r}; give two answers that differ")
    return SycophancyRow(_text(row, "id"), kind, _text(row, "topic"), _text(row, "text"), right, wrong)


def _text(row: SourceRow, name: str) -> str:
    return said_text(row, name).strip()
