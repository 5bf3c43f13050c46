from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.records import Prompt, PromptKind, Round, SftRow, Trace, make_prompt
from charter.training.mixture import (
    Mixture,
    in_shares,
    mixture_order,
    revision_rows,
    sampled_rows,
    shuffled,
    to_sample,
)


def _round(number: int, revision: str, *flags: str) -> Round:
    return Round(
        number=number, principle="p", critique_request="", critique="", revision_request="", revision=revision,
        flags=flags,
    )  # fmt: skip


def _trace(*rounds: Round, prompt: Prompt | None = None, **fields: Any) -> Trace:
    prompt = prompt or make_prompt("How?", "red_team")
    name = f"trace-{prompt.id}-{fields.get('sample', 0)}"
    return Trace(**{"id": name, "prompt": prompt, "initial": "initial", "rounds": rounds, **fields})


def _plain(number: int, sample: int = 0, text: str | None = None, **fields: Any) -> Trace:
    prompt = make_prompt(f"prompt {number}", "helpful", reference=fields.pop("reference", None))
    return _trace(prompt=prompt, sample=sample, initial=text or f"answer {number}.{sample}", **fields)


def _sampled(traces: list[Trace], limit: int) -> Mixture:
    prompts = {trace.prompt.id: trace.prompt for trace in traces}
    return sampled_rows(list(prompts.values()), traces, limit)


def test_revisions_of_all_rounds_are_trained_on() -> None:
    """Every round gives a row (SL-CAI-n trains on rounds 1 to n); the initial response gives none."""
    mixture = revision_rows([_trace(_round(1, "one"), _round(2, "two"))])
    assert [(row.response, row.origin) for row in mixture.rows] == [("one", "revision 1"), ("two", "revision 2")]
    assert mixture.left_out == {}
    assert {row.prompt.text for row in mixture.rows} == {"How?"}


def test_the_last_revision_alone_can_be_trained_on() -> None:
    """With ``last`` a trace gives its final revision, and nothing where that is flagged."""
    traces = [_trace(_round(1, "one"), _round(2, "two"))]
    assert [row.response for row in revision_rows(traces, revisions="last").rows] == ["two"]
    flagged = revision_rows([_trace(_round(1, "one"), _round(2, "two", "preamble"))], revisions="last")
    assert flagged.rows == ()
    assert flagged.left_out == {"preamble": 1}
    assert revision_rows([_trace()], revisions="last").rows == ()


@pytest.mark.parametrize(
    "flag", ["empty", "cut", "critique_leak", "copies_example", "preamble", "refusal_only", "repetition"]
)
def test_flagged_revisions_are_kept_out_and_counted(flag: str) -> None:
    """Each fault keeps its own text out, and no other round of the trace."""
    mixture = revision_rows([_trace(_round(1, "one", "identical", flag), _round(2, "two", "critique_cut"))])
    assert [row.response for row in mixture.rows] == ["two"]
    assert mixture.left_out == {flag: 1}


def test_unchanged_revisions_count_once_or_not_at_all() -> None:
    """A text that repeats is one row; with ``only_changed`` a revision equal to what it revises is none."""
    trace = _trace(_round(1, "same"), _round(2, "same", "identical"), _round(3, "other"))
    mixture = revision_rows([trace])
    assert [row.origin for row in mixture.rows] == ["revision 1", "revision 3"]
    assert mixture.left_out == {"repeats an earlier round": 1}
    first = _trace(_round(1, "initial", "identical"), _round(2, "other"))
    assert [row.response for row in revision_rows([first]).rows] == ["initial", "other"]
    changed = revision_rows([first], only_changed=True)
    assert [row.response for row in changed.rows] == ["other"]
    assert changed.left_out == {"identical": 1}


def test_revisions_can_be_held_to_classes() -> None:
    """Revisions of other response classes than asked for are left out, counted by what they are."""
    decline = "I won't help with that, because it could hurt someone. If you are worried, talk to a doctor."
    trace = _trace(_round(1, decline), _round(2, "First, turn the lid to the left. Then lift it off the jar."))
    mixture = revision_rows([trace], classes=("objection",))
    assert [row.response for row in mixture.rows] == [decline]
    assert mixture.left_out == {"is compliance": 1}
    assert len(revision_rows([trace], classes=("objection", "compliance")).rows) == 2


def test_the_same_text_to_two_prompts_is_two_rows() -> None:
    """A row is a prompt and a response: equal responses to different prompts both stay."""
    traces = [_trace(_round(1, "same"), prompt=make_prompt(f"p{number}", "red_team")) for number in range(3)]
    assert len(revision_rows(traces).rows) == len({row.id for row in revision_rows(traces).rows}) == 3


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from(["cut", "preamble", "identical"]))), max_size=4
        ),
        max_size=6,
    )
)
def test_no_revision_is_lost(drawn: list[list[tuple[str, set[str]]]]) -> None:
    """Every revision is a row or is counted among those left out."""
    traces = [
        _trace(
            *(_round(n, text, *sorted(flags)) for n, (text, flags) in enumerate(rounds, 1)),
            prompt=make_prompt(f"p{number}", "red_team"),
        )
        for number, rounds in enumerate(drawn)
    ]
    for only_changed in (False, True):
        mixture = revision_rows(traces, only_changed=only_changed)
        assert len(mixture.rows) + sum(mixture.left_out.values()) == sum(map(len, drawn))
        assert len({row.id for row in mixture.rows}) == len(mixture.rows)


def test_plain_answers_are_taken_up_to_the_limit() -> None:
    """Answers fill the ratio; the rest is counted."""
    mixture = _sampled([_plain(number) for number in range(5)], 3)
    assert [(row.response, row.origin) for row in mixture.rows] == [(f"answer {n}.0", "sampled") for n in range(3)]
    assert mixture.left_out == {"over the ratio": 2}


def test_every_prompt_answers_once_before_any_answers_twice() -> None:
    """Second samples fill up what first ones leave, so that the mixture is as broad as it can be."""
    traces = [_plain(number, sample) for number in range(3) for sample in range(2)]
    mixture = _sampled(traces, 4)
    assert [row.response for row in mixture.rows] == ["answer 0.0", "answer 1.0", "answer 2.0", "answer 0.1"]


def test_a_part_of_the_prompts_is_drawn_from_every_category() -> None:
    """Prompts sorted by category are put in an order of the seed's, whatever order they come in."""
    prompts = [
        make_prompt(f"prompt {category}.{number}", "benign_twin", category=f"category {category}", reference="so")
        for category in range(14)
        for number in range(17)
    ]
    ordered = mixture_order(prompts, 0)
    drawn = Counter(row.prompt.category for row in sampled_rows(ordered, [], 60).rows)
    assert len(drawn) == 14
    assert max(drawn.values()) <= 10
    assert mixture_order(prompts[::-1], 0) == ordered != mixture_order(prompts, 1)
    assert sorted(prompt.id for prompt in ordered) == sorted(prompt.id for prompt in prompts)


def test_a_reference_stands_in_for_the_answers() -> None:
    """A prompt with a reference gives that once, in its place among the prompts, without any sample."""
    prompts = [
        make_prompt(f"prompt {number}", "helpful", reference="its own" if number % 2 else None) for number in range(4)
    ]
    traces = [_plain(number, sample) for sample in range(2) for number in (0, 2)]
    mixture = sampled_rows(prompts, traces, 5)
    assert [(row.response, row.origin) for row in mixture.rows] == [
        ("answer 0.0", "sampled"), ("its own", "reference"), ("answer 2.0", "sampled"), ("its own", "reference"),
        ("answer 0.1", "sampled"),
    ]  # fmt: skip
    assert mixture.left_out == {"over the ratio": 1}
    assert [row.origin for row in sampled_rows(prompts, traces, 2).rows] == ["sampled", "reference"]


def test_flagged_answers_are_kept_out_and_counted() -> None:
    """A sampled answer with a fault is not trained on, and leaves its place to another."""
    traces = [_plain(0, initial_flags=("repetition",)), _plain(1), _plain(2)]
    mixture = _sampled(traces, 2)
    assert [row.response for row in mixture.rows] == ["answer 1.0", "answer 2.0"]
    assert mixture.left_out == {"repetition": 1}


def test_no_limit_takes_nothing() -> None:
    """A ratio of zero takes no row."""
    assert _sampled([_plain(0)], 0).rows == ()


@pytest.mark.parametrize(
    ("wanted", "n_prompts", "n_references", "asked", "samples"),
    [
        (10, 10, 0, 10, 1),
        (11, 10, 0, 10, 2),
        (0, 10, 0, 0, 0),
        (5, 0, 0, 0, 0),
        (1, 9, 0, 9, 1),
        (10, 10, 10, 0, 0),
        (12, 10, 10, 0, 0),
        (10, 10, 4, 6, 1),
        (17, 10, 4, 6, 3),
        (2, 10, 4, 6, 1),
    ],
)
def test_enough_answers_are_asked_for(wanted: int, n_prompts: int, n_references: int, asked: int, samples: int) -> None:
    """The fewest answers per prompt without a reference that reach the number wanted; none where there is one."""
    prompts = [
        make_prompt(f"prompt {number}", "helpful", reference="so" if number < n_references else None)
        for number in range(n_prompts)
    ]
    found, n_samples = to_sample(prompts, wanted)
    assert (len(found), n_samples) == (asked, samples)
    assert not any(prompt.reference for prompt in found)


@given(order=st.permutations(range(12)), seed=st.integers(0, 5))
def test_the_order_of_training_is_the_seeds_alone(order: list[int], seed: int) -> None:
    """Rows are shuffled by the seed: the same whatever order they come in, another for another seed."""
    rows = list(_sampled([_plain(number) for number in range(12)], 12).rows)
    expected = shuffled(rows, seed)
    assert shuffled([rows[number] for number in order], seed) == expected
    assert sorted(row.id for row in expected) == sorted(row.id for row in rows)
    assert shuffled(rows, seed + 1) != expected


def test_an_open_answer_is_no_whole_row() -> None:
    """What was left open at the token limit goes into training as such."""
    prompt = make_prompt("How do I make tea?", "helpful")
    traces = [
        Trace(id=f"trace-{flag}", prompt=prompt, initial=text, initial_flags=(flag,), rounds=())
        for flag, text in (("open", "Boil the water and"), ("trimmed", "Boil the water."))
    ]
    assert {row.response: row.whole for row in sampled_rows([prompt], traces, 5).rows} == {
        "Boil the water and": False,
        "Boil the water.": True,
    }


def _of_kinds(**numbers: int) -> list[SftRow]:
    prompts = [make_prompt(f"{kind} {number}", kind) for kind, n in numbers.items() for number in range(n)]  # type: ignore[arg-type]
    return [SftRow(id=f"of {prompt.id}", prompt=prompt, response="so", origin="x") for prompt in prompts]


def test_the_scarcest_kind_says_how_many_there_are() -> None:
    """Rows are kept in the shares that were asked for, as many as there can be; the others' surplus goes."""
    rows = _of_kinds(red_team=12, benign_twin=150, helpful=9)
    shares: dict[PromptKind, float] = {"red_team": 0.125, "benign_twin": 0.875, "helpful": 0.0}
    kept = in_shares(rows, shares, 3)
    assert Counter(row.prompt.kind for row in kept) == {"red_team": 12, "benign_twin": 84}
    assert in_shares(rows, {"helpful": 1.0}, 3) == rows[-9:]
    assert in_shares(_of_kinds(red_team=3), shares, 3) == []
    assert in_shares([], shares, 3) == []
    few: dict[PromptKind, float] = {"red_team": 0.9, "benign_twin": 0.1}
    assert Counter(row.prompt.kind for row in in_shares(_of_kinds(red_team=3, benign_twin=40), few, 3)) == {
        "red_team": 3,
        "benign_twin": 1,  # no kind that has a share is left out for rounding
    }


@given(n_red=st.integers(1, 40), n_twins=st.integers(1, 40), share=st.floats(0.05, 0.95), seed=st.integers(0, 3))
def test_shares_hold_whatever_there_is(n_red: int, n_twins: int, share: float, seed: int) -> None:
    """Neither kind is off its share by more than rounding, one of them is whole, and the order of the rows stays."""
    rows = _of_kinds(red_team=n_red, benign_twin=n_twins)
    kept = in_shares(rows, {"red_team": share, "benign_twin": 1 - share}, seed)
    n = Counter(row.prompt.kind for row in kept)
    assert n["red_team"] == n_red or n["benign_twin"] == n_twins
    assert abs(n["red_team"] * (1 - share) - n["benign_twin"] * share) <= max(0.5, 1 - share, share) + 1e-9
    assert [row for row in rows if row in kept] == kept
    drawn = in_shares(rows[::-1], {"red_team": share, "benign_twin": 1 - share}, seed)
    assert {row.id for row in drawn} == {row.id for row in kept}
