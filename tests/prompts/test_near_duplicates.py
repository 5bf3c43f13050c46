from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.errors import PromptError
from charter.prompts import load_prompts
from charter.prompts.near_duplicates import (
    Resemblance,
    bands_for,
    find_near_duplicates,
    group_near_duplicates,
    shingles,
    similarity_of,
)
from charter.records import Prompt, PromptKind
from processes import printed_everywhere

LETTERS = st.text(alphabet="ab ", max_size=14)
KINDS: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")
THRESHOLDS = st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0])


def _pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """Compare each text with each: what the search must find."""
    return {
        (one, other)
        for one, other in combinations(range(len(texts)), 2)
        if similarity_of(texts[one], texts[other]) >= threshold
    }


def _groups(n: int, pairs: set[tuple[int, int]]) -> list[int]:
    """Spread each text's first place over the pairs until nothing changes."""
    groups = list(range(n))
    while True:
        before = groups[:]
        for one, other in pairs:
            groups[one] = groups[other] = min(groups[one], groups[other])
        if groups == before:
            return groups


def _corpus(n: int) -> list[str]:
    """Make texts of which a third are others with a word or three exchanged."""
    rng = random.Random(7)  # noqa: S311 - texts for a test
    words = [
        word
        for kind in ("red_team", "helpful")
        for prompt in load_prompts("built-in", kind).prompts
        for word in prompt.text.split()
    ]
    texts: list[str] = []
    for _ in range(n):
        if texts and rng.random() < 1 / 3:
            chosen = rng.choice(texts).split()
            for _ in range(rng.randint(1, 3)):
                chosen[rng.randrange(len(chosen))] = rng.choice(words)
        else:
            chosen = rng.choices(words, k=rng.randint(4, 40))
        texts.append(" ".join(chosen))
    return texts


def test_texts_are_compared_by_five_characters() -> None:
    """The shingles are those of the normalised text in spaces, and a text too short for one is its own."""
    assert shingles("Wi-Fi!") == {" wi f", "wi fi", "i fi "}
    assert shingles("No") == {" no "}
    assert similarity_of("abcdef", "abcdeg") == 2 / 6
    assert similarity_of("no", "No!") == 1
    assert similarity_of("no", "on") == 0


@given(texts=st.lists(LETTERS, max_size=12), threshold=THRESHOLDS)
@settings(deadline=None)
def test_it_finds_what_comparing_each_with_each_finds(texts: list[str], threshold: float) -> None:
    """Groups are those of all pairs at the threshold, and what is kept is what going through them one by one keeps."""
    pairs = _pairs(texts, threshold)
    assert group_near_duplicates(texts, threshold=threshold) == _groups(len(texts), pairs)
    kept: list[int] = []
    for place in range(len(texts)):
        if not any((one, place) in pairs for one in kept):
            kept.append(place)
    found = find_near_duplicates(texts, threshold=threshold)
    assert list(found.kept) == kept
    assert sorted([*found.kept, *(one.index for one in found.dropped)]) == list(range(len(texts)))
    for one in found.dropped:
        others = [similarity_of(texts[one.index], texts[other]) for other in kept if other < one.index]
        assert one.similarity == max(others) >= threshold
        assert one.similarity == similarity_of(texts[one.index], texts[one.other])


def test_no_pair_is_missed_among_hundreds() -> None:
    """In a set with hundreds of pairs at the threshold or above, each is joined."""
    texts = _corpus(500)
    pairs = _pairs(texts, 0.6)
    assert len(pairs) > 50
    assert group_near_duplicates(texts, threshold=0.6) == _groups(len(texts), pairs)


def test_the_built_in_prompts_are_unlike() -> None:
    """No two of them, of any kind, come near the default threshold: grouping by it changes no split."""
    texts = [prompt.text for kind in KINDS for prompt in _built_in(kind)]
    assert group_near_duplicates(texts, threshold=0.55) == list(range(720))


def _built_in(kind: PromptKind) -> list[Prompt]:
    return load_prompts("built-in", kind).prompts


def test_against_others() -> None:
    """A text like one of the others is dropped, names it, and stands for none of its like among the texts."""
    texts = ["How do I bake a loaf of bread?", "Where is Lima?", "how do I bake a loaf of bread", "Where is Lima???"]
    found = find_near_duplicates(texts, against=["Who is she?", "HOW DO I BAKE A LOAF OF BREAD"])
    assert found.kept == (1,)
    assert found.dropped == (
        Resemblance(0, 1, in_against=True, similarity=1.0),
        Resemblance(2, 1, in_against=True, similarity=1.0),
        Resemblance(3, 1, in_against=False, similarity=1.0),
    )
    alone = find_near_duplicates(texts, against=["Who is she?", "HOW DO I BAKE A LOAF OF BREAD"], within=False)
    assert alone.kept == (1, 3)


def test_texts_that_hang_together_are_one_group() -> None:
    """Two ends of a chain are of one group, though they themselves are below the threshold."""
    base = "the quick brown fox jumps over the lazy dog near the river bank"
    chain = [base, base.replace("quick", "quiet"), base.replace("quick", "quiet").replace("river", "rural")]
    assert similarity_of(chain[0], chain[2]) < 0.65 < similarity_of(chain[0], chain[1])
    assert group_near_duplicates(chain[::-1], threshold=0.65) == [0, 0, 0]
    assert find_near_duplicates([chain[1], chain[0], chain[2]], threshold=0.65).kept == (0,)
    assert find_near_duplicates([chain[0], chain[2], chain[1]], threshold=0.65).kept == (0, 1)


def test_hostile_texts_are_texts() -> None:
    """Lone surrogates, NULs, right-to-left marks, and no text at all are compared as any other."""
    texts = ["\ud800", "\x00", "\u202e", "", "{0.__class__}", "\ud800", "\x00 %s", "a" * 100_000]
    assert find_near_duplicates(texts).kept == (0, 1, 2, 3, 4, 6, 7)


@pytest.mark.parametrize("threshold", [0, 0.05, 1.01, -1, float("nan")])
def test_a_threshold_out_of_bounds_is_refused(threshold: float) -> None:
    """It is named, with the bounds."""
    with pytest.raises(PromptError, match=r"near-duplicates is .*; expected 0.1 to 1"):
        find_near_duplicates(["a"], threshold=threshold)


@given(threshold=st.floats(0.1, 0.999))
def test_bands_miss_one_in_a_thousand_at_most(threshold: float) -> None:
    """Whatever the threshold, a pair right at it is a candidate in 999 of 1000 cases, by 256 hashes at most."""
    bands, rows = bands_for(threshold)
    assert (1 - threshold**rows) ** bands <= 0.001 + 1e-12
    assert bands * rows <= 256


SEARCH = """
from charter.prompts.near_duplicates import find_near_duplicates, group_near_duplicates
texts = [f"What is {n} plus {n % 7} and then some more of it?" for n in range(60)]
print(find_near_duplicates(texts, threshold=0.5), group_near_duplicates(texts, threshold=0.5))
"""


def test_the_search_is_the_same_across_processes() -> None:
    """What is found does not depend on the process's own hashing."""
    assert "Resemblance" in printed_everywhere(SEARCH)
