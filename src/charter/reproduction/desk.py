"""What a figure is made with: finished runs, models to ask, the user's files, and how much of everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from charter.engines.base import Engine
from charter.engines.fingerprint import fingerprint_folder
from charter.engines.specs import ModelSpec
from charter.files.tables import RowT, read_json, read_table
from charter.recipe import Recipe
from charter.rows import RowMapper
from charter.seeds import digest

_DIGITS = 12  # of a hash in a name


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
        data: the user's files, by the names of ``names.WANTS``.
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
    def known_judge(self) -> str:
        """The name by which the journal remembers the judge."""
        return f"engine of the judge {self.judge.name}"

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


def step_of(name: str, *determines: Any) -> str:
    """Name a step after what determines its rows: a journal tells rows apart by step and id, and an id says less.

    Args:
        name: what is done.
        determines: JSON values: who is asked, and what of the rows their ids leave open.
    """
    return f"{name} {digest(list(determines))[:_DIGITS]}"


def weights_of(adapter: Path | None) -> str:
    """Fingerprint what a training wrote, which may come to something else when it is done again; empty for none."""
    return "" if adapter is None else fingerprint_folder(adapter)
