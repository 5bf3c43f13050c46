"""Letters read from one pass against verdicts that are written out and parsed: the same questions in both orders.

    python -m benchmarks.labels [--pairs 64] [--verdict-tokens 64] [--generate-pairs 16] [--rounds 5]

Each pair is asked about in both orders under one principle of the built-in harmless constitution, with its worked
examples. Ours is ``charter.label``: the log-probabilities of A and B after "The better response is (". Against it, by
turns in the same run, such questions about the same pairs, under principles that are drawn apart, are answered with a
verdict of up to ``--verdict-tokens`` tokens, in which a letter is looked for:

generate: by ``model.generate`` over padded batches of 32, as a script does that has the library alone. Every prompt is
read whole, worked examples and all. It is slow, so that each round does ``--generate-pairs`` of the pairs, others each
time, and is compared in pairs per second. ``ratio`` is against it.

same engine: by our engine, in batches as ours and with the worked examples computed once. What is left is what the
letters alone save, and the least to be expected: ``ratio_same_engine``.

Each turn of our engine starts a new one with empty caches; loading is left out on all sides. ``readable`` is the share
of verdicts that gave a letter: what is parsed may be missing, what is read never is. ``ratio_at_limits`` and
``ratio_same_engine_at_limits`` are the ratios that the sides would have at the machine's limits.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.generation import Asked, Chat, generate, n_tokens, some_rows, work_of
from benchmarks.machine_models import Bench, Work, make_bench
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, median, result, speed_up
from charter.constitution import load_constitution
from charter.constitution.model import Constitution
from charter.engines.base import Completion, CompletionRequest, Engine, Sampling
from charter.engines.quiet import quiet_libraries
from charter.engines.scripted import draw_prose
from charter.engines.transformers import TransformersEngine
from charter.feedback import label
from charter.feedback.questions import Asking, Question, letter_request, make_asking
from charter.prompts import load_prompts
from charter.records import Pair
from charter.seeds import row_id

_LETTER = re.compile(r"\(([AB])\)|\b(?:is|answer|option|response)\W{1,3}([AB])\b")
_MAX_ROWS = 64  # how many rows the engine draws at once by default
_BATCH = 32  # of the alternative's padded prompts
_WRITTEN = ("generate", "same engine")  # the sides that write verdicts


@dataclass(frozen=True)
class Task:
    """What every side does; ``max_tokens`` are those of a written verdict."""

    pairs: Sequence[Pair]
    constitution: Constitution
    max_tokens: int

    def requests(self, pairs: Sequence[Pair], number: int) -> list[CompletionRequest]:
        """Ask for a round's verdicts: each pair in both orders, under a principle that changes with the round."""
        asking = make_asking(self.constitution)
        principles = self.constitution.principles
        questions = [
            Question(prompt=pair.prompt, question=principle.choice_question, first=first, second=second)
            for place, pair in enumerate(pairs)
            for principle in (principles[(number + place) % len(principles)],)
            for first, second in ((pair.a, pair.b), (pair.b, pair.a))
        ]
        return [
            verdict_request(asking, question, self.max_tokens, number * len(questions) + place)
            for place, question in enumerate(questions)
        ]


def make_pairs(n_pairs: int) -> tuple[Pair, ...]:
    """Pair two texts of a few sentences for each of the first red-team prompts."""
    return tuple(
        Pair(
            id=row_id("pair", prompt.id),
            prompt=prompt,
            a=draw_prose(f"{prompt.id} a"),
            b=draw_prose(f"{prompt.id} b"),
            source="given",
        )
        for prompt in load_prompts("built-in", "red_team", limit=n_pairs).prompts
    )


def parse_letter(text: str) -> str | None:
    """Find the last letter that a written verdict names; None where it names none."""
    found = _LETTER.findall(text)
    return (found[-1][0] or found[-1][1]) if found else None


def verdict_request(asking: Asking, question: Question, max_tokens: int, seed: int) -> CompletionRequest:
    """Ask for a written verdict with the messages of the one-pass question."""
    letters = letter_request(asking, question)
    sampling = Sampling(max_tokens=max_tokens, seed=seed)
    return CompletionRequest(messages=letters.messages, n_shared=letters.n_shared, sampling=sampling)


async def write_verdicts(engine: Engine, requests: Sequence[CompletionRequest]) -> list[Completion]:
    """Put all requests at once, as the rows of a stage are."""
    return list(await asyncio.gather(*(engine.complete(request) for request in requests)))


def one_pass(bench: Bench, task: Task) -> Callable[[int], Sample]:
    """Measure ``charter.label`` with one principle a pair."""
    pairs = task.pairs

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = _prompt_tokens(engine)
            with Clock() as clock:
                # A tiny model may put little mass on the letters; every verdict is to be read all the same.
                mapped = label(pairs, task.constitution, engine, k_principles=1, min_option_mass=0.0, seed=number)
            work = _work(clock, engine, before, len(pairs), n_drawn=0)
        if len(mapped.done) != len(pairs):
            raise RuntimeError(f"{len(mapped.done)} of {len(pairs)} pairs were labelled: {mapped.reasons}")
        return _with(bench.sample(work), readable=1.0)

    return turn


def generated(bench: Bench, task: Task, model: Any, tokenizer: Any, n_pairs: int) -> Callable[[int], Sample]:
    """Measure verdicts that the library draws in padded batches, of ``n_pairs`` of the pairs, others each round."""

    def ask(chats: Sequence[Chat], max_tokens: int) -> list[str]:
        return [text for batch in batches(chats) for text in generate(model, tokenizer, batch, max_tokens)]

    def turn(number: int) -> Sample:
        asked = Asked(ask)
        torch.manual_seed(number)
        with quiet_libraries(), Clock() as clock:
            some = some_rows(task.pairs, n_pairs, number)
            letters = [parse_letter(text) for text in asked(task.requests(some, number))]
        work = work_of(clock, asked, tokenizer, n_pairs, min(_BATCH, 2 * n_pairs))
        return _with(bench.sample(work), readable=_share_read(letters))

    return turn


def batches(chats: Sequence[Chat]) -> Iterator[Sequence[Chat]]:
    """Cut into batches of 32, in the order given."""
    return (chats[start : start + _BATCH] for start in range(0, len(chats), _BATCH))


def written(bench: Bench, task: Task) -> Callable[[int], Sample]:
    """Measure verdicts that our own engine draws."""

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = _prompt_tokens(engine)
            with Clock() as clock:
                answers = asyncio.run(write_verdicts(engine, task.requests(task.pairs, number)))
                letters = [parse_letter(answer.text) for answer in answers]
            n_drawn = sum(answer.n_completion_tokens for answer in answers)
            work = _work(clock, engine, before, len(task.pairs), n_drawn=n_drawn)
        return _with(bench.sample(work), readable=_share_read(letters))

    return turn


def _share_read(letters: Sequence[str | None]) -> float:
    return sum(letter is not None for letter in letters) / len(letters)


def _prompt_tokens(engine: TransformersEngine) -> tuple[int, int]:
    return engine.prefix_statistics.n_prompt_tokens, engine.prefix_statistics.n_from_cache


def _work(clock: Clock, engine: TransformersEngine, before: tuple[int, int], n_pairs: int, *, n_drawn: int) -> Work:
    n_prompt, n_cached = (now - then for now, then in zip(_prompt_tokens(engine), before, strict=True))
    return Work(
        seconds=clock.seconds,
        n_rows=n_pairs,
        n_calls=2 * n_pairs,
        n_prompt=n_prompt,
        n_computed=n_prompt - n_cached,
        n_drawn=n_drawn,
        batch=min(_MAX_ROWS, 2 * n_pairs),
    )


def _with(sample: Sample, **notes: float) -> Sample:
    return Sample(sample.seconds, sample.n_rows, sample.n_tokens, sample.least_seconds, {**sample.notes, **notes})


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--pairs", type=int, default=64, help="pairs, each asked about in both orders")
    parser.add_argument("--verdict-tokens", type=int, default=64, help="of a written verdict, at most")
    parser.add_argument("--generate-pairs", type=int, default=16, help="pairs of model.generate in each round")
    given = parser.parse_args()
    bench, model, tokenizer = make_bench(given.model)
    task = Task(make_pairs(given.pairs), load_constitution("harmless"), given.verdict_tokens)
    n_generated = min(given.generate_pairs, len(task.pairs))
    n_answer = n_tokens(tokenizer, [text for pair in task.pairs for text in (pair.a, pair.b)]) / (2 * len(task.pairs))
    print(
        f"{len(task.pairs)} pairs in both orders, answers of {n_answer:.0f} tokens; model.generate does "
        f"{n_generated} of them a round; ratios are of pairs/s"
    )
    sides = {
        "one pass": one_pass(bench, task),
        "generate": generated(bench, task, model, tokenizer, n_generated),
        "same engine": written(bench, task),
    }
    samples = interleave(sides, given.rounds)
    more = summarise(samples) | {
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("labels", speed_up(samples["one pass"], samples["generate"]), samples, **more), samples)


def summarise(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """Gather what the last line says beside the main ratio."""
    same = speed_up(samples["one pass"], samples["same engine"])
    least = {name: median(found, "least_seconds") / found[0].n_rows for name, found in samples.items()}
    return {
        "ratio_at_limits": least["generate"] / least["one pass"],
        "ratio_same_engine": same.ratio,
        "min_same_engine": same.min,
        "max_same_engine": same.max,
        "ratio_same_engine_at_limits": least["same engine"] / least["one pass"],
        "pairs": {name: found[0].n_rows for name, found in samples.items()},
        "tokens_per_verdict": {
            name: median(samples[name], "drawn_tokens") / (2 * samples[name][0].n_rows) for name in _WRITTEN
        },
        "readable": {name: median(found, "readable") for name, found in samples.items()},
    }


if __name__ == "__main__":
    main()
