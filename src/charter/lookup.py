"""One prompt's whole life in a run, found by the id of any row that it led to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, get_args

from charter.errors import JournalError, RunError
from charter.evaluation.head_to_head import Match
from charter.feedback.pair_plans import PairPlan
from charter.feedback.settling import Settling, settle_all
from charter.files.tables import Row, read_table
from charter.journal.reading import read_journal
from charter.journal.records import FORGOTTEN, Outcome
from charter.recipe import Recipe
from charter.recipe.stages import in_iteration
from charter.records import (
    Comparison,
    Judged,
    Pair,
    PairSource,
    Preference,
    Prompt,
    Reading,
    Response,
    RewardedPair,
    SftRow,
    Trace,
    Unlabelled,
)
from charter.revision.chain import ChainStart
from charter.seeds import row_id
from charter.stages.label import settling_of
from charter.status import read_run_recipe

_IDS_SHOWN = 8
_MOST_OF_A_PROMPT = 1000  # chains, or pairs of one source
_TableT = TypeVar("_TableT", bound="_Recorded")
_RowT = TypeVar("_RowT", bound="_OfPrompt")

Recorded = Mapping[str, Mapping[str, Outcome]]


class _Recorded(Row, Protocol):
    """A row of a table that the journal holds too."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Self: ...


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
    unlabelled: tuple[Unlabelled, ...]
    rewards: tuple[RewardedPair, ...]
    responses: tuple[Response, ...]
    readings: tuple[Reading, ...]
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
            "unlabelled": [_own(row) for row in self.unlabelled],
            "rewards": [_own(row) for row in self.rewards],
            "responses": [_own(row) for row in self.responses],
            "readings": [_own(row) for row in self.readings],
            "comparisons": [_own(row) for row in self.comparisons],
            "left_out": [vars(end) for end in self.left_out],
        }


def find_row(folder: Path, row: str) -> Life:
    """Find the life of the prompt that a row belongs to.

    Args:
        folder: of the run.
        row: the id of a prompt, trace, training row, pair, response, reading or comparison, whatever became of it, or
            the beginning of one that fits no other prompt's rows.

    Raises:
        RunError: where the folder is none of a run, or the id fits nothing or several prompts.
    """
    recipe = read_run_recipe(folder)
    recorded = _recorded(folder / "journal.sqlite")
    tables = _Tables(folder, recorded, recipe)
    owners = _owners(tables, recorded, recipe.iterations)
    prompt_id, found = _match(row, owners, folder)
    prompt = next(prompt for prompt in tables.prompts if prompt.id == prompt_id)
    return Life(
        row=found,
        prompt=prompt,
        traces=_of(tables.traces, prompt),
        sft_rows=_of(tables.sft, prompt),
        pairs=_of(tables.pairs, prompt),
        preferences=_of(tables.preferences, prompt),
        unlabelled=tuple(one for rows in tables.unlabelled.values() for one in _of(rows, prompt)),
        rewards=_of(tables.rewards, prompt),
        responses=_of(tables.responses, prompt),
        readings=_of(tables.readings, prompt),
        comparisons=_of(tables.comparisons, prompt),
        left_out=tuple(
            LeftOut(stage, name, end.status, end.payload)
            for stage, ends in recorded.items()
            for name, end in ends.items()
            if end.status != "done" and owners.get(name) == prompt.id
        )
        + tuple(
            LeftOut(stage, one.id, "filtered", one.reason)
            for stage, rows in tables.unlabelled.items()
            for one in _of(rows, prompt)
        ),
    )


def _recorded(path: Path) -> dict[str, dict[str, Outcome]]:
    """Read how every row of every stage ended; what waits to be done again has no end."""
    every = read_journal(path).outcomes
    return {stage: {row: end for row, end in ends.items() if end.payload != FORGOTTEN} for stage, ends in every.items()}


class _Tables:
    """The run's tables; of a stage that is not finished, the rows that the journal holds."""

    def __init__(self, folder: Path, recorded: Recorded, recipe: Recipe) -> None:
        self._folder = folder
        self._recorded = recorded
        self._n_iterations = recipe.iterations
        self.prompts = self._read("prompts", Prompt)
        self.traces = self._read("traces", Trace, "revise")
        self.sft = self._read("sft", SftRow)
        self.pairs = self._read_all("pairs", Pair, "pairs")
        self.preferences: list[Preference] = []
        self.unlabelled: dict[str, list[Unlabelled]] = {}
        for number in range(1, self._n_iterations + 1):
            self._read_labels(number, settling_of(recipe))
        self.rewards = self._read_all("rewards", RewardedPair)  # of preferences, under their ids
        self.responses = self._read("responses", Response, "evaluate/respond")
        self.readings = self._read("readings", Reading, "evaluate/judge reading")
        self.comparisons = self._read("comparisons", Comparison, "evaluate/head to head")

    def _read_labels(self, iteration: int, settling: Settling) -> None:
        """Read what the pairs of an iteration came to; of a stage under way, what comes of those that were judged."""
        name, stage = in_iteration("preferences", iteration), in_iteration("label", iteration)
        if self._path(name).exists():
            self.preferences += self._read(name, Preference)
            self.unlabelled[stage] = self._read(in_iteration("unlabelled", iteration), Unlabelled)
            return
        settled = list(settle_all(self._read(in_iteration("judged", iteration), Judged, stage), settling))
        self.preferences += [one for one in settled if isinstance(one, Preference)]
        self.unlabelled[stage] = [one for one in settled if isinstance(one, Unlabelled)]

    def _read_all(self, name: str, kind: type[_TableT], stage: str | None = None) -> list[_TableT]:
        """Read a table that every iteration has of its own."""
        named = [(in_iteration(name, n), stage and in_iteration(stage, n)) for n in range(1, self._n_iterations + 1)]
        return [row for table, recorded in named for row in self._read(table, kind, recorded)]

    def _read(self, name: str, kind: type[_TableT], stage: str | None = None) -> list[_TableT]:
        path = self._path(name)
        if path.exists():
            return read_table(path, kind)
        ends = [end for of, found in self._recorded.items() if _is_of(of, stage) for end in found.values()]
        try:
            return [kind.from_json(end.payload) for end in ends if end.status == "done"]
        except ValueError as error:  # pydantic's and the JSON reader's are both one
            raise JournalError(
                f"{self._folder / 'journal.sqlite'}: a row of stage {stage!r} is no {kind.__name__} ({error}); another "
                "version wrote it: look at the run with that one"
            ) from error

    def _path(self, name: str) -> Path:
        return self._folder / "data" / f"{name}.parquet"

    def ids(self) -> dict[str, str]:
        """Map the id of every row to its prompt's."""
        found = {prompt.id: prompt.id for prompt in self.prompts}
        tables: tuple[Sequence[_OfPrompt], ...] = (
            self.traces, self.sft, self.pairs, self.preferences, *self.unlabelled.values(), self.responses,
            self.readings, self.comparisons,
        )  # fmt: skip
        for table in tables:
            found.update((row.id, row.prompt.id) for row in table)
        return found


def _is_of(stage: str, whole: str | None) -> bool:
    return whole is not None and (stage == whole or stage.startswith(f"{whole}/"))


def _owners(tables: _Tables, recorded: Recorded, n_iterations: int) -> dict[str, str]:
    """Map the id of every row, those without a result too, to its prompt's.

    The journal knows a row that was left out by its id alone, which is a hash: it is found by making the ids that a
    prompt's rows could have.
    """
    owners = tables.ids()
    journaled = {row for ends in recorded.values() for row in ends}
    models = {stage.split("/")[2] for stage in recorded if _is_of(stage, "evaluate/respond")}
    for prompt in tables.prompts:
        owners.update((row, prompt.id) for row in _comparisons(prompt, models) if row in journaled)
    numbered = {row for stage, ends in recorded.items() for row in ends if not _is_of(stage, "evaluate")}
    for number in range(_MOST_OF_A_PROMPT):
        numbered -= owners.keys()
        if not numbered:
            break
        for prompt in tables.prompts:
            owners.update((row, prompt.id) for row in _numbered(prompt, number, n_iterations) if row in numbered)
    sides = [(row_id(row, side), prompt) for row, prompt in owners.items() for side in ("chosen", "rejected")]
    owners.update((row, prompt) for row, prompt in sides if row in journaled)
    return owners


def _comparisons(prompt: Prompt, models: Iterable[str]) -> Iterator[str]:
    """Name every match that models could play on a prompt."""
    return (Match(prompt, model, base, "", "").id for model in models for base in models if base != model)


def _numbered(prompt: Prompt, number: int, n_iterations: int) -> Iterator[str]:
    """Name a prompt's chain and pairs of one number."""
    yield ChainStart(prompt, number).id
    for iteration in range(1, n_iterations + 1):
        yield from (PairPlan(prompt, source, number, iteration=iteration).id for source in get_args(PairSource))


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
