"""Traces of critique and revision against the library's own generation, and against distilabel's.

    python -m benchmarks.generation [--prompts 64] [--revision-rounds 4] [--few-shots 4] [--rounds 5]
        [--loop-rows 4] [--pipeline-rows 32] [--distilabel .venv-distilabel]

Per prompt: an initial response, then rounds of a critique and a revision, with the built-in harmless constitution and
its first worked examples, through the chat layout. Ours is ``charter.revise``. Against it, by turns in the same run:

loop: one prompt after the other through ``model.generate``, as a small script does. It is slow, so that each round does
a few of the rows, others each time, and is compared in rows per second.

pipeline: the text-generation pipeline with padded batches, a stage for all rows before the next; one full batch of rows
a round, others each time.

distilabel: its TransformersLLM, which is given the same messages stage by stage, in a process of its own: it wants an
environment that has it (``scripts/install-distilabel.sh``). It answers them one after another, so that the rows of the
loop do. The clock is that process's own, around the drawing alone. Without ``--distilabel`` it is left out.

Every side samples at temperature 1 from the same weights in the same number format, and makes the same calls, each with
the texts that it drew itself: ``calls_per_row``, ``prompt_tokens_per_row`` and ``drawn_tokens_per_row`` say how many.
Each of our turns starts a new engine with empty caches; loading is left out on all sides. ``ratio`` is against the
loop, ``ratio_pipeline`` and ``ratio_distilabel`` against the others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.chains import Task, add_flags, in_waves, make_task
from benchmarks.children import HERE, Child
from benchmarks.machine_models import Bench, Work, make_bench
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, median, result, speed_up
from charter.engines.base import CompletionRequest
from charter.engines.quiet import quiet_libraries

Chat = list[dict[str, str]]
RowT = TypeVar("RowT")
Ask = Callable[[Sequence[Chat], int], list[str]]

PIPELINE_BATCH = 32
_MAX_ROWS = 64  # how many rows our engine draws at once by default


@dataclass
class Asked:
    """What the alternatives put to the model, and what came back; counted after the clock has stopped."""

    ask: Ask
    chats: list[Chat] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __call__(self, requests: Sequence[CompletionRequest]) -> list[str]:
        """Put requests of one kind."""
        chats = [[turn.model_dump() for turn in request.messages or ()] for request in requests]
        texts = self.ask(chats, requests[0].sampling.max_tokens)
        self.chats += chats
        self.texts += texts
        return texts


def ours(bench: Bench, task: Task, tokenizer: Any) -> Callable[[int], Sample]:
    """Measure ``charter.revise``."""

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = (engine.prefix_statistics.n_prompt_tokens, engine.prefix_statistics.n_from_cache)
            with Clock() as clock:
                traces = task.revise(engine, number)
            n_prompt = engine.prefix_statistics.n_prompt_tokens - before[0]
            n_cached = engine.prefix_statistics.n_from_cache - before[1]
        texts = [text for row in traces for one in row.rounds for text in (one.critique, one.revision)]
        texts += [row.initial for row in traces]
        return bench.sample(
            Work(
                seconds=clock.seconds,
                n_rows=len(traces),
                n_calls=len(texts),
                n_prompt=n_prompt,
                n_computed=n_prompt - n_cached,
                n_drawn=n_tokens(tokenizer, texts),
                batch=min(_MAX_ROWS, len(traces)),
            )
        )

    return turn


def loop(bench: Bench, task: Task, model: Any, tokenizer: Any, n_rows: int) -> Callable[[int], Sample]:
    """Measure ``model.generate`` one prompt at a time, over ``n_rows`` of the rows, others each round."""

    def ask(chats: Sequence[Chat], max_tokens: int) -> list[str]:
        return [generate(model, tokenizer, [chat], max_tokens, task.temperature)[0] for chat in chats]

    def turn(number: int) -> Sample:
        asked = Asked(ask)
        torch.manual_seed(number)
        with quiet_libraries(), Clock() as clock:
            for prompt in some_rows(task.prompts, n_rows, number):
                in_waves([task.chain(prompt, number)], asked)
        return bench.sample(work_of(clock, asked, tokenizer, n_rows, 1))

    return turn


def pipeline(bench: Bench, task: Task, model: Any, tokenizer: Any, n_rows: int) -> Callable[[int], Sample]:
    """Measure the pipeline in padded batches, stage by stage, over ``n_rows`` of the rows, others each round."""
    from transformers import pipeline as make_pipeline

    with quiet_libraries():
        pipe = make_pipeline("text-generation", model=model, tokenizer=tokenizer, batch_size=PIPELINE_BATCH)

    def ask(chats: Sequence[Chat], max_tokens: int) -> list[str]:
        drawn = pipe(list(chats), return_full_text=False, **_settings(max_tokens, task.temperature))
        return [row[0]["generated_text"] for row in drawn]

    def turn(number: int) -> Sample:
        asked = Asked(ask)
        torch.manual_seed(number)
        with quiet_libraries(), Clock() as clock:
            in_waves([task.chain(prompt, number) for prompt in some_rows(task.prompts, n_rows, number)], asked)
        return bench.sample(work_of(clock, asked, tokenizer, n_rows, min(PIPELINE_BATCH, n_rows)))

    return turn


def distilabel(bench: Bench, task: Task, child: Child, tokenizer: Any, n_rows: int) -> Callable[[int], Sample]:
    """Measure distilabel's TransformersLLM, stage by stage, over ``n_rows`` of the rows, others each round."""
    took = Clock()

    def ask(chats: Sequence[Chat], max_tokens: int) -> list[str]:
        answer = child.ask({"chats": list(chats), "max_tokens": max_tokens, "temperature": task.temperature})
        took.seconds += answer["seconds"]
        return [text or "" for text in answer["texts"]]

    def turn(number: int) -> Sample:
        asked, took.seconds = Asked(ask), 0.0
        in_waves([task.chain(prompt, number) for prompt in some_rows(task.prompts, n_rows, number)], asked)
        return bench.sample(work_of(took, asked, tokenizer, n_rows, 1))

    return turn


def start_distilabel(environment: Path, bench: Bench) -> Child:
    """Start distilabel in its own environment, with the same number format and number of threads."""
    python, dtype = environment / "bin" / "python", str(bench.dtype)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    script = HERE / "sides" / "distilabel_side.py"
    child = Child([str(python), str(script), str(bench.folder.path), dtype.removeprefix("torch.")], variables)
    if child.first["dtype"] != dtype:
        child.close()
        raise RuntimeError(f"distilabel loaded the model in {child.first['dtype']} instead of {dtype}")
    return child


def some_rows(rows: Sequence[RowT], n_rows: int, number: int) -> list[RowT]:
    """Take the next ``n_rows`` rows in each round, from the first again after the last."""
    return [rows[(number * n_rows + place) % len(rows)] for place in range(n_rows)]


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, chats: Sequence[Chat], max_tokens: int, temperature: float = 1.0) -> list[str]:
    """Draw answers to one padded batch, as the library's own examples do."""
    inputs = tokenizer.apply_chat_template(
        list(chats), add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    settings = _settings(max_tokens, temperature)
    drawn = model.generate(**inputs.to(model.device), pad_token_id=tokenizer.pad_token_id, **settings)
    texts: list[str] = tokenizer.batch_decode(drawn[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def n_tokens(tokenizer: Any, texts: Sequence[str]) -> int:
    """Count tokens, those that end a turn left out, the same way for every side."""
    return sum(len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def _settings(max_tokens: int, temperature: float) -> dict[str, Any]:
    if temperature == 0.0:
        return {"max_new_tokens": max_tokens, "do_sample": False}
    # The library keeps the 50 likeliest tokens unless told otherwise; ours draws from all.
    return {"max_new_tokens": max_tokens, "do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}


def work_of(clock: Clock, asked: Asked, tokenizer: Any, n_rows: int, batch: int) -> Work:
    """Count what an alternative's turn put to the model and got back."""
    rendered = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in asked.chats]
    n_prompt = n_tokens(tokenizer, rendered)
    return Work(
        seconds=clock.seconds,
        n_rows=n_rows,
        n_calls=len(rendered),
        n_prompt=n_prompt,
        n_computed=n_prompt,
        n_drawn=n_tokens(tokenizer, asked.texts),
        batch=batch,
    )


def per_row(samples: Mapping[str, Sequence[Sample]], task: Task) -> dict[str, Any]:
    """Say what each side did for a row, and hold them to the same number of calls."""
    calls = {name: {sample.notes["calls"] / sample.n_rows for sample in found} for name, found in samples.items()}
    if any(counts != {task.n_calls} for counts in calls.values()):
        raise RuntimeError(f"a row takes {task.n_calls} calls; the sides made {calls}")
    return {
        "calls_per_row": task.n_calls,
        **{
            f"{kind}_tokens_per_row": {
                name: median(found, f"{kind}_tokens") / found[-1].n_rows for name, found in samples.items()
            }
            for kind in ("prompt", "drawn")
        },
    }


def against(samples: Mapping[str, Sequence[Sample]], name: str) -> dict[str, float]:
    """Compare ours, which is the first, with one more side."""
    found = speed_up(next(iter(samples.values())), samples[name])
    return {f"ratio_{name}": found.ratio, f"min_{name}": found.min, f"max_{name}": found.max}


def main() -> None:
    parser = flags(__doc__)
    add_flags(parser)
    parser.add_argument("--loop-rows", type=int, default=4, help="prompts of the loop, and of distilabel, in a round")
    parser.add_argument("--pipeline-rows", type=int, default=32, help="prompts of the pipeline in each round")
    parser.add_argument("--distilabel", type=Path, help="the environment that has it")
    given = parser.parse_args()
    bench, model, tokenizer = make_bench(given.model)
    task = make_task(given)
    n_loop = min(given.loop_rows, len(task.prompts))
    n_pipeline = min(given.pipeline_rows, len(task.prompts))
    print(
        f"{len(task.prompts)} prompts, {task.n_calls} calls each; the loop does {n_loop} prompts a round, the pipeline "
        f"{n_pipeline}; ratios are of rows/s"
    )
    sides = {
        "ours": ours(bench, task, tokenizer),
        "loop": loop(bench, task, model, tokenizer, n_loop),
        "pipeline": pipeline(bench, task, model, tokenizer, n_pipeline),
    }
    with contextlib.ExitStack() as stack:
        if given.distilabel:
            child = stack.enter_context(start_distilabel(given.distilabel, bench))
            sides["distilabel"] = distilabel(bench, task, child, tokenizer, n_loop)
        samples = interleave(sides, given.rounds)
    more = {
        **{key: value for name in list(sides)[2:] for key, value in against(samples, name).items()},
        "rows": {name: found[-1].n_rows for name, found in samples.items()},
        **per_row(samples, task),
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("generation", speed_up(samples["ours"], samples["loop"]), samples, **more), samples)


if __name__ == "__main__":
    main()
