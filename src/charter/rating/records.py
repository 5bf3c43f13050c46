"""What a rater says: one record for each press of a key, of which the last for an item counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from charter.records.base import Record

Side = Literal["model", "base"]
#: ``undo`` takes back the last choice that stands.
Choice = Literal["model", "base", "tie", "skip", "undo"]

_POINTS = {"model": 1.0, "tie": 0.5, "base": 0.0}


class Rating(Record):
    """One choice of one rater.

    ``number`` counts what this rater did, from 1. ``model`` and ``base`` are whose answers were compared, ``left`` is
    the side that stood first. ``gold`` is the side that is known to be better, of an item that checks the rater.
    ``seconds`` is how long the answers were in view, None where the page did not say.
    """

    rater: str
    number: int = Field(ge=1)
    item: str
    choice: Choice
    left: Side
    prompt: str
    model: str
    base: str
    gold: Side | None = None
    question: str = ""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    at: str = ""

    @property
    def win(self) -> float | None:
        """1 where ``model``'s answer was preferred, 0 where the other's, 0.5 for a tie; None where nothing is said."""
        return _POINTS.get(self.choice)


def standing(ratings: Iterable[Rating]) -> dict[str, Rating]:
    """Give what stands of one rater's records, by item in the order of the choices: what was undone does not.

    Args:
        ratings: of one rater, in their order.
    """
    found: dict[str, Rating] = {}
    for one in ratings:
        found.pop(one.item, None)  # what is said again comes last
        if one.choice != "undo":
            found[one.item] = one
    return found
