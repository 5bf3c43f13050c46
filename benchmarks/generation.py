"""Critique and revision against the library's own generation: the same three calls for each prompt.

    python -m benchmarks.generation [--prompts 64] [--max-tokens 48] [--loop-rows 4] [--rounds 5]

Per prompt: an initial response, a critique and a revision, with the built-in harmless constitution and all its worked
examples, through the chat layout. Ours is ``charter.revise``. Against it, by turns in the same run:

loop: one prompt after the other through ``model.generate``, as a small script does. It is slow, so that each round does
a few of the rows, others each time, and is compared in rows per second.

pipeline: the text-generation pipeline with padded batches, a stage for all rows before the next; one full batch of rows
a round, others each time.

Every side samples at temperature 1 from the same weights in the same number format. Each of our turns starts a new
engine with empty caches; loading is left out on all sides. ``ratio`` is against the loop, ``ratio_pipeline`` against
the pipeline.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from benchmarks.machine_models import Bench, Work, make_bench
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, result, speed_up
from charter.constitution import load_constitution
from charter.constitution.model import Constitution
from charter.engines.base import CompletionRequest, Sampling
from charter.engines.quiet import quiet_libraries
from charter.prompts import load_prompts
from charter.records import Prompt
from charter.revision import revise
from charter.revision.layouts import make_layout

Chat = list[dict[str, str]]
RowT = TypeVar("RowT")
Ask = Callable[[Sequence[Chat], int], list[str]]

PIPELINE_BATCH = 32
_MAX_ROWS = 64  # how many rows our engine draws at once by default


@dataclass(frozen=True)
class Task:
    """What every side does."""

    prompts: Sequence[Prompt]
    constitution: Constitution
    max_tokens: int
    max_critique_tokens: int


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
        return [text.strip() for text in texts]


def three_calls(task: Task, prompts: Sequence[Prompt], ask: Asked, number: int) -> None:
    """Make the three calls of one round of critique and revision, each for all the prompts given."""
    layout = make_layout("chat", task.constitution)
    chance = random.Random(number)  # noqa: S311 - not a secret
    principles = [chance.choice(task.constitution.principles) for _ in prompts]
    long, short = Sampling(max_tokens=task.max_tokens), Sampling(max_tokens=task.max_critique_tokens)
    initial = ask([layout.initial(prompt, long) for prompt in prompts])
    rows = list(zip(prompts, initial, principles, strict=True))
    critiques = ask([layout.critique(*row, short) for row in rows])
    ask([layout.revision(*row, critique, long) for row, critique in zip(rows, critiques, strict=True)])


def ours(bench: Bench, task: Task, tokenizer: Any) -> Callable[[int], Sample]:
    """Measure ``charter.revise``."""

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = (engine.prefix_statistics.n_prompt_tokens, engine.prefix_statistics.n_from_cache)
            with Clock() as clock:
                mapped = revise(
                    task.prompts,
                    task.constitution,
                    engine,
                    rounds=1,
                    max_tokens=task.max_tokens,
                    max_critique_tokens=task.max_critique_tokens,
                    seed=number,
                )
            n_prompt = engine.prefix_statistics.n_prompt_tokens - before[0]
            n_cached = engine.prefix_statistics.n_from_cache - before[1]
        if mapped.failed:
            raise RuntimeError(f"rows failed: {mapped.reasons['failed']}")
        texts = [text for row in mapped.done for text in (row.initial, row.rounds[0].critique, row.final)]
        return bench.sample(
            Work(
                seconds=clock.seconds,
                n_rows=len(mapped.done),
                n_calls=len(texts),
                n_prompt=n_prompt,
                n_computed=n_prompt - n_cached,
                n_drawn=n_tokens(tokenizer, texts),
                batch=min(_MAX_ROWS, len(mapped.done)),
            )
        )

    return turn


def loop(bench: Bench, task: Task, model: Any, tokenizer: Any, n_rows: int) -> Callable[[int], Sample]:
    """Measure ``model.generate`` one prompt at a time, over ``n_rows`` of the rows, others each round."""

    def ask(chats: Sequence[Chat], max_tokens: int) -> list[str]:
        return [generate(model, tokenizer, [chat], max_tokens)[0] for chat in chats]

    def turn(number: int) -> Sample:
        asked = Asked(ask)
        torch.manual_seed(number)
        with quiet_libraries(), Clock() as clock:
            for prompt in some_rows(task.prompts, n_rows, number):
                three_calls(task, [prompt], asked, number)
        return bench.sample(work_of(clock, asked, tokenizer, n_rows, 1))

    return turn


def pipeline(bench: Bench, task: Task, model: Any, tokenizer: Any, n_rows: int) -> Callable[[int], Sample]:
    """Measure the pipeline in padded batches, stage by stage, over ``n_rows`` of the rows, others each round."""
    from transformers import pipeline as make_pipeline

    with quiet_libraries():
        pipe = make_pipeline("text-generation", model=model, tokenizer=tokenizer, batch_size=PIPELINE_BATCH)

    def ask(chats: Sequence[Chat], max_tokens: int) -> list[str]:
        drawn = pipe(list(chats), return_full_text=False, **_settings(max_tokens))
        return [row[0]["generated_text"] for row in drawn]

    def turn(number: int) -> Sample:
        asked = Asked(ask)
        torch.manual_seed(number)
        with quiet_libraries(), Clock() as clock:
            three_calls(task, some_rows(task.prompts, n_rows, number), asked, number)
        return bench.sample(work_of(clock, asked, tokenizer, n_rows, min(PIPELINE_BATCH, n_rows)))

    return turn


def some_rows(rows: Sequence[RowT], n_rows: int, number: int) -> list[RowT]:
    """Take the next ``n_rows`` rows in each round, from the first again after the last."""
    return [rows[(number * n_rows + place) % len(rows)] for place in range(n_rows)]


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, chats: Sequence[Chat], max_tokens: int) -> list[str]:
    """Draw answers to one padded batch, as the library's own examples do."""
    inputs = tokenizer.apply_chat_template(
        list(chats), add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    drawn = model.generate(**inputs.to(model.device), pad_token_id=tokenizer.pad_token_id, **_settings(max_tokens))
    texts: list[str] = tokenizer.batch_decode(drawn[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def n_tokens(tokenizer: Any, texts: Sequence[str]) -> int:
    """Count tokens, those that end a turn left out, the same way for every side."""
    return sum(len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def _settings(max_tokens: int) -> dict[str, Any]:
    # The library keeps the 50 likeliest tokens unless told otherwise; ours draws from all.
    return {"max_new_tokens": max_tokens, "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


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


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--prompts", type=int, default=64, help="red-team prompts")
    parser.add_argument("--max-tokens", type=int, default=48, help="of each response and revision")
    parser.add_argument("--max-critique-tokens", type=int, default=32, help="of each critique")
    parser.add_argument("--loop-rows", type=int, default=4, help="prompts of the loop in each round")
    parser.add_argument("--pipeline-rows", type=int, default=32, help="prompts of the pipeline in each round")
    given = parser.parse_args()
    bench, model, tokenizer = make_bench(given.model)
    prompts = load_prompts("built-in", "red_team", limit=given.prompts).prompts
    task = Task(prompts, load_constitution("harmless"), given.max_tokens, given.max_critique_tokens)
    n_loop = min(given.loop_rows, len(prompts))
    n_pipeline = min(given.pipeline_rows, len(prompts))
    print(
        f"{len(prompts)} prompts; the loop does {n_loop} of them a round, the pipeline {n_pipeline}; "
        "ratios are of rows/s"
    )
    sides = {
        "ours": ours(bench, task, tokenizer),
        "loop": loop(bench, task, model, tokenizer, n_loop),
        "pipeline": pipeline(bench, task, model, tokenizer, n_pipeline),
    }
    samples = interleave(sides, given.rounds)
    batched = speed_up(samples["ours"], samples["pipeline"])
    more = {
        "ratio_pipeline": batched.ratio,
        "min_pipeline": batched.min,
        "max_pipeline": batched.max,
        "rows": {name: found[-1].n_rows for name, found in samples.items()},
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("generation", speed_up(samples["ours"], samples["loop"]), samples, **more), samples)


if __name__ == "__main__":
    main()
