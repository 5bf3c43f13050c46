"""The table of small changes that tests notice, and that what is to be changed is there."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from benchmarks.mutants import outcome_of, outcomes_in, rows_of, table

from pages import ROOT


def test_a_room_is_a_line_and_all_are_one(tmp_path: Path) -> None:
    """A failing test and a lapsed time notice; what has no test counts, and what was not come to does not."""
    rooms = {
        "statistics/ridge": {"a": 1, "b": 0, "c": 36, "d": None},
        "statistics/families": {"a": 3, "b": 33},
        "training/losses": {},
    }
    for module, codes in rooms.items():
        file = tmp_path / f"src/charter/{module}.py.meta"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"exit_code_by_key": codes}), "utf-8")
    rows = rows_of(outcomes_in(tmp_path))
    assert [row[:5] for row in rows] == [("statistics", "5", "3", "1", "1"), ("all", "5", "3", "1", "1")]
    assert rows[0][5] == "60.0 % (23.1 to 88.2)"
    assert table(rows).splitlines()[0].startswith("| what is changed | mutants | noticed |")


def test_what_a_worker_died_of_is_not_noticed() -> None:
    """A crash of the tool itself is neither."""
    assert outcome_of(-11) == outcome_of(None) == outcome_of(35) == "unclear"


def test_what_is_changed_and_what_is_run_is_there() -> None:
    """Each pattern names a module that there is, and each test is there."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    assert all(list(ROOT.glob(pattern)) for pattern in asked["only_mutate"])
    assert all((ROOT / path).exists() for path in asked["pytest_add_cli_args_test_selection"])
