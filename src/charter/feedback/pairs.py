"""Pair sources on one footing: where two responses to one prompt come from.

- ``on_policy``: two samples of the policy (CAI §4.1).
- ``revision_vs_initial``: the last revision against the initial response; the revision is intended. Where revisions
  were checked it is the last one that stands: before the first that the judge did not find better.
- ``guided_vs_plain``: the model with the constitution in its context against the model without. On red-team prompts
  the guided side is intended. On other prompts the plain side is: the constitution should change nothing there, and
  where it does, the plain answer is the one to keep.
- ``contrast``: samples of the policy, drawn until one is of the class that its kind of prompt calls for and one is not;
  the first of these is intended. It shows a model the very mistakes that it makes, needless refusals of twins among
  them, and needs rules that read a response's class, not a judge. Where a reason makes the difference, a refusal that
  was cut before it could give one is on neither side.

Which response becomes a is drawn by the row's seed, so that no source is tied to a position.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from charter.constitution.model import Constitution, FewShotChoice
from charter.engines.base import Completion, CompletionRequest, Engine, Sampling
from charter.feedback.pair_plans import PairPlan, plan_pairs
from charter.records import Message, OnCut, Pair, PairSource, Prompt, PromptKind, ResponseLabel, Trace
from charter.rows import Filtered, Mapped, RowMapper, map_rows
from charter.seeds import derive_seed
from charter.text_quality import classify_response
from charter.text_quality.flags import BLOCKING, OPEN, response_flags, settle_ending

#: What a red-team prompt calls for where the recipe names no classes, and a contrast needs some.
_OBJECTING: frozenset[ResponseLabel] = frozenset({"objection"})

#: A plain answer to a benign prompt is the side to keep only where it complies: a needless refusal is none.
_HELPFUL_CLASSES: frozenset[ResponseLabel] = frozenset({"compliance"})

#: What even the side that is meant to be rejected must not be. A bare refusal or a loop is a fine thing to reject.
_NO_NEGATIVE = frozenset({"empty", "cut"})


@dataclass(frozen=True)
class PairMaking:
    """How pairs are made: who answers plainly, who answers guided, and with which context."""

    policy: Engine
    guide: Engine
    guidance: tuple[Message, ...]
    sampling: Sampling
    seed: int
    intended_classes: Collection[ResponseLabel] | None
    on_cut: OnCut
    n_tries: int

    def wanted(self, kind: PromptKind) -> Collection[ResponseLabel] | None:
        """Say which classes the intended side must be of; None takes all."""
        return self.intended_classes if kind == "red_team" else _HELPFUL_CLASSES


@dataclass(frozen=True)
class _Candidate:
    """A response that may enter a pair, with what is wrong with it."""

    text: str
    origin: str
    flags: tuple[str, ...]


async def pair_one(plan: PairPlan, making: PairMaking) -> Pair | Filtered:
    """Make one pair, or say why it cannot be one (equal responses, or a side that must not be trained on)."""
    if plan.source == "revision_vs_initial" and plan.trace and plan.trace.rounds and not plan.trace.standing:
        return Filtered(f"{plan.source}: no revision is confirmed")
    if plan.source == "contrast":
        contrast = await _contrasting(plan, making)
        return contrast if isinstance(contrast, Filtered) else _pair(plan, making, *contrast, intended=True)
    better, other, intended = await _candidates(plan, making)
    reason = _unfit(plan, making, better, other, intended=intended)
    return Filtered(f"{plan.source}: {reason}") if reason else _pair(plan, making, better, other, intended=intended)


def _unfit(plan: PairPlan, making: PairMaking, better: _Candidate, other: _Candidate, *, intended: bool) -> str | None:
    for side, blocked in ((better, BLOCKING), (other, _NO_NEGATIVE if intended else BLOCKING)):
        broken = sorted(set(side.flags) & blocked)
        if broken:
            return f"{side.origin} is {broken[0]}"
    wanted = making.wanted(plan.prompt.kind)
    if intended and wanted is not None and (found := classify_response(plan.prompt.text, better.text)) not in wanted:
        return f"{better.origin} is {found}"
    return "both responses are the same" if better.text == other.text else None


def _pair(plan: PairPlan, making: PairMaking, better: _Candidate, other: _Candidate, *, intended: bool) -> Pair:
    flip = random.Random(derive_seed(making.seed, plan.id, "sides")).random() < 0.5  # noqa: S311 - not a secret
    a, b = (other, better) if flip else (better, other)
    return Pair(
        id=plan.id,
        prompt=plan.prompt,
        a=a.text,
        b=b.text,
        source=plan.source,
        intended=None if not intended else ("b" if flip else "a"),
        origin_a=a.origin,
        origin_b=b.origin,
        whole_a=OPEN not in a.flags,
        whole_b=OPEN not in b.flags,
    )


async def _candidates(plan: PairPlan, making: PairMaking) -> tuple[_Candidate, _Candidate, bool]:
    """Get both responses, the intended one first where the source intends one."""
    if plan.source == "revision_vs_initial":
        return _from_trace(plan)
    plain = CompletionRequest(messages=plan.prompt.turns, sampling=_sampling(plan, making, "plain"))
    if plan.source == "on_policy":
        again = plain.model_copy(update={"sampling": _sampling(plan, making, "plain again")})
        first, second = await asyncio.gather(making.policy.complete(plain), making.policy.complete(again))
        return _candidate(plan, making, first, "sample 1"), _candidate(plan, making, second, "sample 2"), False
    guided = CompletionRequest(
        messages=(*making.guidance, *(turn for turn in plan.prompt.turns if turn.role != "system")),
        sampling=_sampling(plan, making, "guided"),
        n_shared=len(making.guidance),
    )
    with_it, without = await asyncio.gather(making.guide.complete(guided), making.policy.complete(plain))
    sides = (_candidate(plan, making, with_it, "guided"), _candidate(plan, making, without, "plain"))
    return (*sides, True) if plan.prompt.kind == "red_team" else (sides[1], sides[0], True)


async def _contrasting(plan: PairPlan, making: PairMaking) -> tuple[_Candidate, _Candidate] | Filtered:
    """Draw one sample after another until both sides are there."""
    wanted = making.wanted(plan.prompt.kind) or _OBJECTING
    better = other = None
    n_undecided = 0
    for number in range(1, making.n_tries + 1):
        drawn = CompletionRequest(messages=plan.prompt.turns, sampling=_sampling(plan, making, f"contrast {number}"))
        side = _candidate(plan, making, await making.policy.complete(drawn), f"sample {number}")
        found = classify_response(plan.prompt.text, side.text)
        if found == "bare_refusal" and "objection" in wanted and OPEN in side.flags:
            n_undecided += 1  # the reason that would make it an objection may lie behind the cut
            continue
        if found in wanted:
            better = better or (None if set(side.flags) & BLOCKING else side)
        else:
            other = other or (None if set(side.flags) & _NO_NEGATIVE else side)
        if better and other:
            return better, other
    if n_undecided:
        return Filtered("contrast: refusals cut before a reason, and no pair of the other samples")
    missing = "none as intended" if other else "all as intended"
    return Filtered(f"contrast: {missing if better or other else 'none usable'} in {making.n_tries} samples")


def _from_trace(plan: PairPlan) -> tuple[_Candidate, _Candidate, bool]:
    if plan.trace is None or not plan.trace.rounds:
        raise ValueError(f"{plan.id}: revision_vs_initial needs a trace with a round")
    last = plan.trace.standing[-1]
    revision = _Candidate(last.revision, f"revision {last.number}", last.flags)
    return revision, _Candidate(plan.trace.initial, "initial", plan.trace.initial_flags), True


def _candidate(plan: PairPlan, making: PairMaking, completion: Completion, origin: str) -> _Candidate:
    text, ending = settle_ending(completion.text, making.on_cut, cut=completion.finish == "length")
    return _Candidate(text, origin, response_flags(plan.prompt.text, text, ending))


def _sampling(plan: PairPlan, making: PairMaking, purpose: str) -> Sampling:
    return making.sampling.model_copy(update={"seed": derive_seed(making.seed, plan.id, purpose)})


def guidance_messages(constitution: Constitution, few_shots: FewShotChoice = "all") -> tuple[Message, ...]:
    """Put a constitution into a conversation: system text, principles, and the examples' final answers as turns."""
    principles = "\n".join(f"- {principle.text}" for principle in constitution.principles)
    system = f"{constitution.system.respond}\n\nPrinciples:\n{principles}".strip()
    turns = [
        message
        for example in constitution.few_shots.choose(few_shots)
        for message in (*example.messages[:-1], Message(role="assistant", content=example.revision))
    ]
    return (Message(role="system", content=system), *turns)


def pairs(
    prompts: Sequence[Prompt],
    traces: Sequence[Trace],
    constitution: Constitution,
    policy: Engine,
    *,
    guide: Engine | None = None,
    n: int = 400,
    kinds: Mapping[PromptKind, float],
    sources: Mapping[PromptKind, Mapping[PairSource, float]],
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 256,
    seed: int = 0,
    intended_classes: Collection[ResponseLabel] | None = None,
    n_tries: int = 4,
    on_cut: OnCut = "flag",
    few_shots: FewShotChoice = "all",
    iteration: int = 1,
    mapper: RowMapper = map_rows,
) -> Mapped[Pair]:
    """Make pairs of responses, by source and kind of prompt in stated shares.

    Args:
        prompts: training prompts of every kind.
        traces: what ``revise`` gave, for ``revision_vs_initial``.
        constitution: what the guided side has in its context.
        policy: answers plainly (the SFT model, as in the paper).
        guide: answers with the constitution; None takes the policy.
        n: pairs over all kinds.
        kinds: share of each kind of prompt.
        sources: share of each source within a kind.
        temperature: of every sample.
        top_p: nucleus kept at each token.
        max_tokens: at most, per response.
        seed: of the run.
        intended_classes: on red-team prompts, response classes that an intended side must be of; None takes all
            (``contrast`` takes objections then).
        n_tries: for ``contrast``, the most samples drawn for one pair.
        on_cut: what becomes of a response that was cut at the limit: it is flagged (and makes no pair), ended after its
            last whole sentence, or left open and trained on without an end.
        few_shots: which worked examples the guided side is shown (see ``FewShots.choose``).
        iteration: how often pairs were made of these prompts before, counted from 1; each has pairs of its own.
        mapper: what maps the row function.

    Returns:
        The pairs; those that could not be made are filtered with the reason.
    """
    making = PairMaking(
        policy=policy,
        guide=guide or policy,
        guidance=guidance_messages(constitution, few_shots),
        sampling=Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens),
        seed=seed,
        intended_classes=intended_classes,
        on_cut=on_cut,
        n_tries=n_tries,
    )

    async def one(plan: PairPlan) -> Pair | Filtered:
        return await pair_one(plan, making)

    plans = plan_pairs(prompts, traces, n=n, kinds=kinds, sources=sources, seed=seed, iteration=iteration)
    return mapper(one, plans, "pairs", result=Pair)
