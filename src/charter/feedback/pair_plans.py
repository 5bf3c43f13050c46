"""Which pairs are made: so many of each kind of prompt and source, from which prompts and traces. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from charter.records import PairSource, Prompt, PromptKind, Trace
from charter.seeds import derive_seed, row_id

DrawnT = TypeVar("DrawnT", Prompt, Trace)


@dataclass(frozen=True)
class PairPlan:
    """One pair to be made: from which prompt (or trace), by which source, and the how-manieth of that prompt.

    Pairs of an ``iteration`` after the first have ids, and so seeds, of their own.
    """

    prompt: Prompt
    source: PairSource
    number: int
    trace: Trace | None = None
    iteration: int = 1

    @property
    def id(self) -> str:
        """The id of the pair that this becomes."""
        later = () if self.iteration == 1 else (self.iteration,)
        return row_id("pair", self.prompt.id, self.source, self.number, *later)


def plan_pairs(
    prompts: Sequence[Prompt],
    traces: Sequence[Trace],
    *,
    n: int,
    kinds: Mapping[PromptKind, float],
    sources: Mapping[PromptKind, Mapping[PairSource, float]],
    seed: int = 0,
    iteration: int = 1,
) -> list[PairPlan]:
    """Spread ``n`` pairs over kinds of prompt and sources by their shares, none lost to rounding.

    Within a kind and source the prompts are taken in turn, as often as it takes, in an order drawn for that source: a
    file sorted by category, taken from its head, would leave whole categories out. ``revision_vs_initial`` takes each
    trace once at most, those first of which a revision stands: of the others no pair can be made. A kind without
    prompts, or a share that more traces would be needed for, leaves pairs unmade: the caller sees it from the length.
    Of later iterations the shares are those of ``sources_of``.
    """
    plans: list[PairPlan] = []
    for (kind, source), wanted in allot_pairs(n, kinds, sources_of(iteration, sources)).items():
        of_kind = [prompt for prompt in prompts if prompt.kind == kind]
        if source == "revision_vs_initial":
            usable = _drawn([trace for trace in traces if trace.prompt.kind == kind], source, seed)
            usable.sort(key=lambda trace: bool(trace.rounds) and not trace.standing)
            plans += [PairPlan(trace.prompt, source, trace.sample, trace, iteration) for trace in usable[:wanted]]
        elif of_kind:
            drawn = _drawn(of_kind, source, seed)
            plans += [
                PairPlan(drawn[index % len(drawn)], source, index // len(drawn), iteration=iteration)
                for index in range(wanted)
            ]
    return plans


def sources_of(
    iteration: int, sources: Mapping[PromptKind, Mapping[PairSource, float]]
) -> dict[PromptKind, dict[PairSource, float]]:
    """Give the shares of an iteration: behind the first, that of ``revision_vs_initial`` goes to the kind's others.

    Traces are made once, so that its pairs would be those that were judged and trained on before. A kind that has no
    other source then has none.
    """
    return {kind: dict(shares) if iteration == 1 else _without_revisions(shares) for kind, shares in sources.items()}


def _without_revisions(shares: Mapping[PairSource, float]) -> dict[PairSource, float]:
    others = {source: share for source, share in shares.items() if share and source != "revision_vs_initial"}
    total = sum(others.values())
    return {source: share * sum(shares.values()) / total for source, share in others.items()}


def allot_pairs(
    n: int, kinds: Mapping[PromptKind, float], sources: Mapping[PromptKind, Mapping[PairSource, float]]
) -> dict[tuple[PromptKind, PairSource], int]:
    """Say how many pairs each kind and source is to give: whole numbers that add up to what all shares make of ``n``.

    One after another goes to whom it is due most, by Sainte-Laguë's divisors 1, 3, 5, ... Unlike with largest
    remainders, a greater ``n`` then takes from none, so that pairs that were made stay planned.
    """
    shares = {
        (kind, source): share * part for kind, share in kinds.items() for source, part in sources.get(kind, {}).items()
    }
    counts = dict.fromkeys(shares, 0)
    for _ in range(round(n * sum(shares.values()))):
        counts[min((one for one in shares if shares[one]), key=lambda one: (2 * counts[one] + 1) / shares[one])] += 1
    return counts


def _drawn(rows: Sequence[DrawnT], source: PairSource, seed: int) -> list[DrawnT]:
    return sorted(rows, key=lambda row: (derive_seed(seed, row.id, f"pair order {source}"), row.id))
