"""What the benchmarks of models share: one folder, number format and size for both sides, a new engine a turn."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.limits import Machine, ModelSize, least_seconds, measure_machine, size_of
from benchmarks.measuring import Sample
from charter.engines.base import CompletionRequest, Sampling
from charter.engines.devices import choose_device, choose_dtype
from charter.engines.quiet import quiet_libraries
from charter.engines.transformers import TransformersEngine
from charter.engines.weights import ModelFolder, resolve_model


@dataclass(frozen=True, slots=True)
class Bench:
    """A model under measurement, and the machine that it runs on."""

    folder: ModelFolder
    device: torch.device
    dtype: torch.dtype
    machine: Machine
    size: ModelSize

    @contextmanager
    def engine(self) -> Iterator[TransformersEngine]:
        """Load a new engine, so that no turn finds what an earlier one left in its caches; loading is not timed."""
        engine = TransformersEngine(self.folder, dtype=str(self.dtype).removeprefix("torch."), device=str(self.device))
        warm = CompletionRequest(text="The kernels are chosen here.", sampling=Sampling(max_tokens=2))
        asyncio.run(engine.complete(warm))
        try:
            yield engine
        finally:
            engine.close()
            release()

    def sample(self, work: Work) -> Sample:
        """Hold the work against the machine's limits."""
        least = least_seconds(
            self.machine, self.size, work.n_computed, work.n_drawn, work.batch, work.n_prompt / max(work.n_calls, 1)
        )
        notes = {
            "calls": work.n_calls,
            "prompt_tokens": work.n_prompt,
            "computed_tokens": work.n_computed,
            "drawn_tokens": work.n_drawn,
        }
        return Sample(work.seconds, work.n_rows, work.n_prompt + work.n_drawn, least, notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One turn of one side.

    Attributes:
        seconds: its wall time.
        n_rows: rows that were done.
        n_calls: prompts that were put to the model.
        n_prompt: their tokens.
        n_computed: those that were not found in a cache.
        n_drawn: tokens that were drawn.
        batch: how many rows were drawn at once.
    """

    seconds: float
    n_rows: int
    n_calls: int
    n_prompt: int
    n_computed: int
    n_drawn: int
    batch: int


def make_bench(model: str) -> tuple[Bench, Any, Any]:
    """Measure the machine, and load a model the library's own way: with its tokenizer, for the alternatives."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, device = resolve_model(model), choose_device("auto")
    dtype = choose_dtype("auto", device)
    machine = measure_machine(device.type)
    with quiet_libraries():
        tokenizer = AutoTokenizer.from_pretrained(folder.tokenizer, padding_side="left")
        loaded = AutoModelForCausalLM.from_pretrained(folder.path, dtype=dtype).to(device).eval()
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    print(f"{model} in {str(dtype).removeprefix('torch.')} on {device}, {torch.get_num_threads()} threads; {machine}")
    return Bench(folder, device, dtype, machine, size_of(loaded)), loaded, tokenizer


def measure_bench(model: str) -> Bench:
    """Measure the machine for sides that load the model for themselves: nothing is loaded here."""
    folder, device = resolve_model(model), choose_device("auto")
    dtype, machine = choose_dtype("auto", device), measure_machine(device.type)
    print(f"{model} in {str(dtype).removeprefix('torch.')} on {device}; {machine}")
    return Bench(folder, device, dtype, machine, size_in(folder, dtype))


def size_in(folder: ModelFolder, dtype: torch.dtype) -> ModelSize:
    """Read a model's size off its folder, as its weights are in a number format."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with quiet_libraries(), torch.device("meta"):
        shape = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder.path), dtype=dtype)
    return size_of(shape)


def release() -> None:
    """Give a closed model's memory back before the next one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
