"""Machines that a run can be planned for: what their makers say, and how much of that is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from charter.errors import RecipeError, UserError
from charter.files.yaml_reading import YamlDocument, read_yaml
from charter.spelling import hint

Kind = Literal["gpu", "cpu"]
_GIB, _TERA, _GIGA = 2.0**30, 1e12, 1e9
_MAX_DEVICES = 100_000


@dataclass(frozen=True)
class Range:
    """A figure that is not known better than from ``low`` to ``high``."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Range:
        """Multiply both ends."""
        return Range(self.low * factor, self.high * factor)

    def by(self, other: Range) -> Range:
        """Multiply the least by the least, and the most by the most."""
        return Range(self.low * other.low, self.high * other.high)

    @property
    def middle(self) -> float:
        """The figure that is as many times the least as the greatest is of it."""
        return float((self.low * self.high) ** 0.5)


NOTHING = Range()


@dataclass(frozen=True)
class Factors:
    """What is reached of a device's rates, from least to most, and seconds besides (see ``hardware.yaml``)."""

    prefill: Range
    attention: Range
    training: Range
    decode_products: Range
    decode_bandwidth: Range
    layer_seconds: Range
    vllm_layer_seconds: Range
    training_layer_seconds: Range
    sharing: Range
    load_gbs: Range
    start_seconds: Range


@dataclass(frozen=True)
class Device:
    """One device, in bytes, operations and seconds; the price is of an hour of one."""

    name: str
    kind: Kind
    memory: float
    products: float
    bandwidth: float
    link: float
    power_watts: float
    host: float
    price: float
    factors: Factors
    note: str = ""
    per_node: float = 8
    node_link: float = float("inf")

    def link_of(self, n: int) -> float:
        """Bytes per second between so many devices: those of one node are nearer to each other than to the next."""
        return self.link if n <= self.per_node else min(self.link, self.node_link)


@dataclass(frozen=True)
class Machine:
    """So many devices of one kind."""

    device: Device
    n: int = 1

    @property
    def name(self) -> str:
        """How the machine is written."""
        return f"{self.device.name}x{self.n}" if self.n > 1 else self.device.name

    @property
    def host(self) -> float:
        """Bytes of own memory that a process has: those of one node."""
        return self.device.host * min(self.n, self.device.per_node)

    def grouped(self, size: int) -> Machine:
        """Put so many devices together as one, as far as they work together; what is left over has nothing to do."""
        if size == 1:
            return self
        device, sharing = self.device, self.device.factors.sharing
        names = ("prefill", "attention", "decode_products", "decode_bandwidth")
        less = {name: getattr(device.factors, name).by(sharing) for name in names}
        group = replace(
            device,
            memory=device.memory * size,
            products=device.products * size,
            bandwidth=device.bandwidth * size,
            factors=replace(device.factors, **less),
        )
        return Machine(group, max(1, self.n // size))


_NUMBERS = {
    "memory_gib": ("memory", _GIB),
    "bfloat16_tflops": ("products", _TERA),
    "bandwidth_gbs": ("bandwidth", _GIGA),
    "link_gbs": ("link", _GIGA),
    "power_watts": ("power_watts", 1.0),
    "host_gib": ("host", _GIB),
    "price_per_hour": ("price", 1.0),
}
_NODE_NUMBERS = {"node_devices": ("per_node", 1.0), "node_link_gbs": ("node_link", _GIGA)}


def built_in_text() -> str:
    """Give the file that comes with the package, to be copied and edited."""
    return resources.files("charter.planning").joinpath("data", "hardware.yaml").read_text("utf-8")


def read_devices(file: Path | None = None) -> dict[str, Device]:
    """Read the devices that come with the package, and those of a file in their place and beside them.

    Raises:
        RecipeError: naming file, line, value and remedy.
    """
    with resources.as_file(resources.files("charter.planning").joinpath("data", "hardware.yaml")) as path:
        devices, factors = _read(path, {})
    if file is not None:
        devices |= _read(file, factors)[0]
    return devices


def find_machine(text: str, devices: Mapping[str, Device], price: float | None = None) -> Machine:
    """Find the machine that ``h200`` or ``h200x8`` names, at its device's price or another.

    Raises:
        UserError: for a device that is not known, or a number that is none.
    """
    name, _, number = text.rpartition("x")
    if text in devices or not (name and number.isascii() and number.isdecimal()):
        name, number = text, "1"
    if name not in devices:
        near = hint(name, devices)
        raise UserError(f"--hardware is {text!r}; expected NAME or NAMExN with one of {', '.join(devices)}{near}")
    if not 1 <= int(number) <= _MAX_DEVICES:
        raise UserError(f"--hardware is {text!r}: expected 1 to {_MAX_DEVICES:,} devices")
    device = devices[name] if price is None else replace(devices[name], price=price)
    return Machine(device, int(number))


def _read(file: Path, known: Mapping[str, Factors]) -> tuple[dict[str, Device], dict[str, Factors]]:
    document = read_yaml(file, error=RecipeError)
    data = document.data
    if not isinstance(data, dict) or not set(data) <= {"devices", "factors"}:
        raise RecipeError(f"{file}: expected 'devices' and 'factors', as 'charter plan --write-hardware FILE' writes")
    sections = {key: _mapping(document, (key,), data.get(key) or {}) for key in ("devices", "factors")}
    factors = dict(known)
    for kind, given in sections["factors"].items():
        if kind not in {"gpu", "cpu"}:
            raise RecipeError(f"{document.where(('factors', kind))}: {kind!r} is no kind; expected gpu or cpu")
        factors[kind] = _factors(document, kind, _mapping(document, ("factors", kind), given))
    devices = {
        str(name): _device(document, name, _mapping(document, ("devices", name), given), factors)
        for name, given in sections["devices"].items()
    }
    return devices, factors


def _device(document: YamlDocument, name: str, given: dict[str, Any], factors: Mapping[str, Factors]) -> Device:
    place = ("devices", name)
    _require_keys(document, place, given, {"kind", *_NUMBERS}, {"note", *_NODE_NUMBERS})
    if given["kind"] not in factors:
        raise RecipeError(f"{document.where((*place, 'kind'))}: kind is {given['kind']!r}; expected gpu or cpu")
    numbers = {}
    for key, (field, unit) in (_NUMBERS | {key: _NODE_NUMBERS[key] for key in _NODE_NUMBERS if key in given}).items():
        value = given[key]
        may_be_nothing = key in {"price_per_hour", "power_watts"}
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 <= value < float("inf") and (value or may_be_nothing)):
            expected = "a number of 0 or more" if may_be_nothing else "a number above 0"
            raise RecipeError(f"{document.where((*place, key))}: {key} is {value!r}; expected {expected}")
        numbers[field] = value * unit
    return Device(name, given["kind"], **numbers, factors=factors[given["kind"]], note=str(given.get("note", "")))


def _factors(document: YamlDocument, kind: str, given: dict[str, Any]) -> Factors:
    place = ("factors", kind)
    names = {one.name for one in fields(Factors)}
    _require_keys(document, place, given, names, set())
    ranges = {}
    for key, value in given.items():
        most = float("inf") if key.endswith(("_seconds", "_gbs")) else 1.0  # the others are shares
        is_range = isinstance(value, list) and len(value) == len(("least", "most"))
        is_range = is_range and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
        if not is_range or not 0 < value[0] <= value[1] <= most:
            problem = (
                f"{key} is {value!r}; expected [least, most], numbers above 0{' and up to 1' if most == 1 else ''}"
            )
            raise RecipeError(f"{document.where((*place, key))}: {problem}")
        ranges[key] = Range(float(value[0]), float(value[1]))
    return Factors(**ranges)


def _mapping(document: YamlDocument, place: tuple[str, ...], value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecipeError(f"{document.where(place)}: {place[-1]!r} is {value!r}; expected keys with values")
    return value


def _require_keys(
    document: YamlDocument, place: tuple[str, ...], given: Mapping[str, Any], needed: set[str], also: set[str]
) -> None:
    for key in given:
        if key not in needed | also:
            raise RecipeError(f"{document.where((*place, key))}: unknown key {key!r}{hint(str(key), needed | also)}")
    if missing := sorted(needed - set(given)):
        raise RecipeError(f"{document.where(place)}: {place[-1]!r} lacks {', '.join(missing)}")
