"""Train and evaluation sets, disjoint by construction: a group of related prompts falls on one side whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from charter.errors import PromptError
from charter.records import Prompt
from charter.seeds import digest


def group_of(prompt: Prompt) -> str:
    """Name the group that a prompt belongs to: a benign twin joins the red-team prompt that it imitates."""
    return prompt.twin_of or prompt.id


def split_prompts(
    prompts: Sequence[Prompt], *, n_evaluation: int, n_train: int | None = None, seed: int = 0
) -> list[Prompt]:
    """Hold out ``n_evaluation`` groups, spread over the categories; the rest is for training.

    Which groups are held out follows from the seed and their ids alone: adding a prompt moves no other across, save
    where its category's share changes.

    Args:
        prompts: of every kind that shares groups.
        n_evaluation: groups held out.
        n_train: groups kept for training, None for all the rest. Others are left out.
        seed: of the run.

    Raises:
        PromptError: where fewer groups exist than are to be held out.
    """
    leaders: dict[str, Prompt] = {}
    for prompt in prompts:
        leaders.setdefault(group_of(prompt), prompt)
    if n_evaluation >= len(leaders) > 0 and n_evaluation > 0:
        raise PromptError(
            f"{n_evaluation} prompts are to be held out of {len(leaders)}; lower prompts.n_evaluation, or bring more"
        )
    order = _round_robin(leaders, seed)
    held_out = set(order[:n_evaluation])
    kept = set(order[n_evaluation:][:n_train])
    return [
        prompt.model_copy(update={"split": "evaluation" if group_of(prompt) in held_out else "train"})
        for prompt in prompts
        if group_of(prompt) in held_out | kept
    ]


def split_with_twins(
    red_team: Sequence[Prompt],
    twins: Sequence[Prompt],
    *,
    n_evaluation: int,
    n_train: int | None = None,
    seed: int = 0,
) -> tuple[list[Prompt], int]:
    """Split red-team prompts, each with its twin on the same side; the numbers count red-team prompts.

    Twins that imitate none of the prompts (a set of their own) are split by themselves, by the same numbers, so that
    half of them at least are left for training. Where others do have their prompt, a twin whose prompt is not there
    is left out: it would count as a red-team prompt of its own.

    Returns:
        The prompts with their split, and how many twins were left out for want of their prompt.

    Raises:
        PromptError: where fewer red-team prompts exist than are to be held out.
    """
    there = {prompt.id for prompt in red_team}
    with_prompt = [twin for twin in twins if twin.twin_of in there]
    alone = [twin for twin in twins if twin.twin_of is None or not with_prompt]
    pairs = split_prompts((*red_team, *with_prompt), n_evaluation=n_evaluation, n_train=n_train, seed=seed)
    others = split_prompts(alone, n_evaluation=min(n_evaluation, len(alone) // 2), n_train=n_train, seed=seed)
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
    """Leave out prompts whose text a few-shot example already shows; returns the rest and how many went."""
    shown = {_normalise(context) for context in contexts}
    prompts = list(prompts)
    kept = [prompt for prompt in prompts if _normalise(prompt.text) not in shown]
    return kept, len(prompts) - len(kept)


def _normalise(text: str) -> str:
    return " ".join(text.lower().split())
