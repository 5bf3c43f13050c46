from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.given import balance_lengths, length_confound
from charter.given.pairs import given_pair
from charter.records import Pair, make_prompt

SENTENCE = "Wash your hands well."


def pair(number: int, better: str, worse: str) -> Pair:
    """Make a pair on a prompt of its own."""
    return given_pair(make_prompt(f"Question {number}?", "red_team"), better, worse, seed=0)


def sentences(n: int) -> str:
    """Write a text of n sentences."""
    return " ".join([SENTENCE] * n)


LENGTHS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=40)


def pairs_of(lengths: list[tuple[int, int]]) -> list[Pair]:
    """Make pairs whose answers have so many sentences; ends tell equal ones apart."""
    return [pair(n, f"{sentences(a)} Yes!", f"{sentences(b)} Not!") for n, (a, b) in enumerate(lengths)]


def test_confound_is_measured() -> None:
    """Counts, the share with Wilson's interval, the median ratio and the chance that length tells the chosen."""
    found = length_confound([pair(0, "x" * 20, "y" * 10), pair(1, "x" * 30, "y" * 10), pair(2, "x" * 5, "y" * 10)])
    assert found is not None
    assert (found.n, found.n_longer, found.n_shorter) == (3, 2, 1)
    assert found.longer.value == pytest.approx(2 / 3)
    assert (found.longer.low, found.longer.high) == pytest.approx((0.2077, 0.9385), abs=1e-4)  # Wilson's, 2 of 3
    assert found.median_ratio == 2.0
    assert found.auc == pytest.approx(2 / 3)


def test_words_are_counted_on_request() -> None:
    """In words the longer text can be the shorter one."""
    one = pair(0, "a b c", "incomprehensibilities")
    assert length_confound([one]).n_longer == 0  # type: ignore[union-attr]
    assert length_confound([one], unit="words").n_longer == 1  # type: ignore[union-attr]


def test_pairs_without_an_intention_say_nothing() -> None:
    """They are not counted, and where there are no others there is no figure."""
    neutral = pair(0, "longer", "short").model_copy(update={"intended": None})
    assert length_confound([neutral]) is None
    assert balance_lengths([neutral], "drop") is None
    both = balance_lengths([neutral, pair(1, "longer", "short")], "drop")
    assert both is not None
    assert both.pairs == (neutral,)


@given(LENGTHS, st.integers(0, 3))
def test_dropping_leaves_as_many_longer_as_shorter(lengths: list[tuple[int, int]], seed: int) -> None:
    """All of the rarer sort stay and as many of the other, in their order, none changed."""
    rows = pairs_of(lengths)
    done = balance_lengths(rows, "drop", seed=seed)
    assert done is not None
    rarer = min(done.before.n_longer, done.before.n_shorter)
    if done.after is None:
        assert rarer == 0
        return
    assert done.after.n_longer == done.after.n_shorter == rarer
    places = [rows.index(one) for one in done.pairs]
    assert places == sorted(places)
    assert done.n_dropped == len(rows) - len(done.pairs)


@given(LENGTHS, st.integers(0, 3))
def test_trimming_shortens_longer_sides_alone(lengths: list[tuple[int, int]], seed: int) -> None:
    """No pair is lost; what is cut was the longer side, ends with a sentence, and is not whole."""
    rows = pairs_of(lengths)
    done = balance_lengths(rows, "trim", seed=seed)
    assert done is not None
    assert done.after is not None
    assert len(done.pairs) == len(rows)
    for old, new in zip(rows, done.pairs, strict=True):
        assert (new.id, new.prompt, new.intended) == (old.id, old.prompt, old.intended)
        cut_a, cut_b = new.a != old.a, new.b != old.b
        assert not (cut_a and cut_b)
        assert (new.whole_a, new.whole_b) == (not cut_a, not cut_b)
        for was, now, other in ((old.a, new.a, old.b), (old.b, new.b, old.a)):
            assert was.startswith(now)
            assert was == now or (len(was) > len(other) and now.endswith("."))
    skew = abs(done.before.n_longer - done.before.n_shorter)
    assert abs(done.after.n_longer - done.after.n_shorter) <= max(skew, 1)


def test_trimming_takes_a_strong_confound_away() -> None:
    """Of pairs whose chosen answer is always the longer, it is so in half of them afterwards."""
    done = balance_lengths(pairs_of([(n % 5 + 6, n % 3 + 2) for n in range(100)]), "trim")
    assert done is not None
    assert done.after is not None
    assert (done.before.n_longer, done.after.n_longer, done.after.n_shorter) == (100, 50, 50)
    assert done.after.auc == pytest.approx(0.5, abs=0.06)
    assert done.n_trimmed == 100


def test_dropping_matches_ratios() -> None:
    """Of the commoner sort those stay whose ratio is near that of the rarer."""
    rows = pairs_of([(2, 4), (12, 2), (4, 2), (9, 2)])
    done = balance_lengths(rows, "drop")
    assert done is not None
    assert done.pairs == (rows[0], rows[2])
