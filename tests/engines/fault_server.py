"""An OpenAI-compatible server that misbehaves on purpose, the same way for the same seed.

Its answers follow from a hash of what was asked, so that whoever asks twice can tell. It runs in a thread of its own,
and counts what it sees: tries of each call, calls in flight, keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

Fault = Literal[
    "429",
    "429 with seconds",
    "429 with milliseconds",
    "500",
    "502",
    "503",
    "reset",
    "hang",
    "truncated",
    "cut off",
    "html",
    "no choices",
    "no text",
    "nan",
    "other model",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
PAGE = "<html><body>502 Bad Gateway, your key was {key}</body></html>"
WORDS = ("harbour", "lamp", "chain", "boat", "letter", "question", "answer", "river", "stone", "window")


@dataclass(frozen=True)
class Manners:
    """How a server behaves.

    Args:
        share: of the tries that get a fault, drawn evenly from ``faults``.
        faults: which.
        most_faults: of any one call.
        seed: of what meets whom.
        latency: seconds before anything is sent.
        model: what it serves.
        name: what it calls the model in its answers.
        names_key: whether it calls it after the key that it was sent, in its list too, and otherwise each time.
        owner: what it calls itself.
        key: the only one that it takes; None takes all.
        refusal: a status that it answers every call with from ``refuses_from`` on.
        location: where it sends callers with that.
        prefill: what it does with a last message of the assistant's: goes on with it, does so where it is asked in
            words, ends the turn, drops it, or refuses it.
        n_frame: tokens around each turn.
        repeats_prefill: whether answers begin with it.
        n_top: the most likeliest tokens that it tells; 0 passes over the wish, and -1 refuses it.
        reads_text: whether it has the older completions.
        holds_schema: whether it writes what a schema asks for, or passes over it.
        n_written: characters of that before white space fills the limit; None fills nothing.
        lists_models: whether it has a list of models.
        n_cached: tokens of each prompt that it says it had.
        finish: how it says that each text ended; None says it as it is.
        usage: what it says of tokens beside, or in place of, what it counted.
        wait: seconds that it asks for where it asks for some, or fewer.
    """

    share: float = 0.0
    faults: tuple[Fault, ...] = FAULTS
    most_faults: int = 6
    seed: int = 0
    latency: float = 0.0
    model: str = "stub"
    name: str = "stub"
    names_key: bool = False
    owner: str = "tests"
    key: str | None = None
    refusal: int = 0
    refuses_from: int = 0
    location: str = ""
    prefill: Literal["goes on", "asked", "ends", "drops", "refuses"] = "goes on"
    n_frame: int = 4
    repeats_prefill: bool = False
    n_top: int = 20
    reads_text: bool = True
    holds_schema: bool = False
    n_written: int | None = None
    lists_models: bool = True
    n_cached: int = 0
    finish: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    wait: float = 1.0


@dataclass
class Seen:
    """What a server saw; calls are told apart by a hash of their body."""

    tries: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    met: Counter[Fault] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    n_calls: int = 0
    n_tokens: int = 0  # of all that it made answers of, also of those that it then spoilt: what it would be paid for
    first_refused: float = math.inf
    n_in_flight: int = 0
    most_in_flight: int = 0


@dataclass(frozen=True)
class _Asked:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def name(self) -> str:
        return hashlib.sha256(self.path.encode() + self.body).hexdigest()


class FaultServer:
    """The server: a context, inside of which it answers at ``url``."""

    def __init__(self, manners: Manners | None = None) -> None:
        self.manners = manners or Manners()
        self.seen = Seen()
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fault-server", daemon=True)
        self._begun = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._begun.set()
        await self._stopped.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A client that goes away in the middle is none of our concern.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        except asyncio.CancelledError:  # the server ends
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False ends the connection."""
        asked = await _read(reader)
        self.seen.n_in_flight += 1
        self.seen.most_in_flight = max(self.seen.most_in_flight, self.seen.n_in_flight)
        try:
            await asyncio.sleep(self.manners.latency)
            return await self._answer(asked, reader, writer)
        finally:
            self.seen.n_in_flight -= 1

    async def _answer(self, asked: _Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.seen.n_calls += 1
        self.seen.keys.add(asked.key)
        self.seen.headers.append(asked.headers)
        self.seen.tries[asked.name] += 1
        if self.manners.key is not None and asked.key != self.manners.key:
            return await _send(writer, 401, _error(f"Incorrect API key provided: {asked.key}", "invalid_api_key"))
        if self.manners.refusal and self.seen.n_calls > self.manners.refuses_from:
            self.seen.first_refused = min(self.seen.first_refused, time.monotonic())
            elsewhere = {"Location": f"{self.manners.location}{asked.path}"} if self.manners.location else None
            said = _error(f"no, not with {asked.key}", "refused")
            return await _send(writer, self.manners.refusal, said, elsewhere)
        body = json.loads(asked.body) if asked.body else {}
        self.seen.bodies.append(body)
        fault = self._fault(asked.name, body)
        if fault is not None:
            self.seen.faults[asked.name] += 1
            self.seen.met[fault] += 1
            return await self._misbehave(fault, asked, reader, writer)
        status, answer = self._told(asked, body)
        if status == 200:
            self.seen.answered[asked.name] += 1
        return await _send(writer, status, json.dumps(answer))

    def _fault(self, name: str, body: Mapping[str, Any]) -> Fault | None:
        drawn = _unit(f"{self.manners.seed} {name} {self.seen.tries[name]}")
        if drawn >= self.manners.share or self.seen.faults[name] >= self.manners.most_faults:
            return None
        # A text has no log-probabilities, and a list of models neither these nor a model's name.
        unfit = {"no text", "nan"} if not body else {"nan"} if "logprobs" not in body else {"no text"}
        if not body:
            unfit |= {"other model"}
        fitting = [fault for fault in self.manners.faults if fault not in unfit]
        return fitting[int(drawn / self.manners.share * len(fitting))] if fitting else None

    async def _misbehave(
        self, fault: Fault, asked: _Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        match fault:
            case "reset":
                writer.transport.abort()
            case "hang":
                await reader.read(1)  # until the client has had enough
            case "cut off":
                await _send(writer, 200, self._whole(asked), n_missing=20)
            case "truncated":
                await _send(writer, 200, self._whole(asked)[:-20])
            case "html":
                await _send(writer, 200, PAGE.replace("{key}", asked.key), kind="text/html")
            case "429 with seconds":
                wait = {"Retry-After": f"{self.manners.wait:g}"}
                await _send(writer, 429, _error(f"too many for {asked.key}"), wait)
            case "429 with milliseconds":
                wait = {"Retry-After-Ms": str(int(1000 * self.manners.wait * _unit(asked.name)))}
                await _send(writer, 429, _error("too many"), wait)
            case "429" | "500" | "502" | "503":
                await _send(writer, int(fault), _error(f"no luck with {asked.key}"))
            case _:
                await _send(writer, 200, json.dumps(self._spoilt(fault, asked)))
        return fault not in {"reset", "hang", "cut off"}

    def _spoilt(self, fault: Fault, asked: _Asked) -> dict[str, Any]:
        _, answer = self._told(asked, json.loads(asked.body))
        choice = answer["choices"][0] if "choices" in answer else {}
        match fault:
            case "no choices":
                answer["choices"] = []
            case "no text":
                choice.pop("text", None)
                choice["message"] = {"role": "assistant", "content": None}
            case "nan":
                told = choice["logprobs"]
                if "content" in told:
                    told["content"][0]["top_logprobs"][0]["logprob"] = math.nan
                else:
                    told["top_logprobs"][0]["A"] = math.nan
            case "other model":
                answer["model"] = "another-model"
        return answer

    def _whole(self, asked: _Asked) -> str:
        return json.dumps(self._told(asked, json.loads(asked.body) if asked.body else {})[1])

    def _told(self, asked: _Asked, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Give the status and the answer that a well-behaved server would send."""
        manners = self.manners
        match asked.path:
            case "/v1/models" if manners.lists_models:
                name = f"Bearer {asked.key}" if manners.names_key else manners.model
                return 200, {"data": [{"id": name, "owned_by": manners.owner}]}
            case "/v1/chat/completions":
                return self._chat(asked, body)
            case "/v1/completions" if manners.reads_text:
                n_prompt = _count(body["prompt"])
                return self._drawn(asked, body, n_prompt, "", is_chat=False)
        return 404, json.loads(_error(f"no such page: {asked.path}"))

    def _chat(self, asked: _Asked, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        manners, messages = self.manners, list(body["messages"])
        prefill, n_prompt = "", manners.n_frame
        if messages[-1]["role"] == "assistant":
            is_asked = body.get("continue_final_message", False)
            if manners.prefill == "refuses":
                return 400, json.loads(_error("the last message must be the user's"))
            if manners.prefill == "goes on" or (manners.prefill == "asked" and is_asked):
                prefill, n_prompt = messages[-1]["content"], _count(messages.pop()["content"]) + manners.n_frame
            elif manners.prefill == "drops":
                messages.pop()
        n_prompt += sum(_count(message["content"]) + manners.n_frame for message in messages)
        return self._drawn(asked, body, n_prompt, prefill, is_chat=True)

    def _drawn(
        self, asked: _Asked, body: dict[str, Any], n_prompt: int, prefill: str, *, is_chat: bool
    ) -> tuple[int, dict[str, Any]]:
        n_top = body.get("top_logprobs", 0) if is_chat else body.get("logprobs", 0)
        if n_top and self.manners.n_top and n_top > self.manners.n_top:
            return 400, json.loads(_error(f"top_logprobs is {n_top}"))
        n_most = int(body.get("max_tokens") or body["max_completion_tokens"])
        words = list(_words(asked.name))[:n_most]
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if len(words) == n_most else "stop"}
        text = f"{prefill if self.manners.repeats_prefill else ''}{' '.join(words)}"
        if self.manners.holds_schema and "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]
            text, choice["finish_reason"] = json.dumps(_of_schema(schema, words)), "stop"
            if self.manners.n_written is not None:
                text, choice["finish_reason"] = text[: self.manners.n_written].ljust(n_most, "\n"), "length"
        choice |= {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        if n_top and self.manners.n_top:
            choice["logprobs"] = _logprobs(asked.name, n_top, is_chat=is_chat)
        usage = {"prompt_tokens": n_prompt, "completion_tokens": len(words)}
        self.seen.n_tokens += n_prompt + len(words)
        choice["finish_reason"] = self.manners.finish or choice["finish_reason"]
        if self.manners.n_cached:
            usage |= {"prompt_tokens_details": {"cached_tokens": self.manners.n_cached}}
        name = f"Bearer {asked.key} {self.seen.n_calls}" if self.manners.names_key else self.manners.name
        return 200, {"model": name, "choices": [choice], "usage": {**usage, **self.manners.usage}}


async def _read(reader: asyncio.StreamReader) -> _Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return _Asked(head[0].split(" ")[1], headers, body)


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    text: str,
    headers: Mapping[str, str] | None = None,
    *,
    kind: str = "application/json",
    n_missing: int = 0,
) -> bool:
    data = text.encode()
    lines = [f"HTTP/1.1 {status} Told", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + data[: len(data) - n_missing])
    await writer.drain()
    return True


def _error(message: str, code: str = "") -> str:
    return json.dumps({"error": {"message": message, "code": code or None}})


def _of_schema(schema: Mapping[str, Any], words: list[str]) -> Any:
    """Make a value as a schema wants it, of as few kinds as tests ask for."""
    match schema["type"]:
        case "object":
            return {name: _of_schema(inner, [*words, name]) for name, inner in schema["properties"].items()}
        case "array":
            return [_of_schema(schema["items"], [*words, str(number)]) for number in range(2)]
    return schema.get("enum", [" ".join(words)])[0]


def _count(text: str) -> int:
    return len(re.findall(r"\w+|\W", text))


def _words(name: str) -> Iterator[str]:
    for number in range(1 + int(6 * _unit(f"{name} length"))):
        yield WORDS[int(len(WORDS) * _unit(f"{name} {number}"))]


def _logprobs(name: str, n_top: int, *, is_chat: bool) -> dict[str, Any]:
    p_a = 0.05 + 0.9 * _unit(f"{name} A")
    told = {"A": math.log(p_a), "B": math.log(0.99 - p_a) if p_a < 0.99 else -5.0, " D": -6.0, " E": -7.0}
    likeliest = dict(sorted(told.items(), key=lambda pair: -pair[1])[:n_top])
    if not is_chat:
        return {"top_logprobs": [likeliest]}
    return {"content": [{"top_logprobs": [{"token": token, "logprob": told} for token, told in likeliest.items()]}]}


def _unit(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
