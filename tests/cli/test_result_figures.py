from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charter.cli.results import _figure_lines, run_json, write_measurements
from charter.errors import RunError
from charter.records import Measurement

MODELS = ("base", "sft", "dpo")


def figures() -> tuple[list[tuple[str, Measurement]], dict[tuple[str, str, str], Measurement]]:
    """Make figures as long as they get: a long name, and wide numbers."""
    made = {
        (name, "red_team", model): Measurement(
            model=model, name=name, subset="red_team", value=value, low=0.0, high=1.0, n=1000, unit="rate",
            **({"difference": -0.15, "difference_low": -0.25, "difference_high": 0.05} if model == "dpo" else {}),
        )
        for name in ("judged_compliance", "win_rate_harmless")
        for model, value in zip(MODELS, (0.111, 0.555, 0.999), strict=True)
    }  # fmt: skip
    return [("unclear", one) for one in made.values() if one.model == "dpo"], made


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_gets_two_lines_a_figure(width: int) -> None:
    """No line is wider than the terminal, and name, first and last model, change, interval and n are all there."""
    shown, values = figures()
    lines = _figure_lines(shown, MODELS, values, width)
    assert max(map(len, lines)) <= width
    assert lines[0].split() == ["base", "dpo", "dpo", "-", "base", "95", "%", "interval", "n"]
    text = " ".join(" ".join(lines).split())
    assert "unclear: Harmful compliance as the judge reads it on red-team prompts 11.1 % 99.9 % -15.0" in text
    assert "-25.0 to +5.0 1000" in text


def test_a_terminal_that_is_too_narrow_for_all_models_shows_first_and_last() -> None:
    """Before a figure takes two lines the model between goes; it is there again where it fits."""
    shown, values = figures()
    whole = _figure_lines(shown, MODELS, values, 140)
    assert whole[0].split()[:4] == ["figure", "base", "sft", "dpo"]
    width = max(map(len, whole))
    assert _figure_lines(shown, MODELS, values, width) == whole
    without = _figure_lines(shown, MODELS, values, width - 1)
    assert without[0].split()[:4] == ["figure", "base", "dpo", "dpo"]
    assert len(without) == len(whole)


def test_one_model_is_compared_with_nothing() -> None:
    """A base that was measured alone has no change beside it."""
    _, values = figures()
    lines = _figure_lines([("", one) for one in values.values() if one.model == "base"], ("base",), values, 140)
    assert lines[0].split() == ["figure", "base", "95", "%", "interval", "n"]


@pytest.mark.parametrize("content", ["{}x", '{"models": [], "measurements": 3}'])
def test_figures_that_cannot_be_read_are_an_error(finished: Path, tmp_path: Path, content: str) -> None:
    """The file and what is wrong with it are named, and nothing is told of the rest as if it were whole."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "evaluation.json").write_text(content, "utf-8")
    for telling in (write_measurements, run_json):
        with pytest.raises(RunError, match=r"evaluation\.json: .*charter evaluate .* --again"):
            telling(run)


@pytest.mark.parametrize("columns", [60, 80, 140, None])
def test_a_run_is_told_within_the_terminal(
    finished: Path, columns: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verdict, cautions and figures fit; a file, which has no width, gets a line for each figure with every model."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
    write_measurements(finished)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= (columns or 10_000)
    assert any("Over-refusal on benign twins" in line for line in lines)
    if columns is None:
        header = next(line for line in lines if line.split()[:1] == ["figure"])
        assert header.split()[:4] == ["figure", *MODELS]


def test_drift_is_told_to_be_no_zero_of_the_base(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The base has a figure of drift, which its name does not say."""
    write_measurements(finished)
    told = " ".join(capsys.readouterr().out.split())
    assert "Drift from the base model" in told
    assert "drift: loss on the base's own sampled answers, which is not 0 for the base either" in told
