"""A sitting: what each rater sees next, and what becomes of what they say. Nothing is kept twice, nothing is lost."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from charter.rating.items import Item, deal, left_side
from charter.rating.records import Choice, Rating, Side, standing
from charter.rating.store import RatingStore

#: What the page knows of: where an answer stands, and not whose it is.
Pressed = Literal["left", "right", "tie", "skip", "undo"]
PRESSED: tuple[Pressed, ...] = ("left", "right", "tie", "skip", "undo")
QUESTION = "Which answer is better?"
MOST_OF_A_NAME = 64  # characters
_MOST_SECONDS = 86_400.0
_ORDERS_KEPT = 64  # raters at once


class StaleError(Exception):
    """What was said belongs to what is no longer asked: another window said something else meanwhile."""


@dataclass(frozen=True)
class Said:
    """What the page sends: a rater's ``number``-th record.

    ``item`` is what was in view, None of an undo; ``seconds`` how long it was.
    """

    number: int
    pressed: Pressed
    item: str | None = None
    seconds: float | None = None


def clean_name(name: str) -> str:
    """Write a rater's name in its one form: composed characters, single spaces.

    Raises:
        ValueError: for one that is empty, too long, or holds what cannot be seen.
    """
    found = " ".join(unicodedata.normalize("NFC", name).split())
    if not found or len(found) > MOST_OF_A_NAME or any(unicodedata.category(one)[0] == "C" for one in found):
        raise ValueError(f"a name of 1 to {MOST_OF_A_NAME} letters is needed, without control characters")
    return found


class Sitting:
    """Deals items to raters, and keeps what they say. Safe to be asked from several threads.

    Attributes:
        items: what is rated, gold among them.
        store: where it is kept.
        question: that stands above the answers.
        seed: of the orders and sides.
    """

    def __init__(self, items: Sequence[Item], store: RatingStore, *, question: str = QUESTION, seed: int = 0) -> None:
        self.items = tuple(items)
        self.store = store
        self.question = question
        self.seed = seed
        self._ids = {item.id for item in self.items}
        self._lock = threading.Lock()
        self._dealt = lru_cache(_ORDERS_KEPT)(self._deal)

    def state(self, rater: str) -> dict[str, Any]:
        """Give what a rater sees, as plain values: how far they are, and the next item without the names of models."""
        with self._lock:
            return self._state(rater)

    def take(self, rater: str, said: Said) -> dict[str, Any]:
        """Keep what a rater says, unless it is kept already, and give what they see next.

        Raises:
            StaleError: where it answers what is no longer asked.
            RunError: where it cannot be written.
        """
        with self._lock:
            told = self.store.of(rater)
            if said.number <= len(told):
                if not self._repeats(told[said.number - 1], said):
                    raise StaleError
            elif said.number == len(told) + 1:
                self.store.add(self._rating(rater, said))
            else:
                raise StaleError
            return self._state(rater)

    def _deal(self, rater: str) -> Mapping[str, Item]:
        """Give the items in a rater's order, by id."""
        return {item.id: item for item in deal(self.items, rater, self.seed)}

    def _standing(self, rater: str) -> dict[str, Rating]:
        return {item: one for item, one in standing(self.store.of(rater)).items() if item in self._ids}

    def _next(self, rater: str) -> Item | None:
        done = self._standing(rater)
        return next((item for name, item in self._dealt(rater).items() if name not in done), None)

    def _state(self, rater: str) -> dict[str, Any]:
        done, item = self._standing(rater), self._next(rater)
        return {
            "rater": rater,
            "question": self.question,
            "n": len(self.items),
            "n_done": len(done),
            "number": len(self.store.of(rater)) + 1,
            "item": None if item is None else self._shown(item, rater),
        }

    def _shown(self, item: Item, rater: str) -> dict[str, Any]:
        sides = [item.match.answer, item.match.base_answer]
        if left_side(item, rater, self.seed) == "base":
            sides.reverse()
        turns = [[turn.role, turn.content] for turn in item.match.prompt.turns]
        return {"id": item.id, "turns": turns, "left": sides[0], "right": sides[1]}

    @staticmethod
    def _repeats(before: Rating, said: Said) -> bool:
        """Tell whether something is said again: by a double click, or because its acknowledgement was lost."""
        same_item = said.pressed == "undo" or before.item == said.item
        return same_item and before.choice == _choice(said.pressed, before.left)

    def _rating(self, rater: str, said: Said) -> Rating:
        item, left = self._meant(rater, said)
        return Rating(
            rater=rater,
            number=said.number,
            item=item.id,
            choice=_choice(said.pressed, left),
            left=left,
            prompt=item.match.prompt.id,
            model=item.match.model,
            base=item.match.base,
            gold=item.gold,
            question=self.question,
            seconds=None if said.seconds is None else round(min(max(said.seconds, 0.0), _MOST_SECONDS), 2),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _meant(self, rater: str, said: Said) -> tuple[Item, Side]:
        """Find the item that something is said of: the one in view, or the last that was answered."""
        if said.pressed == "undo":
            done = self._standing(rater)
            if not done:
                raise StaleError
            last = done[next(reversed(done))]
            return self._dealt(rater)[last.item], last.left
        item = self._next(rater)
        if item is None or item.id != said.item:
            raise StaleError
        return item, left_side(item, rater, self.seed)


def _choice(pressed: Pressed, left: Side) -> Choice:
    right: Side = "base" if left == "model" else "model"
    return left if pressed == "left" else right if pressed == "right" else pressed
