"""Whether reinforcement learning still earns what it is rewarded for: rewards, KL and a second judge, on other prompts.

A policy finds what its reward overlooks. What it was never trained against may see it: where the reward on held-out
prompts has risen and a second judge finds the answers worse than those before the first step, the two have parted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Protocol

from charter.records import Prompt
from charter.training.collapse import Answer, Figures, Guard, Passed
from charter.training.rollouts import Reward, Rollout

_EVEN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RlGuard(Guard):
    """A guard of reinforcement learning: it looks at answers to prompts that are not trained on.

    Attributes:
        every: steps between two looks, rounded up to where answers are drawn anew.
        kl: per token, in nats: how far the policy may go from its reference.
        second_judge: how far below one half a second judge's P(better than before) may be where the reward has risen.
    """

    every: int = 25
    kl: float = 2.0
    second_judge: float = 0.15


class Compares(Protocol):
    """Says which of two answers to a prompt is better."""

    def compare_all(self, asked: Sequence[tuple[Prompt, str, str]]) -> list[float | None]:
        """Give P(the first answer is better) for each; None where that cannot be told."""


@dataclass(frozen=True)
class Oversight:
    """What a guard looks at in reinforcement learning, beside the answers' own faults.

    Attributes:
        rewards: what is maximised.
        second_judge: who is never trained against; None asks nobody.
        guard: how far figures may go.
    """

    rewards: Sequence[Reward]
    second_judge: Compares | None
    guard: RlGuard

    def measure(self, answers: Sequence[Answer], first: Sequence[Answer], steps: Sequence[Figures]) -> dict[str, float]:
        """Measure answers beside those before the first step, to the same prompts.

        Args:
            answers: of the policy as it is.
            first: of the policy as it was.
            steps: the figures of the steps so far.

        Returns:
            ``reward`` (the weighted sum, the mean over prompts), ``reward_gain`` (how much more than the first answers
            are given now), ``second_judge`` (the mean P(better than the first answer), where there is one and it can
            say), ``kl`` (per token, of the last step that tells).
        """
        groups = zip(first, answers, strict=True)
        rollouts = [self._rollout(one) for before, now in groups for one in (before, now)]
        totals = total_rewards(self.rewards, rollouts)
        both = [(was, now) for was, now in zip(totals[::2], totals[1::2], strict=True) if None not in {was, now}]
        figures: dict[str, float] = {}
        if both:
            figures["reward"] = mean(now for _, now in both if now is not None)
            figures["reward_gain"] = mean(now - was for was, now in both if now is not None and was is not None)
        if self.second_judge is not None:
            asked = [(now.prompt, now.text, before.text) for before, now in zip(first, answers, strict=True)]
            told = [p for p in self.second_judge.compare_all(asked) if p is not None]
            figures |= {"second_judge": mean(told)} if told else {}
        kl = next((step["kl"] for step in reversed(steps) if step.get("kl") is not None), 0.0)
        return figures | {"kl": kl}

    def passed(self, figures: Figures, before: Figures) -> tuple[Passed, ...]:
        """Find the limits that figures pass: of KL, and of how far reward and second judge may part."""
        found = []
        if figures["kl"] > self.guard.kl:
            found.append(Passed("kl", figures["kl"], self.guard.kl, before["kl"]))
        least = _EVEN - self.guard.second_judge
        if figures.get("reward_gain", 0.0) > 0.0 and figures.get("second_judge", _EVEN) < least:
            found.append(Passed("second_judge", figures["second_judge"], least, _EVEN))
        return tuple(found)

    def _rollout(self, answer: Answer) -> Rollout:
        return Rollout(answer.prompt, answer.text, answer.n_tokens, is_cut=answer.n_tokens >= self.guard.max_tokens)


def total_rewards(rewards: Sequence[Reward], rollouts: Sequence[Rollout]) -> list[float | None]:
    """Sum up rewards by their weights, of those that say something of a rollout; None where none does."""
    told: list[Sequence[Any]] = [[_weighed(one, reward.weight) for one in reward.score(rollouts)] for reward in rewards]
    each = ([one for one in parts if one is not None] for parts in zip(*told, strict=True))
    return [sum(parts) if parts else None for parts in each]


def _weighed(score: float | None, weight: float) -> float | None:
    return None if score is None else weight * score
