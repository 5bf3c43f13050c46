"""Prompts divided into training and evaluation for good, with an account of what hangs together and what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from charter.errors import PromptError
from charter.prompts.contamination import Contamination, find_crossing, find_seen
from charter.prompts.grouping import group_of, normalise_text
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD, Resemblance, link_near_duplicates
from charter.prompts.split import STRATA, Sides, Stratum, split_prompts
from charter.records import Prompt, Split

DEFAULT_FRACTION = 0.2


@dataclass(frozen=True)
class Division:
    """Prompts with their split, and the account of it.

    Attributes:
        prompts: in their order.
        n_groups: whole groups that fell on a side.
        largest: prompts of the largest group.
        joined: prompts that resemble an earlier one of their group as near-duplicates do, each with it.
        seen: prompts that were left out for what was seen elsewhere.
        crossing: training prompts that resemble a held-out one.
        threshold: by which near-duplicates were kept together; None where they were not.
        by: the strata.
    """

    prompts: tuple[Prompt, ...]
    n_groups: int
    largest: int
    joined: tuple[Contamination, ...]
    seen: tuple[Contamination, ...]
    crossing: tuple[Contamination, ...]
    threshold: float | None
    by: tuple[Stratum, ...]

    def side(self, split: Split) -> list[Prompt]:
        """Give the prompts of one side."""
        return [prompt for prompt in self.prompts if prompt.split == split]

    def strata(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """Count training and held-out prompts by kind and the strata."""
        counts: dict[Split, Counter[tuple[str, ...]]] = {
            side: Counter((one.kind, *(getattr(one, name) for name in self.by)) for one in self.side(side))
            for side in ("train", "evaluation")
        }
        names = sorted(counts["train"] | counts["evaluation"])
        return {name: (counts["train"][name], counts["evaluation"][name]) for name in names}


def divide_prompts(
    prompts: Sequence[Prompt],
    *,
    n_evaluation: int | None = None,
    fraction: float | None = None,
    by: Sequence[Stratum] = STRATA,
    near_duplicates: float | None = DEFAULT_THRESHOLD,
    against: Sequence[str] = (),
    seed: int = 0,
) -> Division:
    """Divide prompts of all kinds into training and evaluation, by whole groups (see ``split_prompts``).

    Prompts that come marked as held out stay so, with their groups, and count.

    Args:
        prompts: of any kinds; each kind is held out in its share.
        n_evaluation: groups held out; of it and ``fraction`` one is given, or none for a fifth.
        fraction: of the groups, held out.
        by: of what else each side holds its share.
        near_duplicates: how much prompts must resemble each other to be kept together; None goes by their writing.
        against: texts, of few-shots and evaluations, that no prompt may resemble: those that do are left out.
        seed: of the split.

    Raises:
        PromptError: where the numbers cannot be, or no prompt is left.
    """
    seen = find_seen([prompt.text for prompt in prompts], against, near_duplicates)
    out = {one.index for one in seen}
    kept = [prompt for place, prompt in enumerate(prompts) if place not in out]
    if not kept:
        raise PromptError(f"no prompt is left of {len(prompts)}: all resemble a text of --against; bring others")
    sides = Sides(kept, near_duplicates)
    sizes = Counter(map(sides.group, kept))
    marked = {sides.group(prompt) for prompt in kept if prompt.split == "evaluation"}
    sides.put(marked, "evaluation")
    asked = _number(len(sizes), n_evaluation, fraction)
    divided = split_prompts(
        kept, n_evaluation=max(asked, len(marked)), seed=seed, sides=sides, by=("kind", *by) if by else ("kind",)
    )
    return Division(
        tuple(divided),
        len(sizes),
        max(sizes.values()),
        tuple(_joined(kept, near_duplicates)),
        tuple(Contamination(prompts[one.index], against[one.other], one.similarity) for one in seen),
        tuple(find_crossing(divided, near_duplicates or DEFAULT_THRESHOLD)),
        near_duplicates,
        tuple(by),
    )


def _number(n_groups: int, n_evaluation: int | None, fraction: float | None) -> int:
    """Say how many groups are held out.

    Raises:
        PromptError: where both are given, or the fraction is none.
    """
    if n_evaluation is not None and fraction is not None:
        raise PromptError(f"{n_evaluation} groups and a fraction of {fraction} are asked for; give one of them")
    if n_evaluation is not None:
        return n_evaluation
    fraction = DEFAULT_FRACTION if fraction is None else fraction
    if not 0 < fraction < 1:
        raise PromptError(f"the fraction held out is {fraction}; expected more than 0 and less than 1")
    if n_groups < 2:
        raise PromptError(f"there is {n_groups} group of prompts; bring more, or a higher threshold of near-duplicates")
    return min(max(1, round(fraction * n_groups)), n_groups - 1)


def _joined(prompts: Sequence[Prompt], threshold: float | None) -> list[Contamination]:
    """Find the prompts that are kept together for their likeness alone: not twins, and not one text in two dresses."""
    if threshold is None:
        return []
    links = link_near_duplicates([prompt.text for prompt in prompts], threshold=threshold)
    return [
        Contamination(prompts[link.index], prompts[link.other].text, link.similarity)
        for link in sorted(links, key=lambda link: (link.index, link.other))
        if not _are_one(prompts, link)
    ]


def _are_one(prompts: Sequence[Prompt], link: Resemblance) -> bool:
    one, other = prompts[link.index], prompts[link.other]
    return group_of(one) == group_of(other) or normalise_text(one.text) == normalise_text(other.text)
