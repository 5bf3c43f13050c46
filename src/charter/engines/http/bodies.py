"""From a request to what is sent, in each way that a server may want it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from charter.engines.base import ChoiceRequest, CompletionRequest, Request, Sampling
from charter.engines.http.servers import Server
from charter.errors import CapabilityError

#: How a server takes the beginning of an answer: as a last message of the assistant's that it goes on with, the same
#: with words that ask for it (vLLM), or not at all.
Prefill = Literal["last message", "continued message", "none"]

_FRAME = 16  # tokens that a template puts around a message, at most
_MOST_OF_TEMPLATE = 64  # tokens that a template says of itself, where nobody knows what it says
_SEEDS = 2**31 - 1  # what every server takes
_CONTINUED: Mapping[str, Any] = {"add_generation_prompt": False, "continue_final_message": True}


@dataclass(frozen=True)
class Abilities:
    """What a server was found to do.

    Args:
        prefill: how it takes the beginning of an answer.
        repeats_prefill: whether its answers repeat that beginning.
        n_top: the likeliest tokens that it tells with a chat's answer; 0 where it tells none.
        reads_text: whether it reads raw text.
        n_top_of_text: the likeliest tokens that it tells there.
        holds_schema: whether it holds a chat's answer to a JSON schema.
        n_template: tokens that its template says of itself, at most: what a short question came to with it.
        served: the names by which it may call the model in its answers; empty where any is taken.
    """

    prefill: Prefill = "none"
    repeats_prefill: bool = False
    n_top: int = 0
    reads_text: bool = False
    n_top_of_text: int = 0
    n_template: int = _MOST_OF_TEMPLATE
    served: frozenset[str] = frozenset()
    holds_schema: bool = False


@dataclass(frozen=True)
class Body:
    """What is sent.

    Args:
        path: behind the base address.
        value: of JSON; None only asks for what is there.
        keeps_connection: whether the connection may stay open behind it.
    """

    path: str
    value: dict[str, Any] | None
    keeps_connection: bool = True


_IN_SHORT: Mapping[Prefill, str] = {
    "last message": "goes on with the beginning of an answer",
    "continued message": "goes on with the beginning of an answer where it is told to",
    "none": "takes no beginning of an answer, and is asked in words",
}


def in_short(able: Abilities) -> str:
    """Say on a line in what way a server is asked."""
    parts = (
        _IN_SHORT[able.prefill],
        f"tells the {able.n_top} likeliest tokens" if able.n_top else "tells no log-probabilities",
        f"reads {'' if able.reads_text else 'no '}raw text",
        "holds JSON to a schema" if able.holds_schema else "holds to no schema",
    )
    return "; ".join(parts)


def completion_body(request: CompletionRequest, model: str, server: Server, able: Abilities) -> Body:
    """Ask for a text."""
    asked = _drawn(request.sampling, server)
    if request.json_schema is not None:
        if not able.holds_schema or request.messages is None:
            raise CapabilityError("this server holds no text to a schema; ask it without")
        held = {"name": "answer", "strict": True, "schema": json.loads(request.json_schema)}
        asked["response_format"] = {"type": "json_schema", "json_schema": held}
    return _body(request, model, server, able, asked)


def choice_body(request: ChoiceRequest, model: str, server: Server, able: Abilities) -> Body:
    """Ask for the likeliest tokens at the place of the option letters."""
    is_text = request.messages is None
    n_top = able.n_top_of_text if is_text else able.n_top
    if not n_top:
        raise CapabilityError("this server tells no log-probabilities, so that it cannot be asked to choose")
    told = {"logprobs": n_top} if is_text else {"logprobs": True, "top_logprobs": n_top}
    asked = {server.limit_key: 1, "temperature": 0.0, **server.untruncated, **told}
    if server.takes_grammar:
        asked["grammar"] = f"root ::= {' | '.join(json.dumps(one, ensure_ascii=False) for one in request.options)}"
    return _body(request, model, server, able, asked)


def models_body() -> Body:
    """Ask for the list of models."""
    return Body("/models", None)


def begins_anew(request: Request, able: Abilities) -> bool:
    """Whether the answer begins without the prefill, because the server takes none."""
    return bool(request.messages is not None and request.prefill and able.prefill == "none")


def row_key(request: Request) -> str:
    """Name what a request has in common with the others of its row: the first words that not all rows share."""
    if request.messages is not None:
        own = request.messages[request.n_shared :] or request.messages[-1:]
        return own[0].content
    return (request.text or "")[request.n_shared :][:200]


def most_tokens(request: Request, body: Body, able: Abilities) -> tuple[int, int]:
    """Say how many tokens a request can come to: those read, no more than bytes and frames, and those drawn."""
    sent = body.value or {}
    texts = [sent["prompt"]] if "prompt" in sent else [message["content"] for message in sent.get("messages", ())]
    if "response_format" in sent:  # some servers write it into the prompt
        texts.append(json.dumps(sent["response_format"]))
    n_read = sum(len(text.encode("utf-8", "surrogatepass")) + _FRAME for text in texts)
    n_drawn = request.sampling.max_tokens if isinstance(request, CompletionRequest) else 1
    return n_read + (able.n_template if "messages" in sent else 0), n_drawn


def _drawn(sampling: Sampling, server: Server) -> dict[str, Any]:
    drawn: dict[str, Any] = {server.limit_key: sampling.max_tokens, "temperature": sampling.temperature}
    drawn |= server.untruncated  # of a greedy text too, which a penalty of repetitions changes
    if sampling.temperature > 0:
        drawn |= {"top_p": sampling.top_p, "seed": sampling.seed % _SEEDS}
    if sampling.stop:  # a server that takes fewer is helped out on reading
        drawn["stop"] = list(sampling.stop[: server.n_stops])
    return drawn


def _body(request: Request, model: str, server: Server, able: Abilities, asked: Mapping[str, Any]) -> Body:
    if request.messages is None:
        if not able.reads_text:
            raise CapabilityError(
                "this server reads no raw text, only messages; use the chat layout, or a server with /completions"
            )
        # The newer name of the limit is the chat's alone.
        limited = {"max_tokens" if name == server.limit_key else name: value for name, value in asked.items()}
        value = {"model": model, "prompt": f"{request.text}{request.prefill}", **limited}
        return Body("/completions", value, server.keeps_connections)
    messages = [message.model_dump(mode="json") for message in request.messages]
    extra: Mapping[str, Any] = {}
    if request.prefill and able.prefill == "none":
        messages[-1] = {**messages[-1], "content": messages[-1]["content"] + _in_words(request)}
    elif request.prefill:
        messages.append({"role": "assistant", "content": request.prefill})
        extra = _CONTINUED if able.prefill == "continued message" else {}
    value = {"model": model, "messages": messages, **asked, **extra}
    return Body("/chat/completions", value, server.keeps_connections)


def _in_words(request: Request) -> str:
    """Ask in words for what a prefill would bring about."""
    if isinstance(request, ChoiceRequest):
        return f"\n\nReply with one letter and nothing else: {' or '.join(request.options)}."
    return f"\n\nBegin your reply with these words: {request.prefill}"
