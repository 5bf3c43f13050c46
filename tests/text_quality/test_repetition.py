"""Loops and repeated n-grams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.text_quality import distinct_n, find_loop, is_repetitive, repeated_ngram_share

RECIPE = """To bake bread, follow these steps:

1. Mix flour, water, yeast and salt.
2. Knead the dough for ten minutes.
3. Let the dough rise for an hour.
4. Shape the dough and let it rise again.
5. Bake the bread for forty minutes."""
SONG = """Row the boat across the bay,
row it home before the day.
Oh, the wind is on our side!

Count the gulls above the mast,
count them slow and count them fast.
Oh, the wind is on our side!

Lay the oars beside the door,
dry your feet upon the floor.
Oh, the wind is on our side!"""
TABLE = "| name | age |\n| --- | --- |\n| Ann | 31 |\n| Bob | 32 |\n| Cid | 33 |\n| Dee | 34 |"
CODE = "Print it five times:\n```python\n" + "print('hello there world')\n" * 5 + "```\nThat is all there is to it."
WORDS = st.lists(st.sampled_from(["ash", "birch", "cedar", "fir", "oak", "pine"]), max_size=80).map(" ".join)


@pytest.mark.parametrize("text", [RECIPE, SONG, TABLE, CODE, "", "Yes.", "No, no, no! Not that one."])
def test_ordinary_texts_do_not_loop(text: str) -> None:
    """Steps, a chorus, a table, code and short replies are no loops."""
    assert find_loop(text) is None
    assert not is_repetitive(text)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("The sea is blue. " + "You are a good person. " * 5, "you are a good person"),
        ("Try this:\n" + "- Drink more water\n" * 6, "drink more water"),
        ("It was a long day " + "and then we went home " * 8, "and then we went home"),
        ("Craig:\n" * 30 + "Cra", "craig"),
        ("The answer is " + "very " * 40, "very"),
    ],
)
def test_loops_are_found(text: str, unit: str) -> None:
    """A repeated sentence, line, phrase or word is named, in whichever turn it was found."""
    loop = find_loop(text)
    assert loop is not None
    assert sorted(set(loop.split())) == sorted(set(unit.split()))
    assert is_repetitive(text)


@pytest.mark.parametrize("text", ["ha" * 40, "\u54c8" * 60, "so good" + "!?a" * 30])
def test_runs_of_characters_are_found(text: str) -> None:
    """Loops without spaces are found as well."""
    assert is_repetitive(text)


@pytest.mark.parametrize("text", ["-" * 80, "Name: ______________________________________________", "." * 100])
def test_rules_and_blanks_are_no_loops(text: str) -> None:
    """A drawn line is not a word said again."""
    assert not is_repetitive(text)


def test_a_loop_before_an_ending_is_still_a_loop() -> None:
    """A sentence said over and over counts wherever it stands."""
    assert is_repetitive("Be kind to everyone. " * 6 + "Thank you for reading this.")


def test_shuffled_phrases_are_caught_by_their_ngrams() -> None:
    """Two long phrases by turns, with no period of their own, are repetitive by their n-grams."""
    one, other = "we should all respect each other every day ", "it is good to be honest with all people "
    text = one + other + one + one + other + one + other + other + one
    assert repeated_ngram_share(text) > 0.5
    assert is_repetitive(text)


def test_ngram_share_by_hand() -> None:
    """Of the five 2-grams of a b a b a c, three are new."""
    assert repeated_ngram_share("a b a b a c", n=2) == pytest.approx(1 - 3 / 5)
    assert repeated_ngram_share("a b", n=4) == 0.0


def test_distinct_n_by_hand() -> None:
    """Two equal texts have half the variety of one; an empty set has none."""
    assert distinct_n(["a b c", "a b c"], n=2) == pytest.approx(0.5)
    assert distinct_n(["a b c"], n=2) == 1.0
    assert distinct_n([], n=2) == 0.0


@given(WORDS, st.integers(1, 5))
def test_shares_are_shares(text: str, n: int) -> None:
    """Both measures lie in [0, 1], and of one text they add up to 1."""
    repeated = repeated_ngram_share(text, n)
    assert 0 <= repeated < 1
    if len(text.split()) >= n:
        assert distinct_n([text], n) == pytest.approx(1 - repeated)


@given(st.text(min_size=15, max_size=60, alphabet="abcdefghij klmnop").filter(lambda text: len(text.split()) >= 4))
def test_anything_said_six_times_in_a_row_is_repetitive(text: str) -> None:
    """Whatever a line of four words or more says, six of them are a loop."""
    assert is_repetitive("\n".join([text.strip()] * 6))


@given(st.text("abcdefg", min_size=1, max_size=20), st.integers(0, 25))
def test_runs_without_words_loop_wherever_they_begin(unit: str, n_before: int) -> None:
    """Ten units in a row, forty characters at least, are a loop whatever the unit's length and place."""
    lead = "0123456789!$%&/()=?+*#-_.:"[:n_before]
    assert find_loop(lead + unit * max(10, -(-40 // len(unit)))) is not None
