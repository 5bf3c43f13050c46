"""The table of models by constitutions, and each principle behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folder import build

from charter.evaluation.adherence import ProbedModel, Probes, measure_probes
from charter.files.tables import write_json, write_table
from charter.records import Figures, Pair, Probed, make_prompt
from charter.reporting.adherence_section import adherence
from charter.reporting.reading import RunData, read_run
from method_examples import CONSTITUTION


def _probed(model: str, number: int, margin: float) -> Probed:
    principle = CONSTITUTION.ids[number % len(CONSTITUTION.ids)]
    return Probed(
        id=f"{model}-{number}",
        prompt=make_prompt(f"</td> {number}", "red_team", principle=principle),
        probe=f"probe-{number}",
        constitution="small",
        model=model,
        keeping="kept",
        departing="departed",
        loss_keeping=1.0,
        loss_departing=1.0 + margin,
    )


@pytest.fixture
def probed(tmp_path: Path) -> RunData:
    """A run whose base keeps to a third of the probes, its last model to all, and a further model to none."""
    folder = build(tmp_path / "run")
    margins = {"base": [0.5, -0.5, -0.5], "dpo": [0.5, 0.25, 0.75], "elsewhere": [-1.0, -1.0, -1.0]}
    rows = {model: [_probed(model, number, of[number % 3]) for number in range(12)] for model, of in margins.items()}
    write_table(folder / "data" / "probes.parquet", [row for each in rows.values() for row in each], Probed)
    found = measure_probes(
        Probes(CONSTITUTION, _pairs()),
        {model: ProbedModel({"small": tuple(each)}, {}) for model, each in rows.items()},
        base="base",
    )
    figures = Figures(models=("base", "dpo"), measurements=tuple(found))
    write_json(folder / "evaluation.json", figures.model_dump(mode="json"))
    return read_run(folder)


def _pairs() -> tuple[Pair, ...]:
    prompt = make_prompt("?", "red_team", principle="kind")
    return (Pair(id="probe-0", prompt=prompt, a="kept", b="departed", source="given", intended="a"),)


def test_models_stand_against_constitutions(probed: RunData) -> None:
    """A row a model, a column a constitution; below each figure what changed against the base."""
    page = str(adherence(probed))
    assert page.count("<tr>") >= 3
    for text in (">dpo<", ">elsewhere<", "100.0", "33.3", "+66.7"):
        assert text in page


def test_each_principle_has_its_probes(probed: RunData) -> None:
    """Behind the table each principle says in how many probes each model keeps to it, and by what margin."""
    page = str(adherence(probed))
    assert "Each principle of small" in page
    for principle in CONSTITUTION.ids:
        assert f"<code>{principle}</code>" in page
    assert page.count("4 of 4") == 1 + 3, "the base on its first principle, the last model on all three"
    assert page.count("0 of 4") == 2 + 3


def test_nothing_is_said_where_nothing_was_probed(tmp_path: Path) -> None:
    """A run without probes has no such section."""
    assert adherence(read_run(build(tmp_path / "run"))) is None
