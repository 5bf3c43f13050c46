"""The table of measurements: what stands in a line."""

from __future__ import annotations

import pytest

from charter.cli.evaluating.figure_table import write_figures
from charter.evaluation.measuring import measure


def test_rows_in_groups_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    """N is of rows, and of the groups that they hang together in; rows that each stand for themselves have n alone."""
    values = {"base": {f"r{row}": float(row % 2) for row in range(1200)}}
    groups = {f"r{row}": f"g{row // 3}" for row in range(1200)}
    found = [*measure("refusal", values, subset="all", groups=groups), *measure("refusal", values, subset="all")]
    write_figures([one.model_dump(mode="json") for one in found])
    header, grouped, alone = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "n"
    assert grouped.endswith("  1,200 in 400")
    assert alone.endswith("   1,200")
