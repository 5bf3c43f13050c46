"""What a server can do, found out by asking it: once, with a handful of the smallest calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from charter.engines.base import ChoiceRequest, CompletionRequest, Sampling
from charter.engines.http.answers import count_tokens, judge_answer, read_completion, read_owner, tells_likeliest
from charter.engines.http.bodies import (
    Abilities,
    Prefill,
    choice_body,
    completion_body,
    models_body,
    most_tokens,
)
from charter.engines.http.calls import Caller
from charter.engines.http.metering import Meter
from charter.engines.http.servers import Server, recognise
from charter.engines.usage import KindUsage
from charter.errors import EngineError, ModelError, Unanswered, Unreachable
from charter.records import Message

_FoundT = TypeVar("_FoundT")

_SCHEMA = {
    "type": "object",
    "properties": {"first": {"type": "string", "enum": ["A", "B"]}},
    "required": ["first"],
    "additionalProperties": False,
}
_SCHEMA_TOKENS = 48  # what the object takes, with room for white space
_OBJECTS = ('{"first":"A"}', '{"first":"B"}')
_LEAST_OF_OBJECT = len('{"')
_QUESTION = (Message(role="user", content="Which letter comes first, A or B?"),)
_BEGINNING = "Of the two letters the first is ("
_MOST_EXTRA = 1  # tokens between prompt and answer: two texts may split otherwise where they meet
_MOST_NAMES = 4


@dataclass(frozen=True)
class Met:
    """What a server was found to be and to do for a model, and what asking took where no engine counts that."""

    server: Server
    able: Abilities
    asked: KindUsage = field(default_factory=KindUsage)


#: What is known of models behind servers: by model, where it is, and the variable of the key.
Known = dict[tuple[str, str | tuple[str, ...] | None, str | None], Met]


@dataclass(frozen=True)
class _Answered:
    """What a small call tells: the prompt's tokens, the model's name, the text."""

    n_prompt: int
    model: str
    text: str


@dataclass(frozen=True)
class _Probe:
    """Who is asked, and as what."""

    caller: Caller
    model: str
    server: Server
    place: int
    meter: Meter

    async def attempt(
        self, request: CompletionRequest | ChoiceRequest, able: Abilities, read: Callable[[dict[str, Any]], _FoundT]
    ) -> _FoundT | None:
        """Put what a server need not do; None where it refuses that. From one that is silent nothing is concluded."""
        try:
            return await self.put(request, able, read)
        except Unanswered:
            raise
        except (EngineError, ModelError):
            return None

    async def put(
        self, request: CompletionRequest | ChoiceRequest, able: Abilities, read: Callable[[dict[str, Any]], _FoundT]
    ) -> _FoundT:
        """Put a request to the server that is probed; held to the budget and counted as any other."""
        asked = self.model, self.server, able
        body = choice_body(request, *asked) if isinstance(request, ChoiceRequest) else completion_body(request, *asked)
        call = self.meter.call("complete", most_tokens(request, body, able))

        def read_text(text: str) -> _FoundT:
            return call.read(text, lambda answer: read(judge_answer(answer, able)))

        return await self.caller.put(body, self.place, read_text, call.hold)


async def probe(caller: Caller, model: str, server: Server, meter: Meter) -> Met:
    """Find out what kind of server answers, and what it can do for a model.

    Of several servers each is asked for a token; what the first that answers can do, all of them must.

    Args:
        caller: puts what is asked to the servers.
        model: as they call it.
        server: what is known of them.
        meter: counts what that takes, and holds it to the budget.

    Raises:
        BudgetSpent: where the budget does not hold it.
        EngineError: where none answers a chat; ``Unanswered`` where one is too slow or busy to be found out about.
        ModelError: where one wants another key, or has no such model.
    """
    server = recognise(server, await _find_owner(caller, model))
    probes = [_Probe(caller, model, server, place, meter) for place in range(caller.n_places)]
    found = await asyncio.gather(*map(_meet, probes))
    met = [(place, answer) for place, answer in enumerate(found) if isinstance(answer, _Answered)]
    if not met:
        raise next(answer for answer in found if isinstance(answer, EngineError))
    named = frozenset(answer.model for _, answer in met if answer.model)
    asked = probes[met[0][0]]
    known = Abilities(served=named | {model} if named else named, n_template=max(answer.n_prompt for _, answer in met))
    try:
        return Met(server, await _find_abilities(asked, known, met[0][1].n_prompt))
    except Unanswered as error:
        raise Unanswered(
            f"what the server can do could not be found out: {error}. Run the same command when it has less to do, or "
            "raise call_seconds of the model"
        ) from error


async def _find_abilities(asked: _Probe, known: Abilities, n_plain: int) -> Abilities:
    able = await _probe_prefill(asked, known, n_plain)
    able = replace(able, n_top=await _count_top(asked, ChoiceRequest(messages=_QUESTION, prefill="("), able))
    able = replace(able, holds_schema=await _holds_schema(asked, able))
    return await _probe_text(asked, able)


async def _find_owner(caller: Caller, model: str) -> str:
    """Ask the servers in turn for their list of models, and name whose it is; empty where none tells."""
    for place in range(caller.n_places):
        try:
            return await caller.put(models_body(), place, lambda text: read_owner(text, model))
        except Unreachable:
            if caller.n_places == 1:
                raise
        except (EngineError, ModelError):
            continue
    return ""


async def _meet(asked: _Probe) -> _Answered | EngineError:
    """Draw a token, and learn what the server calls the model: what it was asked for, or any other name twice."""
    try:
        answer = await asked.put(_one_token(), Abilities(), _answered)
        for _ in range(_MOST_NAMES):
            before = answer.model
            if before in {"", asked.model}:
                return answer
            answer = await asked.put(_one_token(), Abilities(), _answered)
            if answer.model == before:
                return answer
    except EngineError as error:
        return error
    first, then = (asked.caller.told(name) for name in (before, answer.model))
    return EngineError(f"the server answers as {first}, then as {then}, where {asked.model} was asked for")


async def _probe_prefill(asked: _Probe, able: Abilities, n_plain: int) -> Abilities:
    """Find out by counting tokens: a beginning that is gone on with adds its own, a finished turn its frame besides.

    Some templates frame a turn with one token alone. What asks for going on then saves that token.
    """
    ways: tuple[Prefill, ...] = ("last message", "continued message")
    found = [await _count_beginning(asked, replace(able, prefill=way), n_plain) for way in ways]
    fewest = min((once.n_prompt for once, _ in found if once is not None), default=0)
    for way, (once, goes_on) in zip(ways, found, strict=True):
        if once is not None and goes_on and once.n_prompt == fewest:
            return replace(able, prefill=way, repeats_prefill=once.text.startswith(_BEGINNING))
    return able


async def _count_beginning(asked: _Probe, able: Abilities, n_plain: int) -> tuple[_Answered | None, bool]:
    """Ask with a beginning, and say whether by the number of tokens it can have been gone on with."""
    once = await asked.attempt(_one_token(_BEGINNING), able, _answered)
    twice = once and await asked.attempt(_one_token(f"{_BEGINNING}{_BEGINNING}"), able, _answered)
    if once is None or twice is None:  # it knows no such message, or no such words
        return None, False
    n_more = twice.n_prompt - once.n_prompt
    return once, n_more > 0 and abs(once.n_prompt - n_plain - n_more) <= _MOST_EXTRA


async def _probe_text(asked: _Probe, able: Abilities) -> Abilities:
    reads = replace(able, reads_text=True)
    plain = CompletionRequest(text="A, B, C,", sampling=Sampling(max_tokens=1, temperature=0.0))
    if await asked.attempt(plain, reads, _answered) is None:
        return able
    request = ChoiceRequest(text="A, B, C,", options=(" D", " E"))
    return replace(reads, n_top_of_text=await _count_top(asked, request, reads))


async def _holds_schema(asked: _Probe, able: Abilities) -> bool:
    """Ask for JSON, of which the question says nothing, and see whether it comes."""
    drawn = Sampling(max_tokens=_SCHEMA_TOKENS, temperature=0.0)
    request = CompletionRequest(messages=_QUESTION, sampling=drawn, json_schema=json.dumps(_SCHEMA))
    answer = await asked.attempt(request, replace(able, holds_schema=True), _answered)
    # The schema leaves white space free, and small models fill the limit with it: what begins as the object does.
    begun = "" if answer is None else "".join(answer.text.split())
    return len(begun) >= _LEAST_OF_OBJECT and any(whole.startswith(begun) for whole in _OBJECTS)


async def _count_top(asked: _Probe, request: ChoiceRequest, able: Abilities) -> int:
    """Find the most of the likeliest tokens that the server tells: what it should, or what others do; 0 for none."""
    server = asked.server
    for n_top in sorted({server.n_top, min(server.n_top, 20), min(server.n_top, 5)}, reverse=True):
        tells = await asked.attempt(request, replace(able, n_top=n_top, n_top_of_text=n_top), tells_likeliest)
        if tells is not None:
            return n_top if tells else 0
    return 0


def _one_token(prefill: str = "") -> CompletionRequest:
    drawn = Sampling(max_tokens=1, temperature=0.0)
    return CompletionRequest(messages=_QUESTION, prefill=prefill, sampling=drawn)


def _answered(answer: dict[str, Any]) -> _Answered:
    name = answer.get("model")
    drawn = read_completion(answer)
    return _Answered(count_tokens(answer)[0], name if isinstance(name, str) else "", drawn.text)
