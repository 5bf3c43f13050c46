"""Principles that contradict each other, found by asking a model: "can an assistant keep to both?".

Each pair is asked in both orders of the answers, so that a model which prefers a letter is seen through: the
probability that they contradict is the mean of both. A question whose letters the model does not take up is left out,
and said so.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from charter.constitution import Constitution, Principle
from charter.constitution.lint import Finding
from charter.constitution.lint.wording import content_words, shared
from charter.engines.base import Choice, ChoiceRequest, Engine
from charter.errors import CapabilityError, EngineError
from charter.records import Message, Record
from charter.rows import Filtered, Mapped, RowMapper, map_rows
from charter.seeds import row_id

RULE = "contradiction"
STAGE = "contradictions"

_SYSTEM = "You compare principles that an AI assistant is to keep to."
_QUESTION = "Can an assistant keep to both of them in the same answer?"
_TOGETHER = "Yes. Where one applies, the other can be kept to as well."
_AGAINST = "No. There are ordinary requests where keeping to one means breaking the other."
_OPENING = "The answer is ("
_UNREADABLE = "the model does not answer with a letter"


@dataclass(frozen=True)
class PrinciplePair:
    """Two principles of one constitution."""

    first: Principle
    second: Principle

    @property
    def id(self) -> str:
        """The pair's name, after both texts."""
        return row_id("principles", self.first.id, self.first.text, self.second.id, self.second.text)


class Contradiction(Record):
    """How likely the model finds it that two principles contradict each other; ``gap``: between the two orders."""

    first: str
    second: str
    p_contradicts: float
    gap: float


async def compare_one(pair: PrinciplePair, engine: Engine, *, min_option_mass: float = 0.5) -> Contradiction | Filtered:
    """Ask about one pair, in both orders of the answers.

    Raises:
        EngineError: where the engine failed.
    """
    together_first = _p_first(await engine.choose(pair_request(engine, pair)), min_option_mass)
    against_first = _p_first(await engine.choose(pair_request(engine, pair, swapped=True)), min_option_mass)
    if together_first is None or against_first is None:
        return Filtered(_UNREADABLE)
    return Contradiction(
        first=pair.first.id,
        second=pair.second.id,
        p_contradicts=(1.0 - together_first + against_first) / 2,
        gap=abs(1.0 - together_first - against_first),
    )


def pair_request(engine: Engine, pair: PrinciplePair, *, swapped: bool = False) -> ChoiceRequest:
    """Write the question about a pair; ``swapped`` puts the answer that they contradict first."""
    options = (_AGAINST, _TOGETHER) if swapped else (_TOGETHER, _AGAINST)
    question = (
        f"Principle 1: {pair.first.text}\n\nPrinciple 2: {pair.second.text}\n\n{_QUESTION}\n\n"
        f"(A) {options[0]}\n(B) {options[1]}"
    )
    if "chat" not in engine.capabilities:
        opening = f"{_SYSTEM}\n\n"
        return ChoiceRequest(text=f"{opening}{question}\n\n", prefill=_OPENING, n_shared=len(opening))
    turns = (Message(role="system", content=_SYSTEM), Message(role="user", content=question))
    return ChoiceRequest(messages=turns, prefill=_OPENING, n_shared=1)


def find_contradictions(
    constitution: Constitution,
    engine: Engine,
    *,
    min_probability: float = 0.6,
    max_pairs: int = 300,
    min_option_mass: float = 0.5,
    stage: str = STAGE,
    mapper: RowMapper = map_rows,
) -> tuple[Finding, ...]:
    """Find principles that contradict each other, as the linter's findings of the rule ``contradiction``.

    Args:
        constitution: whose principles.
        engine: the judge; it must give the log-probabilities of letters.
        min_probability: from which a pair is reported.
        max_pairs: pairs that are asked about, at most; of more, those of one category and those with the most words in
            common. Two calls a pair.
        min_option_mass: below this summed probability of both letters an answer counts for nothing.
        stage: the name under which rows are recorded.
        mapper: what maps the row function.

    Returns:
        A warning a pair, the likeliest first, and a note where pairs were not asked about or not answered.

    Raises:
        CapabilityError: where the engine gives no log-probabilities.
    """
    if "choose" not in engine.capabilities:
        raise CapabilityError(
            f"the model {engine.identity!r} gives no log-probabilities of letters, by which contradictions are read; "
            "check with a local model"
        )
    pairs = select_pairs(constitution.principles, max_pairs)
    mapped = mapper(
        partial(compare_one, engine=engine, min_option_mass=min_option_mass), pairs, stage, result=Contradiction
    )
    found = sorted(
        (one for one in mapped.done if one.p_contradicts >= min_probability), key=lambda one: -one.p_contradicts
    )
    return (*(_finding(one) for one in found), *_notes(mapped, math.comb(len(constitution.principles), 2)))


def select_pairs(principles: Sequence[Principle], max_pairs: int) -> tuple[PrinciplePair, ...]:
    """Choose the pairs that are asked about, in the principles' order.

    Two principles can only contradict each other where they speak of the same: one category, or words in common.
    """
    words = [content_words(principle.text) for principle in principles]

    def nearness(places: tuple[int, int]) -> tuple[bool, float]:
        first, second = (principles[place] for place in places)
        share = shared(words[places[0]], words[places[1]])
        return bool(first.category) and first.category == second.category, share

    # A constitution of thousands has millions of pairs: never all of them are held at once.
    nearest = heapq.nlargest(max_pairs, combinations(range(len(principles)), 2), key=nearness)
    return tuple(PrinciplePair(principles[first], principles[second]) for first, second in sorted(nearest))


def _finding(one: Contradiction) -> Finding:
    unsure = f" ({one.gap:.0%} between the two orders of the answers)" if one.gap > 0.5 else ""
    return Finding(
        rule=RULE,
        severity="warning",
        principle=one.second,
        message=f'the model finds that it contradicts principle "{one.first}", with a probability of '
        f"{one.p_contradicts:.0%}{unsure}",
        remedy="say in one of the two when the other goes before it, or leave one out",
    )


def _notes(mapped: Mapped[Contradiction], n_pairs: int) -> tuple[Finding, ...]:
    unasked, unread = n_pairs - mapped.n_in, len(mapped.filtered) + len(mapped.failed)
    told = [
        (unasked, f"{unasked} of {n_pairs} pairs of principles were not asked about", "ask about more pairs"),
        (unread, f"{unread} of {mapped.n_in} pairs got no readable answer", "ask a larger model"),
    ]
    return tuple(
        Finding(rule=RULE, severity="note", message=message, remedy=remedy) for n, message, remedy in told if n
    )


def _p_first(reading: Choice, min_option_mass: float) -> float | None:
    """Normalise the first letter's probability against the second's; None where the letters are not taken up."""
    if reading.mass < min_option_mass:
        return None
    margin = reading.logprobs[1] - reading.logprobs[0]
    if math.isnan(margin):
        raise EngineError(f"the log-probabilities {reading.logprobs} cannot be compared")
    return 1.0 / (1.0 + math.exp(min(margin, 700.0)))  # exp overflows past 709
