"""Which of several descriptions fits an answer, by a judge: a choice of lettered options.

Each description stands behind each letter once, in cyclic orders, and what the judge finds of it is averaged over them:
a liking for a letter falls out. An answer with an order that cannot be read has no probabilities; it is counted.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Protocol

from charter.engines.base import Choice, Engine
from charter.errors import CapabilityError, EngineError
from charter.evaluation.judge_reading import ASKING
from charter.evaluation.multiple_choice import OptionReading
from charter.feedback.judge import Judge, Judging, make_judge
from charter.feedback.questions import conversation_has_marks, description_request
from charter.records import Message, Record


class Described(Record):
    """What a judge finds of the descriptions of one answer.

    ``orders`` holds what each order gave, by the descriptions' own order; ``p`` their mean, empty where it cannot be
    read; then ``invalid`` says why.
    """

    orders: tuple[OptionReading, ...] = ()
    p: tuple[float, ...] = ()
    invalid: str = ""


class Read(Protocol):
    """An answer that was read in several orders, or could not be."""

    @property
    def orders(self) -> tuple[OptionReading, ...]:
        """What each order gave."""
        ...

    @property
    def p(self) -> tuple[float, ...]:
        """The descriptions' probabilities; empty where they cannot be read."""
        ...

    @property
    def invalid(self) -> str:
        """Why they cannot."""
        ...


def make_reader(engine: Engine) -> Judge:
    """Make the judge that reads answers.

    Raises:
        CapabilityError: where the model tells no log-probabilities of letters.
    """
    if "choose" not in engine.capabilities:
        raise CapabilityError(
            "this model tells no log-probabilities of letters, by which --judge reads answers; take another model, or "
            "another engine"
        )
    return make_judge(engine, ASKING, Judging())


def cyclic_orders(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Give the orders in which descriptions are shown: each stands at each place once."""
    return [(*names[first:], *names[:first]) for first in range(len(names))]


async def read_descriptions(
    judge: Judge, turns: tuple[Message, ...], question: str, descriptions: Mapping[str, str]
) -> Described:
    """Ask the judge which description fits the last message of a conversation, in every order.

    Args:
        judge: how to ask.
        turns: the conversation.
        question: what is asked of the descriptions.
        descriptions: what the judge is shown, by name.

    Raises:
        EngineError: where the engine failed.
    """
    if conversation_has_marks(judge.asking, turns):
        return Described(invalid="the conversation holds marks of the judge's layout")
    orders = cyclic_orders(tuple(descriptions))
    requests = [
        description_request(judge.asking, turns, question, [descriptions[name] for name in order]) for order in orders
    ]
    choices = await asyncio.gather(*map(judge.engine.choose, requests))
    given = tuple(descriptions)
    readings = tuple(_reading(given, order, choice) for order, choice in zip(orders, choices, strict=True))
    if any(choice.mass < judge.min_option_mass for choice in choices):
        return Described(orders=readings, invalid="option mass below the minimum")
    p = tuple(fmean(shares) for shares in zip(*(one.p for one in readings), strict=True))
    return Described(orders=readings, p=p)


def keeps_letter(orders: Sequence[OptionReading]) -> bool:
    """Tell whether the likeliest letter was the same in every order, whatever stood behind it."""
    return len({one.place[one.p.index(max(one.p))] for one in orders}) == 1


def share_keeping_letter(readings: Iterable[Read]) -> float | None:
    """Give the share of answers, of those that could be read, with the same letter in every order; None of none."""
    found = [keeps_letter(one.orders) for one in readings if one.p]
    return fmean(found) if found else None


def mean_option_mass(readings: Iterable[Read]) -> float | None:
    """Average the letters' summed probability over all orders; None where none was read."""
    masses = [order.mass for one in readings for order in one.orders if order.mass is not None]
    return fmean(masses) if masses else None


def count_invalid(readings: Iterable[Read]) -> dict[str, int]:
    """Count the answers that could not be read, by reason."""
    return dict(sorted(Counter(one.invalid for one in readings if one.invalid).items()))


def _reading(given: Sequence[str], order: Sequence[str], choice: Choice) -> OptionReading:
    if any(map(math.isnan, choice.logprobs)):
        raise EngineError(f"the judge's log-probabilities {choice.logprobs} cannot be compared")
    place = tuple(order.index(name) for name in given)
    return OptionReading(place=place, logits=tuple(choice.logprobs[one] for one in place), mass=choice.mass)
