"""Critique and revision on one prompt: the row function, and the stage that maps it (CAI §3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from charter.constitution.drawing import draw_principle
from charter.constitution.model import Constitution, FewShotChoice, Principle
from charter.engines.base import Capability, Engine, Sampling
from charter.errors import CapabilityError
from charter.feedback.judge import Judge, Judging, make_judge
from charter.records import OnCut, Prompt, Round, Trace
from charter.revision.checking import check_trace
from charter.revision.layouts import Layout, LayoutName, make_layout
from charter.rows import Mapped, RowMapper, map_rows
from charter.seeds import derive_seed, row_id
from charter.text_quality.flags import response_flags, revision_flags, settle_ending

_LACKS: Mapping[Capability, str] = {
    "chat": (
        "has no chat template, which layout 'chat' is written with; set layout (and initial_layout) to 'transcript', "
        "or take an instruct model or a tokenizer with a template: SFT, pairs, DPO and evaluation need one in any case"
    ),
    "text": "reads no raw text, which layout 'transcript' is written in; set layout (and initial_layout) to 'chat'",
}


@dataclass(frozen=True)
class ChainStart:
    """What one chain starts from: a prompt, and the number of the sample drawn from it."""

    prompt: Prompt
    sample: int = 0

    @cached_property
    def id(self) -> str:
        """The id of the trace that this becomes."""
        return row_id("trace", self.prompt.id, self.sample)


@dataclass(frozen=True)
class Chain:
    """How a chain is run: who answers, criticises, revises and checks, in which layout, with which sampling."""

    policy: Engine
    critic: Engine
    reviser: Engine
    layout: Layout
    initial_layout: Layout
    rounds: int
    seed: int
    sampling: Sampling
    max_critique_tokens: int
    on_cut: OnCut
    judge: Judge | None = None


async def revise_one(start: ChainStart, constitution: Constitution, chain: Chain) -> Trace:
    """Run one prompt's whole chain: an initial response, then rounds of critique and revision.

    The principle is drawn anew at every round, from the row's own seed.
    """
    prompt = start.prompt
    request = chain.initial_layout.initial(prompt, _sampling(chain, start, "initial"))
    initial = chain.initial_layout.read(await chain.policy.complete(request))
    first, ending = settle_ending(initial.text, chain.on_cut, cut=initial.finish == "length")
    initial_flags = response_flags(prompt.text, first, ending)
    rounds: list[Round] = []
    response = first
    for number in range(1, chain.rounds + 1):
        rounds.append(await _one_round(start, constitution, chain, response, number))
        response = rounds[-1].revision
    trace = Trace(
        id=start.id,
        prompt=prompt,
        sample=start.sample,
        initial=first,
        initial_flags=initial_flags,
        rounds=tuple(rounds),
        flags=(
            *(f"initial:{flag}" for flag in initial_flags),
            *(f"round {one.number}:{flag}" for one in rounds for flag in one.flags),
        ),
    )
    return trace if chain.judge is None else await check_trace(trace, constitution, chain.judge)


async def _one_round(start: ChainStart, constitution: Constitution, chain: Chain, response: str, number: int) -> Round:
    principle = principle_of_round(constitution, start.id, number, chain.seed)
    criticism = ""
    critique_flags: tuple[str, ...] = ()
    if chain.layout.critiques:
        criticism, critique_flags = await _criticise(start, principle, chain, response, number)
    sampling = _sampling(chain, start, f"round {number} revision")
    request = chain.layout.revision(start.prompt, response, principle, criticism, sampling)
    revision = chain.layout.read(await chain.reviser.complete(request))
    text, ending = settle_ending(revision.text, chain.on_cut, cut=revision.finish == "length")
    shown = [example.revision for example in chain.layout.examples]
    flags = revision_flags(start.prompt.text, response, criticism, text, ending, examples=shown)
    return Round(
        number=number,
        principle=principle.id,
        critique_request=principle.critique_request if chain.layout.critiques else "",
        critique=criticism,
        revision_request=principle.revision_request,
        revision=text,
        flags=(*flags, *critique_flags),
    )


async def _criticise(
    start: ChainStart, principle: Principle, chain: Chain, response: str, number: int
) -> tuple[str, tuple[str, ...]]:
    """Ask for a critique, and flag one that was cut."""
    sampling = _sampling(chain, start, f"round {number} critique", chain.max_critique_tokens)
    request = chain.layout.critique(start.prompt, response, principle, sampling)
    critique = chain.layout.read(await chain.critic.complete(request))
    return critique.text.strip(), ("critique_cut",) if critique.finish == "length" else ()


def principle_of_round(constitution: Constitution, trace: str, number: int, seed: int) -> Principle:
    """Draw the principle of a round, from the trace's id and the run's ``seed`` alone; rounds count from 1."""
    return draw_principle(constitution.used_for("revise"), derive_seed(seed, trace, f"round {number} principle"))


def _sampling(chain: Chain, start: ChainStart, purpose: str, max_tokens: int | None = None) -> Sampling:
    update = {"seed": derive_seed(chain.seed, start.id, purpose)}
    return chain.sampling.model_copy(update=update if max_tokens is None else update | {"max_tokens": max_tokens})


def revise(
    prompts: Sequence[Prompt],
    constitution: Constitution,
    policy: Engine,
    *,
    critic: Engine | None = None,
    reviser: Engine | None = None,
    rounds: int = 2,
    layout: LayoutName = "chat",
    initial_layout: LayoutName | None = None,
    few_shots: FewShotChoice = "all",
    n_few_shots: int | None = None,
    critique: bool = True,
    n_samples: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 256,
    max_critique_tokens: int = 128,
    on_cut: OnCut = "flag",
    judge: Engine | None = None,
    judging: Judging = Judging(),  # noqa: B008 - frozen
    seed: int = 0,
    stage: str = "revise",
    mapper: RowMapper = map_rows,
) -> Mapped[Trace]:
    """Run critique and revision over prompts (CAI §3.1).

    Args:
        prompts: what the policy answers first.
        constitution: where principles and few-shots come from.
        policy: answers; also criticises and revises where no ``critic`` or ``reviser`` is given.
        critic: writes the critiques.
        reviser: writes the revisions.
        rounds: critiques and revisions per chain, up to 8 (the paper: 4); 0 samples initial responses alone.
        layout: ``chat`` or ``transcript``.
        initial_layout: of the initial response; None takes ``layout``. A model with a chat template answers as in use
            through ``chat``, while a small one revises better in a ``transcript``.
        few_shots: ``all`` worked examples, or those whose revision ``changed`` the response.
        n_few_shots: worked examples shown, None for all.
        critique: whether a critique comes before each revision; without, the response is revised at once (CAI §3.5).
        n_samples: chains per prompt.
        temperature: of every completion (the paper: 1).
        top_p: nucleus kept at each token.
        max_tokens: at most, per response and revision.
        max_critique_tokens: at most, per critique.
        on_cut: what becomes of a text that was cut at the limit: it is flagged, ended after its last whole sentence,
            or left open.
        judge: says of every revision whether it is better than what it replaced, by the round's principle; None asks
            nobody.
        judging: how it is asked.
        seed: of the run; each row derives its own.
        stage: the name under which rows are recorded.
        mapper: what maps the row function.

    Returns:
        A trace per prompt and sample, each round kept, with quality flags.

    Raises:
        CapabilityError: where a model cannot be asked in its layout.
    """
    chain = Chain(
        policy=policy,
        critic=critic or policy,
        reviser=reviser or critic or policy,
        layout=make_layout(layout, constitution, few_shots=few_shots, n_few_shots=n_few_shots, critiques=critique),
        initial_layout=make_layout(initial_layout or layout, constitution),
        rounds=rounds,
        seed=seed,
        sampling=Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens),
        max_critique_tokens=max_critique_tokens,
        on_cut=on_cut,
        judge=None if judge is None else make_judge(judge, constitution, judging, seed=seed),
    )
    starts = [ChainStart(prompt, sample) for prompt in prompts for sample in range(n_samples)]
    if starts:
        _check_capabilities(chain)
    return mapper(partial(revise_one, constitution=constitution, chain=chain), starts, stage, result=Trace)


def _check_capabilities(chain: Chain) -> None:
    """Refuse, before any row, a model that cannot read its layout."""
    asked = [("policy", chain.policy, chain.initial_layout)]
    if chain.rounds:
        asked += [("critic", chain.critic, chain.layout)] if chain.layout.critiques else []
        asked.append(("reviser", chain.reviser, chain.layout))
    for role, engine, layout in asked:
        if layout.needs not in engine.capabilities:
            raise CapabilityError(f"the {role}'s model {_LACKS[layout.needs]}")
