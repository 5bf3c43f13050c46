"""Pairs that people judged, as preferences: no judge is asked about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from charter.given.loaded import LoadedPairs
from charter.records import PEOPLE, Pair, Preference
from charter.seeds import row_id

_EVEN = 0.5


@dataclass(frozen=True)
class GivenPreferences:
    """Preferences of people, and how many other rows there were, by reason."""

    rows: tuple[Preference, ...]
    left_out: Mapping[str, int]


def preferences_of(loaded: LoadedPairs) -> GivenPreferences:
    """Take the pairs of a file for preferences: sure ones, or as sure as the file says where it does."""
    rows = tuple(_preference(pair, loaded.p_intended.get(pair.id, 1.0)) for pair in loaded.sided)
    return GivenPreferences(rows, loaded.left_out_or_undecided)


def _preference(pair: Pair, p_intended: float) -> Preference:
    is_a = (pair.intended == "a") == (p_intended >= _EVEN)
    p = max(p_intended, 1.0 - p_intended)
    return Preference(
        id=row_id("preference", pair.id, PEOPLE),
        prompt=pair.prompt,
        chosen=pair.a if is_a else pair.b,
        rejected=pair.b if is_a else pair.a,
        p_chosen=p,
        source=PEOPLE,
        verdicts=(),
        pair=pair.id,
        chosen_side="a" if is_a else "b",
        p_judge=p,
        position_bias=0.0,
        intended=pair.intended,
        whole_chosen=pair.whole_a if is_a else pair.whole_b,
        whole_rejected=pair.whole_b if is_a else pair.whole_a,
    )
