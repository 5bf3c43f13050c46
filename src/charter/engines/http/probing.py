"""What a server can do, found out by asking it: once, with a handful of the smallest calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from charter.engines.base import ChoiceRequest, CompletionRequest, Sampling
from charter.engines.http.answers import count_tokens, read_answer, read_choice, read_completion
from charter.engines.http.bodies import Abilities, Body, Prefill, choice_body, completion_body
from charter.engines.http.calls import Caller
from charter.engines.http.servers import Server, recognise
from charter.errors import EngineError
from charter.records import Message

_QUESTION = (Message(role="user", content="Which letter comes first, A or B?"),)
_BEGINNING = "Of the two letters the first is ("
_MOST_EXTRA = 1  # tokens between prompt and answer: two texts may split otherwise where they meet
_ROW = "probe"


async def probe(caller: Caller, model: str, server: Server) -> tuple[Server, Abilities]:
    """Find out what kind of server answers, and what it can do for a model.

    Raises:
        EngineError: where it answers no chat.
        ModelError: where it wants another key, or has no such model.
    """
    models = await caller.read_models()
    listed = next((one for one in models if one.get("id") == model), None)
    server = recognise(server, str((listed or (models[0] if models else {})).get("owned_by", "")))
    n_plain, served = await _ask(caller, model, server, Abilities(), "")
    able = Abilities(served=frozenset({model, served}) if served else frozenset())
    able = await _probe_prefill(caller, model, server, able, n_plain)
    able = replace(able, n_top=await _probe_choice(caller, model, server, able))
    return server, await _probe_text(caller, model, server, able)


async def _probe_prefill(caller: Caller, model: str, server: Server, able: Abilities, n_plain: int) -> Abilities:
    """Find out by counting tokens: a beginning that is gone on with adds its own, a finished turn its frame besides."""
    ways: tuple[Prefill, ...] = ("last message", "continued message")
    for way in ways:
        tried = replace(able, prefill=way)
        try:
            n_once, _ = await _ask(caller, model, server, tried, _BEGINNING)
            n_twice, _ = await _ask(caller, model, server, tried, f"{_BEGINNING}{_BEGINNING}")
            text = await _draw(caller, model, server, tried, _BEGINNING)
        except EngineError:  # it knows no such message, or no such words
            continue
        if n_once - n_plain - (n_twice - n_once) <= _MOST_EXTRA:
            return replace(tried, repeats_prefill=text.startswith(_BEGINNING))
    return able


async def _probe_choice(caller: Caller, model: str, server: Server, able: Abilities) -> int:
    request = ChoiceRequest(messages=_QUESTION, prefill="(")
    for n_top in _numbers(server):
        try:
            body = choice_body(request, model, server, replace(able, n_top=n_top))
            await caller.put(body, _ROW, lambda text: read_choice(read_answer(text, able), request.options))
        except EngineError:
            continue
        return n_top
    return 0


async def _probe_text(caller: Caller, model: str, server: Server, able: Abilities) -> Abilities:
    reads = replace(able, reads_text=True)
    plain = CompletionRequest(text="A, B, C,", sampling=Sampling(max_tokens=1, temperature=0.0))
    try:
        body = completion_body(plain, model, server, reads)
        await caller.put(body, _ROW, lambda text: read_completion(read_answer(text, able)))
    except EngineError:
        return able
    request = ChoiceRequest(text="A, B, C,", options=(" D", " E"))
    for n_top in _numbers(server):
        tried = replace(reads, n_top_of_text=n_top)
        try:
            body = choice_body(request, model, server, tried)
            await caller.put(body, _ROW, lambda text: read_choice(read_answer(text, able), request.options))
        except EngineError:
            continue
        return tried
    return reads


async def _ask(caller: Caller, model: str, server: Server, able: Abilities, prefill: str) -> tuple[int, str]:
    """Count a prompt's tokens, and name the model that answered."""

    def read(text: str) -> tuple[int, str]:
        answer = read_answer(text, able)
        read_completion(answer)
        name: Any = answer.get("model")
        return count_tokens(answer)[0], name if isinstance(name, str) else ""

    return await caller.put(_small(model, server, able, prefill), _ROW, read)


async def _draw(caller: Caller, model: str, server: Server, able: Abilities, prefill: str) -> str:
    body = _small(model, server, able, prefill)
    return await caller.put(body, _ROW, lambda text: read_completion(read_answer(text, able)).text)


def _small(model: str, server: Server, able: Abilities, prefill: str) -> Body:
    request = CompletionRequest(messages=_QUESTION, prefill=prefill, sampling=Sampling(max_tokens=1, temperature=0.0))
    return completion_body(request, model, server, able)


def _numbers(server: Server) -> list[int]:
    """Say how many of the likeliest tokens to ask for, in turn: what the server should tell, and what others do."""
    return sorted({server.n_top, min(server.n_top, 20), min(server.n_top, 5)}, reverse=True)
