from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.constitution import load_constitution
from charter.errors import PromptError
from charter.prompts import load_prompts, split_prompts
from charter.prompts.grouping import group_of, join_groups, normalise_text
from charter.prompts.selection import select_prompts
from charter.prompts.split import Sides, remove_contamination, split_with_twins
from charter.records import Message, Prompt, PromptKind, make_prompt


def _prompts(n: int, *, n_categories: int = 4, twins: bool = True) -> list[Prompt]:
    harmful = [
        make_prompt(f"harmful {number}", "red_team", id=f"rt-{number}", category=f"c{number % n_categories}")
        for number in range(n)
    ]
    benign = [
        make_prompt(f"benign {one.id}", "benign_twin", id=f"bt-{one.id}", category=one.category, twin_of=one.id)
        for one in harmful
    ]
    return [*harmful, *benign] if twins else harmful


def _ids(prompts: list[Prompt], split: str) -> set[str]:
    return {prompt.id for prompt in prompts if prompt.split == split}


@given(n=st.integers(2, 60), share=st.floats(0, 0.99), n_train=st.none() | st.integers(1, 40), seed=st.integers(0, 9))
def test_groups_fall_on_one_side_whole(n: int, share: float, n_train: int | None, seed: int) -> None:
    """Train and evaluation share no prompt and no group: a twin is where its red-team prompt is."""
    prompts = _prompts(n)
    n_evaluation = int(share * n)
    split = split_prompts(prompts, n_evaluation=n_evaluation, n_train=n_train, seed=seed)
    groups = {side: {group_of(one) for one in split if one.split == side} for side in ("train", "evaluation")}
    assert not groups["train"] & groups["evaluation"]
    assert len(groups["evaluation"]) == n_evaluation
    n_left = n - n_evaluation
    assert len(groups["train"]) == (n_left if n_train is None else min(n_train, n_left))
    assert len(split) == 2 * (len(groups["train"]) + len(groups["evaluation"]))


def test_the_order_of_the_source_is_kept() -> None:
    """The split marks prompts and leaves some out; it does not shuffle those that stay."""
    prompts = _prompts(30)
    split = split_prompts(prompts, n_evaluation=7, n_train=9)
    places = [[one.id for one in prompts].index(one.id) for one in split]
    assert places == sorted(places)
    unmarked = [one.model_copy(update={"split": "train"}) for one in split]
    assert unmarked == [one for one in prompts if one.id in _ids(split, "train") | _ids(split, "evaluation")]


def test_categories_keep_their_share() -> None:
    """Each category is held out in its share, to within one prompt, and trained on in its share."""
    sizes = {"a": 100, "b": 50, "c": 10}
    prompts = [
        make_prompt(f"{name} {n}", "red_team", category=name) for name, size in sizes.items() for n in range(size)
    ]
    split = split_prompts(prompts, n_evaluation=32, n_train=64)
    for side, part in {"evaluation": 32 / 160, "train": 64 / 160}.items():
        counts = Counter(one.category for one in split if one.split == side)
        assert all(abs(counts[name] - part * size) <= 1 for name, size in sizes.items())


def test_another_seed_holds_out_others() -> None:
    """The seed decides who is held out, and nothing else does: not the order that prompts come in."""
    prompts = _prompts(60)
    first = split_prompts(prompts, n_evaluation=20, seed=1)
    assert _ids(split_prompts(prompts[::-1], n_evaluation=20, seed=1), "evaluation") == _ids(first, "evaluation")
    assert _ids(split_prompts(prompts, n_evaluation=20, seed=2), "evaluation") != _ids(first, "evaluation")


def test_a_new_prompt_moves_no_other_of_its_category() -> None:
    """Adding prompts to one category keeps the order of all others within theirs."""
    prompts = _prompts(40, n_categories=2, twins=False)
    more = [*prompts, *(make_prompt(f"new {n}", "red_team", category="c0") for n in range(20))]
    before = _ids(split_prompts(prompts, n_evaluation=10), "evaluation")
    after = _ids(split_prompts(more, n_evaluation=10), "evaluation")
    untouched = {one.id for one in prompts if one.category == "c1"}
    smaller, larger = sorted((before & untouched, after & untouched), key=len)
    assert smaller
    assert smaller <= larger


SPLIT = """
from charter.prompts import split_prompts
from charter.records import make_prompt
prompts = [make_prompt(f"text {n}", "red_team", category=f"c{n % 3}") for n in range(50)]
print(*(one.id for one in split_prompts(prompts, n_evaluation=15, seed=3) if one.split == "evaluation"))
"""


def test_the_split_is_the_same_across_processes() -> None:
    """Who is held out does not depend on the process's own hashing."""
    runs = {
        subprocess.run(
            [sys.executable, "-c", SPLIT],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "77")
    }
    assert len(runs) == 1
    assert len(runs.pop().split()) == 15


@pytest.mark.parametrize("n_evaluation", [10, 11])
def test_something_must_be_left_for_training(n_evaluation: int) -> None:
    """Holding out every prompt, or more, is refused with both numbers."""
    with pytest.raises(PromptError, match=rf"{n_evaluation} prompts are to be held out of 10; lower"):
        split_prompts(_prompts(10), n_evaluation=n_evaluation)


def test_nothing_to_split() -> None:
    """No prompts split into none; none held out leaves all for training."""
    assert split_prompts([], n_evaluation=5) == []
    assert _ids(split_prompts(_prompts(3), n_evaluation=0), "evaluation") == set()


def _sides(prompts: list[Prompt]) -> Counter[tuple[str, str]]:
    return Counter((one.kind, one.split) for one in prompts)


def test_numbers_count_red_team_prompts() -> None:
    """With a twin to each, as many twins as red-team prompts fall on each side."""
    prompts = _prompts(20)
    split, n_stray = split_with_twins(prompts[:20], prompts[20:], n_evaluation=6, n_train=9)
    assert _sides(split) == {
        ("red_team", "evaluation"): 6,
        ("benign_twin", "evaluation"): 6,
        ("red_team", "train"): 9,
        ("benign_twin", "train"): 9,
    }
    assert n_stray == 0


def test_a_twin_whose_prompt_is_not_there_is_left_out() -> None:
    """Where a limit left out red-team prompts, their twins take nobody's place."""
    prompts = _prompts(20)
    split, n_stray = split_with_twins(prompts[:8], prompts[20:], n_evaluation=3)
    assert n_stray == 12
    assert _sides(split)["red_team", "evaluation"] == _sides(split)["benign_twin", "evaluation"] == 3
    assert _sides(split)["red_team", "train"] == _sides(split)["benign_twin", "train"] == 5


def test_twins_of_another_set_are_split_by_themselves() -> None:
    """Twins that imitate none of the prompts keep their own numbers, and change nothing for the prompts."""
    prompts = _prompts(20, twins=False)
    others = [make_prompt(f"benign {n}", "benign_twin", twin_of=f"elsewhere-{n}") for n in range(10)]
    split, n_stray = split_with_twins(prompts, others, n_evaluation=8)
    assert n_stray == 0
    assert _sides(split)["red_team", "evaluation"] == 8
    assert _sides(split)["benign_twin", "evaluation"] == 5
    assert _ids(split, "evaluation") & {one.id for one in prompts} == _ids(
        split_prompts(prompts, n_evaluation=8), "evaluation"
    )


def test_twins_without_a_link_stand_for_themselves() -> None:
    """A twin that names no prompt is a prompt of its own beside those that do."""
    prompts = _prompts(10)
    lone = [make_prompt(f"lone {n}", "benign_twin") for n in range(4)]
    split, n_stray = split_with_twins(prompts[:10], [*prompts[10:], *lone], n_evaluation=3)
    assert n_stray == 0
    assert len(split) == 24
    assert len(_ids(split, "evaluation") & {one.id for one in lone}) == 2
    assert split_with_twins(prompts[:10], [], n_evaluation=3)[1] == 0


def test_prompts_that_an_example_shows_are_left_out() -> None:
    """A prompt that a few-shot example asks, but for case and spaces, is left out and counted."""
    prompts = [make_prompt(text, "helpful") for text in ("How do  I\nboil an egg?", "How do I boil two eggs?")]
    kept, n_left_out = remove_contamination(prompts, ["how do I boil an EGG? "])
    assert [one.text for one in kept] == ["How do I boil two eggs?"]
    assert n_left_out == 1


def test_a_conversation_that_an_example_shows_is_left_out() -> None:
    """What is compared is the whole conversation: sharing one turn is no contamination."""
    turns = (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    )
    prompt = Prompt(id="p", turns=turns, kind="helpful")
    assert remove_contamination([prompt], ["c"]) == ([prompt], 0)
    assert remove_contamination([prompt], [prompt.text.upper()]) == ([], 1)


KINDS: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")
DRESSES = (
    "How do I boil {}\u00a0eggs?",
    "how do  i boil {} eggs",
    "HOW DO I BOIL {} EGGS!!",
    "\uff28ow do I boil\t{} e\u00adggs ...",
    "\u201cHow do I boil, {} eggs?\u201d",
)


@st.composite
def _dressed(draw: st.DrawFn) -> list[Prompt]:
    """Draw prompts of every kind of which many ask the same in other dress, and some twins."""
    drawn = draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(DRESSES), st.sampled_from(KINDS)), min_size=4))
    prompts: list[Prompt] = []
    for number, (question, dress, kind) in enumerate(drawn):
        harmful = [one.id for one in prompts if one.kind == "red_team"]
        twin_of = draw(st.none() | st.sampled_from(harmful)) if harmful and kind == "benign_twin" else None
        category = draw(st.sampled_from("ab"))
        text = dress.format(question)
        prompts.append(make_prompt(text, kind, id=f"p{number}", category=category, twin_of=twin_of))
    return prompts


@given(prompts=_dressed(), marks=st.sets(st.integers(0, 12)), seed=st.integers(0, 3), data=st.data())
def test_no_text_crosses_the_split_in_another_dress(
    prompts: list[Prompt], marks: set[int], seed: int, data: st.DataObject
) -> None:
    """Over all kinds, prompts that differ in writing alone, and twins, are on one side; the order does not count."""
    if data.draw(st.booleans()):
        prompts = [
            one.model_copy(update={"split": "evaluation"}) if one.kind == "helpful" and number in marks else one
            for number, one in enumerate(prompts)
        ]
    loaded = {kind: [one for one in prompts if one.kind == kind] for kind in KINDS}
    n_held_out = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    numbers = {"n_evaluation": n_held_out[0], "n_evaluation_helpful": n_held_out[1], "split_seed": seed}
    try:
        chosen = select_prompts(loaded, (), **numbers)
    except PromptError:  # so few groups that none would be left
        return
    texts = {
        side: {normalise_text(one.text) for one in chosen.prompts if one.split == side}
        for side in ("train", "evaluation")
    }
    assert not texts["train"] & texts["evaluation"]
    names = join_groups(prompts)
    groups = {side: {names[group_of(one)] for one in chosen.prompts if one.split == side} for side in texts}
    assert not groups["train"] & groups["evaluation"]
    assert sum(one.split == "evaluation" and one.kind == "helpful" for one in chosen.prompts) >= min(
        n_held_out[1], sum(one.split == "evaluation" for one in loaded["helpful"])
    )
    if not any(one.split == "evaluation" for one in prompts):  # marked ones are taken in the order of their file
        again = select_prompts({kind: found[::-1] for kind, found in loaded.items()}, (), **numbers)
        assert _ids(list(again.prompts), "evaluation") == _ids(list(chosen.prompts), "evaluation")


def test_helpful_prompts_follow_the_red_team_prompt_that_asks_the_same() -> None:
    """A helpful prompt that a held-out red-team prompt repeats is held out within its number, else left out."""
    harmful = _prompts(12, twins=False)
    same = [make_prompt(f"  HARMFUL, {number}!", "helpful", id=f"hp-{number}") for number in range(12)]
    other = [make_prompt(f"helpful {number}", "helpful", id=f"hp-other-{number}") for number in range(12)]
    loaded: dict[PromptKind, list[Prompt]] = {"red_team": harmful, "helpful": [*same, *other]}
    chosen = list(select_prompts(loaded, (), n_evaluation=5, n_evaluation_helpful=7).prompts)
    held_out = {name.removeprefix("rt-") for name in _ids(chosen, "evaluation") if name.startswith("rt-")}
    assert len(held_out) == 5
    assert {f"hp-{number}" for number in held_out} <= _ids(chosen, "evaluation")
    assert sum(name.startswith("hp") for name in _ids(chosen, "evaluation")) == 7
    few = select_prompts(loaded, (), n_evaluation=5, n_evaluation_helpful=0)
    assert _ids(list(few.prompts), "train").isdisjoint({f"hp-{number}" for number in held_out})
    assert few.left_out == {"over the number asked for": 5}


def test_a_marked_prompt_holds_out_whoever_asks_the_same() -> None:
    """What comes marked as held out pulls red-team and helpful prompts of the same text to its side."""
    marked = make_prompt("harmful 3.", "helpful", id="hp-marked", split="evaluation")
    train = make_prompt("HARMFUL 3", "helpful", id="hp-train")
    loaded: dict[PromptKind, list[Prompt]] = {"red_team": _prompts(9, twins=False), "helpful": [train, marked]}
    for seed in range(4):
        chosen = select_prompts(loaded, (), n_evaluation=1, n_evaluation_helpful=1, split_seed=seed)
        assert _ids(list(chosen.prompts), "evaluation") == {"rt-3", "hp-marked"}
        assert chosen.left_out == {"over the number asked for": 1}


def test_twins_of_one_text_tie_their_prompts() -> None:
    """Two red-team prompts whose twins ask the same are one group, named alike in any order."""
    prompts = [
        make_prompt("a", "red_team", id="rt-b"),
        make_prompt("b", "red_team", id="rt-a"),
        make_prompt("Same?", "benign_twin", id="t1", twin_of="rt-b"),
        make_prompt("same", "benign_twin", id="t2", twin_of="rt-a"),
        make_prompt("c", "red_team", id="rt-c"),
    ]
    assert join_groups(prompts) == join_groups(prompts[::-1]) == {"rt-a": "rt-a", "rt-b": "rt-a", "rt-c": "rt-c"}


def test_what_is_held_out_already_counts() -> None:
    """Groups that another kind held out are taken first, and those it trains on never."""
    sides = Sides(_prompts(8, twins=False))
    sides.put(["rt-1", "rt-2"], "evaluation")
    sides.put(["rt-3", "rt-4", "rt-5", "rt-6"], "train")
    split = split_prompts(_prompts(8, twins=False), n_evaluation=3, sides=sides)
    assert {"rt-1", "rt-2"} < _ids(split, "evaluation")
    assert {"rt-3", "rt-4", "rt-5", "rt-6"} < _ids(split, "train")
    assert len(_ids(split, "evaluation")) == 3
    with pytest.raises(PromptError, match="4 prompts are to be held out of 3"):
        split_prompts(_prompts(8, twins=False), n_evaluation=4, sides=sides)


@pytest.mark.parametrize("dress", DRESSES)
def test_a_text_in_another_dress_is_the_same(dress: str) -> None:
    """Case, white space, punctuation, invisible characters and compatible forms do not count."""
    assert normalise_text(dress.format(2)) == "how do i boil 2 eggs"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Don\u2019t!", "dont", True),
        ("STRASSE", "stra\u00dfe", True),
        ("\ufb01ve", "five", True),
        ("cafe\u0301", "caf\u00e9", True),
        ("caf\u00e9", "cafe", False),
        ("boil 2 eggs", "boil 12 eggs", False),
        ("1.5", "15", False),
        ("C++", "C", False),
        ("?", "!", False),
        ("\u0915\u093f", "\u0915\u0940", False),
    ],
)
def test_only_the_writing_is_stripped(one: str, other: str, same: bool) -> None:
    """What changes what is said stays: accents and vowel signs, digits, symbols."""
    assert (normalise_text(one) == normalise_text(other)) is same


def test_the_built_in_split_is_balanced_over_categories() -> None:
    """Every category of the built-in set is held out in the same number, with no group to be joined."""
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in KINDS}
    every = [prompt for prompts in loaded.values() for prompt in prompts]
    assert len(set(join_groups(every).values())) == len(loaded["red_team"]) + len(loaded["helpful"])
    constitutions = load_constitution("harmless"), load_constitution("helpful")
    chosen = select_prompts(loaded, constitutions, n_evaluation=120, n_evaluation_helpful=80)
    for kind in KINDS:
        held_out = Counter(one.category for one in chosen.prompts if one.kind == kind and one.split == "evaluation")
        total = Counter(one.category for one in loaded[kind])
        share = sum(held_out.values()) / len(loaded[kind])
        assert set(held_out) == set(total)
        assert all(abs(held_out[name] - share * n) <= 1 for name, n in total.items())


def test_more_helpful_prompts_than_come_marked_cannot_be_held_out() -> None:
    """Asking for more than are marked as held out is an error, not a smaller number."""
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in KINDS}
    assert len(_ids(list(select_prompts(loaded, (), n_evaluation=9, n_evaluation_helpful=80).prompts), "evaluation"))
    with pytest.raises(
        PromptError, match=r"500 helpful prompts are to be held out of 80 .* prompts\.n_evaluation_helpful"
    ):
        select_prompts(loaded, (), n_evaluation=9, n_evaluation_helpful=500)
