"""What lm-eval asks, as rows, and what it finds, as figures: without lm-eval itself."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from charter.engines.base import CompletionRequest, Score, ScoreRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError, RunError
from charter.evaluation.lm_eval_tasks import Lent, measure_tasks, metrics_without_value, read_figures
from charter.evaluation.lm_eval_tasks.asking import (
    Continuation,
    Passage,
    read_sampling,
    score_one,
    score_passage_one,
)
from charter.rows import map_rows
from charter.statistics import rate_interval


def asked_for(*texts: tuple[str, str], task: str = "t") -> list[Any]:
    """Make requests as lm-eval does."""
    return [SimpleNamespace(args=text, task_name=task) for text in texts]


def found(values: list[float], *, docs: list[str] | None = None, value: float | None = None) -> dict[str, Any]:
    """Make lm-eval's results of one task of one metric."""
    samples = [
        {"doc_id": n, "doc_hash": (docs or [str(one) for one in range(len(values))])[n], "filter": "none", "acc": one}
        for n, one in enumerate(values)
    ]
    own = sum(values) / len(values) if value is None else value
    return {
        "results": {"t": {"alias": "t", "sample_len": len(values), "acc,none": own, "acc_stderr,none": 0.1}},
        "samples": {"t": samples},
        "higher_is_better": {"t": {"acc": True}},
    }


def test_blanks_belong_to_the_continuation() -> None:
    """What lm-eval calls a context's blanks is scored with the word behind them, and tokens are not split otherwise."""
    request = Continuation("Question: ", "yes").request
    assert (request.text, request.continuation) == ("Question:", " yes")
    assert Continuation("a", " b").id != Continuation("a", " b", wants_greedy=True).id


def test_greedy_is_what_the_model_itself_would_say() -> None:
    """A continuation is greedy where the model goes on with the same text; nobody asks where no task does."""
    engine = ScriptedEngine(lambda _: " yes")
    likely = [
        asyncio.run(score_one(Continuation("Is it?", text, wants_greedy=True), engine)) for text in (" yes", " no")
    ]
    assert [one.is_greedy for one in likely] == [True, False]
    assert asyncio.run(score_one(Continuation("Is it?", " yes"), engine)).is_greedy is None
    assert engine.n_calls["complete"] == 2


class Short(ScriptedEngine):
    """Reads 500 characters at most, and remembers what it scored."""

    def __init__(self) -> None:
        super().__init__()
        self.scored: list[ScoreRequest] = []

    async def score(self, request: ScoreRequest) -> Score:
        """Refuse what is too long."""
        if len(request.continuation) > 500:
            raise EngineError("the request has too many tokens")
        self.scored.append(request)
        return Score(logprob=-float(len(request.continuation)), n_tokens=1, n_prompt_tokens=0)


def test_long_texts_are_scored_in_pieces() -> None:
    """Every character is scored once, each piece behind the last word before it."""
    engine, text = Short(), " ".join(f"word{n}" for n in range(400))
    likely = asyncio.run(score_passage_one(Passage(text), engine))
    assert "".join(one.continuation for one in engine.scored) == text
    assert likely.logprob == -len(text)
    assert engine.scored[0].text == ""
    for before, after in zip(engine.scored, engine.scored[1:], strict=False):
        assert before.continuation.endswith(str(after.text))


def test_what_fails_for_another_reason_is_not_cut_for_ever() -> None:
    """A short text that is refused is refused."""

    class Refusing(ScriptedEngine):
        async def score(self, request: ScoreRequest) -> Score:
            raise EngineError(f"no: {len(request.continuation)}")

    with pytest.raises(EngineError, match="no:"):
        asyncio.run(score_passage_one(Passage("a word " * 500), Refusing()))


def test_how_texts_are_drawn() -> None:
    """Greedy unless a task samples; a way of drawing that engines do not know is refused by its name."""
    asked = {"until": ["\n", ""], "max_gen_toks": 7, "temperature": 0.7}
    greedy = read_sampling(asked | {"do_sample": False})
    assert (greedy.max_tokens, greedy.temperature, greedy.stop) == (7, 0.0, ("\n",))
    assert read_sampling(asked | {"do_sample": True}).temperature == 0.7
    with pytest.raises(RunError, match="top_k=5"):
        read_sampling(asked | {"top_k": 5})


def test_equal_requests_are_asked_once() -> None:
    """Requests of several tasks that are the same are one row, and answers come back in lm-eval's order."""
    engine = ScriptedEngine()
    answers = Lent("m", engine, map_rows).score(asked_for(("a", " x"), ("a", " y"), ("a", " x")))
    assert engine.n_calls["score"] == 2
    assert answers[0] == answers[2] != answers[1]


def test_failed_requests_leave_no_figure() -> None:
    """lm-eval is handed no default for what failed."""

    def fails(_: CompletionRequest) -> str:
        raise EngineError("out of words")

    lent = Lent("m", ScriptedEngine(fails), map_rows, greedy_tasks={"t"})
    with pytest.raises(RunError, match=r"m: 1 of 2 requests of lm-eval failed \(out of words\)"):
        lent.score([*asked_for(("a", " x")), *asked_for(("a", " y"), task="other")])


def test_means_are_bounded_by_documents() -> None:
    """The interval is that of the documents' values, equal ones as one; models are paired by document."""
    values, docs = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0], ["a", "b", "c", "d", "e", "a"]
    figures = {"base": read_figures(found(values, docs=docs)), "other": read_figures(found([0.0] * 6, docs=docs))}
    base, other = measure_tasks(figures, base="base")
    expected = rate_interval(values, groups=docs)
    assert (base.value, base.low, base.high) == (expected.value, expected.low, expected.high)
    assert (base.n, base.n_groups, base.unit, base.better) == (6, 5, "rate", "higher")
    assert other.difference == pytest.approx(-4 / 6)
    assert "paired on 6 rows in 5 groups" in other.method


def test_what_is_no_mean_has_the_interval_of_its_standard_error() -> None:
    """A perplexity, say, is lm-eval's, and so is how sure it is."""
    one = measure_tasks({"m": read_figures(found([1.0, 0.0], value=12.0))}, base="m")[0]
    assert (one.value, one.low, one.high) == (
        12.0,
        pytest.approx(12 - 0.196, abs=1e-3),
        pytest.approx(12.196, abs=1e-3),
    )
    assert one.method == "value and standard error are lm-eval's"


def test_p_values_are_adjusted_over_tasks() -> None:
    """With a second task the same difference has a larger p-value."""
    several = found([0.0] * 12)
    alone = measure_tasks({"a": read_figures(found([1.0] * 12)), "b": read_figures(several)}, base="a")[1]
    twice = [
        {key: {**several_[key], "u": several_[key]["t"]} for key in several_}
        for several_ in (found([1.0] * 12), several)
    ]
    both = measure_tasks({"a": read_figures(twice[0]), "b": read_figures(twice[1])}, base="a")
    p_values = [one.p_value for one in both if one.model == "b"]
    assert alone.p_value is not None
    assert p_values == [pytest.approx(2 * alone.p_value)] * 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_without_a_finite_value_is_named_and_not_measured(value: float) -> None:
    """A perplexity may overflow, and a correlation be of nothing: that is no figure, and the others stand."""
    told = found([1.0, 0.0])
    told["results"]["t"] |= {"acc_stderr,none": float("nan"), "perplexity,none": value, "mcc,strict": value}
    told["samples"]["t"] = [{**one, "perplexity": value} for one in told["samples"]["t"]]
    (figure,) = read_figures(told)
    assert (figure.metric, figure.stderr) == ("acc", None)
    assert metrics_without_value(told) == [("t", "perplexity"), ("t", "mcc,strict")]
    assert [one.value for one in measure_tasks({"m": [figure]}, base="m")] == [0.5]
