"""Traces on our ``http`` engine against a bare asynchronous client, on a local server.

    python -m benchmarks.http_client [--server llama] [--at-once 16] [--prompts 64] [--rounds 5]
    CHARTER_VLLM=.venv-vllm python -m benchmarks.http_client --server vllm --at-once 64

Both sides send the same bodies, with the same seeds, and never more than ``--at-once`` of them at the same time. Ours
is ``charter.revise`` on an ``HttpEngine``, which finds out how many calls the server takes, tries again, counts what is
spent and checks every answer. Against it, by turns: a coroutine a row that posts, reads the text, and posts again.

Every turn gets a new server in a process of its own, so that none finds anything in its cache. The clock begins when
the server has answered a call, and, on our side, when it has been found out what it can do. ``--server llama`` is
llama.cpp with the embedded model's four-bit weights, through the wheel that the tests use; ``--server vllm`` is vLLM's,
in the environment that ``CHARTER_VLLM`` names. Above 1 ours is faster; the aim is 0.97.
"""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from benchmarks.chains import Counted, Task, add_flags, go_on, make_task
from benchmarks.children import HERE, Child
from benchmarks.generation import per_row
from benchmarks.machine_models import Bench, Work, measure_bench
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, result, speed_up
from charter.engines.base import CompletionRequest
from charter.engines.http import HttpEngine, Limits
from charter.engines.http.servers import SERVERS, Server
from charter.records import Prompt

_SERVERS = {"llama": SERVERS["llama-server"], "vllm": SERVERS["vllm"]}
_CALL_SECONDS = 900.0
_SEEDS = 2**31 - 1  # what every server takes

Turn = Callable[[str, str, int], Work]


class BareClient:
    """What a short script does: post, read the text, post again.

    Args:
        server: the kind of server, for what must be said to it.
        url: where it is.
        model: as it calls it.
        n_at_once: calls under way at once.

    Attributes:
        counts: calls, and tokens as the server counts them.
    """

    def __init__(self, server: Server, url: str, model: str, n_at_once: int) -> None:
        import openai

        self._server, self._model = server, model
        # A connection that stays open holds one of llama.cpp's few threads, while other calls lie.
        headers = {} if server.keeps_connections else {"Connection": "close"}
        self._http = openai.DefaultAsyncHttpxClient(base_url=url, timeout=_CALL_SECONDS, headers=headers)
        self._gate = asyncio.Semaphore(n_at_once)
        self.counts = {"n_calls": 0, "n_prompt": 0, "n_drawn": 0, "n_cached": 0}

    async def run(self, task: Task, seed: int) -> None:
        """Do all rows at once."""
        await asyncio.gather(*(self.one(task, prompt, seed) for prompt in task.prompts))

    async def one(self, task: Task, prompt: Prompt, seed: int) -> None:
        """Do one row."""
        chain = task.chain(prompt, seed)
        request: CompletionRequest | None = next(chain)
        while request is not None:
            async with self._gate:
                answer = await self._http.post("chat/completions", json=self.body(request))
            told = answer.raise_for_status().json()
            usage = told["usage"]
            self.counts["n_calls"] += 1
            self.counts["n_prompt"] += usage["prompt_tokens"]
            self.counts["n_drawn"] += usage["completion_tokens"]
            self.counts["n_cached"] += (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            request = go_on(chain, told["choices"][0]["message"]["content"] or "")

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """Write a call as JSON."""
        drawn = request.sampling
        return {
            "model": self._model,
            "messages": [turn.model_dump() for turn in request.messages or ()],
            "max_tokens": drawn.max_tokens,
            "temperature": drawn.temperature,
            **({"top_p": 1.0, "seed": drawn.seed % _SEEDS} if drawn.temperature else {}),
            **self._server.untruncated,
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def ours(task: Task, given: Namespace) -> Turn:
    """Have ``charter.revise`` do it."""

    def turn(url: str, model: str, number: int) -> Work:
        limits = Limits(given.at_once, _CALL_SECONDS, _CALL_SECONDS)
        engine = HttpEngine(model, url, limits=limits)
        try:
            counted, n_cached = Counted(engine), engine.prefix_statistics.n_from_cache
            with Clock() as clock:
                task.revise(counted, number)
            n_cached = engine.prefix_statistics.n_from_cache - n_cached
        finally:
            engine.close()
        return work_of(clock.seconds, {**counted.counts, "n_cached": n_cached}, task, given)

    return turn


def bare(task: Task, given: Namespace) -> Turn:
    """Have the bare client do it."""

    async def measure(url: str, model: str, number: int) -> tuple[float, dict[str, int]]:
        client = BareClient(_SERVERS[given.server], f"{url}/", model, given.at_once)
        try:
            # Its first call, as those by which our engine finds out what the server can do, is on no clock.
            await client.one(replace(task, rounds=0, max_tokens=1), task.prompts[0], number)
            client.counts = dict.fromkeys(client.counts, 0)
            with Clock() as clock:
                await client.run(task, number)
        finally:
            await client.close()
        return clock.seconds, client.counts

    def turn(url: str, model: str, number: int) -> Work:
        return work_of(*asyncio.run(measure(url, model, number)), task, given)

    return turn


def on_new_servers(bench: Bench, given: Namespace, turn: Turn) -> Callable[[int], Sample]:
    """Measure one side, each turn on a new server."""
    root = HERE.parent
    numbers = (given.at_once, given.context, torch.get_num_threads())
    command = [sys.executable, "-m", "benchmarks.sides.server_side", given.server, given.gguf or given.model]
    variables = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}

    def measure(number: int) -> Sample:
        with Child([*command, *map(str, numbers)], variables) as server:
            told = server.first
            size = replace(bench.size, weight_bytes=told.get("weight_bytes", bench.size.weight_bytes))
            return replace(bench, size=size).sample(turn(told["url"], told["model"], number))

    return measure


def work_of(seconds: float, counts: Mapping[str, int], task: Task, given: Namespace) -> Work:
    """Say what a turn came to, as the server counts it."""
    return Work(
        seconds=seconds,
        n_rows=len(task.prompts),
        n_calls=counts["n_calls"],
        n_prompt=counts["n_prompt"],
        n_computed=counts["n_prompt"] - counts["n_cached"],
        n_drawn=counts["n_drawn"],
        batch=min(given.at_once, len(task.prompts)),
    )


def main() -> None:
    parser = flags(__doc__)
    add_flags(parser)
    parser.add_argument("--server", choices=sorted(_SERVERS), default="llama", help="what is served by")
    parser.add_argument("--at-once", type=int, default=16, help="calls under way at once, on both sides")
    parser.add_argument("--context", type=int, default=3072, help="tokens of the longest text that llama.cpp takes")
    parser.add_argument("--gguf", help="a file for llama.cpp instead of the embedded model's, with the same shape")
    given = parser.parse_args()
    bench, task = measure_bench(given.model), make_task(given)
    print(
        f"{len(task.prompts)} prompts, {task.n_calls} calls each, {given.at_once} at once; served by {given.server}; "
        "ratios are of rows/s"
    )
    sides = {"ours": ours(task, given), "bare client": bare(task, given)}
    samples = interleave({name: on_new_servers(bench, given, turn) for name, turn in sides.items()}, given.rounds)
    more = {
        "server": given.server,
        "at_once": given.at_once,
        **per_row(samples, task),
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("http_client", speed_up(samples["ours"], samples["bare client"]), samples, **more), samples)


if __name__ == "__main__":
    main()
