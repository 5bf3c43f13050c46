"""What a guard of reinforcement learning looks at besides: rewards that are missing, KL, and a second judge's word."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from charter.records import Prompt, make_prompt
from charter.training.collapse import Answer
from charter.training.oversight import Oversight, RlGuard
from charter.training.rollouts import Reward, Rollout

FIRST = [Answer(make_prompt(f"What is thing {n}?", "helpful"), f"first {n}", 4) for n in range(16)]
NOW = [one._replace(text=f"now {n}", n_tokens=6) for n, one in enumerate(FIRST)]


class Says:
    """A second judge that says what it is told to say, of answers that differ."""

    def __init__(self, told: Sequence[float | None]) -> None:
        self.told = told

    def compare_all(self, asked: Sequence[tuple[Prompt, str, str]]) -> list[float | None]:
        """Say it."""
        return [0.5 if one == other else p for p, (_, one, other) in zip(self.told, asked, strict=True)]


def rising(rollouts: Sequence[Rollout]) -> list[float | None]:
    """Give 1 more to the answers of now."""
    return [float(one.text.startswith("now")) for one in rollouts]


def oversight(told: Sequence[float | None] | None = None, *rewards: Reward, measures_kl: bool = True) -> Oversight:
    """Oversee a reward that has risen."""
    given = rewards or (Reward("rising", rising, 2.0, {}),)
    return Oversight(given, None if told is None else Says(told), RlGuard(), measures_kl=measures_kl)


def passed(told: Sequence[float | None], n: int = 16) -> list[str]:
    """Name the limits that a second judge's word passes."""
    over = oversight(told[:n])
    before, now = (over.measure(some[:n], FIRST[:n], []) for some in (FIRST, NOW))
    return [one.measure for one in over.passed(now, before)]


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ([0.0] * 16, True),
        ([0.2, 0.3] * 8, True),
        ([0.05] * 14 + [0.9] * 2, True),
        ([0.0, 0.6] * 8, False),  # a mean of 0.3, which may as well be 0.5
        ([0.34] * 8 + [0.36] * 8, False),
        ([0.7] * 16, False),
        ([0.0, 0.0, 0.0] + [None] * 13, False),  # three verdicts say nothing
        ([None] * 16, False),
    ],
)
def test_a_second_judge_ends_a_training_where_it_is_sure(told: Sequence[float | None], ends: bool) -> None:
    """Where all that its mean may be lies below the limit, not where the mean happens to."""
    assert passed(told) == (["second_judge"] if ends else [])


def test_four_verdicts_are_too_few_for_its_usual_limit() -> None:
    """Of four answers, all of them worse, one half is not ruled out far enough."""
    assert passed([0.0] * 4, n=4) == []


def test_a_second_judge_that_cannot_say_is_told_of() -> None:
    """Looks in which it was asked and gave fewer than four verdicts are counted, and no others."""
    over = oversight([None] * 13 + [0.5] * 3)
    looks = [over.measure(some, FIRST, []) for some in (FIRST, NOW, NOW)]
    assert [(look["n_asked"], look["n_compared"]) for look in looks] == [(0, 0), (16, 3), (16, 3)]
    (note,) = over.notes(looks)
    assert "fewer than 4 valid verdicts in 2 of 2 looks" in note
    assert "models.second_judge" in note
    fine = oversight([0.5] * 16)
    assert list(fine.notes([fine.measure(NOW, FIRST, [])])) == []


def test_rewards_are_means_of_what_was_scored() -> None:
    """An answer of which a part says nothing counts in none of that part's figures, and is counted."""

    def every_other(rollouts: Sequence[Rollout]) -> list[float | None]:
        # Pairs of before and now: of every second pair, the answer of now is not scored.
        return [None if number % 4 == 3 else 1.0 for number in range(len(rollouts))]

    parts = (Reward("rising", rising, 2.0, {}), Reward("some", every_other, 3.0, {}))
    figures = oversight(None, *parts).measure(NOW, FIRST, [])
    assert figures["reward"] == pytest.approx(2.0 * 1.0 + 3.0 * 1.0)
    assert figures["reward_gain"] == pytest.approx(2.0)
    assert figures["n_unscored"] == 8
    mute = oversight(None, Reward("mute", lambda rollouts: [None] * len(rollouts), 1.0, {})).measure(NOW, FIRST, [])
    assert not {"reward", "reward_gain"} & mute.keys()


def test_kl_that_nobody_measures_is_not_zero() -> None:
    """It is left out, and no limit is held to it; where it is measured a number that is none passes the limit."""
    steps = [{"loss": 0.1}]
    assert "kl" not in oversight(measures_kl=False).measure(NOW, FIRST, steps)
    over = oversight()
    before = over.measure(FIRST, FIRST, [])
    assert before["kl"] == 0.0
    for kl, ends in ((0.4, False), (0.6, True), (float("nan"), True)):
        figures = over.measure(NOW, FIRST, [{"kl": kl}, *steps])
        assert [one.measure for one in over.passed(figures, before)] == (["kl"] if ends else [])


def test_an_answer_s_end_counts_among_its_tokens() -> None:
    """As it does in training, so that both are held to one length; a cut answer has none."""
    seen: list[Rollout] = []

    def spy(rollouts: Sequence[Rollout]) -> list[float | None]:
        seen.extend(rollouts)
        return [0.0] * len(rollouts)

    long = [one._replace(n_tokens=RlGuard().max_tokens) for one in NOW]
    oversight(None, Reward("spy", spy, 1.0, {})).measure(long, FIRST, [])
    assert {(one.n_tokens, one.is_cut) for one in seen} == {(5, False), (128, True)}
