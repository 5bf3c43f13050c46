"""What a figure is made with: finished runs, models to ask, the user's files, and how much of everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from charter.engines.base import Engine
from charter.engines.specs import ModelSpec
from charter.files.tables import RowT, read_json, read_table
from charter.recipe import Recipe
from charter.rows import RowMapper

FoundT = TypeVar("FoundT")


class Lend(Protocol):
    """Lends a model for as long as a context lasts; it is loaded when it is first asked."""

    def __call__(self, spec: ModelSpec, *, known_as: str) -> AbstractContextManager[Engine]:
        """Lend a model; ``known_as`` is the name by which a journal remembers who it is."""
        ...


@dataclass(frozen=True)
class NamedModel:
    """A model, and what it is called in figures."""

    name: str
    spec: ModelSpec


@dataclass(frozen=True)
class Desk:
    """What a figure is made with.

    Attributes:
        folder: where a figure may keep models of its own.
        recipe: that the runs are of.
        runs: folders of the trials, by name.
        models: of several sizes, smallest first.
        judge: who labels.
        data: the user's files, by the names of ``Figure.wants``.
        n: rows of a kind that are asked about, at most.
        lend: lends models.
        mapper: maps rows, with journal, progress and stop flag.
        on_step: shows a training's steps.
        stop: asked after each step whether to stop.
    """

    folder: Path
    recipe: Recipe
    runs: Mapping[str, Path]
    models: Sequence[NamedModel]
    judge: NamedModel
    data: Mapping[str, str]
    n: int
    lend: Lend
    mapper: RowMapper
    on_step: Callable[[str], Callable[[int, int, Mapping[str, float]], None]]
    stop: Callable[[], bool]

    @property
    def seed(self) -> int:
        """What every draw derives from: the recipe's seed."""
        return self.recipe.seed

    def policy(self, adapter: Path | None) -> ModelSpec:
        """Give the policy, as it was or as a training made it."""
        spec = ModelSpec(**self.recipe.models.policy.model_dump())
        return spec if adapter is None else replace(spec, adapter=adapter)

    def n_steps(self, run: str, stage: str) -> int:
        """Say how many steps a training of a run took."""
        told = read_json(self.runs[run] / "stages" / f"{stage}.json")
        return int(told["training"]["n_steps"])

    def rows(self, run: str, table: str, kind: type[RowT]) -> list[RowT]:
        """Read a table of a run."""
        return read_table(self.runs[run] / "data" / f"{table}.parquet", kind)
