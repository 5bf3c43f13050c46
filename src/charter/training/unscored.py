"""Rollouts that a reward says nothing of, as where no verdict on them is valid: what stands in for it, and how many.

Left out of a sum, what is missing would count as 0, which of a judge's reward is the worst there is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, TypeGuard

from charter.errors import TooManyFailures

if TYPE_CHECKING:
    from charter.training.rollouts import Reward

_BEGINNING, _END = "rewards/", "/unscored"  # of a figure's name
_DRAWS = 10  # looked at together: dozens of answers, so that no odd draw ends a training, and little is lost by then
_MOST = 0.5  # of their answers may be unscored: beyond that a training is led by what is missing


def filled(scores: Sequence[float | None], n_samples: int) -> list[float]:
    """Put the mean of a group's other rollouts where a reward said nothing; 0 throughout where it said nothing of any.

    So that a rollout is neither better nor worse for it than its group.

    Args:
        scores: of rollouts, those of one prompt side by side.
        n_samples: of one prompt.
    """
    found: list[float] = []
    for start in range(0, len(scores), n_samples):
        group = scores[start : start + n_samples]
        told = said(group)
        middle = fmean(told) if told else 0.0
        found += [one if is_said(one) else middle for one in group]
    return found


def said(scores: Sequence[float | None]) -> list[float]:
    """Keep the scores that say something."""
    return [one for one in scores if is_said(one)]


def is_said(score: float | None) -> TypeGuard[float]:
    """Whether a score says something: it is there, and a finite number."""
    return score is not None and math.isfinite(score)


def unscored_figure(reward: str) -> str:
    """Name the figure of a step that counts rollouts which a reward said nothing of."""
    return f"{_BEGINNING}{reward}{_END}"


def count_unscored(steps: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """Count the rollouts of a training that each reward said nothing of; rewards that always did are left out."""
    found = Counter[str]()
    for step in steps:
        for name, value in step.items():
            if name.startswith(_BEGINNING) and name.endswith(_END) and value > 0:
                found[name.removeprefix(_BEGINNING).removesuffix(_END)] += round(value)
    return dict(found)


def require_scores(steps: Sequence[Mapping[str, float]], reward: Reward, n_drawn: int, *, is_last: bool) -> None:
    """Refuse to go on where a part of the reward said nothing of most answers lately: it would seem to be trained for.

    Args:
        steps: the figures of all steps so far, in all sittings.
        reward: the part.
        n_drawn: answers of one draw.
        is_last: whether no more are drawn; a training of few draws is looked at there.

    Raises:
        TooManyFailures: with the reasons and the remedy, as far as the reward knows them.
    """
    figure = unscored_figure(reward.name)
    missing = [step[figure] for step in steps if figure in step][-_DRAWS:]
    n_missing, n_answers = round(sum(missing)), n_drawn * len(missing)
    if n_missing <= _MOST * n_answers or (len(missing) < _DRAWS and not is_last):
        return
    why = reward.why() if reward.why else "Mend what it cannot score, or give it no weight."
    raise TooManyFailures(
        f"rl: the reward '{reward.name}' said nothing of {n_missing} of the {n_answers} answers of the last "
        f"{len(missing)} draws; at most half may be without a score, which teaches nothing. {why}"
    )
