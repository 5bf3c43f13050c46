"""Bradley-Terry and Elo: held to fits of their own, swapped, separated, and simulated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from charter.evaluation.head_to_head.games import Game, joined_to, make_table
from charter.evaluation.head_to_head.ratings import bradley_terry, elo, rate

NAMES = ("a", "b", "c", "d")


def _played(
    strengths: Sequence[float], n_prompts: int, seed: int, *, ties: float = 0.0, shared: float = 0.0
) -> list[Game]:
    """Play a round robin on every prompt; ``shared`` is the spread of what a prompt does to each model, in points."""
    rng = np.random.default_rng(seed)
    games = []
    for number in range(n_prompts):
        own = np.asarray(strengths) + shared * rng.standard_normal(len(strengths))
        for one in range(len(strengths)):
            for other in range(one):
                p = 1 / (1 + 10 ** ((own[other] - own[one]) / 400))
                win = 0.5 if rng.random() < ties else float(rng.random() < p)
                games.append(Game(NAMES[one], NAMES[other], win, int(rng.integers(-50, 50)), f"p{number}"))
    return games


def _minorised(points: np.ndarray, n_steps: int = 20_000) -> np.ndarray:
    """Fit Bradley-Terry by the older iteration (Zermelo 1929): wins over expected games."""
    strengths = np.ones(len(points))
    games = points + points.T
    for _ in range(n_steps):
        strengths = points.sum(axis=1) / (games / (strengths[:, None] + strengths[None, :])).sum(axis=1)
        strengths /= math.exp(float(np.log(strengths).mean()))
    return 400 * np.log10(strengths)


@pytest.mark.parametrize("prior", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_bradley_terry_is_the_fit_of_another_iteration(seed: int, prior: float) -> None:
    """On random games with ties the ratings are those that Zermelo's iteration finds."""
    points = make_table(NAMES, _played([0, 80, -60, 200], 40, seed, ties=0.2)).points()
    met = points + points.T > 0
    expected = _minorised(points + met * prior / 2)
    assert bradley_terry(points, met, prior_ties=prior) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_elo_is_a_plain_loop(seed: int) -> None:
    """Each game moves both by 32 times what was not expected, ties being half a win."""
    games = _played([0, 80, -60, 200], 15, seed, ties=0.3)
    order = np.random.default_rng(seed).permutation(len(games))
    expected = dict.fromkeys(NAMES, 1000.0)
    for number in order:
        game = games[number]
        moved = 32 * (game.win - 1 / (1 + 10 ** ((expected[game.base] - expected[game.model]) / 400)))
        expected[game.model] += moved
        expected[game.base] -= moved
    assert elo(make_table(NAMES, games), order) == pytest.approx(list(expected.values()))


def test_who_plays_no_game_keeps_what_all_begin_with() -> None:
    """A model that a resample leaves without games has 1000, not nothing."""
    table = make_table(NAMES[:3], [Game("a", "b", 1.0, 0, "p0"), Game("b", "c", 1.0, 0, "p1")])
    after = 16 + 32 * (1 - 1 / (1 + 10 ** (-32 / 400)))
    assert elo(table, np.array([0, 0])) == pytest.approx([1000 + after, 1000 - after, 1000])


def test_a_tie_is_half_a_win_to_both() -> None:
    """Ties alone leave both where they are, and one win of one side is as good as two ties and a win more."""
    only_ties = [Game("a", "b", 0.5, 0, f"p{number}") for number in range(6)]
    assert [one.bradley_terry.value for one in rate(only_ties, "ab", anchor="a")] == pytest.approx([0, 0], abs=1e-6)
    as_ties = make_table("ab", [*only_ties[:2], Game("b", "a", 1.0, 0, "p")]).points()
    as_halves = make_table("ab", [Game("a", "b", win, 0, "p") for win in (0.0, 1.0, 0.0)]).points()
    assert as_ties.tolist() == as_halves.tolist() == [[0.0, 1.0], [2.0, 0.0]]


@pytest.mark.parametrize("n", [5, 50])
def test_who_always_wins_has_a_finite_rating_that_grows(n: int) -> None:
    """One tie more than was played makes odds of (n + 1/2) to 1/2; resamples that are all alike bound nothing."""
    base, winner = rate([Game("b", "a", 1.0, 0, f"p{number}") for number in range(n)], "ab", anchor="a", n_resamples=50)
    assert winner.bradley_terry.value == pytest.approx(400 * math.log10((n + 0.5) / 0.5), abs=1e-4)
    assert (winner.bradley_terry.low, winner.bradley_terry.n) == (None, n)
    assert (base.bradley_terry.value, base.elo.value) == (0.0, 0.0)
    assert winner.elo.value > 0


def test_swapping_two_models_negates_the_difference() -> None:
    """What b is above a, a is below b, with the interval turned around; so too where games are seen from the other."""
    games = _played([0, 70], 30, 5, ties=0.1)
    above = rate(games, "ab", anchor="a", n_resamples=200)[1]
    below = rate([game.seen_from(game.base) for game in games], "ab", anchor="b", n_resamples=200)[0]
    for one, other in ((above.bradley_terry, below.bradley_terry), (above.elo, below.elo)):
        assert one.low is not None
        assert one.high is not None
        assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low), abs=1e-4)


def test_who_met_nobody_that_the_anchor_met_has_no_rating() -> None:
    """Two pairs without a game between them share no scale."""
    games = [Game("b", "a", 1.0, 0, "p0"), Game("b", "a", 0.0, 0, "p1"), Game("d", "c", 1.0, 0, "p0")]
    assert joined_to("a", games) == {"a", "b"}
    assert [one.name for one in rate(games, NAMES, anchor="a", n_resamples=20)] == ["a", "b"]
    assert rate([], NAMES, anchor="a") == ()


def test_prompts_of_one_group_are_drawn_together() -> None:
    """The same games in a third of the groups have wider intervals."""
    games = _played([0, 60], 60, 7)
    joined = [
        Game(one.model, one.base, one.win, 0, f"g{place // 3}")
        for place, one in enumerate(sorted(games, key=lambda one: one.win))
    ]
    apart, together = (rate(some, "ab", anchor="a", n_resamples=300)[1].bradley_terry for some in (games, joined))
    assert apart.value == pytest.approx(together.value)
    assert together.reach > 1.3 * apart.reach
    assert (apart.n_groups, together.n_groups) == (None, 20)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Over many simulations 95 % intervals hold the true difference nearly always, though prompts favour models.

    What a prompt does to the models flattens the odds; the truth is what very many prompts come to.
    """
    strengths = [0, 60, 140]
    truth = [
        one.bradley_terry.value
        for one in rate(_played(strengths, 5_000, 99, shared=150), NAMES[:3], anchor="a", n_resamples=1)
    ]
    n, held = 60, 0
    for seed in range(n):
        found = rate(_played(strengths, 50, seed, shared=150), NAMES[:3], anchor="a", n_resamples=120, seed=seed)
        for one, true in zip(found[1:], truth[1:], strict=True):
            low, high = one.bradley_terry.low, one.bradley_terry.high
            assert low is not None
            assert high is not None
            held += low <= true <= high
    assert 0.9 <= held / (2 * n) <= 0.99
