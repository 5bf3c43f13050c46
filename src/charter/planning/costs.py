"""What a plan costs on a machine, as values: by stage and in all, in hours, money and memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.engines.specs import ModelSpec
from charter.engines.spending import Price
from charter.planning.hardware import NOTHING, Machine, Range
from charter.planning.memory import Memory, Mode, Sharding
from charter.planning.shapes import Shape

Way = Literal["shards", "ray"]

#: The key of a remark on answers that shards do not share.
ALL_ANSWERS = "all answers"

_HOUR = 3600.0


@dataclass(frozen=True)
class Played:
    """A role's model: how the recipe names it, and its shape; a served or a scripted one has none."""

    spec: ModelSpec
    shape: Shape | None

    @property
    def number_bytes(self) -> int:
        """Bytes of a weight and of a number in the cache."""
        return 4 if self.spec.dtype == "float32" else 2

    @property
    def n_devices(self) -> int:
        """Devices over which the model is divided."""
        return self.spec.n_gpus if self.spec.is_vllm else 1


@dataclass(frozen=True)
class Conditions:
    """What a plan is costed under: the machine, the models by role, how is trained, and what servers ask.

    ``way`` is how rows are shared out where there is more than one device.
    """

    machine: Machine
    models: Mapping[str, Played]
    mode: Mode
    sharding: Sharding
    prices: Mapping[str, Price]
    way: Way = "shards"


@dataclass(frozen=True)
class Trouble:
    """What does not fit, and the least change that helps."""

    problem: str
    remedy: str


@dataclass(frozen=True)
class Remark:
    """What of a machine is left unused by a key of the recipe, and the most that the key could be, if that is known."""

    key: str
    said: str
    most: int | None = None


@dataclass(frozen=True)
class StageCost:
    """What a stage costs. ``seconds`` is None where it does not fit; ``remarks`` say what it leaves unused.

    ``driving`` is what of the seconds is not the models', at the most: that of processes, one after another.
    """

    stage: str
    seconds: Range | None
    memory: Memory | None = None
    rows_at_once: int = 0
    served: Range = NOTHING
    troubles: tuple[Trouble, ...] = ()
    remarks: tuple[Remark, ...] = ()
    driving: Range = NOTHING

    @property
    def of_models(self) -> float:
        """The most seconds of the models; none where they do not fit."""
        return self.seconds.high - self.driving.high if self.seconds else 0.0


@dataclass(frozen=True)
class Cost:
    """All stages on one machine."""

    machine: Machine
    stages: tuple[StageCost, ...]

    @property
    def fits(self) -> bool:
        """Whether every stage does."""
        return all(stage.seconds is not None for stage in self.stages)

    @property
    def seconds(self) -> Range:
        """The time of the stages that fit."""
        return sum((stage.seconds for stage in self.stages if stage.seconds), NOTHING)

    def hours(self, stage: StageCost | None = None) -> Range:
        """Hours of a stage, or of all that fit."""
        return ((stage.seconds if stage else self.seconds) or Range()).times(1 / _HOUR)

    def device_hours(self, stage: StageCost | None = None) -> Range:
        """Hours of all devices together."""
        return self.hours(stage).times(self.machine.n)

    def money(self, stage: StageCost | None = None) -> Range:
        """What the machine costs, and what servers ask."""
        served = [stage.served] if stage else [one.served for one in self.stages]
        return self.device_hours(stage).times(self.machine.device.price) + sum(served, Range())

    @property
    def kilowatt_hours(self) -> float:
        """The most that the devices draw."""
        return self.device_hours().high * self.machine.device.power_watts / 1000

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them: seconds, bytes, hours, and money as the prices are given."""
        return {
            "hardware": self.machine.name,
            "fits": self.fits,
            "stages": [self._stage(stage) for stage in self.stages],
            "hours": asdict(self.hours()),
            "device_hours": asdict(self.device_hours()),
            "money": asdict(self.money()),
            "kilowatt_hours": self.kilowatt_hours,
        }

    def _stage(self, stage: StageCost) -> dict[str, Any]:
        fits = stage.seconds is not None
        return {
            "stage": stage.stage,
            "fits": fits,
            "hours": asdict(self.hours(stage)) if fits else None,
            "device_hours": asdict(self.device_hours(stage)) if fits else None,
            "money": asdict(self.money(stage)) if fits else None,
            "memory_bytes": dict(stage.memory.parts) if stage.memory else None,
            "rows_at_once": stage.rows_at_once,
            "troubles": [asdict(trouble) for trouble in stage.troubles],
            "remarks": [asdict(remark) for remark in stage.remarks],
        }
