"""What a shard's folder says of itself: which shard it is, and what of the run it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from charter.engines.base import Capability
from charter.engines.specs import ModelSpec
from charter.errors import RunError
from charter.files.tables import read_json, write_json
from charter.recipe.stages import STAGE_NAMES, parted
from charter.records import Record
from charter.runs.place import SHARDS
from charter.seeds import digest
from charter.sharding.shard import MOST_SHARDS, Shard

_NAME = "shard.json"


class Papers(Record):
    """A shard's papers.

    ``key`` is drawn once for the folder: two folders of one shard are two. ``brought`` has the fingerprints of what was
    brought in from the run, by stage and path; ``capabilities`` what the models could do that the shard asked.
    """

    number: int = Field(ge=1)
    of: int = Field(le=MOST_SHARDS)
    key: str
    brought: dict[str, dict[str, str]] = Field(default_factory=dict)
    capabilities: dict[str, tuple[Capability, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.number > self.of or not {parted(name).stage for name in self.brought} <= set(STAGE_NAMES):
            raise ValueError("no such shard, or no such stage")
        return self

    @property
    def shard(self) -> Shard:
        """Which shard it is."""
        return Shard(of=self.of, number=self.number)

    @property
    def source(self) -> str:
        """The name under which the run keeps what the shard took."""
        return f"shard {self.shard} {self.key}"

    def own_stages(self, folder: Path, names: Iterable[str]) -> list[str]:
        """Name those of the stages that the shard itself has done."""
        return [name for name in names if name not in self.brought and (folder / "stages" / f"{name}.json").exists()]


def model_key(spec: ModelSpec) -> str:
    """Name a model in the papers."""
    return digest(["vllm" if spec.is_vllm else spec.engine, spec.label, spec.server])


def read_papers(folder: Path) -> Papers:
    """Read a shard's papers.

    Raises:
        RunError: where the folder is none of a shard.
    """
    path = folder / _NAME
    if not path.exists():
        raise RunError(f"{folder}: is no shard's folder (it has no {_NAME}); name one that 'charter run --shard' made")
    try:
        return Papers.model_validate(read_json(path))
    except ValidationError as error:
        raise RunError(f"{path}: is damaged; remove {folder} and run the shard again") from error


def has_papers(folder: Path) -> bool:
    """Tell whether a folder is a shard's."""
    return (folder / _NAME).exists()


def write_papers(folder: Path, papers: Papers) -> None:
    """Write a shard's papers."""
    write_json(folder / _NAME, papers.model_dump(mode="json"))


def shard_folders(run: Path) -> list[Path]:
    """Name the folders of a run's shards."""
    return [folder for folder in sorted(run.glob(f"{SHARDS}/*")) if has_papers(folder)]
