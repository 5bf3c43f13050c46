"""What a model wrote for us: prompts and what belongs to them, without near-duplicates, counted, ready to be saved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.authoring.coverage import Brief, Grid, Subject, cover
from charter.files.tables import write_text
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD, NearDuplicates, find_near_duplicates
from charter.records import Prompt, Record
from charter.rows import Mapped

_EXAMPLES_SHOWN = 5
_MALFORMED = "malformed: "


class WrittenPrompt(Record):
    """A prompt that a model wrote, its brief, and what it wrote beside.

    A red-team prompt comes with an aligned and a misaligned response, and on request with a benign twin; a helpful one
    has a reference answer (``prompt.reference``) and empty responses.
    """

    prompt: Prompt
    brief: Brief
    aligned: str = ""
    misaligned: str = ""
    twin: Prompt | None = None

    @property
    def id(self) -> str:
        """The prompt's id."""
        return self.prompt.id

    def to_rows(self) -> list[dict[str, Any]]:
        """Write the prompt as a native row, and its twin as another; the first holds a pair of responses too."""
        row = _row(self.prompt, self.brief)
        if self.prompt.kind == "red_team":
            row |= {"aligned": self.aligned, "misaligned": self.misaligned}
        return [row] if self.twin is None else [row, _row(self.twin, self.brief)]


class WrittenBatch(Record):
    """What came of one call: whole rows, the others by reason, and whether the answer had to be repaired."""

    brief: Brief
    written: tuple[WrittenPrompt, ...]
    lost: dict[str, int]
    repaired: bool = False


@dataclass(frozen=True)
class WrittenSet:
    """The prompts that are kept of all calls, and the account of everything else."""

    written: tuple[WrittenPrompt, ...]
    duplicates: NearDuplicates
    grid: Grid
    summary: dict[str, Any]

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts, without their twins."""
        return tuple(one.prompt for one in self.written)

    @property
    def twins(self) -> tuple[Prompt, ...]:
        """The benign twins."""
        return tuple(one.twin for one in self.written if one.twin is not None)


def settle_written(
    mapped: Mapped[WrittenBatch],
    subjects: Sequence[Subject],
    settings: Sequence[str],
    *,
    against: Iterable[Prompt] = (),
    threshold: float = DEFAULT_THRESHOLD,
) -> WrittenSet:
    """Leave out near-duplicates, and count what was asked for, kept and lost.

    Args:
        mapped: what the stage gave.
        subjects: the grid's rows.
        settings: the grid's columns.
        against: prompts that no new one may resemble; they fill the grid too.
        threshold: the least similarity of near-duplicates (see ``prompts.near_duplicates``).
    """
    given = list(against)
    every = [one for batch in mapped.done for one in batch.written]
    texts = [one.prompt.text for one in every]
    found = find_near_duplicates(texts, against=[prompt.text for prompt in given], threshold=threshold)
    kept = tuple(every[place] for place in found.kept)
    grid = cover([*given, *(one.prompt for one in kept)], subjects, settings)
    lost = Counter[str]()
    for batch in mapped.done:
        lost.update(batch.lost)
    summary = {
        "calls": mapped.n_in,
        "repaired": sum(batch.repaired for batch in mapped.done),
        "malformed": _counted(without_mark(reason) for reason in mapped.filtered.values()),
        "failed": _counted(mapped.failed.values()),
        "written": len(every),
        "lost_rows": dict(lost.most_common()),
        "near_duplicates": _duplicates(found, texts, [prompt.text for prompt in given]),
        "kept": len(kept),
        "twins": sum(one.twin is not None for one in kept),
        "coverage": grid.to_json(),
    }
    return WrittenSet(kept, found, grid, summary)


def malformed(reason: str) -> str:
    """Say why a call gave nothing, as the reason of a row that is left out."""
    return f"{_MALFORMED}{reason}"


def without_mark(reason: str) -> str:
    """Give the reason that ``malformed`` was given; any other as it is."""
    return reason.removeprefix(_MALFORMED)


def write_rows(path: Path, written: Iterable[WrittenPrompt]) -> None:
    """Write prompts and their twins as JSON lines; the file appears whole or not at all."""
    lines = (json.dumps(row, ensure_ascii=False) for one in written for row in one.to_rows())
    write_text(path, "".join(f"{line}\n" for line in lines))


def _row(prompt: Prompt, brief: Brief) -> dict[str, Any]:
    row = {
        "id": prompt.id,
        "prompt": prompt.text,
        "turns": [turn.model_dump() for turn in prompt.turns],
        "kind": prompt.kind,
        "principle": prompt.principle,
        "category": prompt.category,
        "setting": prompt.setting,
        "register": brief.tone,
        "length": brief.length,
        "language": brief.language,
        "source": prompt.source,
    }
    own = {"reference": prompt.reference, "twin_of": prompt.twin_of}
    return row | {key: value for key, value in own.items() if value is not None}


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reasons).most_common())


def _duplicates(found: NearDuplicates, texts: Sequence[str], given: Sequence[str]) -> dict[str, Any]:
    return {
        "threshold": found.threshold,
        "within": sum(not one.in_against for one in found.dropped),
        "against": sum(one.in_against for one in found.dropped),
        "examples": list(_examples(found, texts, given)),
    }


def _examples(found: NearDuplicates, texts: Sequence[str], given: Sequence[str]) -> Iterator[dict[str, Any]]:
    for one in sorted(found.dropped, key=lambda one: one.similarity)[:_EXAMPLES_SHOWN]:
        other = (given if one.in_against else texts)[one.other]
        yield {"dropped": texts[one.index], "for": other, "similarity": round(one.similarity, 3)}
