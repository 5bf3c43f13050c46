from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

from charter.engines.base import Completion, CompletionRequest, Engine
from charter.engines.cache import DictMemory
from charter.engines.pool import Pool
from charter.engines.residents import Resident, Residents
from charter.engines.scripted import ScriptedEngine
from charter.engines.specs import ModelSpec
from charter.errors import EngineError, ModelError
from charter.records import Message
from run_examples import small_run, table_bytes


class _Slowness:
    """A loading that tells that it has begun, and ends when it may."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    async def has_begun(self) -> None:
        """Wait until it has begun."""
        assert await asyncio.to_thread(self.begun.wait, 60.0)


class _Machine:
    """Memory that holds so many bytes of scripted models, and the order in which they came and went."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.there: dict[str, int] = {}
        self.places: dict[str, str] = {}
        self.told: list[str] = []

    def resident(
        self,
        name: str,
        n_bytes: int = 10,
        *,
        fails: bool = False,
        place: str = "cpu",
        slowness: _Slowness | None = None,
    ) -> Resident:
        """Make a model that takes so much of a device, each of which has as much memory."""
        machine = self

        class Engine(ScriptedEngine):
            def close(self) -> None:
                machine.there.pop(name, None)
                machine.told.append(f"-{name}")
                super().close()

        def load() -> Engine:
            if slowness is not None:
                slowness.begun.set()
                slowness.may_end.wait(60.0)
            if fails:
                raise ModelError(f"{name} is damaged")
            machine.there[name], machine.places[name] = n_bytes, place
            machine.told.append(f"+{name}")
            assert machine.free(place) >= 0, "more than memory holds"
            return Engine(script=name, latency_s=0.002)

        return Resident(name, load, n_bytes, partial(self.free, place), places=frozenset({place}))

    def free(self, place: str) -> int:
        """Tell what a device has left."""
        return self.n_bytes - sum(taken for name, taken in self.there.items() if self.places[name] == place)


def _request(text: str) -> CompletionRequest:
    return CompletionRequest(messages=(Message(role="user", content=text),))


async def _chain(row: int, first: Engine, second: Engine, n_rounds: int) -> list[Completion]:
    """Ask two models in turn, each about what the other wrote, as a chain of critiques and revisions does."""
    said = [await first.complete(_request(f"row {row}"))]
    for _ in range(n_rounds):
        said.append(await second.complete(_request(said[-1].text)))
        said.append(await first.complete(_request(said[-1].text)))
    return said


def _run(residents: Residents, machine: _Machine, n_rows: int = 40, n_rounds: int = 3) -> list[list[Completion]]:
    first, second = (residents.engine(machine.resident(name)) for name in ("a", "b"))

    async def run() -> list[list[Completion]]:
        return await asyncio.gather(*(_chain(row, first, second, n_rounds) for row in range(n_rows)))

    found = asyncio.run(run())
    residents.close()
    return found


def test_all_models_are_there_where_they_fit() -> None:
    """Nothing is swapped, and each model is loaded once, as soon as it is named."""
    machine, residents = _Machine(20), Residents()
    _run(residents, machine)
    assert machine.told == ["+a", "+b", "-a", "-b"]
    assert residents.n_swaps == 0


def test_one_at_a_time_gives_the_same_answers() -> None:
    """Where memory holds one of two models, the answers are those with room for both."""
    plenty = _run(Residents(), _Machine(20))
    scarce = _run(Residents(), _Machine(10))
    assert scarce == plenty


def test_a_model_goes_when_no_row_asks_it_never_per_call() -> None:
    """Forty chains of three rounds need a model a step, not a model a call."""
    machine, residents = _Machine(10), Residents()
    _run(residents, machine)
    assert machine.told == ["+a", "-a", "+b", "-b"] * 3 + ["+a", "-a"]
    assert residents.n_swaps == 6


def test_a_number_of_models_can_be_set() -> None:
    """Whatever fits by its bytes."""
    machine, residents = _Machine(1000), Residents(most=1)
    _run(residents, machine)
    assert residents.n_swaps == 6


def test_models_on_different_devices_are_not_in_each_others_way() -> None:
    """Two cards that hold one model each hold two, and a third changes places with the one on its card."""
    machine, residents = _Machine(10), Residents()
    on_first = residents.engine(machine.resident("a", place="cuda:0"))
    on_second = residents.engine(machine.resident("b", place="cuda:1"))
    assert (on_first.is_loaded, on_second.is_loaded) == (True, True)
    third = residents.engine(machine.resident("c", place="cuda:1"))

    async def run() -> None:
        async def keep_asking() -> None:
            for number in range(200):
                await on_first.complete(_request(f"row {number}"))

        asking = asyncio.create_task(keep_asking())
        await third.complete(_request("x"))
        assert not asking.done(), "a model on another card has to be waited for"
        await asking

    asyncio.run(run())
    assert machine.told == ["+a", "+b", "-b", "+c"]


def test_a_call_to_a_model_that_stays_waits_for_the_exchange_alone() -> None:
    """Of three models two fit: who asks the one that stays as the third comes is not held up by the third's rows."""
    machine, residents, slowness = _Machine(20), Residents(), _Slowness()
    residents.engine(machine.resident("a"))
    stays = residents.engine(machine.resident("b"))
    third = residents.engine(machine.resident("c", slowness=slowness))

    async def run() -> None:
        async def keep_asking() -> None:
            for number in range(400):
                await third.complete(_request(f"row {number}"))

        asking = asyncio.create_task(keep_asking())
        await slowness.has_begun()
        call = asyncio.create_task(stays.complete(_request("x")))
        await asyncio.sleep(0.01)
        slowness.may_end.set()
        await call
        assert not asking.done(), "the rows of a model that fits beside it have to be waited for"
        await asking

    asyncio.run(run())
    assert machine.told == ["+a", "+b", "-a", "+c"]


def test_an_exchange_on_one_device_leaves_others_be() -> None:
    """While a model comes on one card, the one on another card is asked and answers."""
    machine, residents, slowness = _Machine(10), Residents(), _Slowness()
    on_first = residents.engine(machine.resident("a", place="cuda:0"))
    residents.engine(machine.resident("b", place="cuda:1"))
    third = residents.engine(machine.resident("c", place="cuda:1", slowness=slowness))

    async def run() -> None:
        coming = asyncio.create_task(third.complete(_request("x")))
        await slowness.has_begun()
        await on_first.complete(_request("y"))
        assert not third.is_loaded, "an exchange on another card has to be waited for"
        slowness.may_end.set()
        await coming

    asyncio.run(run())
    assert machine.told == ["+a", "+b", "-b", "+c"]


def test_a_second_engine_on_a_model_that_comes_waits_for_nobody_else() -> None:
    """A base and an adapter in one memory come together, whatever rows the model beside them has."""
    machine, residents = _Machine(20), Residents()
    residents.engine(machine.resident("a"))
    beside = residents.engine(machine.resident("b"))
    base, adapter = (residents.engine(machine.resident("c")) for _ in range(2))

    async def run() -> None:
        async def keep_asking() -> None:
            for number in range(400):
                await beside.complete(_request(f"row {number}"))

        await base.complete(_request("x"))
        asking = asyncio.create_task(keep_asking())
        await beside.complete(_request("y"))
        await adapter.complete(_request("z"))
        assert not asking.done(), "the rows of a model beside it have to be waited for"
        await asking

    asyncio.run(run())


def test_a_model_that_is_asked_again_and_again_is_not_idle() -> None:
    """A row that asks one call after another keeps its model, however short the time between two of them is."""
    machine, residents = _Machine(10), Residents()
    first, second = (residents.engine(machine.resident(name)) for name in ("a", "b"))

    async def run() -> None:
        waiting = asyncio.create_task(second.complete(_request("x")))
        for number in range(20):
            await first.complete(_request(f"row {number}"))
            await asyncio.sleep(0.016)
        assert machine.told == ["+a"]
        await waiting

    asyncio.run(run())
    assert machine.told == ["+a", "-a", "+b"]


def test_an_engine_on_a_model_that_is_there_sends_none_away() -> None:
    """With two models at most, a second engine on one of them leaves the other where it is."""
    machine, residents = _Machine(100), Residents(2)
    for name in ("a", "b"):
        residents.engine(machine.resident(name))
    assert residents.engine(machine.resident("a")).is_loaded
    assert residents.n_swaps == 0


def test_a_closed_engine_loads_nothing() -> None:
    """After ``close`` a call raises, and the model stays away."""
    machine, residents = _Machine(10), Residents()
    engine = residents.engine(machine.resident("a"))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        asyncio.run(engine.complete(_request("x")))
    assert machine.told == ["+a", "-a"]


def test_an_engine_that_is_not_in_memory_takes_turns() -> None:
    """What waits for its turn is known as long as it is open."""
    machine, residents = _Machine(10), Residents()
    first = residents.engine(machine.resident("a"))
    assert not residents.takes_turns
    second = residents.engine(machine.resident("b"))
    assert residents.takes_turns
    second.close()
    assert not residents.takes_turns
    first.close()


def test_a_third_model_leaves_one_of_two_where_it_is() -> None:
    """No more than what must go makes room."""
    machine, residents = _Machine(25), Residents()
    large, small, other = (residents.engine(machine.resident(*one)) for one in (("a", 15), ("b", 5), ("c", 10)))

    async def run() -> None:
        for engine in (large, small, other):
            await engine.complete(_request("x"))

    asyncio.run(run())
    assert machine.there == {"b": 5, "c": 10}


def test_what_a_model_told_of_itself_is_known_while_it_is_away() -> None:
    """Identity and capabilities are asked for once, by loading the model where it never was."""
    machine, residents = _Machine(10), Residents()
    first, second = (residents.engine(machine.resident(name)) for name in ("a", "b"))
    assert second.identity != first.identity
    assert (first.is_loaded, second.is_loaded) == (False, True)
    assert "complete" in first.capabilities
    assert machine.told == ["+a", "-a", "+b"]


def test_a_model_that_cannot_be_loaded_is_told_to_all_who_wait() -> None:
    """Every call raises what the loading did, and the others' models go on."""
    machine, residents = _Machine(10), Residents()
    good, bad = residents.engine(machine.resident("a")), residents.engine(machine.resident("b", fails=True))

    async def run() -> list[object]:
        calls = [engine.complete(_request(str(n))) for n in range(3) for engine in (good, bad)]
        return await asyncio.gather(*calls, return_exceptions=True)

    ends = asyncio.run(run())
    assert [isinstance(end, Completion) for end in ends] == [True, False] * 3
    assert all("b is damaged" in str(end) for end in ends[1::2])

    async def again() -> Completion:
        return await good.complete(_request("again"))

    assert asyncio.run(again()).text


def test_who_gives_up_waiting_is_forgotten() -> None:
    """A model that nobody waits for any more is not loaded, and the loop ends."""
    machine, residents = _Machine(10), Residents()
    first, second = (residents.engine(machine.resident(name)) for name in ("a", "b"))

    async def run() -> None:
        waiting = asyncio.create_task(second.complete(_request("x")))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0.3)
        await first.complete(_request("y"))

    asyncio.run(run())
    assert machine.told == ["+a"]


def test_an_engine_that_is_closed_leaves_memory() -> None:
    """A model goes with the last engine on it."""
    machine, residents = _Machine(10), Residents()
    engine = residents.engine(machine.resident("a"))
    engine.close()
    engine.close()
    assert machine.told == ["+a", "-a"]
    assert residents.engine(machine.resident("b")).is_loaded


@pytest.mark.model
def test_real_models_take_turns(tiny_model: Path, tiny_sliding_model: Path) -> None:
    """Two real models in a pool that holds one: what rows are told is what they are told with both in memory."""
    named = {"policy": tiny_model, "critic": tiny_sliding_model}
    roles = {role: ModelSpec(str(path), dtype="float32", device="cpu") for role, path in named.items()}

    async def chains(pool: Pool) -> list[list[Completion]]:
        policy, critic = pool.engine("policy"), pool.engine("critic")
        return await asyncio.gather(*(_chain(row, policy, critic, 2) for row in range(6)))

    def run(most: int | None) -> tuple[list[list[Completion]], int]:
        pool = Pool(roles, DictMemory(), most=most)
        try:
            found = asyncio.run(chains(pool))
            return found, pool.n_swaps
        finally:
            pool.close()

    plenty, scarce = run(None), run(1)
    assert scarce[0] == plenty[0]
    assert plenty[1] == 0
    assert 4 <= scarce[1] <= 6


def test_a_run_makes_the_same_with_one_model_at_a_time(
    tiny_model: Path, tiny_sliding_model: Path, tmp_path: Path
) -> None:
    """Traces of a run whose critic has to take turns with the policy are those of one where both are in memory."""

    def model(path: Path) -> str:
        return f"{{name: {path}, engine: transformers, dtype: float32, device: cpu}}"

    models = [f"models.policy={model(tiny_model)}", f"models.critic={model(tiny_sliding_model)}"]
    short = ["revise.n_few_shots=0", "revise.max_tokens=8", "revise.max_critique_tokens=8", "prompts.n_train=5"]
    folders = [
        small_run(tmp_path / name, ["prompts", "revise"], *models, *short, f"memory.models_at_once={most}")
        for name, most in (("plenty", "null"), ("scarce", "1"))
    ]
    plenty, scarce = (table_bytes(folder)["traces.parquet"] for folder in folders)
    assert scarce == plenty
