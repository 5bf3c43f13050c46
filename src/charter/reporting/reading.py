"""Read a run folder into typed values; a part that is missing or unreadable is named, never a crash.

```
recipe.yaml  recipe.resolved.yaml  environment.json  evaluation.json
stages/STAGE.json
data/prompts.parquet  traces  sft  pairs  preferences  unlabelled  responses  comparisons  readings
ratings.jsonl
```
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from charter.errors import RunError, UserError
from charter.files.tables import RowT, read_table
from charter.files.yaml_reading import parse_yaml
from charter.rating.records import Rating
from charter.rating.store import RATINGS, read_ratings
from charter.recipe.settings import MOST_ITERATIONS
from charter.recipe.stages import STAGE_NAMES, in_iteration, iterated
from charter.records import (
    Adherence,
    Comparison,
    Figures,
    Pair,
    Preference,
    Probed,
    Prompt,
    Reading,
    Response,
    SftRow,
    Trace,
    Unlabelled,
)
from charter.reporting.told import Environment, StageResult

_STAGES = tuple(name for name in STAGE_NAMES if name != "report")
#: Which of them are done only where the recipe asks for them.
_IF_ASKED = frozenset({"preference_model", "rl"})

_Part = TypeVar("_Part", bound=BaseModel)


@dataclass(frozen=True)
class RunData:
    """Everything that a report is written from.

    ``ratings`` are everybody's in their order, by rater, and ``n_damaged_ratings`` are lines that cannot be read.
    ``absent`` names the parts that are not there; ``unreadable`` maps a part to why it could not be read.
    """

    path: Path
    name: str
    recipe_text: str = ""
    resolved_text: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    environment: Environment | None = None
    stages: dict[str, StageResult] = field(default_factory=dict)
    evaluation: Figures | None = None
    prompts: tuple[Prompt, ...] = ()
    traces: tuple[Trace, ...] = ()
    sft: tuple[SftRow, ...] = ()
    pairs: tuple[Pair, ...] = ()
    preferences: tuple[Preference, ...] = ()
    unlabelled: tuple[Unlabelled, ...] = ()
    responses: tuple[Response, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    readings: tuple[Reading, ...] = ()
    probed: tuple[Probed, ...] = ()
    adherence: tuple[Adherence, ...] = ()
    ratings: Mapping[str, Sequence[Rating]] = field(default_factory=dict)
    n_damaged_ratings: int = 0
    absent: tuple[str, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def judged(self) -> tuple[Preference | Unlabelled, ...]:
        """Every pair that was judged, with a label or without."""
        return *self.preferences, *self.unlabelled

    @property
    def planned_stages(self) -> tuple[str, ...]:
        """The stages that the resolved recipe asks for: all that it need not ask for, where there is none to read."""
        resolved = bool(self.resolved_text) and "recipe.resolved.yaml" not in self.unreadable
        asked = {stage for stage in _STAGES if self.recipe.get(stage) is not None}
        planned = [one for one in _STAGES if one in asked or not (resolved or one in _IF_ASKED)]
        return iterated(planned, self.n_iterations)

    @property
    def n_iterations(self) -> int:
        """How many iterations the recipe asks for."""
        return _n_iterations(self.recipe)

    @property
    def left_out_stages(self) -> tuple[str, ...]:
        """The stages that the recipe leaves out, though it need not ask for them."""
        return tuple(stage for stage in _STAGES if stage not in {*self.planned_stages, *_IF_ASKED})

    @property
    def unfinished_stages(self) -> tuple[str, ...]:
        """The planned stages that left no result."""
        return tuple(stage for stage in self.planned_stages if stage not in self.stages)

    def why_missing(self, part: str) -> str:
        """Say in a sentence why a part, such as ``data/traces.parquet``, is not in the report."""
        if part in self.unreadable:
            return f"{part} could not be read: {self.unreadable[part]}."
        if part in self.absent:
            return f"{part} is not in the run folder."
        return f"{part} holds no rows."


class _Folder:
    """One run folder being read, with what went wrong so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.absent: list[str] = []
        self.n_found = 0
        self.unreadable: dict[str, str] = {}

    def read(self, part: str, parse: Callable[[Path], Any], default: Any) -> Any:
        """Parse one part, or note why not and give the default."""
        path = self.path / part
        if not path.is_file():
            self.absent.append(part)
            return default
        self.n_found += 1
        try:
            return parse(path)
        except (OSError, ValueError, RecursionError, UserError) as error:  # a ValidationError is a ValueError
            self.unreadable[part] = _first_line(error).replace(f"{self.path}{os.sep}", "")
            return default

    def text(self, part: str) -> str:
        """Read a text file."""
        text: str = self.read(part, lambda path: path.read_text("utf-8"), "")
        return text

    def json_part(self, part: str, model: type[_Part]) -> _Part | None:
        """Read a JSON file as one typed value."""
        value: _Part | None = self.read(part, lambda path: model.model_validate(json.loads(path.read_bytes())), None)
        return value

    def rows(self, part: str, record: type[RowT]) -> tuple[RowT, ...]:
        """Read a table of records."""
        rows: tuple[RowT, ...] = self.read(part, lambda path: tuple(read_table(path, record)), ())
        return rows

    def rows_of_all(self, name: str, record: type[RowT], n_iterations: int) -> tuple[RowT, ...]:
        """Read a table that every iteration has of its own."""
        parts = [f"data/{in_iteration(name, number)}.parquet" for number in range(1, n_iterations + 1)]
        return tuple(row for part in parts for row in self.rows(part, record))


def read_run(path: Path) -> RunData:
    """Read a run folder.

    Raises:
        RunError: if the path is no folder, or holds nothing that a run writes.
    """
    if not path.is_dir():
        raise RunError(f"{path} is not a folder; give the folder of a run")
    folder = _Folder(path)
    recipe_text = folder.text("recipe.yaml")
    resolved_text = folder.text("recipe.resolved.yaml")
    recipe = _recipe(folder, resolved_text, recipe_text)
    n_iterations = _n_iterations(recipe)
    asked = [stage for stage in _STAGES if stage not in _IF_ASKED or recipe.get(stage) is not None]
    names = iterated(asked, n_iterations)
    stages = {stage: folder.json_part(f"stages/{stage}.json", StageResult) for stage in names}
    is_rated = (path / RATINGS).exists()  # no run needs to be
    ratings, n_damaged = folder.read(RATINGS, read_ratings, ({}, 0)) if is_rated else ({}, 0)
    data = RunData(
        path=path,
        name=str(recipe.get("name") or path.resolve().name),
        recipe_text=recipe_text,
        resolved_text=resolved_text,
        recipe=recipe,
        environment=folder.json_part("environment.json", Environment),
        stages={stage: result for stage, result in stages.items() if result is not None},
        evaluation=folder.json_part("evaluation.json", Figures),
        prompts=folder.rows("data/prompts.parquet", Prompt),
        traces=folder.rows("data/traces.parquet", Trace),
        sft=folder.rows("data/sft.parquet", SftRow),
        pairs=folder.rows_of_all("pairs", Pair, n_iterations),
        preferences=folder.rows_of_all("preferences", Preference, n_iterations),
        unlabelled=folder.rows_of_all("unlabelled", Unlabelled, n_iterations),
        responses=folder.rows("data/responses.parquet", Response),
        comparisons=folder.rows("data/comparisons.parquet", Comparison),
        readings=folder.rows("data/readings.parquet", Reading),
        probed=folder.rows("data/probes.parquet", Probed),
        adherence=folder.rows("data/adherence.parquet", Adherence),
        ratings=ratings,
        n_damaged_ratings=n_damaged,
        absent=tuple(folder.absent),
        unreadable=folder.unreadable,
    )
    if folder.n_found == 0:
        raise RunError(
            f"{path} holds nothing that a run writes (no recipe.yaml, stages/ or data/); give a run's folder"
        )
    return data


def _recipe(folder: _Folder, resolved: str, written: str) -> dict[str, Any]:
    for part, text in (("recipe.resolved.yaml", resolved), ("recipe.yaml", written)):
        if not text:
            continue
        try:
            value = parse_yaml(text, part).data
        except UserError as error:
            folder.unreadable[part] = _first_line(error)
            continue
        if isinstance(value, dict):
            return value
        folder.unreadable[part] = "it is not a mapping of keys"
    return {}


def _n_iterations(recipe: dict[str, Any]) -> int:
    found = recipe.get("iterations", 1)
    return found if type(found) is int and 1 <= found <= MOST_ITERATIONS else 1


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"{where}: {first['msg']}"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
