"""A constitution that has no principle for what a run uses it for is refused before the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.planning.preflight import check_recipe
from run_examples import small_recipe

JUDGES = "name: mine\nprinciples:\n  - {id: kind, category: manner, uses: [judge], text: The assistant is kind.}\n"


def errors(tmp_path: Path, text: str, key: str, *overrides: str) -> list[tuple[str, str]]:
    """Check a recipe with a constitution of one's own under a key."""
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    report = check_recipe(small_recipe(tmp_path, f"{key}={path}", *overrides), tmp_path / "run")
    return [(one.about, one.message) for one in report.findings if one.severity == "error"]


@pytest.mark.parametrize("key", ["constitution", "constitution.helpful"])
def test_principles_to_judge_by_are_always_needed(tmp_path: Path, key: str) -> None:
    """Labels and head to heads draw one."""
    found = errors(tmp_path, JUDGES.replace("judge", "revise"), key)
    about = "constitution.helpful" if key.endswith("helpful") else "constitution"
    assert found == [
        (about, 'none of its principles is used to judge; add "judge" to the uses of those that are to be')
    ]


def test_principles_to_revise_by_are_needed_where_the_run_revises(tmp_path: Path) -> None:
    """The constitution for helpfulness revises nothing."""
    (error,) = errors(tmp_path, JUDGES, "constitution")
    assert "none of its principles is used to revise" in error[1]
    assert errors(tmp_path, JUDGES, "constitution.helpful") == []
