"""Pairs and preferences of ours, from this run or another, read as pairs that were given."""

from __future__ import annotations

from charter.given.reading import GivenRow
from charter.given.values import native_row
from charter.prompts.row_prompts import content_id
from charter.records import Pair, Preference, Prompt
from charter.seeds import row_id

GIVEN = "given"


def pair_of_preference(row: GivenRow) -> Pair:
    """Read a preference as the pair that it judged; raises RejectedRowError where it is none."""
    one = native_row(row, Preference)
    a, b = ("chosen", "rejected") if one.chosen_side == "a" else ("rejected", "chosen")
    sides = {"chosen": (one.chosen, one.whole_chosen), "rejected": (one.rejected, one.whole_rejected)}
    return Pair(
        id=_own_id(one.prompt, sides[a][0], sides[b][0]),
        prompt=one.prompt,
        a=sides[a][0],
        b=sides[b][0],
        source=GIVEN,
        intended=one.chosen_side,
        origin_a=a,
        origin_b=b,
        whole_a=sides[a][1],
        whole_b=sides[b][1],
    )


def given_again(row: GivenRow) -> Pair:
    """Read a pair, whatever its source was; raises RejectedRowError where it is none."""
    one = native_row(row, Pair)
    return one.model_copy(update={"id": _own_id(one.prompt, one.a, one.b), "source": GIVEN})


def _own_id(prompt: Prompt, a: str, b: str) -> str:
    """Name a pair by what it holds: the run that made it numbered it, as the run that takes it numbers its own."""
    return row_id("pair", prompt.id, content_id(prompt.kind, prompt.turns), GIVEN, "ours", a, b)
