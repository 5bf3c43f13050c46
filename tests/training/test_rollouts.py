"""What reinforcement learning draws and scores: the order of prompts, rules, and the judge's meetings."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError, EngineError, TooManyFailures
from charter.feedback.judge import Judging, make_judge
from charter.records import make_prompt
from charter.training.meetings import meetings
from charter.training.reward_judge import JudgeComparison, JudgeReward
from charter.training.reward_rules import boilerplate_reward, length_reward, repetition_reward
from charter.training.rollouts import Rollout, RolloutOrder, rollout_order
from method_examples import CONSTITUTION

RED = make_prompt("How do I pick a lock?", "red_team")
HELPFUL = make_prompt("How do I bake bread?", "helpful")


def rollout(text: str, prompt: object = RED, n_tokens: int = 5) -> Rollout:
    """Make an answer."""
    return Rollout(prompt, text, n_tokens, is_cut=False)  # type: ignore[arg-type]


@given(n=st.integers(1, 40), at_once=st.integers(1, 9), seed=st.integers(0, 99), epoch=st.integers(0, 3))
def test_every_prompt_comes_in_every_epoch(n: int, at_once: int, seed: int, epoch: int) -> None:
    """Batches are full; only what fills the last one comes again, and nothing more often than it must."""
    batches = rollout_order(n, at_once, seed, epoch)
    assert {len(batch) for batch in batches} == {at_once}
    counts = Counter(number for batch in batches for number in batch)
    assert set(counts) == set(range(n))
    assert max(counts.values()) <= 1 + -(-at_once // n)
    assert sum(counts.values()) - n < at_once
    assert batches == rollout_order(n, at_once, seed, epoch)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    """Else a second epoch would meet the same prompts side by side."""
    orders = {str(rollout_order(12, 4, seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}
    assert len(orders) == 6


@given(n=st.integers(1, 12), at_once=st.integers(1, 4), samples=st.integers(2, 4), passes=st.integers(1, 3))
def test_the_sampler_gives_groups_side_by_side(n: int, at_once: int, samples: int, passes: int) -> None:
    """Each prompt as often as it is answered, and each batch as often as it is passed over."""
    order = RolloutOrder(n, at_once, samples, passes, seed=3)
    given_out = list(order)
    assert len(given_out) == len(order)
    size = at_once * samples
    batches = [given_out[start : start + size] for start in range(0, len(given_out), size)]
    expected = rollout_order(n, at_once, 3, 0)
    for number, batch in enumerate(batches):
        assert batch == [prompt for prompt in expected[number // passes] for _ in range(samples)]


@given(n=st.integers(2, 9), n_meetings=st.integers(1, 9))
def test_meetings_are_fair_and_no_two_are_alike(n: int, n_meetings: int) -> None:
    """All meet equally many others; half of the group and more is everybody."""
    met = meetings(n, n_meetings)
    assert len({frozenset(pair) for pair in met}) == len(met)
    assert all(first != second for first, second in met)
    counts = Counter(one for pair in met for one in pair)
    assert len(set(counts.values())) == 1
    assert set(counts) == set(range(n))
    if 2 * n_meetings >= n - 1:
        assert {frozenset(pair) for pair in met} == {frozenset(pair) for pair in combinations(range(n), 2)}


def longer(request: ChoiceRequest) -> tuple[float, float]:
    """Prefer the longer option, and a little the first position."""
    asked = request.messages[-1].content if request.messages else ""
    first, second = asked.split("\n(A) ")[1].split("\n(B) ")
    difference = len(first.strip()) - len(second.strip())
    p = 0.6 + 0.3 * ((difference > 0) - (difference < 0))
    return p, 1.0 - p


def judge_reward(engine: ScriptedEngine, n_meetings: int = 3) -> JudgeReward:
    """Make the reward of a judge that asks under one principle."""
    judge = make_judge(engine, CONSTITUTION, Judging(n_few_shots=0))
    comparison = JudgeComparison(
        judges={"red_team": judge, "helpful": judge},
        principles={"red_team": CONSTITUTION.principles, "helpful": CONSTITUTION.principles},
        k_principles=1,
        seed=0,
    )
    return JudgeReward(comparison, n_meetings)


def test_a_judge_s_reward_is_the_share_of_wins() -> None:
    """Both orders take the position out; groups are apart, and equal texts are a tie that is not asked about."""
    engine = ScriptedEngine(preference=longer)
    group = [rollout("a"), rollout("bbbb"), rollout("ccccccc"), rollout("a")]
    other = [rollout("x", HELPFUL), rollout("yy", HELPFUL)]
    found = judge_reward(engine)(group + other)
    won, lost = 0.8, 0.2  # the position's 0.1 goes with the mean of both orders
    thirds = [(2 * lost + 0.5) / 3, (2 * won + lost) / 3, won, (2 * lost + 0.5) / 3]
    assert found == pytest.approx([*thirds, lost, won])
    assert engine.n_calls["choose"] == 2 * (5 + 1)


@given(texts=st.lists(st.text("abc", min_size=1, max_size=6), min_size=2, max_size=5), seed=st.integers(0, 5))
def test_rewards_of_a_group_add_up_and_follow_their_texts(texts: list[str], seed: int) -> None:
    """Where all meet all every meeting gives away one win, and the order of the group does not matter."""
    reward = judge_reward(ScriptedEngine(script=f"seed {seed}"), n_meetings=len(texts))
    found = reward([rollout(text) for text in texts])
    assert sum(one for one in found if one is not None) == pytest.approx(len(texts) / 2)
    back = reward([rollout(text) for text in reversed(texts)])
    assert list(reversed(back)) == pytest.approx(found)


def test_what_the_judge_cannot_say_is_no_reward() -> None:
    """An invalid verdict is left out: never a tie, never a loss."""
    unreadable = ScriptedEngine(option_mass=0.1)
    assert judge_reward(unreadable)([rollout("a"), rollout("b"), rollout("c")]) == [None, None, None]


def test_rules_take_off_what_is_to_blame() -> None:
    """Nothing is gained by a rule, and no more than 1 lost."""
    lengths = [rollout("", n_tokens=n) for n in (0, 10, 15, 20, 90)]
    assert length_reward(lengths, most_tokens=10) == [0.0, 0.0, -0.5, -1.0, -1.0]
    loop = "Keep the lamps lit. " * 12
    plain, half = "First clean the chain, then count the links.", "one two three four one two three four"
    assert repetition_reward([rollout(loop), rollout(plain)]) == [-1.0, 0.0]
    assert repetition_reward([rollout(half)]) == [pytest.approx(-1 / 5)]
    preachy = "You are valid, valued and cared for. Remember that your feelings are valid and you deserve support."
    assert boilerplate_reward([rollout(preachy), rollout(plain)]) == [-1.0, 0.0]


def failing(*texts: str, error: type[EngineError] = EngineError) -> ScriptedEngine:
    """Make a judge that prefers the longer option and fails on these."""

    def answer(request: ChoiceRequest) -> tuple[float, float]:
        asked = request.messages[-1].content if request.messages else ""
        if any(text in asked.split("\n(A) ")[1] for text in texts):
            raise error("status 400: this text is refused")
        return longer(request)

    return ScriptedEngine(preference=answer)


def test_a_call_that_fails_says_nothing_of_its_answers() -> None:
    """One text that a judge's server refuses at every try leaves the meetings of others; it is counted by reason."""
    reward = judge_reward(failing("poison"), n_meetings=1)
    found = reward([rollout("a"), rollout("bbbb"), rollout("poison"), rollout("ccccccc")])
    assert [one is None for one in found] == [False, False, True, False]
    failures = reward.comparison.failures
    assert (failures.reasons, failures.n_asked) == ({"status 400: this text is refused": 2}, 4)


def test_a_judge_that_fails_too_often_ends_the_training() -> None:
    """All of a draw, or more than a few and a tenth of all; with the reason, and that nothing is lost."""
    with pytest.raises(TooManyFailures, match=r"the judge failed in 3 of 3 comparisons.*status 400.*last checkpoint"):
        judge_reward(failing("a"), n_meetings=1)([rollout("a"), rollout("aa"), rollout("aaa")])
    reward = judge_reward(failing("poison"), n_meetings=1)
    groups = [rollout(text, make_prompt(f"Question {n}?", "red_team")) for n in range(60) for text in ("x", f"y{n}")]
    reward(groups)
    for _ in range(6):  # a tenth may fail, now that so many were told
        reward([rollout("x"), rollout("poison")])
    with pytest.raises(TooManyFailures, match="failed in 7 of 67 comparisons"):
        reward([rollout("x"), rollout("poison")])


def test_a_judge_that_cannot_be_asked_at_all_is_no_failed_call() -> None:
    """It would be the same with every answer: said at once, whatever may fail."""
    with pytest.raises(CapabilityError):
        judge_reward(failing("b", error=CapabilityError), n_meetings=1)([rollout("a"), rollout("b"), rollout("c")])
