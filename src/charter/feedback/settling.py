"""What becomes of a judged pair: a preference, of full weight or of less, or a row that is left out. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from charter.feedback.votes import TIE_WIDTH, Judgement, combine_verdicts, without
from charter.records import Judged, Pair, Preference, Side, Unlabelled
from charter.rows import Filtered

Disagreement = Literal["swap", "drop", "keep"]
LowMargin = Literal["keep", "weigh", "drop"]

#: The reason under which a pair is left out that no judge said anything readable of, and those under which ``drop``
#: filters one: for a disagreement; for a low margin, or none at all.
NO_VERDICT = "no valid verdict"
DISAGREES = "judge disagrees with the source"
LOW_MARGIN = "margin below label.min_margin"
EXACT_TIE = "exact tie"

#: Of a preference with next to no margin: what is not to count at all is dropped, not weighed.
LEAST_WEIGHT = 0.05
_EVEN = 0.5


@dataclass(frozen=True)
class Settling:
    """How a judgement becomes a label.

    Args:
        prior: P(the intended side is better) that a source carries of itself, joined to the judge's in log-odds.
        on_disagreement: what happens where the judge sides against the intention: ``swap`` takes the joined
            probability as it falls, ``keep`` holds to the intended side (at p 0.5 at least), ``drop`` filters the row.
        min_margin: a label is unsure where ``p_chosen`` is less than this above 0.5; 0 finds none unsure.
        on_low_margin: what happens to unsure labels: ``keep`` takes them as any other, ``weigh`` gives them a weight
            that grows with the margin, ``drop`` filters the row.
    """

    prior: Mapping[str, float] = field(default_factory=dict)
    on_disagreement: Disagreement = "swap"
    min_margin: float = 0.0
    on_low_margin: LowMargin = "keep"

    def is_low(self, p_chosen: float) -> bool:
        """Say whether a label is unsure; rounding does not make one so that has just the least margin."""
        return p_chosen - _EVEN < self.min_margin - TIE_WIDTH

    def weight(self, p_chosen: float) -> float:
        """Say how much a label counts in training: 1 at the least margin and above, at its half a half."""
        if self.on_low_margin != "weigh" or not self.is_low(p_chosen):
            return 1.0
        return max(LEAST_WEIGHT, (p_chosen - _EVEN) / self.min_margin)


@dataclass(frozen=True)
class Decision:
    """What a pair's label is: P(a is better), the side that is chosen, and how much it counts in training."""

    p_a: float
    side: Side
    weight: float


def decide(p_judge: float | None, intended: Side | None, source: str, settling: Settling) -> Decision | Filtered:
    """Join the judge's P(a is better) with what the pair intends, and say what an unsure label is worth."""
    if p_judge is None:
        return Filtered(NO_VERDICT)
    policy = settling.on_disagreement
    if policy == "drop" and sides_with(p_judge, intended) is False:
        return Filtered(DISAGREES)
    p_a = with_prior(p_judge, intended, settling.prior.get(source, _EVEN))
    if intended is not None and policy == "keep":
        p_a = max(p_a, _EVEN) if intended == "a" else min(p_a, _EVEN)
    p_chosen = max(p_a, 1.0 - p_a)
    if settling.on_low_margin == "drop" and settling.is_low(p_chosen):
        return Filtered(EXACT_TIE if is_tie(p_chosen) else LOW_MARGIN)
    tie_to_b = policy == "keep" and intended == "b" and p_a == _EVEN
    return Decision(p_a, "a" if p_a >= _EVEN and not tie_to_b else "b", settling.weight(p_chosen))


def settle_label(pair: Pair, judgement: Judgement, settling: Settling) -> Preference | Filtered:
    """Make a pair's label of what judges said of it, or say why it has none."""
    if judgement.p_a is None:
        return Filtered(NO_VERDICT)
    decided = decide(judgement.p_a, pair.intended, pair.source, settling)
    return decided if isinstance(decided, Filtered) else _preference(pair, judgement, judgement.p_a, decided)


def settle(judged: Judged, settling: Settling) -> Preference | Unlabelled:
    """Make a judged pair's label, or say why it has none, from its recorded verdicts alone."""
    judgement = combine_verdicts(judged.verdicts)
    found = settle_label(pair_of(judged), judgement, settling)
    if isinstance(found, Preference):
        return found
    p_a = judgement.p_a
    return Unlabelled(
        **{name: getattr(judged, name) for name in Judged.model_fields},
        reason=found.reason,
        p_a=p_a,
        agrees=None if p_a is None else sides_with(p_a, judged.intended),
    )


def settle_all(several: Iterable[Judged], settling: Settling) -> Iterator[Preference | Unlabelled]:
    """Settle one judged pair after another."""
    return (settle(one, settling) for one in several)


def label_without(
    one: Preference | Unlabelled, principles: Collection[str], settling: Settling, *, judges: Collection[str] = ()
) -> Preference | Unlabelled:
    """Settle a judged pair again as if some principles, or judges, had not voted, from its recorded verdicts."""
    judged = judged_of(one)
    left = without(judged.verdicts, principles, judges)
    return settle(judged.model_copy(update={"verdicts": left}), settling)


def judged_of(one: Preference | Unlabelled) -> Judged:
    """Give what was judged, without what came of it."""
    if isinstance(one, Unlabelled):
        return Judged(**{name: getattr(one, name) for name in Judged.model_fields})
    sides = (one.chosen, one.whole_chosen), (one.rejected, one.whole_rejected)
    (a, whole_a), (b, whole_b) = sides if one.chosen_side == "a" else reversed(sides)
    return Judged(
        id=one.pair, prompt=one.prompt, a=a, b=b, intended=one.intended, verdicts=one.verdicts, source=one.source,
        whole_a=whole_a, whole_b=whole_b,
    )  # fmt: skip


def is_tie(p_chosen: float) -> bool:
    """Say whether a label prefers neither side, but for rounding."""
    return abs(p_chosen - _EVEN) < TIE_WIDTH


def pair_of(one: Judged) -> Pair:
    """Give the pair that was judged."""
    return Pair(
        id=one.id, prompt=one.prompt, a=one.a, b=one.b, source=one.source, intended=one.intended, whole_a=one.whole_a,
        whole_b=one.whole_b,
    )  # fmt: skip


def sides_with(p_a: float, intended: Side | None) -> bool | None:
    """Say whether the judge sides with the intention; a tie sides with neither."""
    if intended is None or p_a == _EVEN:
        return None
    return (p_a > _EVEN) == (intended == "a")


def with_prior(p_a: float, intended: Side | None, prior: float) -> float:
    """Join the judge's probability with the source's own, as independent evidence: log-odds add.

    With a prior of 0.5, or no intention, the judge's probability is returned untouched. Where the one is as sure of one
    side as the other is of the other, it is a tie, whatever rounding says.
    """
    if intended is None or prior == _EVEN:
        return p_a
    logit = math.log(prior / (1.0 - prior)) * (1.0 if intended == "a" else -1.0)
    tiny = 1e-12  # a judge at 0 or 1 stays within reach of float arithmetic
    held = min(max(p_a, tiny), 1.0 - tiny)
    joined = 1.0 / (1.0 + math.exp(-(math.log(held / (1.0 - held)) + logit)))
    return _EVEN if is_tie(joined) else joined


def _preference(pair: Pair, judgement: Judgement, p_judge_a: float, decided: Decision) -> Preference:
    p_a, a_chosen = decided.p_a, decided.side == "a"
    return Preference(
        id=pair.id,
        prompt=pair.prompt,
        chosen=pair.a if a_chosen else pair.b,
        rejected=pair.b if a_chosen else pair.a,
        p_chosen=p_a if a_chosen else 1.0 - p_a,
        source=pair.source,
        verdicts=judgement.verdicts,
        pair=pair.id,
        chosen_side=decided.side,
        p_judge=p_judge_a if a_chosen else 1.0 - p_judge_a,
        position_bias=judgement.position_bias,
        intended=pair.intended,
        agrees=sides_with(p_judge_a, pair.intended),
        whole_chosen=pair.whole_a if a_chosen else pair.whole_b,
        whole_rejected=pair.whole_b if a_chosen else pair.whole_a,
        weight=decided.weight,
    )
