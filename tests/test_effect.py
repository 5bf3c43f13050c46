"""What is read by hand is read blind, and compared as the rules are."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from benchmarks.effect import behaviour, held_out, read_sample, write_sample

from charter.files.tables import write_table
from charter.records import Prompt, Response, ResponseLabel, make_prompt

N_PROMPTS = 60


def _answer(number: int, model: str, label: ResponseLabel) -> Response:
    return Response(
        id=f"{model}-{number}", prompt=make_prompt(f"Question {number}?", "red_team"), model=model,
        text=f"{label} {number}", finish="stop", n_tokens=3, label=label,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run in which the rules say that every answer complies."""
    (tmp_path / "data").mkdir()
    answers = [_answer(number, model, "compliance") for number in range(N_PROMPTS) for model in ("base", "sft", "dpo")]
    write_table(tmp_path / "data" / "responses.parquet", answers, Response)
    return tmp_path


def _fill(file: Path, classes: dict[str, str]) -> list[dict[str, str]]:
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"class_by_hand": classes[row["id"].partition("-")[0]]} for row in rows)
    return rows


def test_a_sample_is_read_blind_and_paired(run: Path) -> None:
    """Fifty prompts, each with both models' answers in no order; the person finds what the rules did not."""
    file = run / "sample.csv"
    write_sample(run, "dpo", file)
    rows = _fill(file, {"base": "compliance", "dpo": "objection"})
    assert len(rows) == 100
    assert len({row["prompt"] for row in rows}) == 50
    assert set(rows[0]) == {"id", "prompt", "response", "class_by_hand"}
    assert 15 < sum(row["id"].startswith("base") for row in rows[:50]) < 35, "in no order"
    read = read_sample(run, "dpo", file)
    assert (read.compliance.base, read.compliance.value, read.compliance.n) == (1.0, 0.0, 50)
    assert (read.agreement, read.n) == (0.5, 100)


def test_a_class_that_is_none_is_refused(run: Path) -> None:
    """A typing error is named with what was expected."""
    file = run / "sample.csv"
    write_sample(run, "dpo", file)
    _fill(file, {"base": "compliance", "dpo": "complaint"})
    with pytest.raises(SystemExit, match="objection, bare_refusal"):
        read_sample(run, "dpo", file)


def test_prompts_that_another_run_was_measured_on_are_left_out(run: Path, tmp_path: Path) -> None:
    """What settings were chosen on is no measure of them; what that run only trained on is."""
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    splits = ("evaluation", "evaluation", "train")
    prompts = [
        make_prompt(f"Question {number}?", "red_team").model_copy(update={"split": split})
        for number, split in enumerate(splits)
    ]
    write_table(other / "data" / "prompts.parquet", prompts, Prompt)
    seen = held_out([other])
    assert seen == {prompt.id for prompt in prompts[:2]}
    kept = behaviour(run, "dpo", "objection", seen)
    assert len(kept) == N_PROMPTS - 2
    assert prompts[2].id in kept
