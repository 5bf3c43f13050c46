from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.authoring.coverage import (
    LENGTHS,
    REGISTERS,
    SETTINGS,
    Axes,
    Subject,
    cover,
    grid_lines,
    plan_briefs,
    read_axes,
)
from charter.errors import PromptError
from charter.records import make_prompt

AXES = Axes(("home", "work", "school"), ("casual", "formal"), ("short", "long"), ("en", "ro"))
SUBJECTS = (Subject("privacy", ("data",)), Subject("truth", ("honesty", "science")))


def spread(values: Iterable[str], every: Iterable[str]) -> int:
    """Say how much more often the most frequent value occurs than the rarest."""
    counts = Counter(values)
    numbers = [counts[one] for one in every]
    return max(numbers) - min(numbers)


def test_the_default_lists_are_real_and_distinct() -> None:
    """There are twenty settings and more, none twice."""
    assert len(SETTINGS) >= 20
    for values in (SETTINGS, REGISTERS, LENGTHS):
        assert len(set(values)) == len(values)


@given(
    st.integers(1, 6), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 30), st.integers(0, 99)
)
def test_any_part_of_a_plan_is_even(  # noqa: PLR0917 - drawn in this order
    n_subjects: int, n_settings: int, n_registers: int, n_categories: int, n: int, seed: int
) -> None:
    """At every prefix subjects, registers, lengths and languages differ by one at most, and so do a subject's cells."""
    axes = Axes(
        tuple(f"s{k}" for k in range(n_settings)), tuple(f"r{k}" for k in range(n_registers)), LENGTHS, ("en", "ro")
    )
    subjects = [Subject(f"p{k}", tuple(f"c{c}" for c in range(n_categories))) for k in range(n_subjects)]
    plan = plan_briefs(subjects, axes, n=n, per_call=2, seed=seed)
    for end in range(1, len(plan) + 1):
        part = plan[:end]
        assert spread((one.principle for one in part), (one.principle for one in subjects)) <= 1
        assert spread((one.tone for one in part), axes.registers) <= 1
        assert spread((one.length for one in part), axes.lengths) <= 1
        assert spread((one.language for one in part), axes.languages) <= 1
    for subject in subjects:
        own = [one.cell for one in plan if one.principle == subject.principle]
        cells = [(subject.principle, category, setting) for category in subject.categories for setting in axes.settings]
        assert max(Counter(own).values()) - min(Counter(own)[cell] for cell in cells) <= 1


def test_settings_are_even_over_all_subjects() -> None:
    """Eighteen subjects with two calls each see every one of 26 settings once or twice."""
    plan = plan_briefs([Subject(f"p{k}", ("c",)) for k in range(18)], Axes(), n=10, per_call=5)
    counts = Counter(one.setting for one in plan)
    assert set(counts) == set(SETTINGS)
    assert max(counts.values()) <= 2


def test_holes_are_filled_first() -> None:
    """Cells that given prompts leave empty come before those that they fill."""
    given_prompts = [
        make_prompt(f"{setting} {k}", "red_team", principle="privacy", category="data", setting=setting)
        for setting in ("home", "school")
        for k in range(3)
    ]
    plan = plan_briefs(SUBJECTS[:1], AXES, n=2, per_call=2, existing=given_prompts)
    assert [one.setting for one in plan] == ["work"]


def test_a_longer_plan_begins_as_a_shorter_one() -> None:
    """Asking for more goes on from what was done, but for calls that asked for less than a whole one."""
    short = plan_briefs(SUBJECTS, AXES, n=6, per_call=2, seed=3)
    longer = plan_briefs(SUBJECTS, AXES, n=11, per_call=2, seed=3)
    assert longer[: len(short)] == short
    assert [one.n for one in longer[-2:]] == [1, 1]
    assert sum(one.n for one in longer) == 22


def test_a_plan_depends_on_its_seed_alone() -> None:
    """The same seed gives the same plan and ids, another seed another."""
    first, again, other = (plan_briefs(SUBJECTS, Axes(), n=5, per_call=1, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len({one.id for one in first}) == len(first)


def test_no_prompts_are_no_plan() -> None:
    """At least one must be asked for."""
    with pytest.raises(ValueError, match="at least one"):
        plan_briefs(SUBJECTS, AXES, n=0)


def test_a_grid_counts_prompts_and_shows_holes() -> None:
    """A prompt is in a cell where principle, category and setting are the cell's; others are counted apart."""
    prompts = [
        make_prompt("a", "red_team", principle="truth", category="science", setting="work"),
        make_prompt("b", "red_team", principle="truth", category="science", setting="work"),
        make_prompt("c", "red_team", principle="truth", category="science", setting="the moon"),
        make_prompt("d", "red_team"),
    ]
    grid = cover(prompts, SUBJECTS, AXES.settings)
    assert len(grid.cells) == 9
    assert len(grid.holes) == 8
    assert grid.n_elsewhere == 2
    assert list(grid_lines(grid)) == [
        ("principle", "category", "1", "2", "3"),
        ("privacy", "data", ".", ".", "."),
        ("truth", "honesty", ".", ".", "."),
        ("truth", "science", ".", "2", "."),
    ]
    assert grid.to_json()["counts"] == [{"cell": ["truth", "science", "work"], "n": 2}]


def test_a_file_gives_its_own_settings(tmp_path: Path) -> None:
    """What a file does not name stays as it was."""
    path = tmp_path / "axes.yaml"
    path.write_text("settings: [a market, a ferry]\nlanguages: [af]\n", "utf-8")
    axes = read_axes(path)
    assert axes.settings == ("a market", "a ferry")
    assert axes.languages == ("af",)
    assert axes.registers == REGISTERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected lists"),
        ("settings: home", ":1: 'settings' is 'home'; expected a list of texts"),
        ("settings: []", ":1: 'settings' is \\[\\]"),
        ("languages: [en]\nseting: [home]", ":2: unknown key 'seting'.*settings"),
        ("settings: [home, work, home]", ":1: 'settings' names 'home' twice"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The file, the line and what was expected are named."""
    path = tmp_path / "axes.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(PromptError, match=message):
        read_axes(path)
