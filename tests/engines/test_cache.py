import asyncio
import gc
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from charter.engines.base import Choice, ChoiceRequest, Completion, CompletionRequest, Sampling
from charter.engines.cache import CachedEngine, DictMemory
from charter.engines.loop_thread import TooLate
from charter.engines.scripted import ScriptedEngine
from charter.engines.usage import KindUsage
from charter.errors import EngineError, JournalError
from charter.journal.store import Journal
from engines.contract import EngineContract, MakeEngine, ask, choose, draw, mixed_requests, score


class TestCachedContract(EngineContract):
    """A cached engine keeps the contract of the engine in it."""

    tolerance = 1e-9

    @pytest.fixture
    def make_engine(self) -> MakeEngine:
        """Make cached engines, each with a memory of its own."""
        return lambda: CachedEngine(ScriptedEngine(latency_s=0.001), DictMemory())


class TestRecallContract(EngineContract):
    """A cached engine that recalls what another one asked keeps the contract too."""

    tolerance = 1e-9

    @pytest.fixture
    def make_engine(self) -> MakeEngine:
        """Make cached engines that share a memory."""
        memory = DictMemory()
        return lambda: CachedEngine(ScriptedEngine(latency_s=0.001), memory)


def test_identical_rerun_makes_no_call() -> None:
    """A second engine over the same memory answers everything from it, alike."""
    memory = DictMemory()
    first = CachedEngine(ScriptedEngine(), memory)
    requests = mixed_requests(first, 9)
    answers = ask(first, requests)
    inner = ScriptedEngine()
    second = CachedEngine(inner, memory)
    assert ask(second, requests) == answers
    assert inner.n_calls.total() == 0
    assert second.usage.total == KindUsage(n_hits=9)


def test_run_journal_is_a_memory(tmp_path: Path) -> None:
    """What a run's journal holds after it was closed and opened again is recalled."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        first = CachedEngine(ScriptedEngine(), journal)
        requests = mixed_requests(first, 9)
        answers = ask(first, requests)
    inner = ScriptedEngine()
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert ask(CachedEngine(inner, journal), requests) == answers
    assert inner.n_calls.total() == 0


def test_identical_requests_at_once_share_one_call() -> None:
    """Fifty identical concurrent requests reach the engine once."""
    inner = ScriptedEngine(latency_s=0.01)
    engine = CachedEngine(inner, DictMemory())
    answers = ask(engine, [draw(engine, seed=1)] * 50)
    assert len(set(answers)) == 1
    assert inner.n_calls["complete"] == 1
    assert (engine.usage.complete.n_calls, engine.usage.complete.n_hits) == (1, 49)


def test_usage_counts_calls_hits_and_tokens_by_kind() -> None:
    """Tokens are those of the calls, once, and kinds are kept apart."""
    engine = CachedEngine(ScriptedEngine(lambda _: "three plain words"), DictMemory())
    text = CompletionRequest(text="one two", sampling=Sampling(seed=1))
    for _ in range(2):
        ask(engine, [text, choose(engine, "Which?"), score(engine, "Well?", " a b")])
    usage = engine.usage
    assert usage.complete == KindUsage(n_calls=1, n_hits=1, n_prompt_tokens=2, n_completion_tokens=3)
    assert (usage.choose.n_calls, usage.choose.n_hits, usage.choose.n_completion_tokens) == (1, 1, 0)
    assert usage.score.n_completion_tokens == 2
    assert usage.total.n_calls == 3
    assert usage.total.n_hits == 3


def test_greedy_requests_share_a_key_across_seeds() -> None:
    """At temperature 0 the seed is no part of the key; above it, it is."""
    inner = ScriptedEngine()
    engine = CachedEngine(inner, DictMemory())
    for seed in range(3):
        ask(engine, [draw(engine, seed=seed, temperature=0.0)])
    assert inner.n_calls["complete"] == 1
    for seed in range(3):
        ask(engine, [draw(engine, seed=seed, temperature=0.5)])
    assert inner.n_calls["complete"] == 4


def test_hint_is_no_part_of_the_key() -> None:
    """A request with another hint is the same request."""
    inner = ScriptedEngine()
    engine = CachedEngine(inner, DictMemory())
    request = draw(engine, seed=1)
    ask(engine, [request])
    ask(engine, [request.model_copy(update={"n_shared": 1})])
    assert inner.n_calls["complete"] == 1


def test_engines_do_not_answer_for_each_other() -> None:
    """One memory under two engines keeps their answers apart."""
    memory = DictMemory()
    request = CompletionRequest(text="Hello")
    texts = [
        ask(CachedEngine(ScriptedEngine(lambda _, name=name: name, script=name), memory), [request])[0].text
        for name in ("one", "two")
    ]
    assert texts == ["one", "two"]
    assert len(memory) == 2


def test_errors_are_not_remembered() -> None:
    """A failed call is put to the engine again, and all who waited for it see its error."""
    failures = iter([True, False])

    def reply(request: CompletionRequest) -> str:
        if next(failures):
            raise EngineError(f"no answer to {request.text}")
        return "an answer"

    memory = DictMemory()
    engine = CachedEngine(ScriptedEngine(reply), memory)
    request = CompletionRequest(text="Hello")

    async def ask_twice_at_once() -> list[object]:
        return await asyncio.gather(engine.complete(request), engine.complete(request), return_exceptions=True)

    assert [type(end) for end in asyncio.run(ask_twice_at_once())] == [EngineError, EngineError]
    assert len(memory) == 0
    assert ask(engine, [request])[0].text == "an answer"
    assert (engine.usage.complete.n_calls, engine.usage.complete.n_hits) == (2, 0)


def test_cancelled_first_caller_leaves_the_call_to_the_second() -> None:
    """The caller that makes a call may be cancelled: one of those that joined it makes it anew, for all of them."""
    inner = ScriptedEngine(latency_s=0.02)
    engine = CachedEngine(inner, DictMemory())

    async def scene() -> set[str]:
        first, *others = (asyncio.create_task(engine.complete(draw(engine, seed=1))) for _ in range(4))
        await asyncio.sleep(0)
        first.cancel()
        texts = {(await one).text for one in others}
        assert first.cancelled()
        return texts

    assert asyncio.run(scene()) == {ask(engine, [draw(engine, seed=1)])[0].text}
    assert inner.n_calls["complete"] == 2
    assert engine.usage.complete.n_hits == 3


def test_cancelled_caller_that_joined_leaves_the_call_alone() -> None:
    """Who waits for another's call may be cancelled; the call goes on for the others."""
    inner = ScriptedEngine(latency_s=0.02)
    engine = CachedEngine(inner, DictMemory())

    async def scene() -> set[str]:
        first, second, third = (asyncio.create_task(engine.complete(draw(engine, seed=1))) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        texts = {(await one).text for one in (first, third)}
        assert second.cancelled()
        return texts

    assert len(asyncio.run(scene())) == 1
    assert inner.n_calls["complete"] == 1


def test_call_that_nobody_waits_for_is_given_up() -> None:
    """When all callers are cancelled so is the call; who asks next gets a fresh one, not its cancellation."""
    inner = ScriptedEngine(latency_s=0.5)
    memory = DictMemory()
    engine = CachedEngine(inner, memory)

    async def scene() -> str:
        callers = [asyncio.create_task(engine.complete(draw(engine, seed=1))) for _ in range(2)]
        await asyncio.sleep(0.005)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert len(memory) == 0
        return (await engine.complete(draw(engine, seed=1))).text

    assert asyncio.run(scene())
    assert inner.n_calls["complete"] == 2


def test_loops_of_two_threads_do_not_wait_for_each_other() -> None:
    """The same request from two event loops at once is answered in both."""
    engine = CachedEngine(ScriptedEngine(latency_s=0.05), DictMemory())
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(ask(engine, [draw(engine, seed=1)])[0].text)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 2
    assert len(set(texts)) == 1


def test_closed_engine_refuses_what_it_remembers() -> None:
    """After ``close`` even a remembered answer is refused, and the engine inside is closed."""
    inner = ScriptedEngine()
    engine = CachedEngine(inner, DictMemory())
    ask(engine, [draw(engine, seed=1)])
    engine.close()
    for closed in (engine, inner):
        with pytest.raises(EngineError, match="closed"):
            ask(closed, [draw(engine, seed=1)])


def test_closed_engine_lets_go() -> None:
    """The engine inside, and all that it holds, is free once the outer one is closed, whoever still names that."""
    engine = CachedEngine(ScriptedEngine(script="inner"), DictMemory())
    ask(engine, [draw(engine, seed=1)])
    inner = weakref.ref(engine._open)
    identity = engine.identity
    engine.close()
    gc.collect()
    assert inner() is None
    assert engine.identity == identity
    engine.close()


def test_damaged_memory_is_named() -> None:
    """A payload that is not an answer raises, and is not taken for one."""
    memory = DictMemory()
    engine = CachedEngine(ScriptedEngine(), memory)
    request = CompletionRequest(text="Hello")
    memory.put(request.key(engine.identity), '{"text": "half"}')
    with pytest.raises(JournalError, match="not a Completion"):
        ask(engine, [request])


class _BrokenChoices(ScriptedEngine):
    async def choose(self, request: ChoiceRequest) -> Choice:
        return Choice(logprobs=(-1.0, float("-inf")), mass=0.3, n_prompt_tokens=len(request.options))


def test_infinite_log_probability_is_refused() -> None:
    """What JSON cannot hold is the engine's error, and is not remembered as null."""
    memory = DictMemory()
    engine = CachedEngine(_BrokenChoices(), memory)
    with pytest.raises(EngineError, match="not finite"):
        ask(engine, [choose(engine, "Which?")])
    assert len(memory) == 0


@pytest.mark.parametrize("is_answer", [True, False])
def test_what_comes_too_late_is_remembered_where_it_is_an_answer(*, is_answer: bool) -> None:
    """Some engines make an answer of what their model gave only where they were asked, which is given up."""

    class Late(ScriptedEngine):
        async def complete(self, request: CompletionRequest) -> Completion:
            answer = await ScriptedEngine.complete(self, request)
            raise TooLate(answer if is_answer else "a raw output")

    memory, request = DictMemory(), CompletionRequest(text="Hello")
    with pytest.raises(asyncio.CancelledError):
        ask(CachedEngine(Late(), memory), [request])
    assert len(memory) == is_answer
    inner = ScriptedEngine()
    assert ask(CachedEngine(inner, memory), [request])
    assert inner.n_calls.total() == (not is_answer)


class Sharing(ScriptedEngine):
    """A scripted engine that says how much of its prompts it did not compute again."""

    prefix_statistics = SimpleNamespace(n_from_cache=0)


def test_tokens_from_a_shared_prefix_are_counted() -> None:
    """What the engine counts is in the usage, also when it is closed; it is never more than the prompts' tokens."""
    engine = CachedEngine(Sharing(), DictMemory())
    ask(engine, [draw(engine, seed=1), draw(engine, seed=2)])
    assert engine.usage.n_prompt_tokens_from_prefix == 0
    Sharing.prefix_statistics.n_from_cache = 2
    engine.close()
    assert engine.usage.n_prompt_tokens_from_prefix == 2
    assert (engine.usage + engine.usage).n_prompt_tokens_from_prefix == 4
    Sharing.prefix_statistics.n_from_cache = 10**6
    assert engine.usage.n_prompt_tokens_from_prefix == engine.usage.total.n_prompt_tokens
