"""Labels from one pass a question against two scoring passes, one for each option's letter.

    python -m benchmarks.scoring [--pairs 64] [--principles 2] [--library-pairs 8] [--rounds 5]

Each pair is asked about in both orders under two principles of the built-in harmless constitution, with its worked
examples. Ours is ``charter.label``, which reads both letters' log-probabilities off one pass. Against it, by turns in
the same run, such questions about the same pairs:

two passes: each question's letters scored one by one (``engine.score``), by our own engine, in batches as ours and with
the worked examples computed once. ``ratio`` is against it; two is what there is to be saved.

library: the same two passes by the library alone, over padded batches of 32, which read every prompt whole. It is slow,
so that each round does ``--library-pairs`` of the pairs, others each time: ``ratio_library``, in pairs per second.

Each turn of our engine starts a new one with empty caches; loading is left out on all sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.generation import against, some_rows
from benchmarks.labels import batches, make_pairs
from benchmarks.machine_models import Bench, Work, make_bench
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, result, speed_up
from charter.constitution import load_constitution
from charter.constitution.model import Constitution
from charter.engines.base import ChoiceRequest, ScoreRequest
from charter.engines.quiet import quiet_libraries
from charter.engines.transformers import TransformersEngine
from charter.feedback import label
from charter.feedback.labels import principles_of_pair
from charter.feedback.questions import Question, letter_request, make_asking
from charter.records import Pair

_MAX_ROWS = 64  # what the engine does at once by default


@dataclass(frozen=True)
class Task:
    """What every side does."""

    pairs: Sequence[Pair]
    constitution: Constitution
    k_principles: int

    @property
    def n_questions(self) -> int:
        """How many questions one pair takes."""
        return 2 * self.k_principles

    def questions(self, pairs: Sequence[Pair], number: int) -> list[ChoiceRequest]:
        """Ask a round's questions as ``charter.label`` does: each pair in both orders under its own principles."""
        asking = make_asking(self.constitution, seed=number)
        principles = self.constitution.used_for("judge")
        return [
            letter_request(asking, Question(pair.prompt, principle.choice_question, first, second))
            for pair in pairs
            for principle in principles_of_pair(principles, pair.id, k=self.k_principles, seed=number)
            for first, second in ((pair.a, pair.b), (pair.b, pair.a))
        ]


def one_pass(bench: Bench, task: Task) -> Callable[[int], Sample]:
    """Measure ``charter.label``."""

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = _read(engine)
            with Clock() as clock:
                # A tiny model may put little mass on the letters; every verdict is to be read all the same.
                mapped = label(
                    task.pairs,
                    task.constitution,
                    engine,
                    k_principles=task.k_principles,
                    min_option_mass=0.0,
                    seed=number,
                )
            n_prompt, n_computed = _read(engine, before)
        if len(mapped.done) != len(task.pairs):
            raise RuntimeError(f"{len(mapped.done)} of {len(task.pairs)} pairs were labelled: {mapped.reasons}")
        return bench.sample(_work(clock, len(task.pairs), task.n_questions, n_prompt, n_computed))

    return turn


def two_passes(bench: Bench, task: Task) -> Callable[[int], Sample]:
    """Measure our engine scoring the letters one by one."""

    async def ask(engine: TransformersEngine, questions: Sequence[ChoiceRequest]) -> None:
        scores = [score_request(question, letter) for question in questions for letter in question.options]
        await asyncio.gather(*(engine.score(one) for one in scores))

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = _read(engine)
            with Clock() as clock:
                asyncio.run(ask(engine, task.questions(task.pairs, number)))
            n_prompt, n_computed = _read(engine, before)
        return bench.sample(_work(clock, len(task.pairs), 2 * task.n_questions, n_prompt, n_computed))

    return turn


def score_request(question: ChoiceRequest, letter: str) -> ScoreRequest:
    """Ask for one letter's log-probability in the place where the question asks for both."""
    return ScoreRequest(
        messages=question.messages, prefill=question.prefill, n_shared=question.n_shared, continuation=letter
    )


def library(bench: Bench, task: Task, model: Any, tokenizer: Any, n_pairs: int) -> Callable[[int], Sample]:
    """Measure the library's own passes, one for each letter, over ``n_pairs`` of the pairs, others each round."""

    def turn(number: int) -> Sample:
        n_prompt = 0
        with quiet_libraries(), Clock() as clock:
            questions = task.questions(some_rows(task.pairs, n_pairs, number), number)
            prompts = [prompt_text(tokenizer, question) for question in questions]
            for letter in ("A", "B"):
                for batch in batches(prompts):
                    n_prompt += score_batch(model, tokenizer, batch, letter)[1]
        return bench.sample(_work(clock, n_pairs, 2 * task.n_questions, n_prompt, n_prompt))

    return turn


def prompt_text(tokenizer: Any, question: ChoiceRequest) -> str:
    """Render a question through the chat template, up to the opening bracket of the answer."""
    chat = [turn.model_dump() for turn in question.messages or ()]
    return f"{tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)}{question.prefill}"


@torch.inference_mode()
def score_batch(model: Any, tokenizer: Any, prompts: Sequence[str], letter: str) -> tuple[list[float], int]:
    """Read a letter's log-probability behind each prompt; and how many tokens the prompts had."""
    inputs = tokenizer(list(prompts), padding=True, add_special_tokens=False, return_tensors="pt").to(model.device)
    wanted = tokenizer(letter, add_special_tokens=False)["input_ids"][0]
    logits = model(**inputs, logits_to_keep=1, use_cache=False).logits[:, -1].float()
    return logits.log_softmax(-1)[:, wanted].tolist(), int(inputs["attention_mask"].sum())


def _read(engine: TransformersEngine, before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Count prompt tokens since ``before``: those asked for, and those computed."""
    told = engine.prefix_statistics
    return told.n_prompt_tokens - before[0], told.n_prompt_tokens - told.n_from_cache - before[1]


def _work(clock: Clock, n_pairs: int, n_calls: int, n_prompt: int, n_computed: int) -> Work:
    return Work(
        seconds=clock.seconds,
        n_rows=n_pairs,
        n_calls=n_calls * n_pairs,
        n_prompt=n_prompt,
        n_computed=n_computed,
        n_drawn=0,
        batch=min(_MAX_ROWS, n_calls * n_pairs),
    )


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--pairs", "--n", type=int, default=64, help="pairs, each asked about in both orders")
    parser.add_argument("--principles", type=int, default=2, help="that each pair is asked about under")
    parser.add_argument("--library-pairs", type=int, default=8, help="pairs of the library in each round")
    given = parser.parse_args()
    bench, model, tokenizer = make_bench(given.model)
    task = Task(make_pairs(given.pairs), load_constitution("harmless"), given.principles)
    n_library = min(given.library_pairs, len(task.pairs))
    print(
        f"{len(task.pairs)} pairs, {task.n_questions} questions each; the library does {n_library} of the pairs a "
        "round; ratios are of pairs/s"
    )
    sides = {
        "one pass": one_pass(bench, task),
        "two passes": two_passes(bench, task),
        "library": library(bench, task, model, tokenizer, n_library),
    }
    samples = interleave(sides, given.rounds)
    more = {
        **against(samples, "library"),
        "pairs": {name: found[-1].n_rows for name, found in samples.items()},
        "passes_per_pair": {name: found[-1].notes["calls"] / found[-1].n_rows for name, found in samples.items()},
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("scoring", speed_up(samples["one pass"], samples["two passes"]), samples, **more), samples)


if __name__ == "__main__":
    main()
