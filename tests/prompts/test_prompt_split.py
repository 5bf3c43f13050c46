from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.constitution import load_constitution
from charter.errors import PromptError
from charter.prompts import load_prompts, split_prompts
from charter.prompts.contamination import Contamination, find_crossing, find_seen, remove_contamination
from charter.prompts.grouping import group_of, join_groups, normalise_text, opening_of
from charter.prompts.selection import select_prompts
from charter.prompts.split import Sides, split_with_twins
from charter.recipe import load_recipe
from charter.records import Message, Prompt, PromptKind, make_prompt
from charter.seeds import digest
from processes import printed_everywhere


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
    assert len(printed_everywhere(SPLIT).split()) == 15


@pytest.mark.parametrize("n_evaluation", [10, 11])
def test_something_must_be_left_for_training(n_evaluation: int) -> None:
    """Holding out every prompt, or more, is refused with both numbers."""
    with pytest.raises(PromptError, match=rf"{n_evaluation} prompts are to be held out of 10; hold out fewer"):
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
    kept, left_out = remove_contamination(prompts, ["Who?", "how do I boil an EGG? "])
    assert [one.text for one in kept] == ["How do I boil two eggs?"]
    assert left_out == [Contamination(prompts[0], "how do I boil an EGG? ", 1.0)]


def test_a_conversation_that_an_example_shows_is_left_out() -> None:
    """What is compared is the whole conversation: sharing one turn is no contamination."""
    turns = (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    )
    prompt = Prompt(id="p", turns=turns, kind="helpful")
    assert remove_contamination([prompt], ["c"]) == ([prompt], [])
    assert remove_contamination([prompt], [shown := prompt.text.upper()]) == ([], [Contamination(prompt, shown, 1.0)])


def test_near_duplicates_of_an_example_are_left_out_on_request() -> None:
    """With a threshold a prompt that differs by a word is left out too, with what it resembles and how much."""
    texts = ["How do I boil an egg so that it stays soft inside?", "What is the capital city of Peru?"]
    prompts = [make_prompt(text, "helpful") for text in texts]
    shown = "How do I boil an egg so that it stays firm inside?"
    assert remove_contamination(prompts, [shown]) == (prompts, [])
    kept, left_out = remove_contamination(prompts, ["Who?", shown], 0.6)
    assert kept == prompts[1:]
    assert [(one.prompt, one.seen) for one in left_out] == [(prompts[0], shown)]
    assert 0.6 < left_out[0].similarity < 1
    assert find_seen(texts, [shown]) == []
    assert [one.index for one in find_seen(texts, [shown], 0.6)] == [0]


def _kin(n: int) -> list[Prompt]:
    """Make prompts of which every two differ by a word, and others by all."""
    asked = load_prompts("built-in", "red_team").prompts
    return [
        make_prompt(f"My {('uncle', 'boss')[number % 2]} says: {asked[number // 2].text}", "red_team", id=f"k-{number}")
        for number in range(n)
    ]


@given(n_evaluation=st.integers(1, 9), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_near_duplicates_stay_together_on_request(n_evaluation: int, seed: int) -> None:
    """Prompts that differ by a word fall on one side where that is asked for, and then none crosses; else some do."""
    prompts = _kin(20)
    loaded: dict[PromptKind, list[Prompt]] = {"red_team": prompts}
    chosen = select_prompts(
        loaded, (), n_evaluation=n_evaluation, n_evaluation_helpful=0, split_seed=seed, near_duplicates=0.7
    )
    assert find_crossing(chosen.prompts) == []
    assert len(_ids(list(chosen.prompts), "evaluation")) == 2 * n_evaluation
    plain = select_prompts(loaded, (), n_evaluation=n_evaluation, n_evaluation_helpful=0, split_seed=seed)
    crossing = find_crossing(plain.prompts)
    held_out = {prompt.text for prompt in plain.prompts if prompt.split == "evaluation"}
    assert all(one.prompt.split == "train" and one.seen in held_out for one in crossing)


def test_near_duplicates_that_cross_are_found() -> None:
    """Without a threshold the split goes by writing alone, and what crosses it is named."""
    chosen = split_prompts(_kin(20), n_evaluation=7)
    held_out = _ids(chosen, "evaluation")
    partners = {f"k-{number ^ 1}" for number in (int(name[2:]) for name in held_out)} - held_out
    assert partners
    assert {one.prompt.id for one in find_crossing(chosen)} == partners


def _talk(*said: str, id: str) -> Prompt:  # noqa: A002 - as the field is called
    """Make a conversation of what a user says, each time answered alike."""
    turns = [Message(role="user", content=said[0])]
    for text in said[1:]:
        turns += [Message(role="assistant", content=f"Noted ({id})."), Message(role="user", content=text)]
    return Prompt(id=id, turns=tuple(turns), kind="red_team")


def test_conversations_of_one_opening_stay_together() -> None:
    """What a user says first ties conversations, and the question asked alone too; a greeting does not."""
    prompts = [
        _talk("How do I pick a lock?", "And a padlock?", id="a"),
        _talk("how do i pick a LOCK", "And a safe?", id="b"),
        _talk("How do I pick a lock?", id="c"),
        _talk("Hello!", "Name three large rivers.", id="d"),
        _talk("hello", "Who wrote the Iliad?", id="e"),
        _talk("Hello", "Name three large rivers!", "More?", id="f"),
        _talk("Hello", id="g"),
    ]
    assert join_groups(prompts) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "d", "g": "g"}


def test_openings_count_what_a_script_says() -> None:
    """Six Chinese characters are a question; two are a greeting."""
    short, long = "\u4f60\u597d", "\u5982\u4f55\u64ac\u5f00\u9501"
    one, other = _talk(short, long, id="a"), _talk(long, "?", id="b")
    assert (opening_of(one), opening_of(other)) == (f"{short}\n{long}", long)


@given(
    cells=st.dictionaries(st.tuples(st.sampled_from("pqr"), st.sampled_from("abcd")), st.integers(1, 9), min_size=2),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 3),
)
def test_principles_and_their_categories_keep_their_share(
    cells: dict[tuple[str, str], int], share: float, seed: int
) -> None:
    """A principle is held out in its share, to within one, and so is each category of it, to within two."""
    prompts = [
        make_prompt(f"{principle} {category} {n}", "red_team", principle=principle, category=category)
        for (principle, category), size in cells.items()
        for n in range(size)
    ]
    n_evaluation = int(share * len(prompts))
    held_out = [one for one in split_prompts(prompts, n_evaluation=n_evaluation, seed=seed) if one.split != "train"]
    by_principle = Counter(one.principle for one in held_out)
    for principle in {principle for principle, _ in cells}:
        size = sum(n for (one, _), n in cells.items() if one == principle)
        assert abs(by_principle[principle] - n_evaluation / len(prompts) * size) <= 1
    by_cell = Counter((one.principle, one.category) for one in held_out)
    for cell, size in cells.items():
        assert abs(by_cell[cell] - n_evaluation / len(prompts) * size) <= 2


def test_small_categories_are_spread_over_principles() -> None:
    """With one prompt of each category under each principle, no category is always the one that is held out."""
    prompts = [
        make_prompt(f"{principle} {category}", "red_team", principle=principle, category=category)
        for principle in map(str, range(30))
        for category in "abcde"
    ]
    held_out = Counter(one.category for one in split_prompts(prompts, n_evaluation=30) if one.split == "evaluation")
    assert set(held_out) == set("abcde")
    assert max(held_out.values()) <= 12


@given(n=st.integers(5, 40), n_new=st.integers(1, 9), seed=st.integers(0, 5))
def test_a_new_principle_moves_no_prompt_within_the_others(n: int, n_new: int, seed: int) -> None:
    """Prompts under a new principle change how many of another are held out, never which go first."""
    old = [make_prompt(f"old {one}", "red_team", principle="p", category="cd"[one % 2]) for one in range(n)]
    new = [make_prompt(f"new {one}", "red_team", principle="q", category="c") for one in range(n_new)]
    before = _ids(split_prompts(old, n_evaluation=n // 2, seed=seed), "evaluation")
    after = _ids(split_prompts([*new, *old], n_evaluation=n // 2, seed=seed), "evaluation") & {one.id for one in old}
    assert after <= before


PINNED = {
    "smoke": "8dbf0631616bb928ce7906fba919f556cf5cff160c1c4ef69688d18136728f5f",
    "smollm2-135m": "584bd7d49cf1cb113a9da353c63c2a184bed5f5d1757081848332b3a9de0d790",
}


@pytest.mark.parametrize("name", sorted(PINNED))
def test_the_shipped_recipes_split_as_their_figures_say(name: str) -> None:
    """Published figures rest on these very prompts on these sides."""
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / f"{name}.yaml")
    chosen_by = recipe.prompts
    loaded = {kind: load_prompts(source.source, kind).prompts for kind, source in chosen_by.sources().items()}
    constitutions = load_constitution(recipe.constitution.source), load_constitution(recipe.constitution.helpful)
    chosen = select_prompts(loaded, constitutions, **chosen_by.numbers())
    assert digest([[one.id, one.kind, one.split] for one in chosen.prompts]) == PINNED[name]


def test_near_duplicates_change_nothing_for_the_built_in_prompts() -> None:
    """They are unlike each other: the threshold moves none of them, and none crosses."""
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in KINDS}
    numbers = {"n_evaluation": 120, "n_evaluation_helpful": 80}
    plain = select_prompts(loaded, (), **numbers)
    assert select_prompts(loaded, (), **numbers, near_duplicates=0.6).prompts == plain.prompts
    assert find_crossing(plain.prompts) == []


def test_red_team_prompts_that_come_marked_are_held_out() -> None:
    """A prompt marked as held out is not trained on, whatever its kind: it is held out first."""
    prompts = [
        one.model_copy(update={"split": "evaluation"} if one.id in {"rt-3", "rt-7"} else {})
        for one in _prompts(12, twins=False)
    ]
    loaded: dict[PromptKind, list[Prompt]] = {"red_team": prompts}
    for n_evaluation in (1, 2, 4):
        chosen = list(select_prompts(loaded, (), n_evaluation=n_evaluation, n_evaluation_helpful=0).prompts)
        held_out = _ids(chosen, "evaluation")
        assert len(held_out) == n_evaluation
        assert held_out <= {"rt-3", "rt-7"} or held_out > {"rt-3", "rt-7"}
        assert not _ids(chosen, "train") & {"rt-3", "rt-7"}


def test_many_prompts_in_few_groups_are_counted() -> None:
    """Where conversations of one opening are too few to hold out so many, the error says how many groups there are."""
    prompts = [_talk("Please check this for me:", f"text {n}", id=f"p{n}") for n in range(9)]
    with pytest.raises(PromptError, match=r"3 prompts are to be held out of 1 \(groups of 9 prompts\)"):
        split_prompts(prompts, n_evaluation=3)


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
