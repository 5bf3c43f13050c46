"""From pairs to preferences: the row function, and the stage that maps it (CAI §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from charter.constitution.drawing import draw_principles
from charter.constitution.model import Constitution, Principle
from charter.engines.base import Engine
from charter.feedback.ensemble import FurtherJudge, judge_together, make_judges
from charter.feedback.judge import Judge, Judging
from charter.feedback.settling import Disagreement, LowMargin, Settling, settle_label
from charter.records import Pair, Preference, PromptKind
from charter.rows import Filtered, Mapped, RowMapper, map_rows
from charter.seeds import derive_seed
from charter.statistics.scaling import AS_READ, Scaling


@dataclass(frozen=True)
class Labelling:
    """How pairs become preferences.

    Args:
        judges: the judges for each kind of prompt: harmlessness for red-team prompts, helpfulness for the others.
        principles: the principles that each kind's judge draws from.
        k_principles: how many different ones are drawn per pair, by weight.
        settling: what becomes of what the judge says.
        seed: of the run.
    """

    judges: Mapping[PromptKind, tuple[Judge, ...]]
    principles: Mapping[PromptKind, tuple[Principle, ...]]
    k_principles: int
    settling: Settling
    seed: int


async def label_one(pair: Pair, labelling: Labelling) -> Preference | Filtered:
    """Judge one pair and turn the verdicts into a soft preference."""
    every = labelling.principles[pair.prompt.kind]
    principles = principles_of_pair(every, pair.id, k=labelling.k_principles, seed=labelling.seed)
    judges = labelling.judges[pair.prompt.kind]
    judgement = await judge_together(judges, pair.id, pair.prompt, pair.a, pair.b, principles)
    return settle_label(pair, judgement, labelling.settling)


def standards(constitution: Constitution, helpful: Constitution) -> dict[PromptKind, Constitution]:
    """Say by which constitution answers to each kind of prompt are compared: twins are to be helped with."""
    return {"red_team": constitution, "helpful": helpful, "benign_twin": helpful}


def principles_of_pair(principles: Sequence[Principle], pair: str, *, k: int, seed: int) -> tuple[Principle, ...]:
    """Draw the ``k`` principles that a pair is judged by, from its id and the run's ``seed`` alone."""
    return draw_principles(principles, k, derive_seed(seed, pair, "judge principles"))


def label(
    pairs: Sequence[Pair],
    constitution: Constitution,
    judge: Engine,
    *,
    helpful: Constitution | None = None,
    further: Sequence[FurtherJudge] = (),
    k_principles: int = 2,
    n_few_shots: int | None = None,
    min_option_mass: float = 0.5,
    chains: int = 0,
    clamp: tuple[float, float] = (0.4, 0.6),
    max_chain_tokens: int = 160,
    scaling: Scaling = AS_READ,
    prior: Mapping[str, float] | None = None,
    on_disagreement: Disagreement = "swap",
    min_margin: float = 0.0,
    on_low_margin: LowMargin = "keep",
    seed: int = 0,
    mapper: RowMapper = map_rows,
) -> Mapped[Preference]:
    """Label pairs with AI feedback: both orders, k principles, soft labels (CAI §4.1).

    Args:
        pairs: of any source.
        constitution: judges red-team pairs.
        judge: the model that judges.
        helpful: the constitution that judges helpful prompts and benign twins; None takes ``constitution``.
        further: judges that vote beside ``judge``, asked the same.
        k_principles: drawn per pair.
        n_few_shots: worked examples shown, None for all.
        min_option_mass: below this a verdict is invalid.
        chains: chains of thought per verdict, 0 for none.
        clamp: the range for probabilities, with chains.
        max_chain_tokens: at most, per chain.
        scaling: what the judge's probabilities are calibrated by (see ``calibration``).
        prior: see ``Settling``, as of the next three.
        on_disagreement: where the judge sides against the intention.
        min_margin: below which a label is unsure.
        on_low_margin: what becomes of one that is.
        seed: of the run.
        mapper: what maps the row function.

    Returns:
        A preference per pair; pairs with no valid verdict, or dropped, are filtered with the reason.
    """
    by_kind = standards(constitution, helpful or constitution)
    judging = Judging(n_few_shots, min_option_mass, chains, clamp, max_chain_tokens, scaling)
    labelling = Labelling(
        judges={kind: make_judges(judge, one, judging, further, seed=seed) for kind, one in by_kind.items()},
        principles={kind: one.used_for("judge") for kind, one in by_kind.items()},
        k_principles=k_principles,
        settling=Settling(prior or {}, on_disagreement, min_margin, on_low_margin),
        seed=seed,
    )
    return mapper(partial(label_one, labelling=labelling), pairs, "label", result=Preference)
