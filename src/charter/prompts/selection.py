"""Which of the loaded prompts a run takes: split, thinned out, and free of what its few-shots show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from charter.constitution.model import Constitution
from charter.errors import PromptError
from charter.prompts.contamination import Contamination, remove_contamination
from charter.prompts.split import Sides, split_prompts, split_with_twins
from charter.records import Prompt, PromptKind


@dataclass(frozen=True)
class Selection:
    """The prompts of a run, each with its split, and how many others there were, by the reason they were left out.

    ``shown`` are those that a few-shot shows, each with what it shows.
    """

    prompts: tuple[Prompt, ...]
    left_out: dict[str, int]
    shown: tuple[Contamination, ...] = ()


def select_prompts(
    loaded: Mapping[PromptKind, Sequence[Prompt]],
    constitutions: Iterable[Constitution],
    *,
    n_evaluation: int,
    n_evaluation_helpful: int,
    n_train: int | None = None,
    n_train_helpful: int | None = None,
    split_seed: int = 0,
    near_duplicates: float | None = None,
) -> Selection:
    """Split prompts into training and evaluation, and take as many as were asked for.

    Kinds are split one after another, and a group that one kind put on a side stays there for the next: a helpful
    prompt that asks what a held-out red-team prompt asks is held out too, or else left out. Groups with a prompt that
    comes marked as held out are not trained on.

    Args:
        loaded: prompts by kind.
        constitutions: prompts that their few-shots show are left out.
        n_evaluation: red-team prompts held out, each with its twin.
        n_evaluation_helpful: helpful prompts held out; of those that come marked as held out, where there are any.
        n_train: red-team prompts trained on, None for all the rest.
        n_train_helpful: helpful prompts trained on, None for all the rest.
        split_seed: of the split.
        near_duplicates: how much texts must resemble each other to be kept together, and one to be left out for what
            a few-shot shows; None goes by texts that differ in writing alone.

    Raises:
        PromptError: where more are to be held out than there are, two prompts share an id, or the threshold is out of
            bounds.
    """
    sides = Sides((prompt for prompts in loaded.values() for prompt in prompts), near_duplicates)
    for prompts in loaded.values():
        sides.put(map(sides.group, _marked(prompts)), "evaluation")
    harmful, n_stray = split_with_twins(
        loaded["red_team"],
        loaded.get("benign_twin", ()),
        n_evaluation=n_evaluation,
        n_train=n_train,
        seed=split_seed,
        sides=sides,
    )
    helpful = _split_helpful(
        loaded.get("helpful", ()), sides, n_evaluation=n_evaluation_helpful, n_train=n_train_helpful, seed=split_seed
    )
    kept, shown = remove_contamination([*harmful, *helpful], shown_contexts(constitutions), near_duplicates)
    _check_ids(kept)
    n_over = sum(map(len, loaded.values())) - len(kept) - len(shown) - n_stray
    left_out = {
        "over the number asked for": n_over,
        "shown in a few-shot": len(shown),
        "twin of a prompt that is not there": n_stray,
    }
    return Selection(tuple(kept), {reason: n for reason, n in left_out.items() if n}, tuple(shown))


def _marked(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Find the prompts that come marked as held out."""
    return [prompt for prompt in prompts if prompt.split == "evaluation"]


def _split_helpful(
    prompts: Sequence[Prompt], sides: Sides, *, n_evaluation: int, n_train: int | None, seed: int
) -> list[Prompt]:
    marked = _marked(prompts)
    if not marked:
        return split_prompts(prompts, n_evaluation=n_evaluation, n_train=n_train, seed=seed, sides=sides)
    if n_evaluation > len(marked):
        raise PromptError(
            f"{n_evaluation} helpful prompts are to be held out of {len(marked)} that come marked as held out; "
            "lower prompts.n_evaluation_helpful, or bring more"
        )
    train = [prompt for prompt in prompts if sides.of(sides.group(prompt)) != "evaluation"]
    return [*train[:n_train], *marked[:n_evaluation]]


def shown_contexts(constitutions: Iterable[Constitution]) -> list[str]:
    """Give every request that the constitutions' few-shots show."""
    shown = [
        messages
        for one in constitutions
        for messages in (
            *(example.messages for example in one.few_shots.revise),
            *(example.messages for example in one.few_shots.judge),
        )
    ]
    return [message.content for messages in shown for message in messages if message.role == "user"]


def _check_ids(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts of two kinds that share an id: every row of the run is named after its prompt."""
    seen: dict[str, Prompt] = {}
    for prompt in prompts:
        other = seen.setdefault(prompt.id, prompt)
        if other is not prompt:
            raise PromptError(
                f"the id {prompt.id!r} is used by a {other.kind} prompt ({other.source}) and a {prompt.kind} prompt "
                f"({prompt.source}); make their ids differ, such as 'r{prompt.id}' and 'h{prompt.id}', or name another "
                "column of one of them with 'id_column'"
            )
