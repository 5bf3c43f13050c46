"""Answers improved and compared by Charter's own stages, as the answer-improvement library has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from charter.compat.given_prompts import with_system
from charter.constitution.model import Constitution, Use
from charter.engines.base import Capability, Engine, Sampling
from charter.errors import CapabilityError, UserError
from charter.feedback.judge import Judging
from charter.feedback.labels import judge_pairs
from charter.feedback.pairs import pairs
from charter.feedback.settling import Settling, settle
from charter.records import OnCut, Pair, Preference, Prompt, Trace, Unlabelled
from charter.revision.chain import revise
from charter.revision.layouts import LayoutName
from charter.rows import Mapped, RowMapper

_KEYS: dict[Use, str] = {"revise": "critique_revision_principles", "judge": "comparison_principles"}


@dataclass(frozen=True)
class Asked:
    """Who answers, and how texts are drawn; ``on_cut`` says what becomes of one that ran into its limit."""

    engine: Engine
    sampling: Sampling
    on_cut: OnCut


def improve(
    prompts: Sequence[Prompt], principles: Constitution, asked: Asked, *, layout: LayoutName, mapper: RowMapper
) -> Mapped[Trace]:
    """Answer prompts behind the principles' system text, and have each answer criticised and revised once."""
    _require_principles(principles, "revise")
    sampling = asked.sampling
    return revise(
        [with_system(one, principles.system.respond) for one in prompts],
        principles,
        asked.engine,
        rounds=1,
        layout=layout,
        initial_layout="chat" if "chat" in asked.engine.capabilities else layout,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        max_critique_tokens=sampling.max_tokens,
        on_cut=asked.on_cut,
        seed=sampling.seed,
        mapper=mapper,
    )


def compare(
    prompts: Sequence[Prompt],
    principles: Constitution,
    asked: Asked,
    *,
    judge: Engine | None,
    chains: int,
    mapper: RowMapper,
) -> tuple[list[Preference | Unlabelled], Counter[str]]:
    """Answer prompts twice each, and have a judge compare the answers by a principle drawn for each, in both orders.

    Returns:
        What came of each pair, in the order of the prompts, and how many prompts are not among them, by reason.
    """
    _require_principles(principles, "judge")
    judge = judge or asked.engine
    _require_able(asked.engine, "chat", "a model that answers needs a chat template")
    _require_able(judge, "choose", "a judge must tell the log-probabilities of its letters")
    made = _two_answers(prompts, principles, asked, mapper)
    judged = judge_pairs(
        _in_order(made.done, prompts),
        principles,
        judge,
        k_principles=1,
        judging=Judging(chains=chains, max_chain_tokens=asked.sampling.max_tokens),
        seed=asked.sampling.seed,
        mapper=mapper,
    )
    return [settle(one, Settling()) for one in judged.done], lost(made) + lost(judged)


def lost(mapped: Mapped[Any]) -> Counter[str]:
    """Count the rows that nothing came of, by reason."""
    return sum(map(Counter, mapped.reasons.values()), Counter())


def _two_answers(prompts: Sequence[Prompt], principles: Constitution, asked: Asked, mapper: RowMapper) -> Mapped[Pair]:
    return pairs(
        prompts,
        (),
        principles,
        asked.engine,
        n=len(prompts),
        kinds={"red_team": 1.0},
        sources={"red_team": {"on_policy": 1.0}},
        temperature=asked.sampling.temperature,
        top_p=asked.sampling.top_p,
        max_tokens=asked.sampling.max_tokens,
        on_cut=asked.on_cut,
        seed=asked.sampling.seed,
        mapper=mapper,
    )


def _in_order(made: Iterable[Pair], prompts: Sequence[Prompt]) -> list[Pair]:
    """Sort pairs, which were drawn in an order of their own, as their prompts stand."""
    places = {prompt.id: place for place, prompt in enumerate(prompts)}
    return sorted(made, key=lambda pair: places[pair.prompt.id])


def _require_principles(principles: Constitution, use: Use) -> None:
    if not isinstance(principles, Constitution):
        raise UserError(f"principles are of the type {type(principles).__name__}; give what load_principles reads")
    if not principles.used_for(use):
        raise UserError(
            f"the constitution {principles.name!r} has no principles to {use} by; add some under {_KEYS[use]!r}"
        )


def _require_able(engine: Engine, capability: Capability, need: str) -> None:
    if capability not in engine.capabilities:
        raise CapabilityError(f"{need}, and this model has or does no such thing; take another")
