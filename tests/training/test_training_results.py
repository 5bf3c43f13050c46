"""What is told of a training, as JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from charter.files.tables import write_json
from charter.training.data import RejectedRow
from charter.training.results import TrainingResult


def make_result(folder: Path, loss: float) -> TrainingResult:
    """Make the result of one step."""
    return TrainingResult(
        folder=folder,
        n_rows=1,
        n_steps=1,
        n_tokens=20,
        n_loss_tokens=10,
        seconds=0.5,
        steps=({"step": 1, "loss": loss, "grad_norm": math.inf},),
        rejected=(RejectedRow("row-1", "empty", "no text"),),
        notes=("went on from checkpoint-1",),
    )


def test_a_result_reads_back(tmp_path: Path) -> None:
    """All but the folder is in the JSON, and the folder is given when it is read."""
    result = make_result(tmp_path, 0.7)
    write_json(tmp_path / "x.json", result.to_json())
    assert str(tmp_path) not in (tmp_path / "x.json").read_text()
    read = TrainingResult.from_json(json.loads((tmp_path / "x.json").read_text()), tmp_path)
    assert (read.folder, read.rejected, read.notes) == (result.folder, result.rejected, result.notes)
    assert (read.losses, read.tokens_per_second) == ((0.7,), 40.0)


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    """A training that diverged has a summary too: null stands for what JSON has no number for."""
    result = make_result(tmp_path, math.nan)
    write_json(tmp_path / "x.json", result.to_json())
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["steps"] == [{"step": 1, "loss": None, "grad_norm": None}]
    assert math.isnan(TrainingResult.from_json(written, tmp_path).losses[0])


def test_a_figure_that_nobody_could_tell_is_told(tmp_path: Path) -> None:
    """TRL writes None where no rollout of a step was scored; a guard's look may hold what is no number."""
    steps: Any = ({"step": 1, "loss": 0.5, "rewards/judge/mean": None}, {"step": 2, "loss": 0.4, "reward": math.nan})
    result = replace(make_result(tmp_path, 0.7), steps=steps, looks=({"step": 2, "kl": math.inf, "reward": 0.5},))
    write_json(tmp_path / "x.json", result.to_json())
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["steps"][0] == {"step": 1, "loss": 0.5, "rewards/judge/mean": None}
    assert written["steps"][1]["reward"] is None
    assert written["looks"] == [{"step": 2, "kl": None, "reward": 0.5}]
    read = TrainingResult.from_json(written, tmp_path)
    assert math.isnan(read.steps[0]["rewards/judge/mean"])
    assert math.isnan(read.looks[0]["kl"])
