from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import ChoiceRequest, Completion, CompletionRequest, Engine
from charter.engines.cache import DictMemory
from charter.engines.http import failures
from charter.engines.pool import Pool
from charter.engines.specs import ModelSpec
from charter.engines.spending import Spending
from charter.engines.weights import ModelFolder
from charter.errors import EngineError, ModelError
from engines.fault_server import FaultServer, Manners
from method_examples import PROMPT

ROLES = {
    "policy": ModelSpec("one", engine="scripted"),
    "critic": ModelSpec("one", engine="scripted"),
    "judge": ModelSpec("two", engine="scripted"),
}
REQUEST = CompletionRequest(messages=PROMPT.turns)


@pytest.fixture
def pool() -> Pool:
    """Give a pool of two scripted models for three roles."""
    return Pool(ROLES, DictMemory())


def _ask(engine: Engine, *requests: CompletionRequest) -> list[Completion]:
    async def ask() -> list[Completion]:
        return [await engine.complete(request) for request in requests]

    return asyncio.run(ask())


def test_roles_of_one_model_share_its_engine(pool: Pool) -> None:
    """A model is loaded once, however many roles it plays; other models are others."""
    assert pool.engine("policy") is pool.engine("critic")
    assert pool.engine("policy") is not pool.engine("judge")
    assert pool.engine("policy").identity != pool.engine("judge").identity


def test_answers_outlive_the_engine(pool: Pool) -> None:
    """A closed engine refuses; the next of the same model recalls what the first one answered."""
    first = pool.engine("policy")
    answer = _ask(first, REQUEST)
    pool.close()
    with pytest.raises(EngineError, match="closed"):
        _ask(first, REQUEST)
    assert _ask(pool.engine("policy"), REQUEST) == answer
    pool.close()
    used = pool.take_usage()["one"].complete
    assert (used.n_calls, used.n_hits) == (1, 1)


def test_usage_is_counted_over_engines_that_were_closed(pool: Pool) -> None:
    """Counts of a model add up over its closings, and start anew once they were taken."""
    for seed in range(3):
        sampling = REQUEST.sampling.model_copy(update={"seed": seed})
        _ask(pool.engine("policy"), REQUEST.model_copy(update={"sampling": sampling}))
        pool.close()
    asyncio.run(pool.engine("judge").choose(ChoiceRequest(messages=PROMPT.turns)))
    pool.close()
    used = pool.take_usage()
    assert {model: one.total.n_calls for model, one in used.items()} == {"one": 3, "two": 1}
    assert used["two"].choose.n_calls == 1
    assert used["one"].total.n_completion_tokens > 0
    assert pool.take_usage() == {}


def test_a_trained_scripted_model_is_another_one(pool: Pool) -> None:
    """A scripted model has no weights: trained, it answers under another name, one for each training."""
    names = [pool.trained("policy", Path(f"/runs/demo/models/{name}")).identity for name in ("sft", "dpo")]
    assert len({pool.engine("policy").identity, *names}) == 3
    assert pool.trained("policy", Path("elsewhere/sft")).identity == names[0]


def test_a_trained_model_is_the_base_with_its_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded for a trained model is its adapter, with the settings of its base."""
    asked: list[Any] = []

    def resolve(name: str, **options: Any) -> None:
        asked.append((name, options["trust_remote_code"]))
        raise ModelError("not here")

    monkeypatch.setattr("charter.engines.loading.resolve_model", resolve)
    pool = Pool({"policy": ModelSpec("base", trust_remote_code=True)}, DictMemory())
    for load in (lambda: pool.engine("policy"), lambda: pool.trained("policy", Path("models/sft"))):
        with pytest.raises(ModelError):
            load()
    assert asked == [("base", True), ("models/sft", True)]
    assert ModelSpec("base", adapter=Path("models/sft")).label == "base+sft"


def test_what_is_lent_is_closed(pool: Pool) -> None:
    """A lent engine is closed when it is given back, also where something went wrong; others stay open."""
    other = pool.engine("judge")
    with pool.lend("policy") as engine:
        answer = _ask(engine, REQUEST)
    with pytest.raises(EngineError, match="closed"):
        _ask(engine, REQUEST)
    lent: list[Engine] = []

    def fail() -> None:
        with pool.lend("policy", Path("models/sft")) as trained:
            lent.append(trained)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert lent[0].identity != engine.identity
    with pytest.raises(EngineError, match="closed"):
        _ask(lent[0], REQUEST)
    assert _ask(other, REQUEST)
    assert _ask(pool.engine("policy"), REQUEST) == answer
    assert pool.take_usage()["one"].complete.n_calls == 1


@pytest.mark.model
def test_a_model_of_weights_answers(tiny_model: Path) -> None:
    """A role played by a model folder answers through its weights, and gives its memory back."""
    pool = Pool({"policy": ModelSpec(str(tiny_model), device="cpu", dtype="float32")}, DictMemory())
    sampling = REQUEST.sampling.model_copy(update={"max_tokens": 4})
    request = REQUEST.model_copy(update={"sampling": sampling})
    answer = _ask(pool.engine("policy"), request)[0]
    pool.close()
    assert answer.n_completion_tokens <= 4
    assert pool.take_usage()[str(tiny_model)].complete.n_calls == 1


def test_what_a_server_takes_that_is_not_opened_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends pages in place of answers: each may have been paid for, and the run's tally has it."""
    monkeypatch.setattr(failures, "_BASE_SECONDS", 0.005)
    spending = Spending()
    with FaultServer(Manners(share=1.0, faults=("html",), most_faults=100, lists_models=False)) as server:
        pool = Pool({"judge": ModelSpec("stub", "http", server.url)}, DictMemory(), spending=spending)
        for n_times in (1, 2):
            with pytest.raises(EngineError, match="gave up after 8 tries"):
                pool.engine("judge")
            total = pool.usage["stub"].total
            assert total.n_calls == n_times
            assert total.n_prompt_tokens + total.n_completion_tokens == spending.tokens > n_times * 8
    assert pool.take_usage()["stub"].total == total
    assert pool.usage == {}


def test_a_model_is_named_once_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded is told before it is, but neither a name that means nothing nor a scripted engine."""
    told: list[str] = []
    roles = {"policy": ModelSpec("some-model"), "critic": ModelSpec("one", engine="scripted")}
    pool = Pool(roles, DictMemory())
    pool.on_load = told.append
    pool.engine("critic")
    monkeypatch.setattr("charter.engines.loading.resolve_model", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        pool.engine("policy")
    assert told == []
    monkeypatch.setattr(
        "charter.engines.loading.resolve_model", lambda name, **_: ModelFolder(name, Path(name), "folder")
    )
    monkeypatch.setitem(sys.modules, "charter.engines.transformers", None)  # whose import fails then
    with pytest.raises(ImportError):
        pool.engine("policy")
    assert told == ["some-model"]
