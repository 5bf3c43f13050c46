"""What a model's folder must be before anything loads it: whole, safetensors, and free of code unless allowed."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from charter.errors import ModelError
from charter.files.hub_ids import is_model_id

CONFIGURATION = "config.json"
ADAPTER_CONFIGURATION = "adapter_config.json"
TEMPLATE_FILES = _CHAT_TEMPLATE, _TOKENIZER_CONFIGURATION = "chat_template.jinja", "tokenizer_config.json"

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_INDEX = "model.safetensors.index.json"
_FILES_SHOWN = 8
_MOST_PARTS = 10_000  # layers of a model, or experts of a layer; the largest have some hundreds
_MAX_HEADER = 100_000_000  # bytes of a safetensors file, as the format itself allows


def check_model(folder: Path, *, trust_remote_code: bool) -> None:
    """Check a full model's folder.

    Raises:
        ModelError: no configuration, no tokenizer, no safetensors, damaged weights, or code that was not allowed.
    """
    if not (folder / CONFIGURATION).is_file():
        raise ModelError(f"{folder} holds no model: it has no {CONFIGURATION}, but {_contents(folder)}")
    configuration = read_configuration(folder / CONFIGURATION)
    _require_size(folder / CONFIGURATION, configuration)
    if not trust_remote_code:
        _refuse_code(folder / CONFIGURATION, configuration)
        _refuse_code(folder / _TOKENIZER_CONFIGURATION)
    _check_weights(folder)
    if not has_tokenizer(folder):
        raise ModelError(
            f"{folder} has no tokenizer (looked for {', '.join(_TOKENIZERS)}); save the tokenizer beside the model"
        )


def check_adapter(folder: Path) -> str:
    """Check an adapter's folder, and find out what it is an adapter of.

    Returns:
        The base as the adapter's configuration names it, with ``@revision`` where a hub model is pinned there.

    Raises:
        ModelError: no base named, no ``adapter_model.safetensors``, or damaged weights.
    """
    configuration = read_configuration(folder / ADAPTER_CONFIGURATION)
    base, revision = configuration.get("base_model_name_or_path"), configuration.get("revision")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{folder / ADAPTER_CONFIGURATION} names no base model (base_model_name_or_path is {base!r}); name there "
            "the model that the adapter was trained on"
        )
    # The one file that PEFT reads safely: without it, it loads a pickle that lies beside any other.
    weights = folder / ADAPTER_WEIGHTS
    if not weights.is_file():
        names = [path.name for path in folder.iterdir()]
        require_safetensors(str(folder), names)
        raise ModelError(
            f"{folder} is no whole adapter: it lacks {ADAPTER_WEIGHTS}, the file that peft loads, and holds "
            f"{_some(sorted(names))}; save the adapter again with peft's save_pretrained"
        )
    _check_whole(weights)
    pinned = f"{base}@{revision}"
    return pinned if revision and "@" not in base and is_model_id(pinned) and not Path(base).exists() else base


def is_whole(folder: Path) -> bool:
    """Tell whether a folder holds all of a model or an adapter; not whether it may be loaded."""
    try:
        if (folder / ADAPTER_CONFIGURATION).is_file():
            check_adapter(folder)
        else:
            check_model(folder, trust_remote_code=True)
    except ModelError:
        return False
    return True


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in _TOKENIZERS)


def has_chat_template(folder: Path) -> bool:
    """Tell whether the tokenizer in a folder renders conversations: by a template that it calls its default.

    Raises:
        ModelError: for a tokenizer's configuration that is not a JSON object, or cannot be read.
    """
    if (folder / _CHAT_TEMPLATE).is_file():
        return True
    settings = folder / _TOKENIZER_CONFIGURATION
    template = read_configuration(settings).get("chat_template") if settings.is_file() else None
    if isinstance(template, list):  # several, by name
        return any(isinstance(one, dict) and one.get("name") == "default" for one in template)
    return bool(template)


def read_configuration(path: Path) -> dict[str, Any]:
    """Read one of a model's JSON files.

    Raises:
        ModelError: for a file that is not a JSON object, or cannot be read.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {error}; fetch or save the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object but {type(value).__name__}; fetch or save the model again")
    return value


def require_safetensors(place: str, names: Iterable[str]) -> None:
    """Raise ``ModelError`` where the files named hold no safetensors, and say what they hold in their place.

    Args:
        place: the folder or hub model that holds them, for the message.
        names: the files' names.
    """
    listed = sorted(names)
    if any(name.endswith(".safetensors") for name in listed):
        return
    pickles = [name for name in listed if any(fnmatch(name, pattern) for pattern in _PICKLES)]
    if pickles:
        raise ModelError(
            f"{place} holds pickled weights only ({_some(pickles)}), and loading a pickle runs code; convert them to "
            "safetensors: load the model with transformers in a place that you trust it in, and call "
            "save_pretrained"
        )
    packed = [name for name in listed if name.endswith(".gguf")]
    if packed:
        raise ModelError(
            f"{place} holds GGUF weights only ({_some(packed)}), which cannot be trained; convert them to safetensors: "
            "from_pretrained with gguf_file and GgufConfig(dequantize=True), then save_pretrained"
        )
    raise ModelError(f"{place} holds no weights (*.safetensors), but {_some(listed) or 'nothing'}")


def _require_size(path: Path, configuration: dict[str, Any]) -> None:
    """Refuse layers and experts by the million, each of which the library would make before it looks at a weight."""
    for name, value in configuration.items():
        if isinstance(value, dict):
            _require_size(path, value)
        elif isinstance(value, int) and value > _MOST_PARTS and ("layer" in name or "expert" in name):
            raise ModelError(
                f"{path}: {name} is {value}; expected {_MOST_PARTS} at most: fetch or save the model again"
            )


def _refuse_code(path: Path, configuration: dict[str, Any] | None = None) -> None:
    if configuration is None:
        if not path.is_file():
            return
        configuration = read_configuration(path)
    code = configuration.get("auto_map")
    if code:
        raise ModelError(
            f"{path} asks to run Python code that comes with the model (auto_map: {json.dumps(code)}); read that code, "
            "and if you trust it, allow it with trust_remote_code"
        )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """List the files with a model's weights: those that its index names; what else lies there may be a second copy.

    Raises:
        ModelError: where the index is none, or names what is no file's name.
    """
    index = folder / _INDEX
    if index.is_file():
        weight_map = read_configuration(index).get("weight_map")
        names = list(weight_map.values()) if isinstance(weight_map, dict) else []
        odd = [name for name in names if not isinstance(name, str)]
        if odd:
            raise ModelError(f"{index} names {odd[0]!r} for a file of weights; fetch or save the model again")
        return tuple(folder / name for name in sorted(set(names)))
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    return tuple(sorted(folder.glob("*.safetensors")))


def count_parameters(folder: Path) -> int:
    """Count a model's parameters by the headers of its weights; 0 where it has none.

    Raises:
        ModelError: where a header cannot be read.
    """
    return sum(map(_count_numbers, weight_files(folder)))


def _count_numbers(path: Path) -> int:
    """Count a safetensors file's numbers by its header: eight bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, _MAX_HEADER)))
        return sum(math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
    except (OSError, ValueError, RecursionError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} has no header of weights: {error}; fetch or save the model again") from error


def _check_weights(folder: Path) -> None:
    require_safetensors(str(folder), (path.name for path in folder.iterdir()))
    files = weight_files(folder)
    missing = [path.name for path in files if not path.is_file()]
    if missing or not files:
        raise ModelError(f"{folder} is incomplete: it lacks {_some(missing) or _INDEX}; fetch or save it again")
    for path in files:
        _check_whole(path)


def _check_whole(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    # Opening reads the header alone, and holds its offsets against the file's size.
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}; fetch or save it again"
        ) from error


def _contents(folder: Path) -> str:
    inner = sorted(
        path.parent.name for name in (CONFIGURATION, ADAPTER_CONFIGURATION) for path in folder.glob(f"*/{name}")
    )
    if inner:
        return f"its folders {_some(inner)} hold models: name one of them"
    return _some(sorted(path.name for path in folder.iterdir())) or "nothing"


def _some(names: list[str]) -> str:
    more = len(names) - _FILES_SHOWN
    return ", ".join(names[:_FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")
