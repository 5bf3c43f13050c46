"""What one accelerator does with a model of a given shape and random weights: traces, labels, and an epoch of training.

    python -m benchmarks.large_model [--size 7b] [--only traces ...] [--rounds 5] [--keep FOLDER]

It compares nothing: it says tokens per second, memory and the share of the chip's limit, in bfloat16 and, of the
trainings (``sft-4bit``, ``dpo-4bit``), behind frozen weights of 4 bits. Random weights cost what trained ones do: their
texts are noise, and nearly all end at their limit. The shape is one that ``charter plan --size`` knows, with the
embedded model's tokenizer; its folder is written first, into a temporary one unless ``--keep`` names another.

``peak_gib`` is what was allocated at the fullest moment of a turn: of the GPU; on a CPU of the whole process, the
greatest of all turns so far.
"""

from __future__ import annotations

import json
import resource
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.chains import Counted, Task, add_flags, make_task
from benchmarks.labels import make_pairs
from benchmarks.machine_models import Bench, Work, measure_bench, release
from benchmarks.measuring import MIN_ROUNDS, Clock, Sample, flags, interleave, median, table
from benchmarks.scoring import Task as Questions
from benchmarks.scoring import one_pass
from benchmarks.training import Bench as TrainingBench
from benchmarks.training import our_dpo, our_sft
from benchmarks.training_rows import make_rows
from charter.constitution import load_constitution
from charter.engines.weights import resolve_model
from charter.planning.shapes import named_shape, named_shapes
from charter.training.adapters import LoraSettings

Turn = Callable[[int], Sample]
WORK = ("traces", "labels", "sft", "dpo", "sft-4bit", "dpo-4bit")
_GIB = 2**30
_MAX_ROWS = 64  # how many rows our engine draws at once by default


def write_model(size: str, folder: Path) -> None:
    """Write a model of a named shape with random weights in bfloat16, and a tokenizer with a chat template."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    shape, source = named_shape(size), resolve_model("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(source.tokenizer)
    config = LlamaConfig(
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        intermediate_size=shape.inner,
        vocab_size=max(shape.vocabulary, len(tokenizer)),
        tie_word_embeddings=shape.tied,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="bfloat16",
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def turns(bench: Bench, folder: Path, work: Path, given: Namespace) -> Mapping[str, Turn]:
    """Make what is measured, by name."""
    rows, pairs = make_rows(given.rows)
    plain = TrainingBench(str(folder), bench.machine, bench.size, rows, pairs, work, rounds=0)  # of noise no loss
    packed = replace(plain, lora=LoraSettings(quantise="4bit"))
    asked = Questions(make_pairs(given.prompts), load_constitution("harmless"), k_principles=2)
    made: dict[str, Turn] = {
        "traces": traces(bench, make_task(given)),
        "labels": one_pass(bench, asked),
        "sft": our_sft(plain),
        "dpo": our_dpo(plain),
        "sft-4bit": our_sft(packed),
        "dpo-4bit": our_dpo(packed),
    }
    return {name: with_memory(made[name]) for name in given.only}


def traces(bench: Bench, task: Task) -> Turn:
    """Measure ``charter.revise``, by the engine's own count: noise that is tokenised again has other tokens."""

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            n_cached, counted = engine.prefix_statistics.n_from_cache, Counted(engine)
            with Clock() as clock:
                task.revise(counted, number)
            n_cached = engine.prefix_statistics.n_from_cache - n_cached
        done = counted.counts
        return bench.sample(
            Work(
                seconds=clock.seconds,
                n_rows=len(task.prompts),
                n_calls=done["n_calls"],
                n_prompt=done["n_prompt"],
                n_computed=done["n_prompt"] - n_cached,
                n_drawn=done["n_drawn"],
                batch=min(_MAX_ROWS, len(task.prompts)),
            )
        )

    return turn


def with_memory(turn: Turn) -> Turn:
    """Note how much memory a turn took."""

    def noted(number: int) -> Sample:
        release()  # what the turn before has left
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        sample = turn(number)
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _process_peak()
        return replace(sample, notes={**sample.notes, "peak_gib": peak / _GIB})

    return noted


def _process_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = flags(__doc__, model=False)
    add_flags(parser)
    parser.add_argument("--size", choices=tuple(named_shapes()), default="7b", help="the model's shape")
    parser.add_argument("--only", nargs="+", choices=WORK, default=WORK, help="what is measured")
    parser.add_argument("--rows", type=int, default=256, help="rows of SFT; half as many pairs of DPO")
    parser.add_argument("--keep", type=Path, help="where the model's folder stays")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary) / "model"
        if not folder.exists():
            write_model(given.size, folder)
        bench = measure_bench(str(folder))
        measured = turns(bench, folder, Path(temporary) / "work", given)
        samples = interleave(measured, given.rounds)
    print(table(samples))
    if given.rounds < MIN_ROUNDS:
        print(f"\n{given.rounds} round(s): a trial; a figure to quote needs {MIN_ROUNDS}.")
    figures = ("tokens_per_second", "limit_share", "seconds", "peak_gib")
    told = {figure: {name: median(found, figure) for name, found in samples.items()} for figure in figures}
    machine = {"gemm_gflops": bench.machine.gemm / 1e9, "bandwidth_gb_s": bench.machine.bandwidth / 1e9}
    result = {"benchmark": "large_model", "size": given.size, "n": given.rounds, "parameters": bench.size.n_params}
    print(f"\n{json.dumps(result | told | machine)}", flush=True)


if __name__ == "__main__":
    main()
