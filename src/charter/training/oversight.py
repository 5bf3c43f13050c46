"""Whether reinforcement learning still earns what it is rewarded for: rewards, KL and a second judge, on other prompts.

A policy finds what its reward overlooks. What it was never trained against may see it: where the reward on held-out
prompts has risen and a second judge finds the answers worse than those before the first step, the two have parted. That
has to be more than chance: the upper end of its mean's interval of 95 % lies below the limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from charter.records import Prompt
from charter.statistics import mean_interval, wilson_interval
from charter.training.collapse import ENOUGH, Answer, Figures, Guard, Passed
from charter.training.rollouts import Reward, Rollout
from charter.training.unscored import is_said

_EVEN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RlGuard(Guard):
    """A guard of reinforcement learning: it looks at answers to prompts that are not trained on.

    Nothing in it asks for other lengths than those of the model that it begins from, so that twice as long is too long;
    and answers may be as long as those that are trained on, for a shorter cut would hide it.

    Attributes:
        every: steps between two looks, rounded up to where answers are drawn anew.
        max_tokens: where an answer is cut: where those are that are trained on.
        length: as in ``Guard``, nearer to what it was.
        kl: per token, in nats: how far the policy may go from its reference. At 0.5 the tokens that it draws are 1.6
            times as likely as they were, over a hundred of them e^50 times. Where ``beta`` is 0 nobody measures it.
        second_judge: how far below one half a second judge's P(better than before) may be where the reward has risen.
    """

    every: int = 25
    max_tokens: int = 128
    length: tuple[float, float] = (0.3, 2.0)
    kl: float = 0.5
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
        measures_kl: whether steps tell KL: where it has no weight they do not.
    """

    rewards: Sequence[Reward]
    second_judge: Compares | None
    guard: RlGuard
    measures_kl: bool = True

    def measure(self, answers: Sequence[Answer], first: Sequence[Answer], steps: Sequence[Figures]) -> dict[str, float]:
        """Measure answers beside those before the first step, to the same prompts.

        Args:
            answers: of the policy as it is.
            first: of the policy as it was.
            steps: the figures of the steps so far.

        Returns:
            ``reward`` (the weighted sum of the parts' means, over the answers that each says something of),
            ``reward_gain`` (how much more than the first answers are given now, over those that a part says something
            of twice), ``n_unscored`` (answers that a part says nothing of, over all parts), ``kl`` (per token, of the
            last step that tells); where there is a second judge ``n_asked`` (answers that differ from the first ones),
            ``n_compared`` (those of them that it could say something of), ``second_judge`` (the mean P(better than the
            first answer), of equal ones a half) and ``second_judge_high`` (the most that it may be).
        """
        figures = self._rewarded(answers, first)
        if self.second_judge is not None:
            figures |= _compared(self.second_judge, answers, first)
        if self.measures_kl:
            figures["kl"] = next((step["kl"] for step in reversed(steps) if step.get("kl") is not None), 0.0)
        return figures

    def passed(self, figures: Figures, before: Figures) -> tuple[Passed, ...]:
        """Find the limits that figures pass: of KL, and of how far reward and second judge may part."""
        found = []
        if "kl" in figures and not figures["kl"] <= self.guard.kl:  # which is no number where the policy is none
            found.append(Passed("kl", figures["kl"], self.guard.kl, before.get("kl", 0.0)))
        least = _EVEN - self.guard.second_judge
        can_say = figures.get("n_compared", 0.0) >= ENOUGH
        if can_say and figures.get("reward_gain", 0.0) > 0.0 and figures["second_judge_high"] < least:
            found.append(Passed("second_judge", figures["second_judge"], least, _EVEN))
        return tuple(found)

    def notes(self, looks: Sequence[Figures]) -> Iterator[str]:
        """Say where the second judge had too little to say to end a training by."""
        if self.second_judge is None:
            return
        asked = [look for look in looks if look.get("n_asked", 0.0) >= ENOUGH]
        n_mute = sum(look["n_compared"] < ENOUGH for look in asked)
        if n_mute:
            yield (
                f"the second judge gave fewer than {ENOUGH} valid verdicts in {n_mute} of {len(asked)} looks, and "
                "could not have ended the training there; name one in models.second_judge that can answer"
            )

    def _rewarded(self, answers: Sequence[Answer], first: Sequence[Answer]) -> dict[str, float]:
        groups = zip(first, answers, strict=True)
        rollouts = [self._rollout(one) for before, now in groups for one in (before, now)]
        means, gains, n_unscored = [], [], 0
        for reward in self.rewards:
            scores = reward.score(rollouts)
            both = list(zip(scores[::2], scores[1::2], strict=True))
            told = [now for _, now in both if is_said(now)]
            more = [now - was for was, now in both if is_said(was) and is_said(now)]
            means += [reward.weight * fmean(told)] if told else []
            gains += [reward.weight * fmean(more)] if more else []
            n_unscored += len(both) - len(told)
        figures = {"n_unscored": float(n_unscored)}
        figures |= {"reward": sum(means)} if means else {}
        return figures | ({"reward_gain": sum(gains)} if gains else {})

    def _rollout(self, answer: Answer) -> Rollout:
        is_cut = answer.n_tokens >= self.guard.max_tokens
        return Rollout(answer.prompt, answer.text, answer.n_tokens + (not is_cut), is_cut=is_cut)


def _compared(judge: Compares, answers: Sequence[Answer], first: Sequence[Answer]) -> dict[str, float]:
    """Have a second judge compare answers with the first ones."""
    pairs = list(zip(answers, first, strict=True))
    found = judge.compare_all([(now.prompt, now.text, before.text) for now, before in pairs])
    asked = [p for p, (now, before) in zip(found, pairs, strict=True) if now.text != before.text]
    told = [p for p in found if p is not None]
    figures = {"n_asked": float(len(asked)), "n_compared": float(sum(p is not None for p in asked))}
    return figures | ({"second_judge": fmean(told), "second_judge_high": _at_most(told)} if told else {})


def _at_most(told: Sequence[float]) -> float:
    """Bound a mean P from above; probabilities that are all alike, or too few to resample, by Wilson's interval."""
    high = mean_interval(told, limits=(0.0, 1.0)).high
    if high is None:
        high = wilson_interval(math.ceil(sum(told)), len(told)).high
    return 1.0 if high is None else high
