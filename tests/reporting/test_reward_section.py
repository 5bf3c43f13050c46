"""The report's section on a preference model: each figure as the stage wrote it, and a reason where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_folder import build, edit_json

from charter.cli.results import rewards_line
from charter.files.tables import write_json
from charter.records import RewardedPair, make_prompt
from charter.reporting import read_run
from charter.reporting.page import render
from charter.reporting.reward_section import read_figures, reward_calibration, rewards
from charter.training.reward_quality import measure_rewards
from report_pages import Page


def pair(number: int) -> RewardedPair:
    """Make a pair that the model gets right two times of three, more often where the longer side is likelier."""
    return RewardedPair(
        id=f"preference-{number}",
        prompt=make_prompt(f"Question {number}?", "red_team" if number % 4 else "helpful"),
        chosen="Yes.",
        rejected="No.",
        p_chosen=0.9,
        source="people" if number % 4 == 0 else "on_policy",
        group=f"group-{number // 2}",
        held_out=True,
        reward_chosen=1.0 if number % 3 else -0.5,
        reward_rejected=0.25,
        n_tokens_chosen=20 + number % 5,
        n_tokens_rejected=22,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder whose recipe asks for a preference model, with the stage's summary."""
    run = build(tmp_path / "run")
    resolved = (run / "recipe.resolved.yaml").read_text("utf-8")
    (run / "recipe.resolved.yaml").write_text(resolved + "preference_model: {}\n", "utf-8")
    steps = [
        {"step": step, "loss": 0.7 - step / 10, "reward_chosen": step / 5, "reward_rejected": -step / 5}
        for step in (1, 2)
    ]
    write_json(run / "stages/preference_model.json", summary([pair(number) for number in range(24)], steps))
    return run


def summary(rows: list[RewardedPair], steps: list[dict[str, float]]) -> dict[str, Any]:
    """Write a summary as the stage does."""
    found = measure_rewards(rows)
    always = {"n_in": 30, "n_done": 6, "filtered": {"held out": 24}, "failed": {}, "seconds": 2.0, "counts": {}}
    training = {"n_rows": 6, "n_tokens": 600, "n_loss_tokens": 300, "seconds": 1.0, "steps": steps, "rejected": []}
    told = {"held_out": found.to_json() if found else None, "trained_on": None, "unscored": {}, "training": training}
    return {"stage": "preference_model", **always, "usage": {}, "failed_rows": [], **told}


def test_the_section_has_every_figure(folder: Path) -> None:
    """Accuracy of all, by length, source and kind; calibration; the pull of length; each with its interval."""
    data = read_run(folder)
    figures = read_figures(data, "held_out")
    assert figures is not None
    assert figures.accuracy is not None
    text = Page(str(rewards(data))).text
    assert f"{100 * figures.accuracy.value:.1f} %" in text
    for words in ("on_policy", "people", "red_team", "helpful", "shorter side", "longer side", "in 12 groups"):
        assert words in text
    for number in (figures.ece, figures.brier.value):
        assert f"{number:.3f}" in text
    assert "not measured" in text  # of what was trained on
    chart = reward_calibration(data)
    assert chart is not None
    assert chart.svg
    assert f"error {figures.ece:.3f}" in chart.caption
    page = Page(render(data)).text
    assert "Preference model training" in page
    assert "reward" in page


def test_a_line_of_it_is_printed(folder: Path) -> None:
    """The command says the held-out figures too, and nothing where there are none."""
    figures = read_figures(read_run(folder), "held_out")
    assert figures is not None
    assert figures.accuracy is not None
    line = rewards_line(folder)
    assert line.startswith(f"preference model on 24 held-out pairs: accuracy {100 * figures.accuracy.value:.1f} %")
    assert f"calibration error {figures.ece:.3f}" in line
    edit_json(folder / "stages/preference_model.json", held_out=None)
    assert rewards_line(folder) == ""


def test_why_there_are_no_figures_is_said(folder: Path) -> None:
    """No pair was held out, nothing was trained, figures are damaged, or the stage has not finished: no crash."""
    path = folder / "stages/preference_model.json"
    edit_json(path, held_out={"n": "many"})
    assert "No pair was held out." in Page(str(rewards(read_run(folder)))).text
    edit_json(path, held_out=None)
    assert "No pair was held out." in Page(str(rewards(read_run(folder)))).text
    edit_json(path, training={"skipped": "the policy is scripted"})
    assert "the policy is scripted." in Page(str(rewards(read_run(folder)))).text
    path.unlink()
    data = read_run(folder)
    assert "has not finished" in Page(str(rewards(data))).text
    chart = reward_calibration(data)
    assert chart is not None
    assert not chart.svg
    assert data.unfinished_stages == ("preference_model",)


def test_a_recipe_without_one_has_no_section(folder: Path) -> None:
    """Nor a figure, nor a word of what is missing."""
    (folder / "stages/preference_model.json").unlink()
    resolved = (folder / "recipe.resolved.yaml").read_text("utf-8")
    (folder / "recipe.resolved.yaml").write_text(resolved.replace("preference_model: {}\n", ""), "utf-8")
    data = read_run(folder)
    assert rewards(data) is None
    assert reward_calibration(data) is None
    assert data.unfinished_stages == data.left_out_stages == data.absent == ()
