"""Traces that a user brings: critiques and revisions that somebody else's method wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from charter.constitution.model import Constitution
from charter.given.loaded import DUPLICATE, LoadedTraces, Noted, RejectedRowError
from charter.given.mending import DIFFERS, Companion, mend_prompt, read_companion
from charter.given.principles import principle_of
from charter.given.reading import GivenFile, GivenRow, read_file
from charter.given.sifting import require_rows, sift_rows
from charter.given.transcripts import read_prompt_turns
from charter.given.values import (
    has_columns,
    message_list,
    native_row,
    text_of,
    unknown_layout,
)
from charter.prompts.row_prompts import content_id
from charter.prompts.table_folders import evaluation_split
from charter.records import Message, Prompt, PromptKind, Round, Trace
from charter.seeds import row_id
from charter.text_quality.flags import response_flags, revision_flags

_NATIVE = ("turns", "prompt_id", "initial", "rounds")


@dataclass(frozen=True)
class _Columns:
    """How a layout names its columns; the first of several names that a row has is taken."""

    prompt: str
    initial: str
    revision: str = "revision_response"
    revision_request: str = "revision_prompt"
    critique: tuple[str, ...] = ("critique_response", "critic_response")
    critique_request: tuple[str, ...] = ("critique_prompt", "critic_prompt")
    others: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.prompt, self.initial, self.revision)

    @property
    def used(self) -> frozenset[str]:
        return frozenset((*self.needed, self.revision_request, *self.critique, *self.critique_request, *self.others))


_LAYOUTS: Mapping[str, _Columns] = {
    "country": _Columns("initial_prompt", "initial_response"),
    "cai-conversation": _Columns("init_prompt", "init_response", others=("index", "prompt", "messages")),
}


@dataclass
class _Reading:
    """What the rows of one file are read with, and what was found on the way."""

    file: GivenFile
    layout: str
    kind: PromptKind
    constitution: Constitution | None
    companion: Companion
    kept: dict[str, Trace] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    mended: list[Noted] = field(default_factory=list)
    doubted: list[Noted] = field(default_factory=list)
    n_of_prompt: Counter[str] = field(default_factory=Counter)


def load_traces(
    source: str | Path,
    *,
    constitution: Constitution | None = None,
    kind: PromptKind = "red_team",
    companion: str | Path | None = None,
    split: str | None = None,
) -> LoadedTraces:
    """Read traces: country revisions, cai-conversation rows, or ours; which of them, the columns say.

    Each row becomes a trace of one round, with the flags that ``revise`` would give it.

    Args:
        source: JSON (keyed, or a list), JSON lines, CSV, Parquet, a folder or a dataset.
        constitution: the one that the file was made with; the first part of a key is a position in it, and rounds and
            prompts then name the principle's id. Without one a round names the key.
        kind: what the prompts are for; rows of ours say it themselves.
        companion: a red-team or preference file with the same keys, from which prompts are mended (see ``mending``).
        split: of a dataset; what begins with ``test`` or ``eval`` is held out.

    Returns:
        Distinct traces in the file's order, and what became of every other row.

    Raises:
        PromptError: for a file that cannot be read or is of another layout, for keys of another constitution, and where
            no row is left.
    """
    file = read_file(source, split=split)
    reading = _Reading(
        file=file,
        layout=_find_layout(file),
        kind=kind,
        constitution=constitution,
        companion=read_companion(companion) if companion is not None else Companion(),
    )
    left_out = sift_rows(file, partial(_keep, reading))
    loaded = LoadedTraces(
        traces=tuple(reading.kept.values()),
        source=file.source,
        layout=reading.layout,
        left_out=left_out,
        mended=tuple(reading.mended),
        doubted=tuple(reading.doubted),
        unused=_unused(file, reading.layout),
        places=reading.places,
    )
    require_rows(loaded, len(loaded.traces))
    return loaded


def _find_layout(file: GivenFile) -> str:
    if has_columns(file, _NATIVE):
        return "native"
    for name, columns in _LAYOUTS.items():
        if has_columns(file, columns.needed):
            return name
    known = {"native": _NATIVE} | {name: columns.needed for name, columns in _LAYOUTS.items()}
    raise unknown_layout(file, "traces", known)


def _unused(file: GivenFile, layout: str) -> tuple[str, ...]:
    if layout == "native":
        return ()
    return tuple(name for name in file.columns if name not in _LAYOUTS[layout].used)


def _keep(reading: _Reading, row: GivenRow) -> None:
    """Make a row's trace and keep it, or say why it is left out."""
    note = ""
    if reading.layout == "native":
        trace = _native(row, reading.kept)
    else:
        trace, note = _make(reading, row)
    if trace.id in reading.kept:
        raise RejectedRowError(DUPLICATE)
    reading.kept[trace.id] = trace
    reading.places[trace.id] = row.place
    reading.n_of_prompt[trace.prompt.id] += 1
    if note:
        (reading.doubted if note == DIFFERS else reading.mended).append(Noted(row.place, note))


def _native(row: GivenRow, kept: Mapping[str, Trace]) -> Trace:
    """Read a trace of ours; one whose id another trace has, as in tables of two seeds, is named by what it holds."""
    trace = native_row(row, Trace)
    if not trace.rounds:
        raise RejectedRowError("without a round")
    if kept.get(trace.id, trace) == trace:
        return trace
    told = [one.model_dump(mode="json") for one in trace.rounds]
    return trace.model_copy(update={"id": row_id("trace", trace.prompt.id, trace.initial, told)})


def _make(reading: _Reading, row: GivenRow) -> tuple[Trace, str]:
    columns = _LAYOUTS[reading.layout]
    texts = {name: text_of(row, *names) for name, names in {
        "critique_request": columns.critique_request,
        "critique": columns.critique,
        "revision_request": (columns.revision_request,),
        "revision": (columns.revision,),
    }.items()}  # fmt: skip
    if not texts["revision"].strip():  # as in the splits for preferences of cai-conversation
        raise RejectedRowError("without a revision")
    initial = text_of(row, columns.initial)
    prompt_text, note = mend_prompt(text_of(row, columns.prompt), row.key, reading.companion)
    turns = _turns(row, prompt_text)
    if not turns[-1].content.strip():
        raise RejectedRowError("empty prompt")
    principle = principle_of(row, reading.constitution, texts["critique_request"], texts["revision_request"])
    prompt = Prompt(
        id=content_id(reading.kind, turns),
        turns=turns,
        kind=reading.kind,
        category=principle.category if principle else "",
        source=reading.file.source,
        split=evaluation_split(reading.file.split),
        principle=principle.id if principle else "",
        source_id=row.key or _index(row),
    )
    first = response_flags(prompt.text, initial, "whole")
    flags = revision_flags(prompt.text, initial, texts["critique"], texts["revision"], "whole")
    trace = Trace(
        id=row_id("trace", prompt.id, initial, texts),
        prompt=prompt,
        sample=reading.n_of_prompt[prompt.id],
        initial=initial,
        initial_flags=first,
        rounds=(Round(number=1, principle=principle.id if principle else row.key, **texts, flags=flags),),
        flags=(*(f"initial:{flag}" for flag in first), *(f"round 1:{flag}" for flag in flags)),
    )
    return trace, note


def _turns(row: GivenRow, text: str) -> tuple[Message, ...]:
    """Give the conversation: the one in ``messages`` where it has more than a person's turn and the answer."""
    messages = message_list(row.values.get("messages"))
    if messages is not None and messages[-1].role == "assistant":
        turns = messages[:-1]
        if turns and (len(turns) > 1 or turns[0].role != "user"):
            return turns
    return read_prompt_turns(text)


def _index(row: GivenRow) -> str:
    value: Any = row.values.get("index")
    return "" if value is None or isinstance(value, bool | list | dict) else str(value)
