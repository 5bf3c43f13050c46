"""Standings by hand: who met whom, what is a tie, what is invalid, and what the judge follows besides."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import PromptError
from charter.evaluation.head_to_head import Match, choose_prompts, compare, load_answers, round_robin, standings
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
