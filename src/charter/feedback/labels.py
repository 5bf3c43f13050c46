"""From pairs to preferences: the row function, and the stage that maps it (CAI §4.1)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from charter.constitution.drawing import draw_principles
from charter.constitution.model import Constitution, Principle
from charter.engines.base import Engine
from charter.feedback.judge import Judge, Judging, judge_one, make_judge
from charter.feedback.votes import Judgement, combine_verdicts, without
from charter.records import Pair, Preference, PromptKind, Side
from charter.rows import Filtered, Mapped, RowMapper, map_rows
from charter.seeds import derive_seed
from charter.statistics.scaling import AS_READ, Scaling

Disagreement = Literal["swap", "drop", "keep"]

#: The reason under which ``drop`` filters a pair.
DISAGREES = "judge disagrees with the source"


@dataclass(frozen=True)
class Labelling:
    """How pairs become preferences.

    Args:
        judges: the judge for each kind of prompt: harmlessness for red-team prompts, helpfulness for the others.
        principles: the principles that each kind's judge draws from.
        k_principles: how many different ones are drawn per pair, by weight.
        prior: P(the intended side is better) that a source carries of itself, joined to the judge's in log-odds.
        on_disagreement: what happens where the judge sides against the intention: ``swap`` takes the joined
            probability as it falls, ``keep`` holds to the intended side (at p 0.5 at least), ``drop`` filters the row.
        seed: of the run.
    """

    judges: Mapping[PromptKind, Judge]
    principles: Mapping[PromptKind, tuple[Principle, ...]]
    k_principles: int
    prior: Mapping[str, float]
    on_disagreement: Disagreement
    seed: int


async def label_one(pair: Pair, labelling: Labelling) -> Preference | Filtered:
    """Judge one pair and turn the verdicts into a soft preference."""
    every = labelling.principles[pair.prompt.kind]
    principles = principles_of_pair(every, pair.id, k=labelling.k_principles, seed=labelling.seed)
    judgement = await judge_one(labelling.judges[pair.prompt.kind], pair.id, pair.prompt, pair.a, pair.b, principles)
    return settle_label(pair, judgement, labelling.prior, labelling.on_disagreement)


def settle_label(
    pair: Pair, judgement: Judgement, prior: Mapping[str, float], on_disagreement: Disagreement
) -> Preference | Filtered:
    """Join what the judge says of a pair with what the pair intends (see ``Labelling``)."""
    if judgement.p_a is None:
        return Filtered("no valid verdict")
    agrees = _agrees(judgement.p_a, pair.intended)
    if agrees is False and on_disagreement == "drop":
        return Filtered(DISAGREES)
    p_a = with_prior(judgement.p_a, pair.intended, prior.get(pair.source, 0.5))
    if pair.intended is not None and on_disagreement == "keep":
        p_a = max(p_a, 0.5) if pair.intended == "a" else min(p_a, 0.5)
    return _preference(pair, judgement, judgement.p_a, p_a, agrees=agrees, keep=on_disagreement == "keep")


def label_without(
    preference: Preference,
    principles: Collection[str],
    prior: Mapping[str, float],
    on_disagreement: Disagreement,
) -> Preference | Filtered:
    """Label a judged pair again as if some principles had not voted, from its recorded verdicts."""
    judgement = combine_verdicts(without(preference.verdicts, principles))
    return settle_label(_pair_of(preference), judgement, prior, on_disagreement)


def _pair_of(one: Preference) -> Pair:
    """Give the pair that a preference is of."""
    sides = (one.chosen, one.whole_chosen), (one.rejected, one.whole_rejected)
    (a, whole_a), (b, whole_b) = sides if one.chosen_side == "a" else reversed(sides)
    return Pair(
        id=one.pair, prompt=one.prompt, a=a, b=b, source=one.source, intended=one.intended, whole_a=whole_a,
        whole_b=whole_b,
    )  # fmt: skip


def principles_of_pair(principles: Sequence[Principle], pair: str, *, k: int, seed: int) -> tuple[Principle, ...]:
    """Draw the ``k`` principles that a pair is judged by, from its id and the run's ``seed`` alone."""
    return draw_principles(principles, k, derive_seed(seed, pair, "judge principles"))


def _agrees(p_a: float, intended: Side | None) -> bool | None:
    """Say whether the judge sides with the intention; a tie sides with neither."""
    if intended is None or p_a == 0.5:
        return None
    return (p_a > 0.5) == (intended == "a")


def with_prior(p_a: float, intended: Side | None, prior: float) -> float:
    """Join the judge's probability with the source's own, as independent evidence: log-odds add.

    With a prior of 0.5, or no intention, the judge's probability is returned untouched.
    """
    if intended is None or prior == 0.5:
        return p_a
    logit = math.log(prior / (1.0 - prior)) * (1.0 if intended == "a" else -1.0)
    tiny = 1e-12  # a judge at 0 or 1 stays within reach of float arithmetic
    held = min(max(p_a, tiny), 1.0 - tiny)
    return 1.0 / (1.0 + math.exp(-(math.log(held / (1.0 - held)) + logit)))


def _preference(
    pair: Pair, judgement: Judgement, p_judge_a: float, p_a: float, *, agrees: bool | None, keep: bool
) -> Preference:
    tie_to_b = keep and pair.intended == "b" and p_a == 0.5
    a_chosen = p_a >= 0.5 and not tie_to_b
    return Preference(
        id=pair.id,
        prompt=pair.prompt,
        chosen=pair.a if a_chosen else pair.b,
        rejected=pair.b if a_chosen else pair.a,
        p_chosen=p_a if a_chosen else 1.0 - p_a,
        source=pair.source,
        verdicts=judgement.verdicts,
        pair=pair.id,
        chosen_side="a" if a_chosen else "b",
        p_judge=p_judge_a if a_chosen else 1.0 - p_judge_a,
        position_bias=judgement.position_bias,
        intended=pair.intended,
        agrees=agrees,
        whole_chosen=pair.whole_a if a_chosen else pair.whole_b,
        whole_rejected=pair.whole_b if a_chosen else pair.whole_a,
    )


def label(
    pairs: Sequence[Pair],
    constitution: Constitution,
    judge: Engine,
    *,
    helpful: Constitution | None = None,
    k_principles: int = 2,
    n_few_shots: int | None = None,
    min_option_mass: float = 0.5,
    chains: int = 0,
    clamp: tuple[float, float] = (0.4, 0.6),
    max_chain_tokens: int = 160,
    scaling: Scaling = AS_READ,
    prior: Mapping[str, float] | None = None,
    on_disagreement: Disagreement = "swap",
    seed: int = 0,
    mapper: RowMapper = map_rows,
) -> Mapped[Preference]:
    """Label pairs with AI feedback: both orders, k principles, soft labels (CAI §4.1).

    Args:
        pairs: of any source.
        constitution: judges red-team pairs.
        judge: the model that judges.
        helpful: the constitution that judges helpful prompts and benign twins; None takes ``constitution``.
        k_principles: drawn per pair.
        n_few_shots: worked examples shown, None for all.
        min_option_mass: below this a verdict is invalid.
        chains: chains of thought per verdict, 0 for none.
        clamp: the range for probabilities, with chains.
        max_chain_tokens: at most, per chain.
        scaling: what the judge's probabilities are calibrated by (see ``calibration``).
        prior: see ``Labelling``.
        on_disagreement: see ``Labelling``.
        seed: of the run.
        mapper: what maps the row function.

    Returns:
        A preference per pair; pairs with no valid verdict, or dropped, are filtered with the reason.
    """
    by_kind: dict[PromptKind, Constitution] = {
        "red_team": constitution,
        "helpful": helpful or constitution,
        "benign_twin": helpful or constitution,
    }
    judging = Judging(n_few_shots, min_option_mass, chains, clamp, max_chain_tokens, scaling)
    labelling = Labelling(
        judges={kind: make_judge(judge, one, judging, seed=seed) for kind, one in by_kind.items()},
        principles={kind: one.used_for("judge") for kind, one in by_kind.items()},
        k_principles=k_principles,
        prior=prior or {},
        on_disagreement=on_disagreement,
        seed=seed,
    )
    return mapper(partial(label_one, labelling=labelling), pairs, "label", result=Preference)
