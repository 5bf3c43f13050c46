"""From pairs to preferences: the row function that asks about a pair, and what its answers come to (CAI §4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast, overload

from charter.constitution.drawing import draw_principles
from charter.constitution.model import Constitution, Principle
from charter.engines.base import Engine
from charter.feedback.ensemble import FurtherJudge, judge_together, make_judges
from charter.feedback.judge import Judge, Judging
from charter.feedback.settling import Disagreement, LowMargin, Settling, settle, settle_all
from charter.records import Judged, Pair, Preference, PromptKind
from charter.rows import Mapped, RowMapper, map_rows
from charter.seeds import derive_seed
from charter.statistics.scaling import AS_READ, Scaling


@dataclass(frozen=True)
class Jury:
    """Who judges pairs, and by what.

    Args:
        judges: the judges for each kind of prompt: harmlessness for red-team prompts, helpfulness for the others.
        principles: the principles that each kind's judge draws from.
        k_principles: how many different ones are drawn per pair, by weight.
        seed: of the run.
    """

    judges: Mapping[PromptKind, tuple[Judge, ...]]
    principles: Mapping[PromptKind, tuple[Principle, ...]]
    k_principles: int
    seed: int


async def judge_pair(pair: Pair, jury: Jury) -> Judged:
    """Ask every judge about one pair, in both orders under the principles that are drawn for it."""
    every = jury.principles[pair.prompt.kind]
    principles = principles_of_pair(every, pair.id, k=jury.k_principles, seed=jury.seed)
    judges = jury.judges[pair.prompt.kind]
    judgement = await judge_together(judges, pair.id, pair.prompt, pair.a, pair.b, principles)
    return Judged(
        id=pair.id,
        prompt=pair.prompt,
        a=pair.a,
        b=pair.b,
        intended=pair.intended,
        verdicts=judgement.verdicts,
        source=pair.source,
        whole_a=pair.whole_a,
        whole_b=pair.whole_b,
    )


def standards(constitution: Constitution, helpful: Constitution) -> dict[PromptKind, Constitution]:
    """Say by which constitution answers to each kind of prompt are compared: twins are to be helped with."""
    return {"red_team": constitution, "helpful": helpful, "benign_twin": helpful}


def principles_of_pair(principles: Sequence[Principle], pair: str, *, k: int, seed: int) -> tuple[Principle, ...]:
    """Draw the ``k`` principles that a pair is judged by, from its id and the run's ``seed`` alone."""
    return draw_principles(principles, k, derive_seed(seed, pair, "judge principles"))


def judge_pairs(
    pairs: Sequence[Pair],
    constitution: Constitution,
    judge: Engine,
    *,
    helpful: Constitution | None = None,
    further: Sequence[FurtherJudge] = (),
    k_principles: int = 2,
    judging: Judging | None = None,
    seed: int = 0,
    mapper: RowMapper = map_rows,
    stage: str = "label",
) -> Mapped[Judged]:
    """Ask about pairs what labels are made of; nothing is decided yet, so that no vote is lost.

    Args:
        pairs: of any source.
        constitution: judges red-team pairs.
        judge: the model that judges.
        helpful: the constitution that judges helpful prompts and benign twins; None takes ``constitution``.
        further: judges that vote beside ``judge``, asked the same.
        k_principles: drawn per pair.
        judging: how the judge is asked.
        seed: of the run.
        mapper: what maps the row function.
        stage: under which name the rows are recorded.
    """
    by_kind, asked = standards(constitution, helpful or constitution), judging or Judging()
    jury = Jury(
        judges={kind: make_judges(judge, one, asked, further, seed=seed) for kind, one in by_kind.items()},
        principles={kind: one.used_for("judge") for kind, one in by_kind.items()},
        k_principles=k_principles,
        seed=seed,
    )
    return mapper(partial(judge_pair, jury=jury), pairs, stage, result=Judged)


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
    judged = judge_pairs(
        pairs,
        constitution,
        judge,
        helpful=helpful,
        further=further,
        k_principles=k_principles,
        judging=Judging(n_few_shots, min_option_mass, chains, clamp, max_chain_tokens, scaling),
        seed=seed,
        mapper=mapper,
    )
    return _preferences(judged, Settling(prior or {}, on_disagreement, min_margin, on_low_margin))


def _preferences(judged: Mapped[Judged], settling: Settling) -> Mapped[Preference]:
    places: list[int] = []
    filtered: dict[str, str] = {}
    for place, one in enumerate(settle_all(judged.done, settling)):
        if isinstance(one, Preference):
            places.append(place)
        else:
            filtered[one.id] = one.reason
    return Mapped(Labels(judged.done, settling, places), filtered, judged.failed, judged.n_resumed)


class Labels(Sequence[Preference]):
    """Labels that are made as they are asked for: of judged pairs in a journal, memory holds but a few at a time.

    Equal to any sequence of the same labels; ``tuple`` of it holds them all.

    Args:
        judged: the pairs.
        settling: how labels are made of them.
        places: of those that get one.
    """

    def __init__(self, judged: Sequence[Judged], settling: Settling, places: Sequence[int]) -> None:
        self._judged = judged
        self._settling = settling
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Preference: ...

    @overload
    def __getitem__(self, index: slice) -> Labels: ...

    def __getitem__(self, index: int | slice) -> Preference | Labels:
        """Make one label, or name some of them."""
        if isinstance(index, slice):
            return Labels(self._judged, self._settling, self._places[index])
        return self._label(self._judged[self._places[index]])

    def __iter__(self) -> Iterator[Preference]:
        """Make one after the other; in the order of the pairs these are read one after the other too."""
        if all(first < second for first, second in pairwise(self._places)):
            wanted = set(self._places)
            return (self._label(one) for place, one in enumerate(self._judged) if place in wanted)
        return (self._label(self._judged[place]) for place in self._places)

    def __eq__(self, other: object) -> bool:
        """Compare label by label."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"<{len(self)} labels of {len(self._judged)} judged pairs>"

    def _label(self, judged: Judged) -> Preference:
        return cast("Preference", settle(judged, self._settling))
