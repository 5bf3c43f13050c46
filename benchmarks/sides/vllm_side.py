"""One side of ``benchmarks.vllm_waves``, in the environment that has vLLM: a new vLLM, asked once.

Started with the side's name (``ours``, ``same`` or ``defaults``), whether layers are ``compiled`` or ``eager``, a model
and a number format. Asked with what ``make_task`` reads
and a ``seed``, it answers with what ``Work`` is made of.
"""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chains import Counted, Task, in_waves, make_task
from benchmarks.measuring import Clock
from benchmarks.sides.answering import Answer, answer_all
from charter.engines.base import CompletionRequest, Sampling
from charter.engines.vllm import Hosts, HostSettings, VllmEngine
from charter.engines.vllm.environment import look_into
from charter.engines.vllm.launch import Launch, default_environment
from charter.engines.weights import ModelFolder, resolve_model

Measured = Callable[[Task, int], dict[str, Any]]
_WARM = "The kernels are chosen here."


def begin() -> tuple[dict[str, Any], Answer]:
    """Load the model."""
    side, compiled, model, dtype = sys.argv[1:]
    measure = {"ours": ours, "same": same, "defaults": defaults}[side](
        resolve_model(model), HostSettings(dtype=dtype, compiled=compiled == "compiled")
    )

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return measure(make_task(Namespace(**asked)), asked["seed"])

    return {"vllm": str(look_into(Path(sys.executable)))}, answer


def ours(folder: ModelFolder, settings: HostSettings) -> Measured:
    """Have ``charter.revise`` put each row's next call as soon as its last one is back."""
    engine = VllmEngine(folder, Hosts().find(folder, settings))
    asyncio.run(engine.complete(CompletionRequest(text=_WARM, sampling=Sampling(max_tokens=2))))

    def measure(task: Task, seed: int) -> dict[str, Any]:
        counted, n_cached = Counted(engine), engine.prefix_statistics.n_from_cache
        with Clock() as clock:
            task.revise(counted, seed)
        n_cached = engine.prefix_statistics.n_from_cache - n_cached
        return {"seconds": clock.seconds, "n_cached": n_cached, **counted.counts}

    return measure


def same(folder: ModelFolder, settings: HostSettings) -> Measured:
    """Have vLLM's own offline class work in waves, with the environment and the arguments that ours has."""
    os.environ.update(default_environment() | os.environ)
    launch = Launch(folder.path, settings, look_into(Path(sys.executable)))
    return waves(launch.arguments, seeded=True)


def defaults(folder: ModelFolder, settings: HostSettings) -> Measured:
    """Have it work in waves as vLLM makes it, in the number format of ours.

    But for its share of memory: by default it takes nine tenths, and ends where others have some of them.
    """
    return waves({"model": str(folder.path), "dtype": settings.dtype, "gpu_memory_utilization": 0.5}, seeded=False)


def waves(arguments: Mapping[str, Any], *, seeded: bool) -> Measured:
    """Load the offline class, and have it do all initial responses, then all critiques..."""
    from vllm import LLM, SamplingParams, TokensPrompt

    llm = LLM(**arguments)
    tokenizer = llm.get_tokenizer()
    llm.generate(_WARM, SamplingParams(max_tokens=2), use_tqdm=False)

    def measure(task: Task, seed: int) -> dict[str, Any]:
        counts = {"n_calls": 0, "n_prompt": 0, "n_drawn": 0, "n_cached": 0}

        def ask(requests: Sequence[CompletionRequest]) -> list[str]:
            prompts = [TokensPrompt(prompt_token_ids=render(tokenizer, request)) for request in requests]
            drawn = [
                SamplingParams(
                    max_tokens=one.max_tokens, temperature=one.temperature, seed=one.seed if seeded else None
                )
                for one in (request.sampling for request in requests)
            ]
            outputs = llm.generate(prompts, drawn, use_tqdm=False)
            counts["n_calls"] += len(outputs)
            counts["n_prompt"] += sum(len(one.prompt_token_ids) for one in outputs)
            counts["n_cached"] += sum(one.num_cached_tokens or 0 for one in outputs)
            counts["n_drawn"] += sum(len(one.outputs[0].token_ids) for one in outputs)
            return [one.outputs[0].text for one in outputs]

        with Clock() as clock:
            in_waves([task.chain(prompt, seed) for prompt in task.prompts], ask)
        return {"seconds": clock.seconds, **counts}

    return measure


def render(tokenizer: Any, request: CompletionRequest) -> list[int]:
    """Render messages through the chat template."""
    chat = [turn.model_dump() for turn in request.messages or ()]
    ids: list[int] = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
    return ids


if __name__ == "__main__":
    answer_all(begin)
