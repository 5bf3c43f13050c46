from __future__ import annotations

import pytest

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.head_to_head import Match, compare, compare_one, matches, measure_win_rate
from charter.feedback.judge import Judge
from charter.feedback.questions import make_asking
from charter.prompts.grouping import prompt_groups
from charter.records import Comparison, PromptKind, Response, make_prompt
from charter.rows import map_rows
from charter.statistics import rate_interval
from method_examples import CONSTITUTION, PLAIN, run

PROMPT = make_prompt("How?", "helpful")


def _judge(p_own: float, mass: float = 1.0) -> Judge:
    """Judge by content: the model's own answer is better with probability ``p_own``."""

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        first = request.messages is not None and "\n(A) own" in request.messages[-1].content
        p = p_own if first else 1 - p_own
        return p * mass, (1 - p) * mass

    return Judge(engine=ScriptedEngine(preference=preference, script=f"{p_own}"), asking=make_asking(PLAIN))


def _compared(p_own: float, *, mass: float = 1.0, own: str = "own answer", base: str = "base answer") -> Comparison:
    match = Match(PROMPT, "dpo", "base", own, base)
    return run(compare_one(match, _judge(p_own, mass), CONSTITUTION.principles[:2]))


@pytest.mark.parametrize(("p", "win"), [(0.9, 1.0), (0.5000001, 1.0), (0.5, 0.5), (0.1, 0.0)])
def test_the_preferred_model_wins(p: float, win: float) -> None:
    """A probability above one half is a win, below it a loss, and exactly one half a tie."""
    comparison = _compared(p)
    assert comparison.win == win
    assert comparison.p_model == pytest.approx(p)
    assert (comparison.model, comparison.base, comparison.prompt) == ("dpo", "base", PROMPT)
    assert len(comparison.verdicts) == 4


def test_a_judge_that_sees_only_the_position_makes_a_tie() -> None:
    """Both orders cancel a position bias: nobody wins by being shown first."""
    engine = ScriptedEngine(preference=lambda _: (0.83, 0.17), script="first")
    match = Match(PROMPT, "dpo", "base", "own", "other")
    judge = Judge(engine=engine, asking=make_asking(PLAIN))
    comparison = run(compare_one(match, judge, CONSTITUTION.principles))
    assert comparison.win == 0.5
    assert comparison.position_bias == pytest.approx(0.66)


def test_equal_answers_are_a_tie_without_a_call() -> None:
    """Two answers that are the same need no judge."""
    comparison = _compared(0.9, own="the same", base="the same")
    assert (comparison.win, comparison.p_model, comparison.verdicts) == (0.5, 0.5, ())


def test_an_unreadable_verdict_is_no_tie() -> None:
    """Where the judge cannot be read, nobody wins and nothing is a half."""
    comparison = _compared(0.9, mass=0.1)
    assert comparison.win is None
    assert comparison.p_model is None
    assert len(comparison.verdicts) == 4


def _response(model: str, number: int, text: str, kind: PromptKind = "helpful") -> Response:
    prompt = make_prompt(f"prompt {number}", kind)
    return Response(
        id=f"{model}-{number}", prompt=prompt, model=model, text=text, finish="stop", n_tokens=1, label="compliance"
    )


def test_answers_meet_on_the_same_prompt() -> None:
    """Only prompts of the kind that both models answered make a match."""
    base = [_response("base", 0, "b0"), _response("base", 1, "b1"), _response("base", 2, "b2", "red_team")]
    own = [_response("dpo", 1, "d1"), _response("dpo", 2, "d2", "red_team"), _response("dpo", 3, "d3")]
    assert [(one.answer, one.base_answer, one.model, one.base) for one in matches(base, own, "helpful")] == [
        ("d1", "b1", "dpo", "base")
    ]
    assert [one.answer for one in matches(base, own, "red_team")] == ["d2"]


def test_win_rates_count_ties_a_half_and_leave_out_the_invalid() -> None:
    """A win rate is over the readable comparisons: 2 wins, 1 tie and 1 loss of 5 are 2.5 of 4."""
    wins = [1.0, None, 0.5, 0.0, 1.0]
    rows = [
        Comparison(
            id=f"c{number}", prompt=make_prompt(f"p{number}", "helpful"), model="dpo", base="base", win=win,
            p_model=win, position_bias=0.0, verdicts=(),
        )
        for number, win in enumerate(wins)
    ]  # fmt: skip
    groups = prompt_groups(one.prompt for one in rows)
    found = measure_win_rate("win_rate_helpful", {"dpo": rows}, "helpful", groups)[0]
    assert (found.value, found.n) == (0.625, 4)
    assert found.low <= 0.625 <= found.high
    assert found.better == "higher"
    assert measure_win_rate("x", {"dpo": rows[1:2]}, "helpful", groups) == []


def test_comparisons_on_what_asks_the_same_are_resampled_together() -> None:
    """Prompts that differ in writing alone are one observation, not several."""
    texts = ["How so?", "how so", "HOW SO!", "prompt 0", "prompt 1", "prompt 2"]
    wins = [True] * 3 + [False] * 3
    rows = [
        Comparison(
            id=f"c{number}", prompt=make_prompt(text, "helpful"), model="dpo", base="base", win=float(win),
            p_model=float(win), position_bias=0.0, verdicts=(),
        )
        for number, (text, win) in enumerate(zip(texts, wins, strict=True))
    ]  # fmt: skip
    groups = prompt_groups(one.prompt for one in rows)
    found = measure_win_rate("win_rate_helpful", {"dpo": rows}, "helpful", groups)[0]
    clustered = rate_interval(wins, groups=[0, 0, 0, 1, 2, 3])
    assert (found.low, found.high) == (clustered.low, clustered.high)
    assert found.low < rate_interval(wins).low


def test_every_match_is_compared_under_its_own_principles() -> None:
    """Each match draws k principles by weight and its own seed, the same each time."""
    base = [_response("base", number, "base") for number in range(30)]
    own = [_response("dpo", number, "own") for number in range(30)]
    rows = matches(base, own, "helpful")

    def drawn(seed: int) -> list[set[str]]:
        mapped = compare(rows, _judge(0.7), CONSTITUTION, k_principles=2, seed=seed, mapper=map_rows)
        assert all(one.win == 1.0 for one in mapped.done)
        return [{verdict.principle for verdict in one.verdicts} for one in mapped.done]

    assert all(len(names) == 2 for names in drawn(0))
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    # "brief" has half of all weight: one of two draws is always it
    assert set(map(frozenset, drawn(0))) == {frozenset({"brief", "kind"}), frozenset({"brief", "honest"})}
