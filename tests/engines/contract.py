"""What every engine must keep to: import ``EngineContract``, subclass it as ``Test...``, override ``make_engine``.

```python
from engines.contract import EngineContract

class TestMyEngine(EngineContract):
    @pytest.fixture
    def make_engine(self, tiny_model):
        return lambda: MyEngine(tiny_model)
```

A capability that the engine lacks is skipped where it is the subject, and must be refused where it is asked for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from charter.errors import CapabilityError, EngineError
from charter.records import Message

MakeEngine = Callable[[], Engine]
Answer = Completion | Choice | Score

QUESTIONS = (
    "How do I mend a bicycle chain?",
    "Which of the two answers is better, and why? Say it in a sentence that a child would understand.",
    "What is 7 x 8?",
    "Write a line about a harbour at night.",
)


class EngineContract:
    """The tests; ``tolerance`` is in nats, and wide enough for what batching does to the engine's arithmetic."""

    tolerance: ClassVar[float] = 1e-4
    text_survives_batching: ClassVar[bool] = True

    @pytest.fixture
    def make_engine(self) -> MakeEngine:
        """Give a function that makes an engine, each time a new one with the same identity."""
        raise NotImplementedError("override make_engine in the class that takes on the contract")

    @pytest.fixture
    def engine(self, make_engine: MakeEngine) -> Iterator[Engine]:
        """Make an engine, and close it after the test."""
        engine = make_engine()
        yield engine
        engine.close()

    def test_is_an_engine_whose_identity_is_its_own(self, engine: Engine, make_engine: MakeEngine) -> None:
        """It has the protocol's shape, and two engines made alike are the same to a cache."""
        assert isinstance(engine, Engine)
        other = make_engine()
        assert engine.identity
        assert engine.identity == other.identity
        assert engine.capabilities == other.capabilities
        other.close()

    def test_same_seed_gives_the_same_text(self, engine: Engine) -> None:
        """A sampled text follows from its seed."""
        first, second = ask(engine, [draw(engine, seed=11), draw(engine, seed=11)])
        assert first == second
        assert ask(engine, [draw(engine, seed=11)]) == [first]

    def test_other_seeds_give_other_texts(self, engine: Engine) -> None:
        """At temperature 1, eight seeds do not give one text."""
        texts = {answer.text for answer in ask(engine, [draw(engine, seed=seed) for seed in range(8)])}
        assert len(texts) >= 7

    def test_greedy_text_has_no_seed(self, engine: Engine) -> None:
        """At temperature 0 the seed changes nothing."""
        first, second = ask(engine, [draw(engine, seed=seed, temperature=0.0) for seed in (1, 2)])
        assert first.text == second.text

    def test_hint_changes_nothing(self, engine: Engine) -> None:
        """``n_shared`` is a hint: the answer is the same without it."""
        plain = draw(engine, seed=5)
        with_hint = plain.model_copy(update={"n_shared": 1})
        first, second = ask(engine, [plain, with_hint])
        assert first == second

    def test_stop_string_ends_the_text_and_stays_out_of_it(self, engine: Engine) -> None:
        """The text ends just before the first stop string, and is otherwise the one without it."""
        requests = [draw(engine, seed=seed, max_tokens=40) for seed in range(20)]
        texts = [answer.text for answer in ask(engine, requests)]
        usable = [(request, whole) for request, whole in zip(requests, texts, strict=True) if _inner_word(whole)]
        assert usable, f"none of the texts holds a plain word to stop at: {texts}"
        request, whole = usable[0]
        stop = _inner_word(whole)
        sampling = request.sampling.model_copy(update={"stop": ("\x00never\x00", stop)})
        cut = ask(engine, [request.model_copy(update={"sampling": sampling})])[0]
        assert cut.finish == "stop"
        assert cut.text == whole[: whole.index(stop)]

    def test_token_limit_cuts_and_says_so(self, engine: Engine) -> None:
        """No text is longer than ``max_tokens``, and one that was cut there says ``length``."""
        short = ask(engine, [draw(engine, seed=seed, max_tokens=3) for seed in range(8)])
        assert all(1 <= answer.n_completion_tokens <= 3 for answer in short if answer.finish == "length")
        assert all(answer.n_completion_tokens <= 3 for answer in short)
        assert any(answer.finish == "length" for answer in short)

    def test_options_share_a_probability_mass(self, engine: Engine) -> None:
        """The options' probabilities are a part of 1, and ``mass`` is their sum."""
        require(engine, "choose")
        for choice in ask(engine, [choose(engine, question) for question in QUESTIONS]):
            assert len(choice.logprobs) == 2
            assert all(value <= 0.0 for value in choice.logprobs)
            assert 0.0 < choice.mass <= 1.0
            assert math.fsum(math.exp(value) for value in choice.logprobs) == pytest.approx(choice.mass, rel=1e-3)
            assert choice.n_prompt_tokens > 0

    def test_options_keep_their_order(self, engine: Engine) -> None:
        """Options asked in the other order get the same log-probabilities, in that order."""
        require(engine, "choose")
        request = choose(engine, QUESTIONS[0])
        forward, backward = ask(engine, [request, request.model_copy(update={"options": ("B", "A")})])
        assert forward.logprobs == pytest.approx(backward.logprobs[::-1], abs=self.tolerance)

    def test_score_adds_up(self, engine: Engine) -> None:
        """Two words score what the first scores, plus the second behind the first."""
        require(engine, "score")
        whole, first, second = ask(
            engine,
            [
                score(engine, QUESTIONS[0], " first second"),
                score(engine, QUESTIONS[0], " first"),
                score(engine, QUESTIONS[0], " second", prefill=" first"),
            ],
        )
        assert whole.logprob < first.logprob < 0.0
        assert whole.n_tokens == first.n_tokens + second.n_tokens
        assert whole.logprob == pytest.approx(first.logprob + second.logprob, abs=3 * self.tolerance)

    def test_end_of_turn_is_scored_when_asked_for(self, engine: Engine) -> None:
        """The end of the turn is one token more, and costs log-probability."""
        require(engine, "score", "chat")
        open_end = score(engine, QUESTIONS[0], " first second")
        without, with_end = ask(engine, [open_end, open_end.model_copy(update={"end_turn": True})])
        assert with_end.n_tokens == without.n_tokens + 1
        assert with_end.logprob < without.logprob

    def test_many_calls_at_once_get_their_own_answers(self, engine: Engine) -> None:
        """64 mixed calls at once are answered as they are one by one."""
        requests = mixed_requests(engine, 64)
        at_once = ask(engine, requests)
        one_by_one = [ask(engine, [request])[0] for request in requests]
        for together, alone in zip(at_once, one_by_one, strict=True):
            self.assert_same(together, alone)

    def test_new_engine_answers_alike(self, engine: Engine, make_engine: MakeEngine) -> None:
        """An engine of the same identity gives the same answers: a rerun is identical."""
        requests = mixed_requests(engine, 6)
        other = make_engine()
        for here, there in zip(ask(engine, requests), ask(other, requests), strict=True):
            self.assert_same(here, there)
        other.close()

    def test_cancelled_call_leaves_the_others_alone(self, engine: Engine) -> None:
        """Calls that are cancelled while they wait take nothing from their neighbours."""
        requests = [draw(engine, seed=seed, question=QUESTIONS[seed % 4]) for seed in range(12)]
        expected = ask(engine, requests)

        async def cancel_some() -> list[Any]:
            fresh = [draw(engine, seed=100 + seed, max_tokens=64) for seed in range(6)]
            doomed = [asyncio.create_task(call(engine, request)) for request in fresh]
            kept = [asyncio.create_task(call(engine, request)) for request in requests]
            await asyncio.sleep(0)
            for task in doomed:
                task.cancel()
            ends = await asyncio.gather(*doomed, return_exceptions=True)
            assert any(isinstance(end, asyncio.CancelledError) for end in ends)
            return await asyncio.gather(*kept)

        for found, wanted in zip(asyncio.run(cancel_some()), expected, strict=True):
            self.assert_same(found, wanted)

    def test_closed_engine_refuses(self, make_engine: MakeEngine) -> None:
        """After ``close``, which may be called twice, every call raises."""
        engine = make_engine()
        requests = mixed_requests(engine, 3)
        ask(engine, requests)
        engine.close()
        engine.close()
        for request in requests:
            with pytest.raises(EngineError):
                ask(engine, [request])

    def test_what_it_cannot_do_is_refused(self, engine: Engine) -> None:
        """A call outside the capabilities raises ``CapabilityError``, never gives a default."""
        chat = {"messages": (Message(role="user", content=QUESTIONS[0]),)}
        asked: dict[Capability, Request] = {
            "choose": choose(engine, QUESTIONS[0]),
            "score": score(engine, QUESTIONS[0], " first"),
            "chat": CompletionRequest.model_validate(chat),
            "text": CompletionRequest(text=QUESTIONS[0]),
            "schema": draw(engine, seed=0).model_copy(update={"json_schema": '{"type": "object"}'}),
        }
        for capability, request in asked.items():
            if capability not in engine.capabilities:
                with pytest.raises(CapabilityError):
                    ask(engine, [request])

    def assert_same(self, found: Answer, wanted: Answer) -> None:
        """Hold two answers to one request against each other."""
        assert type(found) is type(wanted)
        if isinstance(found, Completion):
            if self.text_survives_batching:
                assert found == wanted
        elif isinstance(found, Choice):
            assert found.logprobs == pytest.approx(wanted.logprobs, abs=self.tolerance)
        else:
            assert found.n_tokens == wanted.n_tokens
            assert found.logprob == pytest.approx(wanted.logprob, abs=self.tolerance * found.n_tokens)


def require(engine: Engine, *capabilities: Capability) -> None:
    """Skip the test where the engine lacks what it is about."""
    missing = [name for name in capabilities if name not in engine.capabilities]
    if missing:
        pytest.skip(f"the engine cannot {', '.join(missing)}")


def draw(
    engine: Engine, *, seed: int, question: str = QUESTIONS[0], max_tokens: int = 16, temperature: float = 1.0
) -> CompletionRequest:
    """Ask for a text, in the kind of input that the engine takes."""
    sampling = Sampling(seed=seed, max_tokens=max_tokens, temperature=temperature)
    return CompletionRequest(**_put(engine, question), sampling=sampling)


def choose(engine: Engine, question: str) -> ChoiceRequest:
    """Ask for a choice between two letters behind an open bracket, where each is one token."""
    return ChoiceRequest(**_put(engine, question), prefill="(")


def score(engine: Engine, question: str, continuation: str, prefill: str = "") -> ScoreRequest:
    """Ask for a continuation's score."""
    return ScoreRequest(**_put(engine, question), continuation=continuation, prefill=prefill)


def mixed_requests(engine: Engine, n: int) -> list[Request]:
    """Make requests of every kind that the engine answers, in turn."""
    made: list[Request] = []
    for number in range(n):
        question = QUESTIONS[number // 3 % len(QUESTIONS)]
        kind = ("complete", "choose", "score")[number % 3]
        if kind == "choose" and kind in engine.capabilities:
            made.append(choose(engine, f"{question} ({number})"))
        elif kind == "score" and kind in engine.capabilities:
            made.append(score(engine, question, f" answer {number}"))
        else:
            made.append(draw(engine, seed=number, question=question, max_tokens=4 + number % 9))
    return made


async def call(engine: Engine, request: Request) -> Any:
    """Put one request to the engine, by its kind."""
    if isinstance(request, CompletionRequest):
        return await engine.complete(request)
    if isinstance(request, ChoiceRequest):
        return await engine.choose(request)
    assert isinstance(request, ScoreRequest)
    return await engine.score(request)


def ask(engine: Engine, requests: Sequence[Request]) -> list[Any]:
    """Put requests to the engine at once, in an event loop of their own (as each stage of a run does)."""

    async def gather() -> list[Any]:
        return await asyncio.gather(*(call(engine, request) for request in requests))

    return asyncio.run(gather())


def _put(engine: Engine, question: str) -> dict[str, Any]:
    if "chat" in engine.capabilities:
        return {"messages": (Message(role="user", content=question),)}
    return {"text": question}


def _inner_word(text: str) -> str:
    # Plain letters: a byte that is no character of its own can be decoded one way inside a text and another at its end.
    words = [word for word in text.split()[1:] if word.isascii() and word.isalpha() and len(word) >= 2]
    return words[len(words) // 2] if words else ""
