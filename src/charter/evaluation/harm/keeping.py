"""A regressor in a folder: its numbers as safetensors, and what it was fitted to as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter

from charter.errors import ModelError, RunError
from charter.evaluation.harm.regressor import Regressor
from charter.evaluation.harm.regressor_quality import RegressorQuality
from charter.files.tables import read_json, write_json, write_whole
from charter.statistics import Ridge

if TYPE_CHECKING:
    from charter.engines.transformers.states import StateReader

_NUMBERS, _ACCOUNT = "regressor.safetensors", "regressor.json"
REGRESSOR_FILES = (_NUMBERS, _ACCOUNT)
_TOLD = ("model", "identity", "layer", "pooling", "rows")
_COLUMNS = ("centre", "scale", "weights")


@dataclass(frozen=True)
class _Account:
    """What stands beside the numbers; who wrote a folder is not known, so that every value is checked."""

    model: str
    identity: str
    layer: Annotated[int, Field(ge=0)]
    pooling: Literal["mean", "last"]
    rows: str
    bias: FiniteFloat
    strength: FiniteFloat
    quality: RegressorQuality


def keep_regressor(folder: Path, regressor: Regressor) -> None:
    """Write a regressor into a folder, which is made; what it was before is replaced.

    Raises:
        RunError: where it cannot be written.
    """
    from safetensors.numpy import save_file

    line = regressor.line
    numbers = {name: getattr(line, name) for name in _COLUMNS}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--keep {folder}: cannot be made ({error.strerror}); name another folder") from error
    write_whole(folder / _NUMBERS, lambda path: save_file(numbers, path))
    told = {name: getattr(regressor, name) for name in _TOLD}
    write_json(
        folder / _ACCOUNT, told | {"bias": line.bias, "strength": line.strength, "quality": asdict(regressor.quality)}
    )


def load_regressor(folder: Path) -> Regressor:
    """Read a regressor that ``keep_regressor`` wrote.

    Raises:
        ModelError: where the folder holds none, or one that is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    missing = [name for name in REGRESSOR_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder}: has no {' and no '.join(missing)}; name a folder that --keep wrote")
    try:
        told = TypeAdapter(_Account).validate_python(read_json(folder / _ACCOUNT))
        line = _line(load_file(folder / _NUMBERS), told)
        return Regressor(**{name: getattr(told, name) for name in _TOLD}, line=line, quality=told.quality)
    except (RunError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{folder}: holds a damaged regressor ({error}); fit it again, with --keep {folder}"
        ) from error


def _line(numbers: Mapping[str, Any], told: _Account) -> Ridge:
    """Make the line of its columns.

    Raises:
        KeyError: for a column that is not there.
        ValueError: for columns of other lengths, or with what no fit gives.
    """
    columns = {name: np.asarray(numbers[name], dtype=np.float64) for name in _COLUMNS}
    shapes = {name: one.shape for name, one in columns.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"its columns have the shapes {shapes}; expected one row each, of one length")
    are_numbers = all(np.isfinite(columns[name]).all() for name in ("centre", "weights"))
    if not are_numbers or not (columns["scale"] > 0).all():  # of a column that does not vary it is infinite
        raise ValueError("its columns hold what is no number, or a scale that is not above 0")
    return Ridge(**columns, bias=told.bias, strength=told.strength)


def require_same_model(folder: Path, regressor: Regressor, reader: StateReader) -> None:
    """See that a model is the one whose states a regressor was fitted to.

    Raises:
        ModelError: where it is another.
    """
    if regressor.identity != reader.identity:
        raise ModelError(
            f"{folder}: was fitted to the states of {regressor.model!r} ({regressor.identity}), and {reader.name!r} is "
            f"{reader.identity}; name that model with --reader, or fit a regressor to this one"
        )
