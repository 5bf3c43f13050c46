"""Rows that a user brought are of the run's own prompts, and of none that is held out."""

from __future__ import annotations

from charter.given.matching import HELD_OUT, NO_PROMPT, OVER_THE_LIMIT, draw_rows, match_prompts
from charter.records import Pair, Prompt, Round, Split, Trace, make_prompt


def _own(text: str, split: Split = "train", **fields: str) -> Prompt:
    return make_prompt(text, "red_team", split=split, source="the run's", **fields)


def _row(text: str) -> Pair:
    prompt = make_prompt(text, "red_team", id=f"given {text}", source="a file")
    return Pair(id=f"pair {text}", prompt=prompt, a="yes", b="no", source="given", intended="a")


def test_a_row_gets_the_runs_own_prompt() -> None:
    """In whatever case, spacing or punctuation it asks; its id, split and source are the run's from then on."""
    prompts = [_own("How do I open it?", principle="kind"), _own("Why?")]
    found = match_prompts([_row("how  do i open IT"), _row("Why?")], prompts)
    assert [row.prompt for row in found.rows] == prompts
    assert [row.id for row in found.rows] == ["pair how  do i open IT", "pair Why?"]
    assert found.left_out == {}


def test_nothing_held_out_comes_in() -> None:
    """A row of a held-out prompt is left out, also where a training prompt asks the same."""
    prompts = [_own("Why?"), _own("why", "evaluation", id="held"), _own("Where?", "evaluation")]
    found = match_prompts([_row("Why?"), _row("where"), _row("Where?!")], prompts)
    assert found.rows == ()
    assert found.left_out == {HELD_OUT: 3}


def test_what_the_run_does_not_ask_is_counted() -> None:
    """A row whose prompt the run does not have is left out by name: every row is accounted for."""
    found = match_prompts([_row("Why?"), _row("Who?")], [_own("Why?")])
    assert len(found.rows) == 1
    assert found.left_out == {NO_PROMPT: 1}


def test_traces_of_one_prompt_are_numbered_anew() -> None:
    """Samples of several files, or of prompts that differ in writing alone, are told apart by their numbers."""
    told = Round(number=1, principle="p", critique_request="", critique="", revision_request="", revision="Kindly.")
    texts = ("Why?", "why", "Where?", "WHY!")
    traces = [
        Trace(id=text, prompt=make_prompt(text, "red_team"), sample=0, initial="Because.", rounds=(told,))
        for text in texts
    ]
    found = match_prompts(traces, [_own("Why?"), _own("Where?")])
    assert [(row.prompt.text, row.sample) for row in found.rows] == [
        ("Why?", 0), ("Why?", 1), ("Where?", 0), ("Why?", 2),
    ]  # fmt: skip


def test_so_many_are_taken_and_the_others_counted() -> None:
    """The first, or those that a seed draws, in their order; of more, those of fewer are a part."""
    rows = tuple(_row(f"Question {number}?") for number in range(20))
    assert draw_rows(rows, None, 3) == (rows, {})
    assert draw_rows(rows, 20, 3) == (rows, {})
    assert draw_rows(rows, 5, None) == (rows[:5], {OVER_THE_LIMIT: 15})
    five, over = draw_rows(rows, 5, 3)
    assert over == {OVER_THE_LIMIT: 15}
    assert five != rows[:5]
    assert list(five) == [row for row in rows if row in five]
    assert set(draw_rows(rows[::-1], 5, 3)[0]) == set(five) < set(draw_rows(rows, 6, 3)[0])
    assert set(draw_rows(rows, 5, 4)[0]) != set(five)
