from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from charter.seeds import canonical_json, canonical_text, derive_seed, derive_unit, digest, row_id

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

IDENTITIES = """
from charter.records import make_prompt
from charter.seeds import derive_seed, derive_unit, digest, row_id
print(row_id("pair", "a prompt", 3, {"b": [1, None], "a": "\\u05d0"}))
print(digest({"z": 1, "a": 0.1}))
print(derive_seed(7, "trace-1", "round 2 principle"))
print(derive_unit(7, "principle"))
print(make_prompt("How do locks work?", "helpful").id)
"""


def _identities(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", IDENTITIES], check=True, capture_output=True, text=True, env=environment
    ).stdout


def test_identities_are_the_same_across_processes() -> None:
    """Ids and seeds depend on their parts, not on the process's own hashing."""
    first = _identities("1")
    assert first == _identities("4242")
    assert first.splitlines()[0] == row_id("pair", "a prompt", 3, {"a": "א", "b": [1, None]})


def test_identities_are_pinned() -> None:
    """These ids are in people's run folders: to change them is to lose every recorded row."""
    assert digest({"z": 1, "a": 0.1}) == "6118f131514258c2aeca77d6b192c59b572934396c245b13f96f4738dea97587"
    assert row_id("trace", "prompt-1", 0) == "trace-9f0a8a709cf4c401"
    assert derive_seed(0, "trace-1", "initial") == 14470681786772111
    assert derive_unit(0, "honest") == 0.4305152337604442


@given(JSON_VALUES)
def test_canonical_json_reads_back(value: object) -> None:
    """Canonical JSON is JSON: any reader gives the value back."""
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), JSON_VALUES, min_size=2, max_size=6))
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    """Two objects that differ in the order of their keys are written the same."""
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_canonical_json_has_one_form() -> None:
    """No spaces, sorted keys, and text as it is."""
    assert canonical_json({"b": [1, 2.5, None], "a": "é\n"}) == '{"a":"é\\n","b":[1,2.5,null]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_canonical_json_refuses_what_json_cannot_hold(value: float) -> None:
    """A number that JSON cannot hold is an error, not a word that other readers refuse."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([value])


@given(st.integers(min_value=0), st.text(), st.text())
def test_seeds_are_56_bit_and_repeatable(run_seed: int, row: str, purpose: str) -> None:
    """A seed fits a JSON number in every reader's int64, and is the same each time."""
    seed = derive_seed(run_seed, row, purpose)
    assert 0 <= seed < 2**56
    assert derive_seed(run_seed, row, purpose) == seed


def test_seeds_differ_by_run_row_and_purpose() -> None:
    """Each of the three parts moves the seed; parts cannot be confused with one another."""
    seeds = {derive_seed(run, row, purpose) for run in range(5) for row in ("a", "b", "ab") for purpose in ("", "b")}
    assert len(seeds) == 30


def test_seeds_use_their_whole_range() -> None:
    """The high and the low half of the range are drawn alike (a thousand fair coins: 5 sigma is 79)."""
    n_high = sum(derive_seed(0, str(row), "initial") >= 2**55 for row in range(1000))
    assert abs(n_high - 500) < 80


def test_row_ids_name_their_kind_and_differ_by_it() -> None:
    """An id reads as its kind and 16 hexadecimal digits; equal parts of another kind make another id."""
    kind, _, digits = row_id("pair", "x").partition("-")
    assert kind == "pair"
    assert len(digits) == 16
    assert int(digits, 16) >= 0
    assert digits != row_id("trace", "x").partition("-")[2]
    assert row_id("pair", "a", "b") != row_id("pair", "ab")


def test_half_a_surrogate_pair_has_a_digest_too() -> None:
    """Text that no file can hold still has an identity, so that an error can name its row."""
    assert len(digest("\ud800")) == 64


def test_units_are_drawn_evenly() -> None:
    """Over seeds and over names alike, and those of two names have nothing to do with each other."""
    of_one, of_other = ([derive_unit(seed, name) for seed in range(4000)] for name in ("one", "other"))
    for found in (of_one, of_other, [derive_unit(1, f"name {n}") for n in range(4000)]):
        assert 0.0 < min(found) < max(found) < 1.0
        assert stats.kstest(found, "uniform").pvalue > 1e-4
    assert stats.spearmanr(of_one, of_other).pvalue > 1e-4


@given(st.text())
def test_a_text_has_one_canonical_form(text: str) -> None:
    """Whether it is written alone or as a JSON value."""
    assert canonical_text(text) == canonical_json(text)


@given(st.integers(0, 2**56), st.text(), st.text())
def test_a_seed_is_the_digest_of_what_determines_it(run_seed: int, row: str, purpose: str) -> None:
    """The first 56 bits of it."""
    assert derive_seed(run_seed, row, purpose) == int(digest([run_seed, row, purpose])[:14], 16)
