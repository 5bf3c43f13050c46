from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import PromptError
from charter.prompts import split_prompts
from charter.prompts.split import group_of, remove_contamination, split_with_twins
from charter.records import Message, Prompt, make_prompt


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
