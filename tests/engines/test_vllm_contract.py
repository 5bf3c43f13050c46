"""The contract on vLLM itself, and what the contract does not ask: adapters, prefixes, schemas, ends."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charter.engines.base import Choice, Sampling
from charter.engines.transformers import TransformersEngine
from charter.engines.vllm import Hosts, HostSettings, VllmEngine
from charter.engines.weights import resolve_model
from charter.errors import EngineError, ModelError
from engines.contract import QUESTIONS, EngineContract, MakeEngine, ask, choose, draw, score

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore"),  # vLLM imports what torch is about to drop
]
_SETTINGS = HostSettings(dtype="float32", max_rows=64)
_HERE = importlib.util.find_spec("vllm") is not None
_PLACES = [
    pytest.param(False, id="in-process", marks=pytest.mark.skipif(not _HERE, reason="vLLM is not in this environment")),
    pytest.param(
        True,
        id="served",
        marks=pytest.mark.skipif(
            not (_HERE or os.environ.get("CHARTER_VLLM")), reason="CHARTER_VLLM names no environment with vLLM"
        ),
    ),
]

Make = Callable[[Path], VllmEngine]


@pytest.fixture(scope="module", params=_PLACES)
def served(request: pytest.FixtureRequest) -> bool:
    """Whether vLLM runs in this process or in a server of ours."""
    return bool(request.param)


@pytest.fixture(scope="module")
def make(served: bool) -> Iterator[Make]:
    """Make engines on one set of hosts for all tests of this file: one takes half a minute to begin."""
    hosts, begun = Hosts(), set()

    def make_engine(model: Path) -> VllmEngine:
        folder = resolve_model(str(model))
        host = hosts.find(folder, _SETTINGS, served=served)
        begun.add(host)
        return VllmEngine(folder, host)

    yield make_engine
    for host in begun:
        host.close()


@pytest.fixture
def engine(make: Make, tiny_wide_model: Path) -> VllmEngine:
    """The base."""
    return make(tiny_wide_model)


@pytest.fixture
def plain(tiny_wide_model: Path) -> Iterator[TransformersEngine]:
    """The same weights in the engine that is always there."""
    engine = TransformersEngine(tiny_wide_model, dtype="float32", device="cpu")
    yield engine
    engine.close()


class TestVllmContract(EngineContract):
    """The engine keeps the contract on a tiny Llama."""

    tolerance = 2e-3  # its attention sums in another order in other batches
    text_survives_batching = False

    @pytest.fixture
    def make_engine(self, make: Make, tiny_wide_model: Path) -> MakeEngine:
        """Make engines on one host."""
        return lambda: make(tiny_wide_model)


def test_it_reads_what_transformers_reads(engine: VllmEngine, plain: TransformersEngine) -> None:
    """Options and continuations have the same log-probabilities in both engines."""
    asked = [choose(engine, QUESTIONS[0]), choose(engine, QUESTIONS[1])]
    for here, there in zip(ask(engine, asked), ask(plain, asked), strict=True):
        assert here.logprobs == pytest.approx(there.logprobs, abs=2e-3)
        assert here.mass == pytest.approx(there.mass, rel=5e-3)
        assert here.n_prompt_tokens == there.n_prompt_tokens
    scored = [score(engine, QUESTIONS[0], " first second"), score(engine, QUESTIONS[2], " 56.")]
    for here, there in zip(ask(engine, scored), ask(plain, scored), strict=True):
        assert here.n_tokens == there.n_tokens
        assert here.n_prompt_tokens == there.n_prompt_tokens
        assert here.logprob == pytest.approx(there.logprob, abs=2e-3 * here.n_tokens)


def test_a_greedy_text_is_the_one_of_transformers(engine: VllmEngine, plain: TransformersEngine) -> None:
    """Without chance both engines write the same, and count the same tokens."""
    asked = [draw(engine, seed=0, temperature=0.0, question=question) for question in QUESTIONS]
    for here, there in zip(ask(engine, asked), ask(plain, asked), strict=True):
        assert here == there.model_copy(update={"text": there.text.rstrip("\ufffd")})  # vLLM leaves out half characters


def test_prefixes_come_from_memory(engine: VllmEngine) -> None:
    """What a prompt has in common with an earlier one is not computed again, and is counted."""
    long = "A harbour at night. " * 40
    ask(engine, [draw(engine, seed=1, question=long)])
    before = engine.prefix_statistics.n_from_cache
    answer = ask(engine, [draw(engine, seed=2, question=long)])[0]
    assert engine.prefix_statistics.n_from_cache - before > answer.n_prompt_tokens // 2


def test_a_schema_is_kept_to(engine: VllmEngine) -> None:
    """Even a random model writes JSON that satisfies the schema."""
    schema = {
        "type": "object",
        "properties": {"better": {"enum": ["A", "B"]}},
        "required": ["better"],
        "additionalProperties": False,
    }
    asked = draw(engine, seed=1, max_tokens=40).model_copy(update={"json_schema": json.dumps(schema)})
    for answer in ask(engine, [asked, asked.model_copy(update={"sampling": Sampling(seed=2, max_tokens=40)})]):
        assert json.loads(answer.text)["better"] in {"A", "B"}


def test_a_prompt_that_is_too_long_is_refused(engine: VllmEngine) -> None:
    """It says how long it is and how long it may be; the engine goes on."""
    with pytest.raises(EngineError, match="the model reads 1024 at most"):
        ask(engine, [draw(engine, seed=1, question="word " * 2000)])
    assert ask(engine, [draw(engine, seed=1)])[0].text


def test_a_text_ends_at_the_end_of_the_context(engine: VllmEngine) -> None:
    """What is asked for beyond it is not drawn, and the text is said to be cut."""
    question = "word " * 150
    answer = ask(engine, [draw(engine, seed=1, question=question, max_tokens=4000)])[0]
    assert answer.finish in {"stop", "length"}
    assert answer.n_prompt_tokens + answer.n_completion_tokens <= 1024


def test_calls_that_nobody_waits_for_are_given_up(engine: VllmEngine) -> None:
    """Cancelled calls are given up in vLLM too, which then has nothing left to do."""

    async def give_up() -> None:
        calls = [asyncio.create_task(engine.complete(draw(engine, seed=n, max_tokens=900))) for n in range(8)]
        await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(end, asyncio.CancelledError) for end in ends)

    asyncio.run(give_up())
    assert ask(engine, [draw(engine, seed=1)])[0].text


def test_an_adapter_is_put_on_without_merging(
    make: Make, engine: VllmEngine, tiny_wide_model: Path, tiny_adapter: Path
) -> None:
    """Base and adapter answer side by side, the adapter as it does merged; the base as before."""
    asked = [choose(engine, question) for question in QUESTIONS]
    base_before = ask(engine, asked)
    adapted = make(tiny_adapter)
    engine = make(tiny_wide_model)  # begun anew, with room for an adapter
    merged = TransformersEngine(resolve_model(str(tiny_adapter)), dtype="float32", device="cpu")
    assert adapted.identity != engine.identity

    async def both() -> tuple[list[Choice], list[Choice]]:
        mixed = await asyncio.gather(*(one.choose(request) for request in asked for one in (engine, adapted)))
        return mixed[::2], mixed[1::2]

    of_base, of_adapter = asyncio.run(both())
    for found, wanted in zip((*of_base, *of_adapter), (*base_before, *ask(merged, asked)), strict=True):
        assert found.logprobs == pytest.approx(wanted.logprobs, abs=5e-3)
    scored = [score(engine, question, " first second") for question in QUESTIONS]
    for found, wanted in zip(ask(adapted, scored), ask(merged, scored), strict=True):
        assert found.logprob == pytest.approx(wanted.logprob, abs=5e-3 * wanted.n_tokens)
    apart = [abs(a.logprobs[0] - b.logprobs[0]) for a, b in zip(of_base, of_adapter, strict=True)]
    assert max(apart) > 0.05, "the adapter changes nothing, so that this test shows nothing"
    merged.close()


def test_adapters_of_other_ranks_are_asked_in_turns(make: Make, tiny_adapter: Path, tiny_wider_adapter: Path) -> None:
    """An adapter that takes more room leaves the one before it as it was; both answer as they do merged."""
    engines = [make(tiny_adapter), make(tiny_wider_adapter)]
    asked = [choose(engines[0], question) for question in QUESTIONS]

    async def in_turns() -> list[Choice]:
        return [await engine.choose(request) for request in asked for engine in engines]

    given = asyncio.run(in_turns())
    for place, adapter in enumerate((tiny_adapter, tiny_wider_adapter)):
        merged = TransformersEngine(resolve_model(str(adapter)), dtype="float32", device="cpu")
        for found, wanted in zip(given[place::2], ask(merged, asked), strict=True):
            assert found.logprobs == pytest.approx(wanted.logprobs, abs=1e-2)
        merged.close()
    apart = [abs(a.logprobs[0] - b.logprobs[0]) for a, b in zip(given[::2], given[1::2], strict=True)]
    assert max(apart) > 0.05, "the adapters answer alike, so that this test shows nothing"


def test_an_adapter_that_vllm_cannot_put_on_is_named(make: Make, tiny_adapter: Path, tmp_path: Path) -> None:
    """What it has that vLLM leaves out would change its answers without a word."""
    folder = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    told = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(told | {"use_dora": True}))
    with pytest.raises(ModelError, match="use_dora"):
        make(folder)


def test_a_model_that_vllm_cannot_load_is_named(
    make: Make, tiny_wide_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message is vLLM's own reason, not its traceback; nothing of it reaches the terminal."""
    folder = shutil.copytree(tiny_wide_model, tmp_path / "model")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"num_hidden_layers": 9}))
    with pytest.raises(ModelError, match=r"vLLM cannot load the model in .*model: \w+"):
        make(folder)
    assert "Traceback" not in "".join(capfd.readouterr())
