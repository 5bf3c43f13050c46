"""A regressor in a folder: its numbers as safetensors, and what it was fitted to as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

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
        told = read_json(folder / _ACCOUNT)
        numbers = {name: np.asarray(one, dtype=np.float64) for name, one in load_file(folder / _NUMBERS).items()}
        line = Ridge(**{name: numbers[name] for name in _COLUMNS}, bias=told["bias"], strength=told["strength"])
        quality = TypeAdapter(RegressorQuality).validate_python(told["quality"])
        return Regressor(**{name: told[name] for name in _TOLD}, line=line, quality=quality)
    except (RunError, SafetensorError, KeyError, TypeError, ValidationError) as error:
        raise ModelError(
            f"{folder}: holds a damaged regressor ({error}); fit it again, with --keep {folder}"
        ) from error


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
