"""Train and evaluation sets, disjoint by construction: a group of prompts (``grouping``) falls on one side whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from charter.errors import PromptError
from charter.prompts.grouping import group_of, join_groups, normalise_text
from charter.records import Prompt, Split
from charter.seeds import digest


class Sides:
    """Which side each group fell on, for kinds of prompts that are split one after another.

    Args:
        prompts: of every kind: groups reach across kinds (see ``join_groups``).
    """

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self._names = join_groups(prompts)
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
) -> list[Prompt]:
    """Hold out ``n_evaluation`` groups, spread over the categories; the rest is for training.

    A group is a prompt with its twins, and with all prompts whose texts differ in writing alone. Which groups are held
    out follows from the seed and their names alone: adding a prompt moves no other across, save where its category's
    share changes or it joins a group.

    Args:
        prompts: of every kind that shares numbers.
        n_evaluation: groups held out.
        n_train: groups kept for training, None for all the rest. Others are left out.
        seed: of the run.
        sides: of groups that were split before, which stay where they are and count towards the numbers; what falls
            here is added. None: there are none.

    Raises:
        PromptError: where fewer groups exist than are to be held out.
    """
    sides = Sides(prompts) if sides is None else sides
    leaders: dict[str, Prompt] = {}
    for prompt in sorted(prompts, key=lambda one: (one.kind != "red_team", one.id)):
        leaders.setdefault(sides.group(prompt), prompt)
    order = _round_robin(leaders, seed)
    free = [group for group in order if sides.of(group) != "train"]
    if leaders and n_evaluation > min(len(free), len(leaders) - 1):
        raise PromptError(
            f"{n_evaluation} prompts are to be held out of {len(free)}; lower prompts.n_evaluation, or bring more"
        )
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
) -> tuple[list[Prompt], int]:
    """Split red-team prompts, each with its twin on the same side; the numbers count red-team prompts.

    Twins that imitate none of the prompts (a set of their own) are split by themselves, by the same numbers, so that
    half of them at least are left for training. Where others do have their prompt, a twin whose prompt is not there
    is left out: it would count as a red-team prompt of its own.

    ``sides`` is as in ``split_prompts``.

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
    pairs = split_prompts(linked, n_evaluation=n_evaluation, n_train=n_train, seed=seed, sides=sides)
    groups = {sides.group(twin) for twin in alone}
    n_most = min(len(groups) // 2, sum(sides.of(group) != "train" for group in groups))
    others = split_prompts(alone, n_evaluation=min(n_evaluation, n_most), n_train=n_train, seed=seed, sides=sides)
    return [*pairs, *others], len(twins) - len(with_prompt) - len(alone)


def _round_robin(leaders: dict[str, Prompt], seed: int) -> list[str]:
    """Order groups so that every stretch of the order holds each category in its share."""
    by_category: dict[str, list[str]] = defaultdict(list)
    for group in sorted(leaders, key=lambda group: digest([seed, "split", group])):
        by_category[leaders[group].category].append(group)
    placed = [
        ((position + 0.5) / len(groups), category, group)
        for category, groups in by_category.items()
        for position, group in enumerate(groups)
    ]
    return [group for _, _, group in sorted(placed)]


def remove_contamination(prompts: Iterable[Prompt], contexts: Iterable[str]) -> tuple[list[Prompt], int]:
    """Leave out prompts whose text a few-shot example shows, in whatever dress; returns the rest and how many went."""
    shown = {normalise_text(context) for context in contexts}
    prompts = list(prompts)
    kept = [prompt for prompt in prompts if normalise_text(prompt.text) not in shown]
    return kept, len(prompts) - len(kept)
