"""The benchmarks' shared pieces on workloads that take no time, and the smallest run of one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pages import DOCS, ROOT, read

sys.path.append(str(ROOT))  # the benchmarks are no installed package

from benchmarks import (
    chains,
    generation,
    http_client,
    labels,
    large_model,
    overhead,
    scoring,
    time_shares,
    training_rows,
)
from benchmarks.children import Child
from benchmarks.limits import (
    Machine,
    ModelSize,
    decode_limit,
    least_seconds,
    measure_machine,
    prefill_limit,
    training_limit,
)
from benchmarks.machine_models import make_bench
from benchmarks.measuring import Clock, Sample, SpeedUp, finish, flags, interleave, median, result, speed_up, table

from charter.constitution import load_constitution
from charter.constitution.model import FewShots
from charter.engines.base import Completion, CompletionRequest, Sampling
from charter.engines.http.bodies import Abilities, completion_body
from charter.engines.scripted import ScriptedEngine
from charter.engines.transformers import TransformersEngine
from charter.feedback.questions import Question, letter_request, make_asking

MACHINE = Machine(gemm=1e12, bandwidth=1e10)
SIZE = ModelSize(n_params=10**9, weight_bytes=2 * 10**9, cache_bytes_per_token=10**4)
NAMES = (
    *("generation", "vllm_waves", "http_client", "labels", "scoring", "training", "pair_layouts", "overhead"),
    "ray_workers",
)
SMALL = ("--n", "2", "--revision-rounds", "1", "--few-shots", "0", "--max-tokens", "8", "--max-critique-tokens", "8")


def taking(*seconds: float, rows: int = 10) -> tuple[Sample, ...]:
    """Make samples of given lengths."""
    return tuple(Sample(one, rows, 100 * rows, least_seconds=one / 4) for one in seconds)


def four_digits(value: float) -> float:
    """Round as the results are."""
    return float(f"{value:.4g}")


def test_workloads_run_by_turns_and_learn_the_round() -> None:
    """The order is A B A B, and each is told the round's number."""
    turns: list[tuple[str, int]] = []

    def fake(name: str) -> Callable[[int], Sample]:
        def turn(number: int) -> Sample:
            turns.append((name, number))
            return Sample(1.0 + number, 1, 1)

        return turn

    samples = interleave({"a": fake("a"), "b": fake("b")}, 3)
    assert turns == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert [sample.seconds for sample in samples["b"]] == [1.0, 2.0, 3.0]


def test_no_rounds_are_refused() -> None:
    """A median over nothing does not exist."""
    with pytest.raises(ValueError, match="rounds is 0"):
        interleave({}, 0)


def test_speed_up_is_the_median_of_each_rounds_own_ratio() -> None:
    """A slow round slows both sides and leaves its ratio alone; the medians' ratio would be another number."""
    ours, theirs = taking(1.0, 10.0, 1.0), taking(2.0, 40.0, 3.0)
    assert speed_up(ours, theirs) == SpeedUp(ratio=3.0, min=2.0, max=4.0, n=3)


def test_speed_up_compares_rows_per_second() -> None:
    """A side that does half the rows in the same time is half as fast."""
    assert speed_up(taking(2.0, rows=8), taking(2.0, rows=4)).ratio == 2.0


def test_rounds_must_pair_up() -> None:
    """A ratio is only taken within a round."""
    with pytest.raises(ValueError, match="zip"):
        speed_up(taking(1.0, 1.0), taking(1.0))


def test_median_reads_notes_and_attributes() -> None:
    """A note comes before an attribute; both take the median over rounds."""
    samples = [Sample(1.0, 1, 1, notes={"loss": loss}) for loss in (3.0, 1.0, 2.0)]
    assert median(samples, "loss") == 2.0
    assert median(taking(1.0, 5.0, 2.0), "seconds") == 2.0
    assert median(taking(1.0, 5.0, 2.0), "limit_share") == 0.25


def test_last_line_is_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed ends with one line of JSON that has the agreed keys."""
    samples = {"ours": taking(1.0, 1.0, 1.0), "theirs": taking(2.0, 3.0, 4.0)}
    finish(result("fake", speed_up(samples["ours"], samples["theirs"]), samples, extra=1 / 3), samples)
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(lines[-1])
    assert {"benchmark": "fake", "ratio": 3.0, "min": 2.0, "max": 4.0, "n": 3}.items() <= figures.items()
    assert figures["tokens_per_second"] == {"ours": 1000.0, "theirs": 333.3}
    assert figures["limit_share"] == 0.25
    assert figures["extra"] == 0.3333
    assert any("3 round(s): a trial" in line for line in lines)


def test_enough_rounds_are_no_trial(capsys: pytest.CaptureFixture[str]) -> None:
    """The default number of rounds is one that may be quoted."""
    rounds = flags("A title.\n\nMore.").parse_args([]).rounds
    samples = {"ours": taking(*[1.0] * rounds)}
    finish(result("fake", speed_up(samples["ours"], samples["ours"]), samples), samples)
    assert "trial" not in capsys.readouterr().out


def test_table_has_a_line_for_each_workload() -> None:
    """Notes that only one side has leave the other's cell empty."""
    ours = (Sample(2.0, 10, 1000, notes={"drawn_tokens": 7.0}),)
    lines = table({"ours": ours, "theirs": taking(1.0)}).splitlines()
    assert lines[0].split("|")[-2].strip() == "drawn tokens"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["ours", "theirs"]
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["7", ""]
    assert len({line.count("|") for line in lines}) == 1


def test_clock_measures_the_block_alone() -> None:
    """Seconds are set when the block ends and stay."""
    with Clock() as clock:
        assert clock.seconds == 0.0
    measured = clock.seconds
    assert measured > 0.0
    time.sleep(0.001)
    assert clock.seconds == measured


def test_limits_follow_their_formulas() -> None:
    """Products bound prompts and large batches, bandwidth bounds small ones; training is 2 or 3 forward passes."""
    assert prefill_limit(MACHINE, SIZE) == 500.0
    assert decode_limit(MACHINE, SIZE, 1, 0) == 5.0  # 2 GB of weights a step at 10 GB/s
    assert decode_limit(MACHINE, SIZE, 10, 10_000) == pytest.approx(10 / 0.3)  # and 1 GB of cache
    assert decode_limit(MACHINE, SIZE, 1000, 0) == 500.0
    assert training_limit(MACHINE, SIZE, with_reference=False) == 250.0
    assert training_limit(MACHINE, SIZE, with_reference=True) == pytest.approx(500 / 3)
    assert least_seconds(MACHINE, SIZE, 1000, 10, 1, 0) == 4.0


def test_machine_is_measured() -> None:
    """Both probes give rates that a processor can have."""
    machine = measure_machine("cpu")
    assert 1e8 < machine.gemm < 1e15
    assert 1e8 < machine.bandwidth < 1e13
    assert "GFLOP/s" in str(machine)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The better response is (A).", "A"),
        ("First (A) seems fine, but the better response is (B)", "B"),
        ("So the answer is B.", "B"),
        ("A good answer would say more.", None),
        ("", None),
    ],
)
def test_letters_are_parsed(text: str, letter: str | None) -> None:
    """The last letter that is named counts; a text that names none gives none."""
    assert labels.parse_letter(text) == letter


class Recording(ScriptedEngine):
    """A scripted engine that keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Keep and answer."""
        self.asked.append(request)
        return await super().complete(request)


TASK = chains.Task(overhead.make_prompts(3), load_constitution("harmless"), 2, 1, 48, 32)


def test_chains_make_the_calls_of_revise() -> None:
    """A plain script's requests are those of ``charter.revise``: the same messages, limits and seeds, row by row."""
    ours, theirs = Recording(), Recording()
    TASK.revise(ours, 7)

    def answer(requests: Sequence[CompletionRequest]) -> list[str]:
        return [f" {asyncio.run(theirs.complete(request)).text} " for request in requests]

    chains.in_waves([TASK.chain(prompt, 7) for prompt in TASK.prompts], answer)
    keys = [request.key("any") for request in theirs.asked]
    assert len(keys) == len(set(keys)) == 3 * TASK.n_calls
    assert sorted(keys) == sorted(request.key("any") for request in ours.asked)


def test_waves_wait_for_their_last_row() -> None:
    """Initial responses, critiques and revisions are asked for stage by stage; each sees what came before."""
    waves: list[Sequence[CompletionRequest]] = []

    def answer(requests: Sequence[CompletionRequest]) -> list[str]:
        waves.append(requests)
        return [f" answer {len(waves)} " for _ in requests]

    chains.in_waves([TASK.chain(prompt, 1) for prompt in generation.some_rows(TASK.prompts, 2, 1)], answer)
    assert [wave[0].sampling.max_tokens for wave in waves] == [48, 32, 48, 32, 48]
    shown = [[[turn.content for turn in request.messages or ()] for request in wave] for wave in waves]
    assert [texts[-1] for texts in shown[0]] == [TASK.prompts[2].text, TASK.prompts[0].text]
    assert shown[1][0][-2] == "answer 1"
    assert shown[2][0][-2] == "answer 2"
    assert shown[2][0][: len(shown[1][0])] == shown[1][0]
    assert shown[3][0][-2] == "answer 3"


def test_sides_are_held_to_their_calls() -> None:
    """Tokens are told per row; a side that makes another number of calls ends the benchmark."""
    notes = {"calls": 10.0, "prompt_tokens": 400.0, "drawn_tokens": 60.0}
    same = {"ours": (Sample(1.0, 2, 1, notes=notes),), "loop": (Sample(1.0, 2, 1, notes=notes),)}
    assert generation.per_row(same, TASK) == {
        "calls_per_row": 5,
        "prompt_tokens_per_row": {"ours": 200.0, "loop": 200.0},
        "drawn_tokens_per_row": {"ours": 30.0, "loop": 30.0},
    }
    fewer = {**same, "loop": (Sample(1.0, 4, 1, notes=notes),)}
    with pytest.raises(RuntimeError, match="a row takes 5 calls"):
        generation.per_row(fewer, TASK)


def test_bare_client_sends_the_bodies_of_the_engine() -> None:
    """What the bare client posts is what our engine posts, for each kind of server and with either way of drawing."""
    for name, server in http_client._SERVERS.items():
        client = http_client.BareClient(server, "http://localhost:1/v1/", name, 2)
        for temperature in (0.0, 0.7):
            request = next(replace(TASK, temperature=temperature).chain(TASK.prompts[0], 3))
            assert client.body(request) == completion_body(request, name, server, Abilities()).value
        asyncio.run(client.close())


def test_a_process_answers_until_its_input_ends(tmp_path: Path) -> None:
    """A side in a process of its own says that it is ready, answers in order, and prints beside its answers."""
    script = tmp_path / "side.py"
    script.write_text(
        "from benchmarks.sides.answering import answer_all\n"
        "def begin():\n"
        "    print('loading')\n"
        "    return {'ready': 1}, lambda asked: {'twice': 2 * asked['n']}\n"
        "answer_all(begin)\n"
    )
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    with Child([sys.executable, str(script)], variables) as child:
        assert child.first == {"ready": 1}
        assert [child.ask({"n": n}) for n in (3, 4)] == [{"twice": 6}, {"twice": 8}]
        with pytest.raises(RuntimeError, match="KeyError: 'n'"):
            child.ask({})


@pytest.mark.model
def test_scores_of_letters_are_those_of_one_pass(tiny_model: Path) -> None:
    """One pass, two passes of our engine, and the library's read the same log-probabilities of the same questions."""
    bench, _, tokenizer = make_bench(str(tiny_model))
    bench = replace(bench, dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    constitution = load_constitution("harmless")
    short = constitution.model_copy(update={"few_shots": FewShots(judge=constitution.few_shots.judge[:1])})
    task = scoring.Task(labels.make_pairs(2), short, 2)
    questions = task.questions(task.pairs, 0)
    assert len(questions) == 2 * task.n_questions == 8
    with bench.engine() as engine:
        chosen = [asyncio.run(engine.choose(question)).logprobs for question in questions]
        scored = [
            [asyncio.run(engine.score(scoring.score_request(question, letter))).logprob for letter in "AB"]
            for question in questions
        ]
    prompts = [scoring.prompt_text(tokenizer, question) for question in questions]
    first, second = (scoring.score_batch(model, tokenizer, prompts, letter)[0] for letter in "AB")
    assert np.allclose(chosen, scored, atol=1e-4)
    assert np.allclose(chosen, list(zip(first, second, strict=True)), atol=1e-4)


@pytest.mark.model
def test_scoring_sides_ask_the_same_questions(tiny_model: Path) -> None:
    """Two passes read twice the prompt tokens of one; the library reads as many for each of its pairs, and all anew."""
    bench, model, tokenizer = make_bench(str(tiny_model))
    constitution = load_constitution("harmless")
    short = constitution.model_copy(update={"few_shots": FewShots(judge=constitution.few_shots.judge[:1])})
    task = scoring.Task(labels.make_pairs(3), short, 2)
    one, two = scoring.one_pass(bench, task)(1), scoring.two_passes(bench, task)(1)
    theirs = scoring.library(bench, task, model, tokenizer, 3)(1)
    assert two.notes["calls"] == theirs.notes["calls"] == 2 * one.notes["calls"] == 24
    assert two.notes["prompt_tokens"] == theirs.notes["prompt_tokens"] == 2 * one.notes["prompt_tokens"]
    assert one.notes["computed_tokens"] < one.notes["prompt_tokens"]
    assert theirs.notes["computed_tokens"] == theirs.notes["prompt_tokens"]


def test_written_verdicts_ask_the_same_question() -> None:
    """Both sides of the comparison show the model the same messages, with the same shared part."""
    asking, pair = make_asking(load_constitution("harmless")), labels.make_pairs(1)[0]
    question = Question(prompt=pair.prompt, question="Which is better?", first=pair.a, second=pair.b)
    written, letters = labels.verdict_request(asking, question, 32, 0), letter_request(asking, question)
    assert (written.messages, written.n_shared) == (letters.messages, letters.n_shared)
    assert written.sampling.max_tokens == 32


def test_verdicts_are_asked_for_in_both_orders() -> None:
    """A round's requests are each pair's two, one after the other, under a principle that changes with the round."""
    constitution, pairs = load_constitution("harmless"), labels.make_pairs(2)
    task = labels.Task(pairs, constitution, 64)
    asked = [request.messages[-1].content for request in task.requests(pairs, 3) if request.messages]
    principles = constitution.principles
    for place, text in enumerate(asked):
        pair, principle = pairs[place // 2], principles[(3 + place // 2) % len(principles)]
        first, second = (pair.a, pair.b) if place % 2 == 0 else (pair.b, pair.a)
        assert principle.choice_question in text
        assert text.endswith(f"(A) {first}\n\n(B) {second}")


def test_padded_batches_hold_32() -> None:
    """All prompts are put, in their order, 32 at once."""
    chats: list[generation.Chat] = [[{"role": "user", "content": str(number)}] for number in range(70)]
    cut = list(labels.batches(chats))
    assert [len(batch) for batch in cut] == [32, 32, 6]
    assert [chat for batch in cut for chat in batch] == chats


def test_label_ratios_compare_pairs_per_second() -> None:
    """The side that does a quarter of the pairs in the same time is four times as slow, at the limits too."""
    notes = {"drawn_tokens": 512.0, "readable": 0.5}
    ours, generated, same = ((Sample(2.0, n_pairs, 1, least_seconds=0.5, notes=notes),) for n_pairs in (64, 16, 32))
    figures = labels.summarise({"one pass": ours, "generate": generated, "same engine": same})
    assert (figures["ratio_same_engine"], figures["min_same_engine"], figures["max_same_engine"]) == (2.0, 2.0, 2.0)
    assert (figures["ratio_at_limits"], figures["ratio_same_engine_at_limits"]) == (4.0, 2.0)
    assert figures["tokens_per_verdict"] == {"generate": 16.0, "same engine": 8.0}
    assert figures["pairs"] == {"one pass": 64, "generate": 16, "same engine": 32}


@pytest.mark.model
def test_label_sides_run_on_a_tiny_model(tiny_model: Path) -> None:
    """Each side does its pairs in both orders; the library's reads every prompt whole, ours the shared part once."""
    bench, model, tokenizer = make_bench(str(tiny_model))
    constitution = load_constitution("harmless")
    short = FewShots(judge=constitution.few_shots.judge[:1])
    task = labels.Task(labels.make_pairs(3), constitution.model_copy(update={"few_shots": short}), 4)
    ours = labels.one_pass(bench, task)(0)
    generated = labels.generated(bench, task, model, tokenizer, 2)(0)
    same = labels.written(bench, task)(0)
    assert (ours.n_rows, generated.n_rows, same.n_rows) == (3, 2, 3)
    assert ours.notes["drawn_tokens"] == 0 < generated.notes["drawn_tokens"]
    assert 0 < same.notes["drawn_tokens"] <= 3 * 2 * 4
    assert generated.notes["computed_tokens"] == generated.notes["prompt_tokens"]
    assert ours.notes["computed_tokens"] < ours.notes["prompt_tokens"]
    assert same.notes["computed_tokens"] < same.notes["prompt_tokens"]


@pytest.mark.model
def test_padded_batches_are_answered_without_their_prompts(tiny_model: Path) -> None:
    """Each chat of a batch gets a text, and that begins where the prompt ends."""
    _, model, tokenizer = make_bench(str(tiny_model))
    chats: list[generation.Chat] = [[{"role": "user", "content": "harbour " * n}] for n in (2, 9)]
    texts = generation.generate(model, tokenizer, chats, 5)
    assert len(texts) == 2
    assert not any("harbour harbour" in text or "assistant" in text for text in texts)


def test_training_rows_are_the_same_every_time() -> None:
    """Rows come from a fixed seed, fit the length limit, and have half as many pairs."""
    rows, pairs = training_rows.make_rows(20)
    assert (rows, pairs) == training_rows.make_rows(20)
    assert (len(rows), len(pairs)) == (20, 10)
    assert all(pair.chosen != pair.rejected for pair in pairs)


def test_overhead_sides_do_the_same_to_rows() -> None:
    """Bare rows come to what the framework's come to, with the same draws."""
    framework = overhead.Framework(overhead.make_prompts(5), 2, 3)
    bare = overhead.BareRows(framework, 3)
    own, alone = framework(4), bare(4)
    assert framework.traces == bare.traces
    assert [len(trace.rounds) for trace in bare.traces] == [2, 2, 2]
    assert (own.n_rows, alone.n_rows) == (5, 3)
    assert bare(5).n_rows == 3
    assert framework.traces != bare.traces


def test_growth_is_per_row_after_the_first_round() -> None:
    """The first round fills caches and is not counted."""
    samples = [Sample(1.0, 1024, 1, notes={"resident_mb": held}) for held in (50.0, 51.0, 52.0)]
    assert overhead.growth_per_row(samples) == 1024.0
    assert overhead.growth_per_row(samples[:1]) == 0.0


def test_overhead_follows_from_its_rounds() -> None:
    """A round's ratio is the aim over its time per row less a bare row's; the whole is told too."""
    notes = {"resident_mb": 50.0, "cpu_ms_per_row": 0.5}
    ours = tuple(Sample(seconds, 1000, 1, notes=notes) for seconds in (1.0, 5.0, 1.3))  # ms a row, for 1000 rows
    figures = overhead.summarise({"framework": ours, "bare rows": taking(0.25, 0.5, 0.25, rows=500)})
    assert (figures["ratio"], figures["min"], figures["max"], figures["n"]) == (1.25, 0.25, 2.0, 3)
    assert (figures["ms_per_row_own"], figures["ms_per_row"], figures["ms_of_rounds"]) == (0.8, 1.3, [1.0, 5.0, 1.3])
    assert figures["ms_per_row_bare"] == 0.5
    assert figures["ratio_whole"] == 0.7692


@pytest.mark.model
def test_time_is_laid_to_what_it_was_spent_on(tiny_model: Path) -> None:
    """All of the engine's thread is told, none of it as waiting, and next to nothing goes unnamed."""
    asked = CompletionRequest(text="The harbour", sampling=Sampling(max_tokens=32))
    with time_shares.profiled() as profile, closing(TransformersEngine(tiny_model, device="cpu")) as engine:
        asyncio.run(engine.complete(asked))
    seconds, shares = time_shares.shares_of(profile)
    assert 0 < seconds < 60
    assert sum(shares.values()) == pytest.approx(1)
    assert {"matrix products of layers and head", "attention", "drawing tokens"} <= set(shares)
    assert "waiting for calls" not in shares
    assert shares.get("everything else", 0) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_benchmarks_are_documented(name: str) -> None:
    """The page says how each benchmark is run."""
    assert f"python -m benchmarks.{name}" in read(DOCS / "performance.md")


def measured(*command: str) -> dict[str, Any]:
    """Run a benchmark in its smallest form, and give its result."""
    whole = [sys.executable, "-m", *command, "--rounds", "1"]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert figures["n"] == 1
    return figures


@pytest.mark.slow
@pytest.mark.model
def test_generation_runs_small(tiny_model: Path) -> None:
    """All sides make the calls of the task on a tiny model; distilabel where its environment is named."""
    environment = os.environ.get("CHARTER_DISTILABEL")
    more = ("--distilabel", environment) if environment else ()
    figures = measured("benchmarks.generation", *SMALL, "--loop-rows", "1", "--model", str(tiny_model), *more)
    sides = {"ours", "loop", "pipeline", "distilabel"} if environment else {"ours", "loop", "pipeline"}
    assert figures["calls_per_row"] == 3
    assert figures["rows"] == {name: 1 if name in {"loop", "distilabel"} else 2 for name in sides}
    assert {name for name in figures if name.startswith("ratio_")} == {
        f"ratio_{name}" for name in sides - {"ours", "loop"}
    }
    assert all(figures["drawn_tokens_per_row"][name] > 0 for name in sides)


@pytest.mark.thorough
@pytest.mark.model
def test_a_large_model_runs_small() -> None:
    """All that is measured on an accelerator is measured here too, on a small shape."""
    figures = measured("benchmarks.large_model", "--size", "135m", "--rows", "4", *SMALL)
    assert set(figures["tokens_per_second"]) == set(figures["peak_gib"]) == set(large_model.WORK)
    assert all(speed > 0 for speed in figures["tokens_per_second"].values())
    assert figures["parameters"] == 134_515_008


@pytest.mark.slow
@pytest.mark.model
def test_http_client_runs_small() -> None:
    """Both sides make the calls of the task, on servers of the same model."""
    figures = measured("benchmarks.http_client", *SMALL, "--temperature", "0", "--at-once", "2")
    assert_same_calls(figures, "bare client")


@pytest.mark.thorough
@pytest.mark.model
@pytest.mark.skipif("CHARTER_VLLM" not in os.environ, reason="CHARTER_VLLM names no environment with vLLM")
def test_http_client_runs_small_on_vllm() -> None:
    """As on llama.cpp."""
    figures = measured("benchmarks.http_client", *SMALL, "--temperature", "0", "--at-once", "2", "--server", "vllm")
    assert_same_calls(figures, "bare client")


@pytest.mark.thorough
@pytest.mark.model
@pytest.mark.skipif("CHARTER_VLLM" not in os.environ, reason="CHARTER_VLLM names no environment with vLLM")
@pytest.mark.parametrize("against", ["defaults", "same"])
def test_vllm_waves_run_small(against: str) -> None:
    """Both sides make the calls of the task, each in a vLLM of its own."""
    figures = measured("benchmarks.vllm_waves", *SMALL, "--temperature", "0", "--against", against)
    assert_same_calls(figures, against)


def assert_same_calls(figures: dict[str, Any], other: str) -> None:
    """Both sides read about as much (a rounding error may change a text), and draw no more than the limits allow."""
    read, drawn = figures["prompt_tokens_per_row"], figures["drawn_tokens_per_row"]
    assert figures["calls_per_row"] == 3
    assert read["ours"] == pytest.approx(read[other], rel=0.1)
    assert 0 < drawn["ours"] <= 24
    assert 0 < drawn[other] <= 24


@pytest.mark.slow
@pytest.mark.model
def test_pair_layouts_runs_small(tiny_model: Path) -> None:
    """Prompts are read once or twice, and nothing else is another."""
    figures = measured("benchmarks.pair_layouts", "--pairs", "4", "--model", str(tiny_model))
    assert figures["would_share"]
    assert figures["ratio_of_tokens"] > 1.4
    assert set(figures["seconds"]) == {"shared", "apart"}


@pytest.mark.slow
def test_overhead_runs_small() -> None:
    """The smallest run ends with its result, which follows from the times of its rounds to the last digit."""
    command = [sys.executable, "-m", "benchmarks.overhead", "--rows", "20", "--rounds", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["benchmark"], figures["n"], figures["rows"]) == ("overhead", 2, 20)
    assert {"ms_per_row_own", "cpu_ms_per_row", "growth_bytes_per_row"} <= set(figures)
    first, second = figures["ms_of_rounds"]
    whole = (first + second) / 2
    expected = {"ms_per_row": four_digits(whole), "ratio_whole": four_digits(1 / whole)}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-3)
    assert figures["min"] <= figures["ratio"] <= figures["max"]


@pytest.mark.slow
def test_ray_workers_runs_small() -> None:
    """The smallest run ends with its result: all rows done on each side, none faster than the latency allows."""
    command = [sys.executable, "-m", "benchmarks.ray_workers", "--rows", "64", "--rounds", "1", "--at-once", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["benchmark"], figures["rows"], figures["actors"], figures["at_once"]) == ("ray_workers", 64, 2, 4)
    assert 0.0 < figures["limit_share"] <= 1.0
    assert set(figures["seconds"]) == {"actors", "one process", "one process, all at once"}
    assert figures["seconds"]["one process"] >= 64 / 4 * 0.05
