"""Letters read from one pass against verdicts that are written out and parsed: the same questions, the same engine.

    python -m benchmarks.labels [--pairs 64] [--verdict-tokens 32] [--rounds 5]

Each pair is asked about in both orders under one principle of the built-in harmless constitution, with its worked
examples. Ours is ``charter.label``: the log-probabilities of A and B after "The better response is (". The alternative
puts the very same messages to the same engine, in the same batches and with the same shared prefix, has a verdict of up
to ``--verdict-tokens`` tokens written step by step, and looks for a letter in it. Each turn of either side starts a new
engine with empty caches.

``readable`` is the share of verdicts that gave a letter: what is parsed may be missing, what is read never is.
``ratio_at_limits`` is the ratio that both sides would have at the machine's limits. Both read the same questions; only
the tokens of the verdict are saved, so that long answers under comparison bring the two together.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from benchmarks.generation import n_tokens
from benchmarks.machine_models import Bench, Work, make_bench
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, median, result, speed_up
from charter.constitution import load_constitution
from charter.constitution.model import Constitution, Principle
from charter.engines.base import Completion, CompletionRequest, Engine, Sampling
from charter.engines.scripted import draw_prose
from charter.engines.transformers import TransformersEngine
from charter.feedback import label
from charter.feedback.questions import REASONING_OPENING, Asking, Question, letter_request, make_asking
from charter.prompts import load_prompts
from charter.records import Pair
from charter.seeds import row_id

_LETTER = re.compile(r"\(([AB])\)|\b(?:is|answer|option|response)\W{1,3}([AB])\b")
_MAX_ROWS = 64  # how many rows the engine draws at once by default


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
    return CompletionRequest(
        messages=letters.messages,
        n_shared=letters.n_shared,
        prefill=REASONING_OPENING,
        sampling=Sampling(max_tokens=max_tokens, seed=seed),
    )


async def write_verdicts(engine: Engine, requests: Sequence[CompletionRequest]) -> list[Completion]:
    """Put all requests at once, as the rows of a stage are."""
    return list(await asyncio.gather(*(engine.complete(request) for request in requests)))


def one_pass(bench: Bench, pairs: Sequence[Pair], constitution: Constitution) -> Callable[[int], Sample]:
    """Measure ``charter.label`` with one principle a pair."""

    def turn(number: int) -> Sample:
        with bench.engine() as engine:
            before = _prompt_tokens(engine)
            with Clock() as clock:
                # A tiny model may put little mass on the letters; every verdict is to be read all the same.
                mapped = label(pairs, constitution, engine, k_principles=1, min_option_mass=0.0, seed=number)
            work = _work(clock, engine, before, len(pairs), n_drawn=0)
        if len(mapped.done) != len(pairs):
            raise RuntimeError(f"{len(mapped.done)} of {len(pairs)} pairs were labelled: {mapped.reasons}")
        return _with(bench.sample(work), readable=1.0)

    return turn


def written(
    bench: Bench, pairs: Sequence[Pair], constitution: Constitution, max_tokens: int
) -> Callable[[int], Sample]:
    """Measure verdicts that are drawn and parsed."""
    asking = make_asking(constitution)

    def questions(number: int) -> list[Question]:
        drawn = [_principle(constitution, number, place) for place in range(len(pairs))]
        return [
            Question(prompt=pair.prompt, question=principle.choice_question, first=first, second=second)
            for pair, principle in zip(pairs, drawn, strict=True)
            for first, second in ((pair.a, pair.b), (pair.b, pair.a))
        ]

    def turn(number: int) -> Sample:
        asked = questions(number)
        with bench.engine() as engine:
            before = _prompt_tokens(engine)
            with Clock() as clock:
                requests = [
                    verdict_request(asking, question, max_tokens, number * len(asked) + place)
                    for place, question in enumerate(asked)
                ]
                answers = asyncio.run(write_verdicts(engine, requests))
                letters = [parse_letter(answer.text) for answer in answers]
            n_drawn = sum(answer.n_completion_tokens for answer in answers)
            work = _work(clock, engine, before, len(pairs), n_drawn=n_drawn)
        return _with(bench.sample(work), readable=sum(letter is not None for letter in letters) / len(letters))

    return turn


def _principle(constitution: Constitution, number: int, place: int) -> Principle:
    return constitution.principles[(number + place) % len(constitution.principles)]


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
    parser.add_argument("--verdict-tokens", type=int, default=32, help="of a written verdict, at most")
    given = parser.parse_args()
    bench, _model, tokenizer = make_bench(given.model)
    del _model
    pairs, constitution = make_pairs(given.pairs), load_constitution("harmless")
    n_answer = n_tokens(tokenizer, [text for pair in pairs for text in (pair.a, pair.b)]) / (2 * len(pairs))
    print(f"{len(pairs)} pairs in both orders, answers of {n_answer:.0f} tokens; ratios are of pairs/s")
    sides = {
        "one pass": one_pass(bench, pairs, constitution),
        "written": written(bench, pairs, constitution, given.verdict_tokens),
    }
    samples = interleave(sides, given.rounds)
    n_drawn = median(samples["written"], "drawn_tokens") / (2 * len(pairs))
    least = [median(samples[name], "least_seconds") for name in ("written", "one pass")]
    more = {
        "pairs": len(pairs),
        "tokens_per_verdict": n_drawn,
        "ratio_at_limits": least[0] / least[1],
        "readable": {name: median(found, "readable") for name, found in samples.items()},
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("labels", speed_up(samples["one pass"], samples["written"]), samples, **more), samples)


if __name__ == "__main__":
    main()
