from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from charter.files.tables import read_table
from charter.journal.store import Journal
from charter.records import SftRow
from run_examples import make_engines, small_run


def test_references_are_trained_on_without_sampling(tmp_path: Path) -> None:
    """Only prompts without a reference are put to the policy, as often as it takes to make up the ratio."""
    rows = [{"prompt": f"Question {n}?", "reference": f"Answer {n}." if n < 7 else None} for n in range(12)]
    source = tmp_path / "helpful.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    prompts = ["prompts.n_evaluation_helpful=1", "prompts.n_train_helpful=11", "sft.twin_ratio=0"]
    helpful = [f"prompts.helpful={source}", "sft.helpful_ratio=1", "revise.rounds=2"]
    run = small_run(tmp_path, ["prompts", "revise", "sft"], *prompts, *helpful)
    mixed = [row for row in read_table(run / "data/sft.parquet", SftRow) if row.prompt.kind == "helpful"]
    origins = Counter(row.origin for row in mixed)
    assert origins["reference"] >= 6
    assert all(row.response == row.prompt.reference for row in mixed if row.origin == "reference")
    with Journal(run / "journal.sqlite") as journal:
        asked = [json.loads(end.payload) for end in journal.outcomes("sft/helpful").values()]
    assert asked
    assert not any(trace["prompt"]["reference"] for trace in asked)
    used = json.loads((run / "stages/sft.json").read_text("utf-8"))["usage"]
    assert sum(one["n_calls"] for one in used.values()) == len(asked)


def test_nothing_to_sample_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every helpful prompt has a reference, the stage opens no engine."""
    rows = [{"prompt": f"Question {n}?", "reference": f"Answer {n}."} for n in range(6)]
    source = tmp_path / "helpful.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    overrides = ["prompts.n_evaluation_helpful=1", f"prompts.helpful={source}", "sft.twin_ratio=0"]
    small_run(tmp_path, ["prompts", "revise"], *overrides)
    make_engines(monkeypatch, lambda spec: pytest.fail(f"an engine was opened: {spec.label}"))
    run = small_run(tmp_path, ["sft"], *overrides)
    origins = Counter(row.origin for row in read_table(run / "data/sft.parquet", SftRow))
    assert origins["reference"] == 5
    assert origins["sampled"] == 0


def test_a_part_of_a_sorted_file_is_drawn_from_many_categories(tmp_path: Path) -> None:
    """A ratio that takes a part of the prompts does not take the head of a file sorted by category."""
    rows = [
        {"prompt": f"Question {n}?", "reference": f"Answer {n}.", "category": f"category {n // 20}"} for n in range(200)
    ]
    source = tmp_path / "helpful.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    prompts = ["prompts.n_evaluation_helpful=0", "prompts.n_train_helpful=null", f"prompts.helpful={source}"]
    run = small_run(tmp_path, ["prompts", "revise", "sft"], *prompts, "sft.helpful_ratio=2", "sft.twin_ratio=0")
    mixed = [row for row in read_table(run / "data/sft.parquet", SftRow) if row.prompt.kind == "helpful"]
    counts = json.loads((run / "stages/sft.json").read_text("utf-8"))["counts"]
    assert counts["mixed in"] == counts["asked for"] == {"helpful": len(mixed), "benign_twin": 0}
    assert 10 <= len(mixed) <= 60
    assert len({row.prompt.category for row in mixed}) >= 6
