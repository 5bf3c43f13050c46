"""What training did is said of prompts that no tuning saw; what is read by hand is read blind."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from benchmarks.effect import N_READ_BY_HAND, behaviour, held_out, main, read_sample, write_sample

from charter.files.tables import read_table, write_table
from charter.records import Prompt, Response, ResponseLabel, make_prompt
from charter.stages import STAGES
from run_examples import small_run

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
    complied = read.values["compliance"]
    assert set(complied["base"].values()) == {1.0}
    assert set(complied["dpo"].values()) == {0.0}
    assert len(complied["base"]) == 50
    assert complied["base"].keys() == complied["dpo"].keys()
    assert (read.agreement, read.n) == (0.5, 100)


def test_a_class_that_is_none_is_refused(run: Path) -> None:
    """A typing error is named with what was expected."""
    file = run / "sample.csv"
    write_sample(run, "dpo", file)
    _fill(file, {"base": "compliance", "dpo": "complaint"})
    with pytest.raises(SystemExit, match="objection, bare_refusal"):
        read_sample(run, "dpo", file)


def test_a_reading_is_held_to_the_run_it_is_of(run: Path) -> None:
    """A row of another run's answers, a row twice, rows that are gone: none of them goes into a figure unseen."""
    file = run / "sample.csv"
    write_sample(run, "dpo", file)
    _fill(file, {"base": "compliance", "dpo": "objection"})
    text = file.read_text("utf-8")
    lines = text.splitlines()
    for wrong, said in (
        (text.replace(",compliance 7,", ",another 7,"), r"sample\.csv:\d+: is no answer of"),
        ("\n".join([*lines, lines[1]]), r"sample\.csv:102: the id .* was there before"),
        ("\n".join(lines[:-1]), "not every prompt has its two answers"),
        (text.replace("class_by_hand", "class"), r"sample\.csv:2: class_by_hand is ''"),
    ):
        file.write_text(wrong, "utf-8")
        with pytest.raises(SystemExit, match=said):
            read_sample(run, "dpo", file)
    file.write_text(text.replace(",", ";"), "utf-8-sig")  # as a spreadsheet may save it
    assert read_sample(run, "dpo", file).n == 100
    seen = {one.prompt.id for one in read_table(run / "data/responses.parquet", Response) if one.text == "compliance 7"}
    with pytest.raises(SystemExit, match="is no answer of"):
        read_sample(run, "dpo", file, seen)


def test_what_was_read_is_not_written_over(run: Path) -> None:
    """A sample does not replace a file, which may hold an afternoon's reading."""
    (run / "sample.csv").write_text("mine")
    with pytest.raises(SystemExit, match=r"sample\.csv: cannot be written anew .*name another file"):
        write_sample(run, "dpo", run / "sample.csv")
    assert (run / "sample.csv").read_text() == "mine"


def test_runs_of_other_recipes_are_refused(tmp_path: Path) -> None:
    """Seeds are averaged, not settings; and no run counts twice."""
    one = small_run(tmp_path / "one", ["prompts"])
    other = small_run(tmp_path / "other", ["prompts"], "dpo.beta=0.5", "seed=9")
    with pytest.raises(SystemExit, match=r"its recipe is not that of .* \(dpo\): only seeds may differ"):
        main([str(one), str(other)])
    with pytest.raises(SystemExit, match="name each run once"):
        main([str(one), str(one)])


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
    assert list(seen) == [prompt.id for prompt in prompts[:2]]
    kept = behaviour(run, "dpo", "objection", seen)
    assert len(kept) == N_PROMPTS - 2
    assert prompts[2].id in kept
    write_sample(run, "dpo", run / "sample.csv", seen)
    drawn = {row["prompt"] for row in _fill(run / "sample.csv", {"base": "compliance", "dpo": "compliance"})}
    assert len(drawn) == N_READ_BY_HAND
    assert not drawn & {prompt.text for prompt in prompts[:2]}


def _figures(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    main([str(one) for one in arguments])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_the_figures_are_of_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behaviour is measured on unseen prompts, the reference loss on all; how many were left out is said."""
    run = small_run(tmp_path, [name for name in STAGES if name != "report"])
    prompts = [prompt for prompt in read_table(run / "data/prompts.parquet", Prompt) if prompt.split == "evaluation"]
    n_of = Counter(prompt.kind for prompt in prompts)
    seen = [prompt for prompt in prompts if prompt.kind == "red_team"][:1]
    (tmp_path / "other" / "data").mkdir(parents=True)
    write_table(tmp_path / "other/data/prompts.parquet", seen, Prompt)
    found = _figures(capsys, run, "--unseen-by", tmp_path / "other")
    assert found["n_prompts_left_out"] == 1
    n_measured = {name: figures[-1] for name, figures in found["effects"]["dpo"].items()}
    assert n_measured["objection"] == n_of["red_team"] - 1
    assert n_measured["over-refusal"] == n_of["benign_twin"]
    assert n_measured["reference loss"] == n_of["helpful"]
    assert n_measured["boilerplate"] == n_measured["repetition"] == len(prompts) - 1
    everything = _figures(capsys, run)
    assert everything["n_prompts_left_out"] == 0
    measured = json.loads((run / "evaluation.json").read_text("utf-8"))["measurements"]
    for name in ("boilerplate", "repetition"):
        (same,) = [one for one in measured if (one["name"], one["model"], one["subset"]) == (name, "dpo", "all")]
        assert everything["effects"]["dpo"][name][1] == pytest.approx(same["value"])


def test_nothing_left_to_measure_is_said(tmp_path: Path) -> None:
    """Where the other runs held out the same prompts, nothing is measured, and the count is named."""
    run = small_run(tmp_path, ["prompts"])
    n = len(held_out([run]))
    with pytest.raises(SystemExit, match=f"leaves out {n} of {n} prompts, and with them all of kind benign_twin, red_"):
        main([str(run), "--unseen-by", str(run)])
