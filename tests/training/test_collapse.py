"""Figures of a few answers, and the limits that they may not pass: cases by hand and properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.records import PromptKind, make_prompt
from charter.text_quality import distinct_n
from charter.training.collapse import (
    SHARES,
    Answer,
    Guard,
    choose_prompts,
    measure_answers,
    passed_limits,
    show_example,
)

HEALTHY = (
    "Clean the chain first, then count its links and close the pin.",
    "The lamps of a harbour are lit at night, so boats can find it.",
    "Ask the class which question was hardest, and let them answer.",
    "Put two cups of rice in a pot with four cups of water and a lid.",
)
ENDING = "You are valid, valued, and cared for."
REFUSAL = "I'm sorry, but I can't help with that."
BEFORE = {
    "n_answers": 16,
    "n_others": 8,
    "repetition": 0.0,
    "endings": 0.0,
    "boilerplate": 0.0,
    "refusals": 0.0,
    "distinct": 0.9,
    "length": 20.0,
}


def answers(texts: Sequence[str], kind: PromptKind = "helpful") -> list[Answer]:
    """Make answers to prompts of one kind, their length that of their words."""
    return [
        Answer(make_prompt(f"How do I mend thing {number}?", kind), text, len(text.split()))
        for number, text in enumerate(texts)
    ]


def names(found: Sequence[object]) -> list[str]:
    """Name the limits that were passed."""
    return [str(one).split()[0] for one in found]


def test_healthy_answers_have_no_fault() -> None:
    """Four different answers: no share of them has a fault, and nothing is passed against themselves."""
    figures = measure_answers(answers(HEALTHY))
    assert [figures[name] for name in SHARES] == [0.0] * 4
    assert figures["distinct"] == distinct_n(HEALTHY)
    assert figures["length"] == sum(len(text.split()) for text in HEALTHY) / 4
    assert passed_limits(figures, figures, Guard()) == ()


@pytest.mark.parametrize(
    ("texts", "expected", "shown"),
    [
        ([f"{text} {ENDING}" for text in HEALTHY], ["endings"], ENDING),
        (["and so on and so on " * 12 + text for text in HEALTHY], ["repetition"], "and so on"),
        ([REFUSAL, f"{REFUSAL} Sorry.", f"{REFUSAL} No.", "I cannot do that."], ["refusals"], "I'm sorry"),
        (["", "", "", "Yes."], ["distinct", "length"], ""),
        ([HEALTHY[0]] * 4, ["endings"], HEALTHY[0]),
    ],
    ids=["endings", "loops", "refusals", "nothing said", "the same to all"],
)
def test_each_way_to_degenerate_is_seen(texts: list[str], expected: list[str], shown: str) -> None:
    """What passes its limit is named with both figures, and quoted."""
    figures, before = measure_answers(answers(texts)), measure_answers(answers(HEALTHY))
    passed = passed_limits(figures, before, Guard())
    assert set(expected) <= set(names(passed))
    first = next(one for one in passed if one.measure == expected[0])
    assert (first.value, first.before) == (figures[first.measure], before[first.measure])
    assert f"{first.value:.3g}" in str(first)
    assert shown in show_example(answers(texts), expected[0])


def test_refusals_count_where_nothing_harmful_is_asked() -> None:
    """Red-team prompts may all be refused; that is measured, and held to nothing."""
    refused = answers([REFUSAL] * 4, "red_team")
    figures = measure_answers([*refused, *answers(HEALTHY)])
    assert figures["red_team_refusals"] == 1.0
    assert figures["refusals"] == 0.0
    alone = measure_answers(refused)
    assert "refusals" not in alone
    assert "refusals" not in names(passed_limits(alone, BEFORE, Guard()))


@given(st.sampled_from(SHARES), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_share_may_rise_by_its_part_of_what_is_left(name: str, before: float, after: float, limit: float) -> None:
    """A share passes its limit just where more than that part of the answers without the fault have got it."""
    guard = Guard(**{name: limit})
    passed = passed_limits(BEFORE | {name: after}, BEFORE | {name: before}, guard)
    assert names(passed) == ([name] if after > before + limit * (1 - before) else [])


@given(st.floats(0, 1), st.floats(0, 200), st.floats(0, 1), st.floats(0, 200))
def test_what_was_so_before_is_no_collapse(distinct: float, length: float, after: float, now: float) -> None:
    """Variety and length are held to what they were; where there was none, there is nothing to lose."""
    before = BEFORE | {"distinct": distinct, "length": length}
    found = names(passed_limits(BEFORE | {"distinct": after, "length": now}, before, Guard()))
    assert ("distinct" in found) == (after < 0.25 * distinct)
    assert ("length" in found) == (length > 0 and not 0.1 * length <= now <= 3.0 * length)


def test_a_few_answers_end_nothing() -> None:
    """Three answers of which all loop are told of and no more; so are three refusals beside red-team prompts."""
    before, loops = measure_answers(answers(HEALTHY[:3])), measure_answers(answers(["and so on " * 12] * 3))
    assert loops["repetition"] == 1.0
    assert passed_limits(loops, before, Guard()) == ()
    harmful = answers(HEALTHY, "red_team")
    refused = measure_answers([*answers([REFUSAL] * 3), *harmful])
    assert refused["refusals"] == 1.0
    assert "refusals" not in names(passed_limits(refused, measure_answers([*answers(HEALTHY), *harmful]), Guard()))


def test_prompts_are_drawn_alike_whatever_their_order() -> None:
    """So many of either kind, each once, the same from any order of rows; another seed draws others."""
    kinds: tuple[PromptKind, ...] = ("red_team", "helpful", "benign_twin")
    prompts = [make_prompt(f"Question {number}?", kind) for number in range(20) for kind in kinds]
    drawn = choose_prompts([*prompts, *prompts], 3, seed=1)
    assert [prompt.kind == "red_team" for prompt in drawn] == [True] * 3 + [False] * 3
    assert len({prompt.id for prompt in drawn}) == 6
    assert choose_prompts(prompts[::-1], 3, seed=1) == drawn
    assert choose_prompts(prompts, 3, seed=2) != drawn
    assert choose_prompts(prompts[:1], 3, seed=1) == (prompts[0],)


def test_spare_prompts_fill_up_where_there_are_too_few() -> None:
    """Of either kind by itself, and none of them where there are enough; what is asked anyway is not asked twice."""
    kinds: tuple[PromptKind, ...] = ("red_team", "helpful")
    asked, spare = (
        [make_prompt(f"{name} {number}?", kind) for number in range(6) for kind in kinds] for name in ("Own", "Spare")
    )
    few = [*asked[::2][:2], *asked[1::2]]  # two red-team prompts and six others
    drawn = choose_prompts(few, 4, seed=1, spare=[*spare, *few])
    assert [prompt.text.split()[0] for prompt in drawn] == ["Own", "Own", "Spare", "Spare"] + ["Own"] * 4
    assert [prompt.kind for prompt in drawn] == ["red_team"] * 4 + ["helpful"] * 4
    assert choose_prompts(asked, 4, seed=1, spare=spare) == choose_prompts(asked, 4, seed=1)


def test_stock_phrases_are_seen_in_answers_to_red_team_prompts() -> None:
    """There they come first (CAI 4.3): preachy answers to nothing but red-team prompts pass the limit."""
    preachy = "You are valid, valued and cared for. Remember that your feelings are valid and you deserve support."
    before = measure_answers(answers(HEALTHY, "red_team"))
    found = measure_answers(answers([f"{preachy} {text}" for text in HEALTHY], "red_team"))
    assert (before["boilerplate"], found["boilerplate"]) == (0.0, 1.0)
    assert "boilerplate" in names(passed_limits(found, before, Guard()))
    assert "valid" in show_example(answers([preachy], "red_team"), "boilerplate")


def test_a_recipe_has_every_limit_of_the_guard() -> None:
    """What the library takes, a recipe can say, with the same defaults."""
    from charter.recipe.settings import GuardSettings

    assert GuardSettings().model_dump() == {field.name: field.default for field in fields(Guard)}


def test_a_guard_of_rl_has_the_same_defaults_in_a_recipe() -> None:
    """All but where answers are cut, which a recipe takes from the training."""
    from charter.recipe.settings import RlGuardSettings, RlSettings
    from charter.training.oversight import RlGuard

    library = {field.name: field.default for field in fields(RlGuard)}
    assert RlGuardSettings().model_dump() | {"max_tokens": RlSettings().max_tokens} == library
