"""What a plan costs on a machine, in columns: by stage, by number of prompts, and the machines themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from charter.cli import console
from charter.cli.plan_table import between, figure, write_plan

if TYPE_CHECKING:
    from charter.planning.costs import Cost, StageCost
    from charter.planning.estimate import Estimate
    from charter.planning.hardware import Device, Range

_GIB = 2**30
_STEPS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
_LONG = 120.0  # of a unit: from there on the next one is written
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))
_THOUSAND, _MILLION, _BILLION = 1e3, 1e6, 1e9


def write_estimate(found: Estimate) -> None:
    """Print a plan, and what it costs, where a machine was named."""
    write_plan(found.plan, with_times=found.cost is None)
    if found.cost is not None:
        _write_cost(found, found.cost)
    _write_volume(found)


def write_growth(found: Sequence[Estimate]) -> None:
    """Print estimates of one recipe with several numbers of prompts, a line each, and what gives first."""
    header = (
        "prompts",
        "calls",
        "tokens",
        "trained on",
        "time",
        "device hours",
        "money",
        "disk",
        "memory of the process",
    )
    console.write_columns(header, [_growth(one) for one in found], right=tuple(range(len(header))))
    _write_footing(found[0])
    for limit in found[0].limits:
        console.write(f"gives at about {_short(limit.n_prompts)} prompts: {limit.what}; {limit.remedy}")
    _write_troubles(found[-1])


def write_devices(devices: Mapping[str, Device], *, as_json: bool) -> None:
    """Print what is known of the devices that a run can be planned for."""
    if as_json:
        console.write_json({name: asdict(device) for name, device in devices.items()})
        return
    header = ("device", "memory GiB", "bf16 TFLOP/s", "memory GB/s", "link GB/s", "watts", "price an hour", "note")
    console.write_columns(
        header,
        [
            (
                *(name, f"{one.memory / _GIB:,.0f}", f"{one.products / 1e12:,.4g}", f"{one.bandwidth / 1e9:,.4g}"),
                *(f"{one.link / 1e9:,.0f}", f"{one.power_watts:,.0f}", f"{one.price:,.2f}", one.note),
            )
            for name, one in devices.items()
        ],
        right=(1, 2, 3, 4, 5, 6),
    )
    console.write("prices are examples of the middle of 2025: write yours into a copy (--write-hardware FILE)")


def span(found: Range) -> str:
    """Write lengths of time in one unit: ``20-45 s``, ``3-5 min``, ``2.1-4.6 h``."""
    if found.high < 1:
        return "under 1 s" if found.high else ""
    fitting = [(size, unit) for size, unit in _STEPS if found.high < _LONG * size]
    size, unit = fitting[0] if fitting else _STEPS[-1]
    return f"{between(found.times(1 / size))} {unit}"


def _write_cost(found: Estimate, cost: Cost) -> None:
    console.write()
    header = ("stage", "time", "device hours", "money", "GiB a device", "of which", "rows at once")
    rows = [_cost_cells(cost, stage) for stage in cost.stages]
    console.write_columns(header, [*rows, _total_cells(cost)], right=(1, 2, 3, 4, 6))
    _write_footing(found)
    _write_troubles(found)


def _write_footing(found: Estimate) -> None:
    """Say what the figures stand on."""
    if found.cost is None:
        return
    machine, device = found.cost.machine, found.cost.machine.device
    rates = f"{device.products / 1e12:,.4g} TFLOP/s in bfloat16, {device.bandwidth / 1e9:,.4g} GB/s"
    price = f"{device.price:,.2f} an hour each (an example, unless you set it)"
    console.write(f"on {machine.name}, {machine.n} with {device.memory / _GIB:,.0f} GiB, {rates}, at {price}")
    if device.note:
        console.write(f"{device.name}: {device.note}")
    for name in dict.fromkeys(found.models.values()):
        roles = ", ".join(role for role, one in found.models.items() if one == name)
        console.write(f"{roles}: {name}")
    if device.kind != "cpu":
        console.write("what is reached of a GPU's rates was not measured here: the ranges are wide for that reason")


def _write_troubles(found: Estimate) -> None:
    """Print what does not fit and what is left unused, what several stages have in common once."""
    stages = found.cost.stages if found.cost else ()
    said: dict[str, list[str]] = {}
    for stage in stages:
        for trouble in stage.troubles:
            said.setdefault(f"{trouble.problem}; {trouble.remedy}", []).append(stage.stage)
    remarks = [(remark, stage.stage) for stage in stages for remark in stage.remarks]
    for key in dict.fromkeys(remark.key for remark, _ in remarks):
        of_key = [(remark, stage) for remark, stage in remarks if remark.key == key]
        room = min((remark.most for remark, _ in of_key if remark.most is not None), default=None)
        up_to = "" if room is None else f" (for {room:,})"
        said[f"{key} {of_key[0][0].said}{up_to}"] = [stage for _, stage in of_key]
    for what, where in said.items():
        console.write(f"{', '.join(where)}: {what}")


def _write_volume(found: Estimate) -> None:
    volume = found.volume
    console.write(
        f"beside the models: {_bytes(volume.disk)} of disk, and {_bytes(volume.memory)} of the machine's memory at the "
        f"most, in {volume.fullest}"
    )
    if found.limits and (found.cost is None or found.cost.fits):  # else it gives at once, as was said
        first = found.limits[0]
        console.write(f"gives first, at about {_short(first.n_prompts)} prompts: {first.what}; {first.remedy}")


def _cost_cells(cost: Cost, stage: StageCost) -> tuple[str, ...]:
    memory = ""
    parts = ""
    if stage.memory is not None:
        memory = f"{stage.memory.total / _GIB:,.1f}"
        largest = sorted(stage.memory.parts.items(), key=lambda part: -part[1])[:2]
        parts = ", ".join(f"{name} {size / _GIB:,.1f}" for name, size in largest)
    at_once = f"{stage.rows_at_once:,}" if stage.rows_at_once else ""
    if stage.seconds is None:
        return (stage.stage, "does not fit", "", "", memory, parts, at_once)
    figures = (span(stage.seconds), between(cost.device_hours(stage)), between(cost.money(stage)))
    return (stage.stage, *figures, memory, parts, at_once)


def _total_cells(cost: Cost) -> tuple[str, ...]:
    name = "total" if cost.fits else "total of what fits"
    figures = (span(cost.seconds), between(cost.device_hours()), between(cost.money()))
    return (name, *figures, "", f"up to {cost.kilowatt_hours:,.3g} kWh", "")


def _growth(found: Estimate) -> tuple[str, ...]:
    total, cost, volume = found.plan.total, found.cost, found.volume
    counts = (found.n_prompts, total.calls, total.prompt_tokens + total.completion_tokens, total.trained_tokens)
    figures = ("", "", "")
    if cost is not None:
        figures = (span(cost.seconds), between(cost.device_hours()), between(cost.money()))
    if cost is not None and not cost.fits:
        figures = ("does not fit", "", "")
    return (*map(_short, counts), *figures, _bytes(volume.disk), f"{_bytes(volume.memory)} ({volume.fullest})")


def _short(number: float) -> str:
    if number >= _BILLION:
        return f"{figure(number / _BILLION)}B"
    if number >= _MILLION:
        return f"{figure(number / _MILLION)}M"
    return f"{figure(number / _THOUSAND)}k" if number >= _THOUSAND else f"{number:,.0f}"


def _bytes(number: float) -> str:
    size, unit = next(((size, unit) for size, unit in _BYTES if number >= size), _BYTES[-1])
    return f"{figure(number / size)} {unit}"
