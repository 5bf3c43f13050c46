"""The figures as the terminal shows them: a headline always, what to read it with, no false interval."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command

from charter.cli.results import write_measurements
from charter.files.tables import write_json
from charter.records import Measurement


def _measurement(model: str, value: float, **fields: object) -> Measurement:
    always = {"name": "reference_loss", "subset": "helpful", "unit": "nats", "better": "lower", "n": 3}
    return Measurement.model_validate({**always, "model": model, "value": value, "low": None, "high": None, **fields})


def test_a_scripted_run_says_first_that_it_measures_nothing(charter: Command) -> None:
    """No loss is headlined of a script, and what takes away from its figures stands above them."""
    done = charter("run", "demo.yaml")
    assert done.code == 0, done.err
    text = " ".join(done.out.split())
    assert "A scripted model answered: no figure here says anything about a model. Read this with care:" in text
    assert "A scripted model took part (models.policy)" in text
    assert "Few rows: 4 red-team prompts" in text
    assert "Helpfulness was lost" not in text


def test_figures_without_an_alarm_have_a_headline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing worse is said too, and a change of three rows has no interval."""
    changed = {"base": "base", "difference": -0.1, "difference_low": None, "difference_high": None, "p_value": 0.25}
    (tmp_path / "recipe.yaml").write_text("name: x\n", "utf-8")
    measurements = [_measurement("base", 2.0), _measurement("dpo", 1.9, **changed)]
    figures_of = {"models": ["base", "dpo"], "measurements": [one.model_dump(mode="json") for one in measurements]}
    write_json(tmp_path / "evaluation.json", figures_of)
    write_measurements(tmp_path)
    headline, *figures = capsys.readouterr().out.strip().splitlines()
    assert headline == "Nothing measured got worse beyond chance."
    assert any("-0.100" in line and "no interval" in line for line in figures)
