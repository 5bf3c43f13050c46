"""What reinforcement learning draws and scores: groups of answers to one prompt, in a seeded order of the prompts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch.utils.data import Sampler

from charter.records import Prompt
from charter.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Rollout:
    """An answer that the policy drew.

    Attributes:
        prompt: what it answers.
        text: what it says.
        n_tokens: as the policy drew it, its end included.
        is_cut: whether it came to the token limit before its end.
    """

    prompt: Prompt
    text: str
    n_tokens: int
    is_cut: bool


#: Scores rollouts; those of one prompt stand together. None says nothing of a rollout.
Score = Callable[[Sequence[Rollout]], Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Reward:
    """A part of what is maximised: the weighted sum of all parts, of those that say something of a rollout.

    Attributes:
        name: under which its mean is logged.
        score: of rollouts, in the policy's order.
        weight: in the sum.
        identity: what determines its scores, as JSON values: a training goes on from its own checkpoints alone.
        why: says why it told nothing of rollouts, and what to do; None where nobody knows.
    """

    name: str
    score: Score
    weight: float
    identity: Mapping[str, object]
    why: Callable[[], str] | None = None


def rollout_order(n_prompts: int, n_at_once: int, seed: int, epoch: int) -> list[list[int]]:
    """Put prompts in the order in which they are answered.

    Every prompt comes once in an epoch; the last batch is filled up from the epoch's first prompts, for the groups of
    a batch are answered together and there are always as many.

    Args:
        n_prompts: how many there are.
        n_at_once: different prompts of a batch.
        seed: what the order is drawn from, together with ``epoch``.
        epoch: the number of the pass over the prompts, from 0.

    Returns:
        The batches: numbers of prompts.
    """
    order = list(range(n_prompts))
    random.Random(derive_seed(seed, str(epoch), "prompt order")).shuffle(order)  # noqa: S311 - an order, no secret
    n_short = -n_prompts % n_at_once
    order += [order[number % n_prompts] for number in range(n_short)]
    return [order[start : start + n_at_once] for start in range(0, len(order), n_at_once)]


class RolloutOrder(Sampler[int]):
    """``rollout_order`` as TRL's trainers take it; ``epoch`` is set before each pass.

    They ask for the batch whose answers they draw anew at each pass over these answers, though they look at it only
    once; and for each prompt as often as it is answered.

    Args:
        n_prompts: how many there are.
        n_at_once: different prompts whose answers are drawn together.
        n_samples: answers of each.
        n_passes: forward and backward passes that are made over a batch of answers.
        seed: what the order is drawn from.
    """

    def __init__(self, n_prompts: int, n_at_once: int, n_samples: int, n_passes: int, seed: int) -> None:
        self.n_prompts = n_prompts
        self.n_at_once = n_at_once
        self.n_samples = n_samples
        self.n_passes = n_passes
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        """Go through the numbers of the prompts in this epoch."""
        for batch in rollout_order(self.n_prompts, self.n_at_once, self.seed, self.epoch):
            for _ in range(self.n_passes):
                for prompt in batch:
                    yield from [prompt] * self.n_samples

    def __len__(self) -> int:
        """Count what ``__iter__`` gives."""
        n_batches = -(-self.n_prompts // self.n_at_once)
        return n_batches * self.n_passes * self.n_at_once * self.n_samples
