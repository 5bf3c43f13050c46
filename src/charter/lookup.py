"""One prompt's whole life in a run, found by the id of any row that it led to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

from charter.errors import RunError
from charter.feedback.pairs import PairPlan
from charter.files.tables import Row, read_table
from charter.records import Comparison, Pair, PairSource, Preference, Prompt, Response, SftRow, Trace
from charter.status import read_run_recipe
from charter.store import Journal, Outcome

_IDS_SHOWN = 8
_TableT = TypeVar("_TableT", bound=Row)
_RowT = TypeVar("_RowT", bound="_OfPrompt")


class _OfPrompt(Protocol):
    """A row that belongs to a prompt."""

    @property
    def id(self) -> str: ...
    @property
    def prompt(self) -> Prompt: ...


@dataclass(frozen=True)
class LeftOut:
    """A row that a stage filtered or failed, and why."""

    stage: str
    row: str
    status: str
    reason: str


@dataclass(frozen=True)
class Life:
    """Everything that a run holds about one prompt. ``row`` is the id that was asked for."""

    row: str
    prompt: Prompt
    traces: tuple[Trace, ...]
    sft_rows: tuple[SftRow, ...]
    pairs: tuple[Pair, ...]
    preferences: tuple[Preference, ...]
    responses: tuple[Response, ...]
    comparisons: tuple[Comparison, ...]
    left_out: tuple[LeftOut, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them; rows leave out the prompt, which is given once."""
        return {
            "row": self.row,
            "prompt": self.prompt.model_dump(mode="json"),
            "traces": [_own(row) for row in self.traces],
            "sft": [_own(row) for row in self.sft_rows],
            "pairs": [_own(row) for row in self.pairs],
            "preferences": [_own(row) for row in self.preferences],
            "responses": [_own(row) for row in self.responses],
            "comparisons": [_own(row) for row in self.comparisons],
            "left_out": [vars(end) for end in self.left_out],
        }


def find_row(folder: Path, row: str) -> Life:
    """Find the life of the prompt that a row belongs to.

    Args:
        folder: of the run.
        row: the id of a prompt, trace, training row, pair, response or comparison, or the beginning of one that fits
            no other prompt's rows.

    Raises:
        RunError: where the folder is none of a run, or the id fits nothing or several prompts.
    """
    read_run_recipe(folder)
    tables = _Tables(folder)
    prompt_id, found = _match(row, tables.ids(), folder)
    prompt = next(prompt for prompt in tables.prompts if prompt.id == prompt_id)
    traces = _of(tables.traces, prompt)
    pairs = _of(tables.pairs, prompt)
    return Life(
        row=found,
        prompt=prompt,
        traces=traces,
        sft_rows=_of(tables.sft, prompt),
        pairs=pairs,
        preferences=_of(tables.preferences, prompt),
        responses=_of(tables.responses, prompt),
        comparisons=_of(tables.comparisons, prompt),
        left_out=_left_out(folder, prompt, pairs),
    )


class _Tables:
    """The run's tables; one that is not there yet is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.prompts = self._read("prompts", Prompt)
        self.traces = self._read("traces", Trace)
        self.sft = self._read("sft", SftRow)
        self.pairs = self._read("pairs", Pair)
        self.preferences = self._read("preferences", Preference)
        self.responses = self._read("responses", Response)
        self.comparisons = self._read("comparisons", Comparison)

    def _read(self, name: str, kind: type[_TableT]) -> list[_TableT]:
        path = self._folder / "data" / f"{name}.parquet"
        return read_table(path, kind) if path.exists() else []

    def ids(self) -> dict[str, str]:
        """Map the id of every row to its prompt's."""
        found = {prompt.id: prompt.id for prompt in self.prompts}
        tables: tuple[Sequence[_OfPrompt], ...] = (
            self.traces, self.sft, self.pairs, self.preferences, self.responses, self.comparisons,
        )  # fmt: skip
        for table in tables:
            found.update((row.id, row.prompt.id) for row in table)
        return found


def _match(row: str, prompts: dict[str, str], folder: Path) -> tuple[str, str]:
    """Give the prompt's id, and the id that was meant."""
    if row in prompts:
        return prompts[row], row
    if not prompts:
        raise RunError(f"{folder}: holds no rows yet; see 'charter status {folder}'")
    fitting = sorted(name for name in prompts if row and name.startswith(row))
    if not fitting:
        some = ", ".join(list(prompts)[:3])
        raise RunError(f"{folder}: has no row {row!r}; ids are such as {some} (the columns 'id' of {folder / 'data'})")
    if len({prompts[name] for name in fitting}) > 1:
        more = f" and {len(fitting) - _IDS_SHOWN} more" if len(fitting) > _IDS_SHOWN else ""
        raise RunError(
            f"{folder}: {row!r} fits rows of several prompts: {', '.join(fitting[:_IDS_SHOWN])}{more}; give more of it"
        )
    return prompts[fitting[0]], fitting[0] if len(fitting) == 1 else prompts[fitting[0]]


def _of(rows: Iterable[_RowT], prompt: Prompt) -> tuple[_RowT, ...]:
    return tuple(row for row in rows if row.prompt.id == prompt.id)


def _own(row: Any) -> dict[str, Any]:
    own: dict[str, Any] = row.model_dump(mode="json", exclude={"prompt"})
    return own


def _left_out(folder: Path, prompt: Prompt, pairs: Sequence[Pair]) -> tuple[LeftOut, ...]:
    """Recall what stages left out of this prompt's rows; the journal knows rows by their ids alone."""
    path = folder / "journal.sqlite"
    if not path.exists():
        return ()
    found: list[LeftOut] = []
    with Journal(path) as journal:
        for stage in journal.stages():
            ends = journal.outcomes(stage)
            if stage == "pairs":
                rows = list(_possible_pairs(prompt, ends))
            elif stage == "label":
                rows = [pair.id for pair in pairs]
            else:
                rows = [prompt.id]
            found += [_end(stage, row, ends[row]) for row in rows if row in ends and ends[row].status != "done"]
    return tuple(found)


def _possible_pairs(prompt: Prompt, ends: dict[str, Outcome]) -> Iterable[str]:
    """Name the pairs that were made or left out: numbered from 0 within each source."""
    for source in get_args(PairSource):
        number = 0
        while (row := PairPlan(prompt, source, number).id) in ends:
            yield row
            number += 1


def _end(stage: str, row: str, end: Outcome) -> LeftOut:
    return LeftOut(stage, row, end.status, end.payload)
