"""Train and evaluation sets, disjoint by construction: a group of prompts (``grouping``) falls on one side whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from charter.errors import PromptError
from charter.prompts.grouping import group_of, join_groups
from charter.prompts.near_duplicates import near_links
from charter.records import Prompt, Split
from charter.seeds import digest

#: What each side holds its share of.
Stratum = Literal["kind", "principle", "category"]
STRATA: tuple[Stratum, ...] = ("principle", "category")


class Sides:
    """Which side each group fell on, for kinds of prompts that are split one after another.

    Args:
        prompts: of every kind: groups reach across kinds (see ``join_groups``).
        near_duplicates: how much texts must resemble each other to be of one group (see ``near_duplicates``); None
            joins none for that.
    """

    def __init__(self, prompts: Iterable[Prompt], near_duplicates: float | None = None) -> None:
        prompts = list(prompts)
        self._names = join_groups(prompts, near_links(prompts, near_duplicates))
        self._sides: dict[str, Split] = {}

    def group(self, prompt: Prompt) -> str:
        """Name a prompt's group."""
        return self._names[group_of(prompt)]

    def of(self, group: str) -> Split | None:
        """Say where a group is; None where nobody has put it anywhere."""
        return self._sides.get(group)

    def put(self, groups: Iterable[str], side: Split) -> None:
        """Put groups on a side, for good."""
        self._sides.update(dict.fromkeys(groups, side))


def split_prompts(
    prompts: Sequence[Prompt],
    *,
    n_evaluation: int,
    n_train: int | None = None,
    seed: int = 0,
    sides: Sides | None = None,
    by: Sequence[Stratum] = STRATA,
) -> list[Prompt]:
    """Hold out ``n_evaluation`` groups, spread over the principles and categories; the rest is for training.

    A group is a prompt with its twins, with all prompts whose texts differ in writing alone, and with conversations of
    the same opening (see ``grouping``). Which groups are held out follows from the seed and their names alone: adding
    a prompt moves no other across, save where its principle's or category's share changes or it joins a group.

    Args:
        prompts: of every kind that shares numbers.
        n_evaluation: groups held out.
        n_train: groups kept for training, None for all the rest. Others are left out.
        seed: of the run.
        sides: of groups that were split before, which stay where they are and count towards the numbers; what falls
            here is added. None: there are none.
        by: of what each side holds its share: of the first, and within each of the first of the second.

    Raises:
        PromptError: where fewer groups exist than are to be held out.
    """
    sides = Sides(prompts) if sides is None else sides
    leaders: dict[str, Prompt] = {}
    for prompt in sorted(prompts, key=lambda one: (one.kind != "red_team", one.id)):
        leaders.setdefault(sides.group(prompt), prompt)
    order = _round_robin(leaders.values(), by, seed, sides)
    free = [group for group in order if sides.of(group) != "train"]
    if leaders and n_evaluation > min(len(free), len(leaders) - 1):
        joined = f" (groups of {len(prompts)} prompts)" if len(prompts) > 2 * len(leaders) else ""
        there = f"{n_evaluation} prompts are to be held out of {len(free)}{joined}"
        raise PromptError(f"{there}; hold out fewer (prompts.n_evaluation, --n-evaluation), or bring more")
    held_out = sorted(free, key=lambda group: sides.of(group) is None)[
        :n_evaluation
    ]  # those that are out already first
    taken = {*held_out, *(group for group in free if sides.of(group) == "evaluation")}
    sides.put(held_out, "evaluation")
    kept = [group for group in order if group not in taken][:n_train]
    sides.put(kept, "train")
    here: dict[str, Split] = {**dict.fromkeys(held_out, "evaluation"), **dict.fromkeys(kept, "train")}
    return [
        prompt.model_copy(update={"split": here[group]}) for prompt in prompts if (group := sides.group(prompt)) in here
    ]


def split_with_twins(
    red_team: Sequence[Prompt],
    twins: Sequence[Prompt],
    *,
    n_evaluation: int,
    n_train: int | None = None,
    seed: int = 0,
    sides: Sides | None = None,
    by: Sequence[Stratum] = STRATA,
) -> tuple[list[Prompt], int]:
    """Split red-team prompts, each with its twin on the same side; the numbers count red-team prompts.

    Twins that imitate none of the prompts (a set of their own) are split by themselves, by the same numbers, so that
    half of them at least are left for training. Where others do have their prompt, a twin whose prompt is not there
    is left out: it would count as a red-team prompt of its own.

    ``sides`` and ``by`` are as in ``split_prompts``.

    Returns:
        The prompts with their split, and how many twins were left out for want of their prompt.

    Raises:
        PromptError: where fewer red-team prompts exist than are to be held out.
    """
    there = {prompt.id for prompt in red_team}
    with_prompt = [twin for twin in twins if twin.twin_of in there]
    alone = [twin for twin in twins if twin.twin_of is None or not with_prompt]
    sides = Sides((*red_team, *twins)) if sides is None else sides
    linked = (*red_team, *with_prompt)
    pairs = split_prompts(linked, n_evaluation=n_evaluation, n_train=n_train, seed=seed, sides=sides, by=by)
    groups = {sides.group(twin) for twin in alone}
    n_most = min(len(groups) // 2, sum(sides.of(group) != "train" for group in groups))
    n_alone = min(n_evaluation, n_most)
    others = split_prompts(alone, n_evaluation=n_alone, n_train=n_train, seed=seed, sides=sides, by=by)
    return [*pairs, *others], len(twins) - len(with_prompt) - len(alone)


def _round_robin(leaders: Iterable[Prompt], by: Sequence[Stratum], seed: int, sides: Sides) -> list[str]:
    """Order groups so that every stretch of the order holds each stratum in its share."""
    order = sorted(leaders, key=lambda leader: digest([seed, "split", sides.group(leader)]))
    return [sides.group(leader) for leader in _interleave(order, by, seed, ())]


def _interleave(leaders: Sequence[Prompt], by: Sequence[Stratum], seed: int, within: tuple[str, ...]) -> list[Prompt]:
    if not by:
        return list(leaders)
    strata: dict[str, list[Prompt]] = defaultdict(list)
    for leader in leaders:
        strata[getattr(leader, by[0])].append(leader)

    def rank(name: str) -> str:
        # Strata of one size tie. Were names to decide within each principle, small categories that come early in the
        # alphabet would all be held out, and late ones trained on.
        return digest([seed, "strata", *within, name]) if any(within) else name

    placed = [
        ((position + 0.5) / len(members), rank(name), position, leader)
        for name, members in strata.items()
        for position, leader in enumerate(_interleave(members, by[1:], seed, (*within, name)))
    ]
    return [leader for *_, leader in sorted(placed, key=lambda one: one[:3])]
