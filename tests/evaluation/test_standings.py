"""Standings by hand: who met whom, what is a tie, what is invalid, and what the judge follows besides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from scipy.stats import binomtest

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import PromptError
from charter.evaluation.head_to_head import (
    Game,
    Match,
    choose_prompts,
    compare,
    every_met,
    load_answers,
    round_robin,
    standings,
)
from charter.feedback.judge import Judge
from charter.feedback.questions import make_asking
from charter.prompts.grouping import prompt_groups
from charter.records import Comparison, make_prompt
from charter.rows import map_rows
from method_examples import CONSTITUTION, PLAIN

PROMPTS = [make_prompt(f"Which of the lamps is number {number}?", "helpful") for number in range(8)]
ANSWERS = {
    "base": {prompt.id: "plain" for prompt in PROMPTS},
    "good": {prompt.id: "a good answer" for prompt in PROMPTS[:6]},
    "copy": {prompt.id: "plain" for prompt in PROMPTS},
}


def _prefers_good(request: ChoiceRequest) -> tuple[float, float]:
    """Prefer what is good by content; of the last prompt nothing can be read."""
    assert request.messages is not None
    asked = request.messages[-1].content
    if PROMPTS[5].text in asked:
        return 0.01, 0.01
    return (0.9, 0.1) if "\n(A) a good" in asked else (0.1, 0.9)


def _judged(matches: list[Match]) -> list[Comparison]:
    judge = Judge(engine=ScriptedEngine(preference=_prefers_good, script="good"), asking=make_asking(PLAIN))
    return list(compare(matches, judge, CONSTITUTION, k_principles=1, seed=0, mapper=map_rows, stage="all").done)


def test_every_pair_meets_on_every_prompt_that_both_answered() -> None:
    """Six prompts are answered by all three, two by two; a pair is the same match however models are ordered."""
    rows = round_robin(PROMPTS, ANSWERS)
    assert len(rows) == 6 * 3 + 2
    assert {(one.base, one.model) for one in rows} == {("base", "copy"), ("base", "good"), ("copy", "good")}
    turned = round_robin(PROMPTS, dict(reversed(ANSWERS.items())))
    assert {one.id for one in turned} == {one.id for one in rows}
    against = round_robin(PROMPTS, ANSWERS, against="good")
    assert {(one.base, one.model) for one in against} == {("base", "good"), ("copy", "good")}


def test_standings_by_hand() -> None:
    """The good one wins 5 readable games of 6 with each other model, which tie by equal answers."""
    matches = round_robin(PROMPTS, ANSWERS)
    found = standings(matches, _judged(matches), list(ANSWERS), anchor="base", groups=prompt_groups(PROMPTS))
    assert (found.n_prompts, found.n_comparisons) == (8, 20)
    assert (found.n_ties, found.n_equal, found.n_invalid) == (8, 8, 2)
    rates = {(one.name, one.other): one for one in found.met}
    assert (rates["good", "base"].win_rate.value, rates["good", "base"].win_rate.n) == (1.0, 5)
    assert rates["base", "good"].win_rate.value == 0.0
    assert (rates["base", "copy"].win_rate.value, rates["base", "copy"].n_ties) == (0.5, 8)
    base, good, copy = found.models
    assert base.rating is not None
    assert good.rating is not None
    assert copy.rating is not None
    assert base.rating.bradley_terry.value == 0.0
    assert copy.rating.bradley_terry.value == pytest.approx(0.0, abs=1e-6)
    assert good.rating.bradley_terry.value > 300
    assert good.rating.bradley_terry.n == 10
    assert found.longer_wins is not None
    assert (found.longer_wins.value, found.longer_wins.n) == (1.0, 10)
    assert found.same_position is not None
    assert found.same_position.value == 0.0
    assert (base.n_characters, good.n_characters) == (5.0, 13.0)
    # always longer by the same: length and model cannot be told apart
    assert (base.length_controlled, good.length_controlled, copy.length_controlled) == (None, None, None)


def _games(model: str, base: str, wins: Sequence[float], n_groups: int | None = None) -> list[Game]:
    """Make games of two models, each of a group of its own, or spread over some groups in turn."""
    return [Game(model, base, win, 0, f"g{number % (n_groups or len(wins))}") for number, win in enumerate(wins)]


@pytest.mark.parametrize("wins", [[1.0] * 9 + [0.0] * 2, [1.0] * 4 + [0.0] * 5, [0.0] * 30 + [1.0] * 9, [1.0]])
def test_p_values_are_those_of_the_sign_test(wins: list[float]) -> None:
    """Without groups it is SciPy's binomial test, the same from both sides; ties say nothing; one pair is one test."""
    expected = binomtest(int(sum(wins)), len(wins)).pvalue
    for given in (wins, [*wins, 0.5, 0.5, 0.5]):
        one, other = every_met(_games("b", "a", given), ["a", "b"])
        assert (one.name, other.name) == ("a", "b")
        for met in (one, other):
            assert met.p_value == pytest.approx(expected)
            assert met.p_adjusted == met.p_value
    (tied, _) = every_met(_games("b", "a", [0.5, 0.5]), ["a", "b"])
    assert (tied.p_value, tied.p_adjusted) == (1.0, 1.0)


def test_p_values_take_groups_whole() -> None:
    """Of games that hang together in the interval the signs of whole groups are turned: by hand, all of 64."""
    wins = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0] * 2 + [1.0, 0.5]
    one, _ = every_met(_games("a", "b", wins, n_groups=6), ["a", "b"])
    sums = [sum(win - 0.5 for win in wins[group::6]) for group in range(6)]
    turned = [
        abs(sum(sign * one for sign, one in zip(signs, sums, strict=True))) for signs in product((1, -1), repeat=6)
    ]
    assert one.win_rate.n_groups == 6
    assert one.p_value == pytest.approx(sum(value >= abs(sum(sums)) - 1e-9 for value in turned) / 64)
    assert one.p_value > binomtest(11, 13).pvalue, "rows that hang together say less"


def test_p_values_are_adjusted_for_the_pairs() -> None:
    """Holm's method over each pair once, by hand; a pair that did not meet is no test."""
    games = [
        *_games("b", "a", [1.0] * 10),
        *_games("c", "a", [1.0] * 8 + [0.0]),
        *_games("c", "b", [1.0] * 3 + [0.0] * 3),
    ]
    met = {(one.name, one.other): one for one in every_met(games, ["a", "b", "c", "d"])}
    assert set(met) == {("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}
    best, next_best = 2 / 2**10, 20 / 2**9
    assert [met["b", "a"].p_value, met["c", "a"].p_value] == pytest.approx([best, next_best])
    for one, other, expected in (("a", "b", 3 * best), ("a", "c", 2 * next_best), ("b", "c", 1.0)):
        assert met[one, other].p_adjusted == pytest.approx(expected)
        assert met[other, one].p_adjusted == met[one, other].p_adjusted


def test_without_a_readable_verdict_there_are_no_ratings() -> None:
    """Invalid verdicts are counted, and neither ties nor anything else."""
    matches = round_robin(PROMPTS[5:6], ANSWERS, against="good")
    found = standings(matches, _judged(matches), list(ANSWERS), anchor="good", groups=prompt_groups(PROMPTS))
    assert (found.n_comparisons, found.n_invalid, found.n_ties, found.met) == (2, 2, 0, ())
    assert [one.rating for one in found.models] == [None, None, None]
    assert (found.same_position, found.longer_wins) == (None, None)


def test_given_answers_are_found_by_the_prompts_text(tmp_path: Path) -> None:
    """White space does not count, other prompts do, and two answers to one prompt are refused by line."""
    file = tmp_path / "answers.csv"
    file.write_text(f'q,a\n" {PROMPTS[0].text} ",yes\n{PROMPTS[1].text},no\nElse?,maybe\n', "utf-8")
    found = load_answers(str(file), PROMPTS, prompt_column="q", response_column="a")
    assert found.by_prompt == {PROMPTS[0].id: "yes", PROMPTS[1].id: "no"}
    assert found.n_other == 1
    with pytest.raises(PromptError, match="there is no column 'prompt'"):
        load_answers(str(file), PROMPTS)
    file.write_text(f"prompt,response\n{PROMPTS[0].text},yes\n{PROMPTS[0].text},no\n", "utf-8")
    with pytest.raises(PromptError, match=r"answers\.csv:3: answers a prompt that .*answers\.csv:2 answers otherwise"):
        load_answers(str(file), PROMPTS)
    file.write_text("prompt,response\nElse?,maybe\n", "utf-8")
    with pytest.raises(PromptError, match="none of its 1 prompts"):
        load_answers(str(file), PROMPTS)


def test_prompts_are_drawn_of_each_kind() -> None:
    """Of the built-in prompts fewer are a part of more, and the digest is of all."""
    few, more = (choose_prompts("built-in", [CONSTITUTION], n=n, seed=3) for n in (2, 5))
    assert [prompt.kind for prompt in few.prompts] == ["red_team"] * 2 + ["helpful"] * 2
    assert {prompt.id for prompt in few.prompts} < {prompt.id for prompt in more.prompts}
    assert few.digest == more.digest
    only = choose_prompts("built-in", [CONSTITUTION], kind="helpful", n=5, seed=3)
    assert set(only.prompts) == {prompt for prompt in more.prompts if prompt.kind == "helpful"}


def test_a_file_that_does_not_say_its_kind_needs_to_be_told(tmp_path: Path) -> None:
    """Without --kind it is refused; what the judge is shown in an example is left out and counted."""
    file = tmp_path / "prompts.csv"
    shown = CONSTITUTION.few_shots.judge[0].messages[-1].content if CONSTITUTION.few_shots.judge else "one"
    file.write_text(f'prompt\nTwo lamps?\n"{shown}"\n', "utf-8")
    with pytest.raises(PromptError, match="--kind red_team"):
        choose_prompts(str(file), [CONSTITUTION])
    found = choose_prompts(str(file), [CONSTITUTION], kind="red_team")
    assert [prompt.text for prompt in found.prompts][:1] == ["Two lamps?"]
    n_shown = 1 if CONSTITUTION.few_shots.judge else 0
    assert found.left_out.get("shown in a worked example of the judge", 0) == n_shown
