"""The judge: one pair under one principle, in both orders (CAI §4.1).

What its letters say becomes a probability as ``votes`` says. A verdict that cannot be read is invalid: counted and left
out, never a tie.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from charter.constitution.model import Constitution
from charter.engines.base import Choice, Engine, Sampling
from charter.errors import EngineError
from charter.feedback.questions import (
    Asking,
    Question,
    letter_request,
    make_asking,
    marks_in,
    reasoning_request,
)
from charter.feedback.votes import Judgement, LetterReading, combine_verdicts, normalise
from charter.records import Order, Prompt, Verdict
from charter.seeds import derive_seed
from charter.statistics.scaling import AS_READ, Scaling

_ORDERS: tuple[Order, ...] = ("ab", "ba")


class Standard(Protocol):
    """What a verdict is given by: a principle, or whatever else asks a question and has a weight."""

    @property
    def id(self) -> str:
        """Its name on the verdict."""
        ...

    @property
    def choice_question(self) -> str:
        """What is asked about the two options."""
        ...

    @property
    def weight(self) -> float:
        """How much its vote counts."""
        ...


@dataclass(frozen=True)
class Judging:
    """How a run's judge is asked, whichever stage asks it; see ``Judge``. ``n_few_shots`` None shows all examples."""

    n_few_shots: int | None = None
    min_option_mass: float = 0.5
    chains: int = 0
    clamp: tuple[float, float] = (0.4, 0.6)
    max_chain_tokens: int = 160
    scaling: Scaling = AS_READ


@dataclass(frozen=True)
class Judge:
    """How verdicts are asked for.

    Args:
        engine: the model that judges.
        asking: system text and examples.
        min_option_mass: below this summed probability of both letters a verdict is invalid.
        chains: chains of thought per verdict; 0 asks for the letter at once.
        clamp: the range that probabilities are held to, with chains only (CAI §4.1: 40-60 %).
        max_chain_tokens: at most, per chain.
        scaling: what its probabilities are calibrated by.
        seed: of the run.
        name: on its verdicts; the run's own judge has none.
        weight: how much its votes count beside those of other judges.
    """

    engine: Engine
    asking: Asking
    min_option_mass: float = 0.5
    chains: int = 0
    clamp: tuple[float, float] = (0.4, 0.6)
    max_chain_tokens: int = 160
    scaling: Scaling = AS_READ
    seed: int = 0
    name: str = ""
    weight: float = 1.0

    @property
    def reading(self) -> LetterReading:
        """How its verdicts are read: clamped with chains only, which make probabilities extreme (CAI §4.1)."""
        return LetterReading(self.scaling, self.clamp if self.chains else None)


def make_judge(engine: Engine, asked: Constitution | Asking, judging: Judging, *, seed: int = 0) -> Judge:
    """Make the judge of a run; a model without a chat template is asked in plain text.

    Args:
        engine: the model that judges.
        asked: the constitution whose system text and examples the judge is shown, or these as they are.
        judging: how it is asked.
        seed: of the run.
    """
    if isinstance(asked, Constitution):
        asked = make_asking(asked, n_few_shots=judging.n_few_shots, reasoned=judging.chains > 0, seed=seed)
    return Judge(
        engine=engine,
        asking=replace(asked, raw="chat" not in engine.capabilities),
        min_option_mass=judging.min_option_mass,
        chains=judging.chains,
        clamp=judging.clamp,
        max_chain_tokens=judging.max_chain_tokens,
        scaling=judging.scaling,
        seed=seed,
    )


async def judge_one(  # noqa: PLR0917 - a row and its two sides read in this order
    judge: Judge, row: str, prompt: Prompt, a: str, b: str, principles: Sequence[Standard]
) -> Judgement:
    """Ask about one pair in both orders under each principle.

    Args:
        judge: how to ask.
        row: the row's id, from which the chains' seeds derive.
        prompt: the conversation.
        a: the first response; shown as (A) in order ``ab``.
        b: the second.
        principles: each is asked in both orders; their weights average the votes.

    Returns:
        All verdicts, and the weighted probability that ``a`` is better.

    Raises:
        EngineError: where the engine failed on the letters.
    """
    asked = [(principle, order) for principle in principles for order in _ORDERS]
    verdicts = await asyncio.gather(
        *(
            _verdict(judge, row, _question(prompt, a, b, principle, order), principle, order)
            for principle, order in asked
        )
    )
    return combine_verdicts(verdicts)


def _question(prompt: Prompt, a: str, b: str, principle: Standard, order: Order) -> Question:
    first, second = (a, b) if order == "ab" else (b, a)
    return Question(prompt=prompt, question=principle.choice_question, first=first, second=second)


async def _verdict(judge: Judge, row: str, question: Question, principle: Standard, order: Order) -> Verdict:
    if holder := marks_in(judge.asking, question):
        return _invalid(judge, principle, order, f"{holder} holds marks of the judge's layout")
    # Both orders draw their chains from the same seeds: which response is called a must not change them.
    chains, readings = await _readings(judge, row, question, principle.id)
    read = tuple(reading.mass >= judge.min_option_mass for reading in readings)
    of_chains: dict[str, Any] = {"chains": chains, "n_chains": judge.chains, "chains_read": read if chains else ()}
    valid = [reading for reading, is_read in zip(readings, read, strict=True) if is_read]
    if not valid:
        mass = max((reading.mass for reading in readings), default=None)
        reason = "no readable chain" if mass is None else "option mass below the minimum"
        return _invalid(judge, principle, order, reason, option_mass=mass, **of_chains)
    p_first = _mean([_p_first(reading) for reading in valid])
    return Verdict(
        principle=principle.id,
        order=order,
        logprob_first=_mean([reading.logprobs[0] for reading in valid]),
        logprob_second=_mean([reading.logprobs[1] for reading in valid]),
        option_mass=_mean([reading.mass for reading in valid]),
        p_a=judge.reading.p_a(p_first, order),
        p_first=p_first,
        weight=principle.weight * judge.weight,
        judge=judge.name,
        **of_chains,
    )


def _invalid(
    judge: Judge, principle: Standard, order: Order, reason: str, *, option_mass: float | None = None, **of_chains: Any
) -> Verdict:
    return Verdict(
        principle=principle.id, order=order, logprob_first=None, logprob_second=None, option_mass=option_mass, p_a=None,
        invalid=reason, weight=principle.weight * judge.weight, judge=judge.name, **of_chains,
    )  # fmt: skip


async def _readings(judge: Judge, row: str, question: Question, purpose: str) -> tuple[tuple[str, ...], list[Choice]]:
    """Read the letters, once, or after each of the chains; a chain that cannot be drawn is left out."""
    if not judge.chains:
        return (), [await _letters(judge, question)]
    texts = await asyncio.gather(
        *(_chain(judge, question, derive_seed(judge.seed, row, f"{purpose} chain {n}")) for n in range(judge.chains))
    )
    chains = tuple(text for text in texts if text)
    return chains, await asyncio.gather(*(_letters(judge, question, text) for text in chains))


async def _letters(judge: Judge, question: Question, reasoning: str | None = None) -> Choice:
    reading = await judge.engine.choose(letter_request(judge.asking, question, reasoning=reasoning))
    if any(map(math.isnan, (*reading.logprobs, reading.mass))):  # of whatever is no number no mass is too little
        raise _incomparable(reading)
    return reading


async def _chain(judge: Judge, question: Question, seed: int) -> str:
    sampling = Sampling(max_tokens=judge.max_chain_tokens, seed=seed)
    completion = await judge.engine.complete(reasoning_request(judge.asking, question, sampling))
    return completion.text.strip()


def _p_first(reading: Choice) -> float:
    if reading.logprobs[0] == reading.logprobs[1] == -math.inf:
        raise _incomparable(reading)
    return normalise(*reading.logprobs)


def _incomparable(reading: Choice) -> EngineError:
    return EngineError(f"the judge's log-probabilities {reading.logprobs} cannot be compared")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
