"""What a plan costs on a machine: hours, money and memory of each stage, as ranges; and what does not fit.

A stage's hours are the seconds of its loads and its training (``timing``), of loading models, of servers, and of the
process that drives it (``volume``). What shards or Ray's actors really do is divided by their number, a training by its
processes, and nothing else. All devices are paid for as long as any of them works.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from charter.engines.specs import ModelSpec
from charter.planning.costs import ALL_ANSWERS, Conditions, Cost, Played, Remark, StageCost, Trouble
from charter.planning.hardware import NOTHING, Machine, Range
from charter.planning.memory import Memory, Sequence, Setup, generating, rows_that_fit, training, usable
from charter.planning.paying import asked_of_servers, money_of
from charter.planning.plan import Plan
from charter.planning.rates import served_rates
from charter.planning.remedies import for_generating, for_training
from charter.planning.rl_memory import for_serving, held_together
from charter.planning.shapes import Shape
from charter.planning.sizing import Work
from charter.planning.stage_plan import StagePlan
from charter.planning.timing import Drawing, loading_seconds, training_seconds, working_seconds
from charter.planning.volume import driver_seconds, merging_seconds
from charter.recipe import Recipe
from charter.recipe.settings import LoraSettings
from charter.recipe.stages import parted, training_settings
from charter.runs.roles import role_key
from charter.sharding.phases import is_done_by_rows

_LAUNCHES = {"none": "several-gpus", "fsdp2": "fsdp2", "zero3": "zero3"}  # by how weights are spread
_GIB = 2**30
_WORTHWHILE = 1.5  # times as many rows at once: worth a remark
_SERVERS_DIFFER = 3.0  # times: what is known of a server's speed before it is asked


def cost_plan(plan: Plan, recipe: Recipe, conditions: Conditions) -> Cost:
    """Cost every stage of a plan."""
    stages, is_started = [], False
    for stage in plan.stages:
        cost = _Stage(stage, plan, recipe, conditions).cost(starts=not is_started)
        is_started = is_started or bool(stage.demand.asked)
        stages.append(cost)
    return Cost(conditions.machine, tuple(stages))


@dataclass(frozen=True)
class _Local:
    """A model that runs on the machine: the first role that it plays, its shape, and all that it is asked.

    ``machine`` is as the model sees it: devices over which vLLM divides it are one.
    """

    role: str
    played: Played
    shape: Shape
    works: tuple[Work, ...]
    machine: Machine
    at_once: float

    def fit(self, work: Work) -> int:
        """Count the rows that a device has room for."""
        by_vllm, number_bytes = self.played.spec.is_vllm, self.played.number_bytes
        return rows_that_fit(self.shape, self.machine.device, work, number_bytes, by_vllm=by_vllm)

    def rows(self, work: Work) -> int:
        """Count the rows that run at once on a device."""
        there = math.ceil(min(work.n, self.at_once) / self.machine.n)
        return max(1, min(self.fit(work), self.played.spec.rows_at_once, there))

    def held(self, work: Work, rows: int) -> Memory:
        """Count what so many rows hold on each single device."""
        held = generating(self.shape, self.machine.device, work, rows, self.played.number_bytes)
        return Memory({part: size / self.played.n_devices for part, size in held.parts.items()})

    def seconds(self) -> Range:
        """Add up the time of all that it is asked."""
        spec, seconds = self.played.spec, NOTHING
        for work in self.works:
            rows = min(spec.rows_at_once, self.fit(work))
            drawing = Drawing(self.played.number_bytes, rows, self.at_once, by_vllm=spec.is_vllm)
            seconds += working_seconds(work, self.shape, self.machine, drawing)
        return seconds

    def troubles(self, machine: Machine) -> Iterator[Trouble]:
        """Say whether it does not fit."""
        n = self.played.n_devices
        if machine.n < n:
            key = f"{role_key(self.role)}.n_gpus"
            yield Trouble(f"{key} is {n}, and {machine.name} has {machine.n}", f"lower {key}, or take more devices")
        if tight := [self.held(work, 1) for work in self.works if not self.fit(work)]:
            held = max(tight, key=lambda memory: memory.total)
            yield Trouble(_too_large("answering", held, machine), for_generating(machine, held, self.role, n))

    def remarks(self) -> Iterator[Remark]:
        """Say whether it could run more rows at once."""
        most, fit = self.played.spec.rows_at_once, min(map(self.fit, self.works))
        writes = any(work.written for work in self.works) and self.machine.device.kind == "gpu"
        if writes and min(fit, self.at_once / self.machine.n) > _WORTHWHILE * most:
            said = f"is {most}, and more rows at once are faster where memory has room"
            yield Remark(f"{role_key(self.role)}.max_rows", said, fit)


@dataclass(frozen=True)
class _Stage:
    plan: StagePlan
    whole: Plan
    recipe: Recipe
    conditions: Conditions

    def cost(self, *, starts: bool) -> StageCost:
        """Cost the stage; the first that asks a model imports the libraries."""
        machine, held = self.conditions.machine, list(self._held())
        memory = max((one for one, _ in held), key=lambda one: one.total, default=None)
        rows = max((rows for _, rows in held), default=0)
        if troubles := tuple(self._troubles()):
            return StageCost(self.plan.stage, None, memory, rows, self._served(), troubles, driving=self._driving())
        local = self._local()
        seconds = self._loading(local) + self._training() + self._waiting()
        for one in local:
            seconds += one.seconds()
        if starts and local:
            seconds += machine.device.factors.start_seconds
        driving, merging = self._driving(), self._merging()  # while models answer, and when they have
        seconds = Range(max(seconds.low, driving.low) + merging.low, seconds.high + driving.high + merging.high)
        remarks = tuple(self._remarks())
        return StageCost(
            self.plan.stage, seconds, memory, rows, self._served(), remarks=remarks, driving=driving + merging
        )

    def _n_sharing(self) -> int:
        """Count the processes that share the rows of stages; all of them take as many devices as the largest model."""
        asked = {role for stage in self.whole.stages for role in stage.demand.asked}
        largest = max((self.conditions.models[role].n_devices for role in asked), default=1)
        return max(1, self.conditions.machine.n // largest)

    def _n_asking(self) -> int:
        """Count the processes that ask the models of this stage: a shard does nothing of those that train."""
        is_shared = self.conditions.way == "ray" or is_done_by_rows(self.plan.stage)
        return self._n_sharing() if is_shared else 1

    def _n_shards(self) -> int:
        """Count the shards of this stage; what asks no model on the machine is not worth dividing."""
        return self._n_asking() if self.conditions.way == "shards" and self._local() else 1

    def _driving(self) -> Range:
        return driver_seconds(self.whole, self.plan, self._n_shards())

    def _merging(self) -> Range:
        return merging_seconds(self.whole, self.plan) if self._n_shards() > 1 else NOTHING

    def _local(self) -> list[_Local]:
        """Give the models that run on the machine; roles that one model plays are put together."""
        models, works = self.conditions.models, dict[ModelSpec, list[Work]]()
        for role in self.plan.demand.asked:
            works.setdefault(models[role].spec, []).extend(self.plan.demand.loads[role].works)
        found = []
        for spec, put in works.items():
            role = next(role for role, played in models.items() if played.spec == spec)
            played, machine = models[role], self.conditions.machine.grouped(models[role].n_devices)
            machine = replace(machine, n=self._n_asking())
            if played.shape is not None:
                found.append(_Local(role, played, played.shape, tuple(put), machine, self.plan.demand.at_once))
        return found

    def _remarks(self) -> Iterator[Remark]:
        """Say what of the machine is left unused, and by which key, or planned as the recipe does not say it."""
        setup, machine, local = self._setup(), self.conditions.machine, self._local()
        if setup is not None and self._section == "rl" and machine.n > 1:
            yield Remark("rl", f"trains on one device of {machine.n}")
        elif setup is not None and setup.n_used < machine.n:
            said = f"is {setup.batch}, and each device needs a row of every step: {setup.n_used} of {machine.n} train"
            yield Remark(f"{self._section}.batch_size", said)
        if setup is not None and setup.n_used > 1 and self.recipe.training.launch is None:
            said = f"is null, by which one device trains; planned as if it were {_LAUNCHES[setup.sharding]}"
            yield Remark("training.launch", said)
        if setup is not None and setup.n_used > machine.device.per_node:
            said = f"is planned on up to {setup.n_used} devices, and a run starts its processes on one machine alone"
            yield Remark("training", said)
        if local and self._n_sharing() > 1:
            yield self._sharing()
        for one in local:
            yield from one.remarks()

    def _sharing(self) -> Remark:
        """Say by how many processes the answers are planned as shared, and what shares them."""
        n = self._n_sharing()
        if self.conditions.way == "ray":
            return Remark("answers", f"are planned as shared by {n}, with --on ray")
        if self._n_asking() == 1:
            said = f"are planned as given by one process: no shard does any of them; with --on ray {n} share them"
            return Remark(ALL_ANSWERS, said)
        return Remark("answers", f"are planned as shared by {n}: with --shard 1/{n} and so on, or --on ray")

    def _loading(self, local: list[_Local]) -> Range:
        policy = self.conditions.models["policy"]
        n_bytes = sum(_weights(one.played) for one in local) + self.plan.demand.n_loads * _weights(policy)
        return loading_seconds(n_bytes, self.conditions.machine)

    def _training(self) -> Range:
        setup, shape = self._setup(), self.conditions.models["policy"].shape
        if setup is None or shape is None:
            return Range()
        return training_seconds(self.plan.demand.training, shape, self.conditions.machine, setup)

    @property
    def _section(self) -> str:
        """The recipe's section that says how the stage is done, in whatever iteration."""
        return parted(self.plan.stage).stage

    def _setup(self) -> Setup | None:
        """How the stage trains; None where it does not."""
        if not self.plan.demand.training.tokens:
            return None
        settings = training_settings(self.recipe, self.plan.stage)
        is_alone = self._section == "rl"  # it trains in the run's own process, whatever is launched
        return Setup(
            mode=self.conditions.mode,
            sharding="none" if is_alone else self.conditions.sharding,
            n_devices=1 if is_alone else self.conditions.machine.n,
            batch=settings.batch_size,
            accumulation=settings.accumulation,
            checkpointing=settings.gradient_checkpointing,
            lora=self.recipe.sft.lora or LoraSettings(),
            number_bytes=self.conditions.models["policy"].number_bytes,
        )

    def _held(self) -> Iterator[tuple[Memory, int]]:
        """Give what each load and the training hold on a device, and the rows at once of a load."""
        for one in self._local():
            for work in one.works:
                rows = one.rows(work)
                yield one.held(work, rows), rows
        if (held := self._held_together()) is not None:
            yield held, 0

    def _held_in_training(self) -> Memory | None:
        setup, shape = self._setup(), self.conditions.models["policy"].shape
        if setup is None or shape is None:
            return None
        return training(shape, self.conditions.machine.device, setup, self._sequence())

    def _held_together(self) -> Memory | None:
        """Count what a training holds with all that lies beside it, which in RL is a lot."""
        held, setup = self._held_in_training(), self._setup()
        if held is None or setup is None or self._section != "rl":
            return held
        return held_together(held, self.plan, self.recipe, self.conditions, setup)

    def _sequence(self) -> Sequence:
        demand = self.plan.demand.training
        sides = 1 if self._section in {"sft", "rl"} else 2
        scored = demand.scored / sides  # of one side, which the prompt stands before
        return Sequence(demand.longest, demand.longest * scored / (demand.tokens - demand.scored + scored), sides)

    def _troubles(self) -> Iterator[Trouble]:
        """Say what does not fit: a model, or the training."""
        machine = self.conditions.machine
        for one in self._local():
            yield from one.troubles(machine)
        alone, held, setup = self._held_in_training(), self._held_together(), self._setup()
        shape = self.conditions.models["policy"].shape
        if alone and held and setup and shape and not held.fits(machine.device):
            beside = held.total - alone.total
            remedy = for_training(machine, shape, setup, self._sequence(), self._section, beside=beside)
            what = "training" if self._section != "rl" else "training beside what rewards it"
            yield Trouble(_too_large(what, held, machine), f"{for_serving(held)}{remedy}")

    def _specs(self) -> dict[str, ModelSpec]:
        return {role: played.spec for role, played in self.conditions.models.items()}

    def _waiting(self) -> Range:
        """Guess the seconds that servers take."""
        seconds = 0.0
        for spec, load in asked_of_servers(self.plan, self._specs()):
            n_rows = max(1, round(self.plan.demand.at_once))
            rates = served_rates(spec.max_at_once)
            seconds += rates.seconds(load.prompt_tokens, load.completion_tokens, n_rows=n_rows)
        return Range(seconds / _SERVERS_DIFFER, seconds * _SERVERS_DIFFER)

    def _served(self) -> Range:
        return money_of(self.plan, self._specs(), self.conditions.prices)


def _weights(played: Played) -> float:
    return played.shape.parameters * played.number_bytes if played.shape else 0.0


def _too_large(what: str, memory: Memory, machine: Machine) -> str:
    most = max(memory.parts, key=lambda part: memory.parts[part])
    return (
        f"{what} needs {memory.total / _GIB:,.1f} GiB on each device, {memory.parts[most] / _GIB:,.1f} of them for "
        f"{most}, and {machine.device.name} has {usable(machine.device) / _GIB:,.1f} to use"
    )
