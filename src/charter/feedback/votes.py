"""Verdicts as votes: how what was read becomes a pair's probability, and what it would be with other settings. Pure.

The order of operations is fixed, so that swapping the pair gives exactly 1 - p: per order, principle and judge the mean
over chains, then temperature and bias, then the clamp (with chains only), then the mean of both orders, then the
weighted mean over votes: of the principles, and of the judges where there are several. Everything after the mean over
chains can be done again from recorded verdicts, with no new call.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from charter.records import Comparison, Order, Preference, Unlabelled, Verdict
from charter.statistics.scaling import AS_READ, Scaling

#: Of a probability: rounding must not decide between two responses that the judge finds equal.
TIE_WIDTH = 1e-9
_EVEN = 0.5


class Voter(NamedTuple):
    """Whose vote it is: a judge's, under a principle; the run's own judge has no name."""

    principle: str
    judge: str = ""


@dataclass(frozen=True)
class LetterReading:
    """How a verdict is read off the letters: scaled, and clamped where chains of thought make it extreme."""

    scaling: Scaling = AS_READ
    clamp: tuple[float, float] | None = None

    def p_a(self, p_first: float, order: Order) -> float:
        """Say how likely a is the better, from the probability of the option that was shown first."""
        scaled = self.scaling(p_first)
        held = scaled if self.clamp is None else min(max(scaled, self.clamp[0]), self.clamp[1])
        return held if order == "ab" else 1.0 - held


@dataclass(frozen=True)
class Judgement:
    """What both orders and all votes come to: ``p_a``, None where no judge has two valid verdicts of a principle."""

    verdicts: tuple[Verdict, ...]
    p_a: float | None
    position_bias: float


@dataclass(frozen=True)
class BothOrders:
    """One pair, principle and judge: P(a is better), asked with a shown first and with b shown first.

    ``prompt`` is the id of the pair's prompt, which is what several such readings hang together by.
    """

    prompt: str
    principle: str
    shown_first: float
    shown_second: float
    judge: str = ""

    @property
    def picks(self) -> Literal["response", "first", "second"]:
        """Say what the two readings pick: the same ``response``, the ``first`` or the ``second`` position."""
        if (self.shown_first - _EVEN) * (self.shown_second - _EVEN) >= 0:
            return "response"
        return "first" if self.shown_first > _EVEN else "second"


def both_orders(judged: Iterable[Preference | Unlabelled | Comparison]) -> tuple[BothOrders, ...]:
    """Gather every vote that was read in both orders, of judged pairs or of a head to head."""
    return tuple(
        BothOrders(row.prompt.id, voter.principle, *both, voter.judge)
        for row in judged
        for voter, both in votes_of(row.verdicts).items()
    )


def combine_verdicts(verdicts: Sequence[Verdict]) -> Judgement:
    """Average both orders of each vote, then the votes by weight.

    A vote counts only where both its orders are valid; a judge whose verdicts are not has that much less to say of the
    pair. The position bias is the mean over votes of |P(a better, a shown first) - P(a better, a shown second)|.
    """
    votes, weights = votes_of(verdicts), weights_of(verdicts)
    if not votes:
        return Judgement(tuple(verdicts), None, 0.0)
    total = math.fsum(weights[voter] for voter in votes)
    p_a = math.fsum(weights[voter] * (first + second) / 2 for voter, (first, second) in votes.items()) / total
    bias = math.fsum(abs(first - second) for first, second in votes.values()) / len(votes)
    return Judgement(tuple(verdicts), _EVEN if abs(p_a - _EVEN) < TIE_WIDTH else p_a, bias)


def votes_of(verdicts: Sequence[Verdict]) -> dict[Voter, tuple[float, float]]:
    """Give each vote's P(a is better), a shown first and a shown second, where both can be read."""
    read = {(voter_of(one), one.order): one.p_a for one in verdicts}
    found = {}
    for voter in dict.fromkeys(map(voter_of, verdicts)):
        first, second = read.get((voter, "ab")), read.get((voter, "ba"))
        if first is not None and second is not None:
            found[voter] = first, second
    return found


def weights_of(verdicts: Sequence[Verdict]) -> dict[Voter, float]:
    """Give how much each vote counts."""
    return {voter_of(one): one.weight for one in verdicts}


def voter_of(verdict: Verdict) -> Voter:
    """Say whose vote a verdict belongs to."""
    return Voter(verdict.principle, verdict.judge)


def p_first_of(verdict: Verdict) -> float | None:
    """Give the probability of the option that was shown first, as it was read; None of an invalid verdict.

    Verdicts of older runs do not hold it. Without chains it follows from the letters; with them it cannot be had.
    """
    if verdict.p_first is not None or verdict.invalid is not None or verdict.chains:
        return verdict.p_first
    if verdict.logprob_first is None or verdict.logprob_second is None:
        return None
    return normalise(verdict.logprob_first, verdict.logprob_second)


def normalise(logprob_first: float, logprob_second: float) -> float:
    """Normalise the first letter's probability against the second's."""
    margin = min(max(logprob_second - logprob_first, -700.0), 700.0)  # exp overflows past 709
    return 1.0 / (1.0 + math.exp(margin))


def read_again(verdicts: Sequence[Verdict], reading: LetterReading) -> tuple[Verdict, ...]:
    """Read recorded verdicts in another way; those whose probability is not recorded become invalid."""
    return tuple(_again(one, reading) for one in verdicts)


def without(
    verdicts: Sequence[Verdict], principles: Collection[str], judges: Collection[str] = ()
) -> tuple[Verdict, ...]:
    """Leave out what was said under some principles, or by some judges."""
    return tuple(one for one in verdicts if one.principle not in principles and one.judge not in judges)


def _again(verdict: Verdict, reading: LetterReading) -> Verdict:
    if verdict.invalid is not None:
        return verdict
    p_first = p_first_of(verdict)
    if p_first is None:
        return verdict.model_copy(update={"p_a": None, "invalid": "its probability before the clamp is not recorded"})
    return verdict.model_copy(update={"p_a": reading.p_a(p_first, verdict.order)})
