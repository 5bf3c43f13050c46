from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import CompletionRequest, Engine
from charter.engines.scripted import ScriptedEngine
from charter.engines.specs import ModelSpec
from charter.errors import EngineError
from charter.files.tables import read_table
from charter.records import Comparison, Prompt, Reading, Response
from run_examples import make_engines, small_run

BEFORE = ["prompts", "revise", "sft", "pairs", "label", "dpo"]


def _summary(run: Path) -> Any:
    return json.loads((run / "stages/evaluate.json").read_text("utf-8"))


def test_failed_rows_are_failed_in_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that failed is counted as failed with its reason, and rows in are those done, filtered and failed."""
    run = small_run(tmp_path, BEFORE)
    bad = next(one for one in read_table(run / "data/prompts.parquet", Prompt) if one.split == "evaluation")

    def reply(request: CompletionRequest) -> str:
        if request.messages == bad.turns:
            raise EngineError("the server is away")
        return "An answer of some words."

    make_engines(monkeypatch, lambda spec: ScriptedEngine(reply, script=spec.name))
    small_run(tmp_path, ["evaluate"])
    found = _summary(run)
    assert found["failed"] == {f"respond/{model}: the server is away": 1 for model in ("base", "sft", "dpo")}
    assert found["filtered"] == {}
    assert found["n_in"] == found["n_done"] + 3
    assert len(read_table(run / "data/responses.parquet", Response)) == 3 * 12 - 3


def test_unreadable_comparisons_are_filtered_in_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison without a verdict stays in its table, and is no row done."""
    run = small_run(tmp_path, BEFORE)
    make_engines(monkeypatch, lambda spec: ScriptedEngine(script=spec.name, option_mass=0.1))
    small_run(tmp_path, ["evaluate"])
    found = _summary(run)
    rows = read_table(run / "data/comparisons.parquet", Comparison)
    assert {row.win for row in rows} == {None}
    assert set(found["filtered"]) == {
        f"win_rate_{kind}/{model}: no valid verdict" for kind in ("harmless", "helpful") for model in ("sft", "dpo")
    }
    assert sum(found["filtered"].values()) == len(rows) == found["n_in"] - found["n_done"] == 16
    assert found["failed"] == {}


def test_models_are_loaded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage holds one engine at any time, and loads each model once, and the judge after them."""
    small_run(tmp_path, BEFORE, "evaluate.judge_reading=true")
    there: list[str] = []
    loaded: list[tuple[str, int]] = []

    class Counted(ScriptedEngine):
        """Says when it comes and goes."""

        def close(self) -> None:
            """Go."""
            super().close()
            there.remove(self.identity)

    def load(spec: ModelSpec) -> Engine:
        engine = Counted(script=spec.name)
        there.append(engine.identity)
        loaded.append((spec.name, len(there)))
        return engine

    make_engines(monkeypatch, load)
    small_run(tmp_path, ["evaluate"], "evaluate.judge_reading=true")
    assert loaded == [("small", 1), ("small+sft", 1), ("small+dpo", 1), ("small", 1)]
    assert there == []


def test_the_judge_is_asked_as_the_label_stage_asks_it(tmp_path: Path) -> None:
    """Settings of ``label`` hold for head to head and readings; how many principles are drawn is evaluation's own."""
    overrides = ["label.chains=2", "label.clamp=[0.45, 0.55]", "label.max_chain_tokens=6", "label.k_principles=1"]
    more = ["evaluate.judge_reading=true", "evaluate.k_principles=2"]
    run = small_run(tmp_path, [*BEFORE, "evaluate"], *overrides, *more)
    comparisons = read_table(run / "data/comparisons.parquet", Comparison)
    readings = read_table(run / "data/readings.parquet", Reading)
    assert len(comparisons) == 2 * 8
    assert len(readings) == 3 * 4
    for one in (*comparisons, *readings):
        assert all(len(verdict.chains) == 2 for verdict in one.verdicts)
        assert all(len(chain.split()) <= 6 for verdict in one.verdicts for chain in verdict.chains)
        assert all(abs(verdict.p_a - 0.5) < 0.051 for verdict in one.verdicts if verdict.p_a is not None)
    assert {len(one.verdicts) for one in comparisons} == {4}
    assert {len(one.verdicts) for one in readings} == {2}
    assert _summary(run)["counts"]["measurements"] > 0


def test_readings_are_left_out_by_default(tmp_path: Path) -> None:
    """Without being asked for, the judge reads nothing; the table is there and empty."""
    run = small_run(tmp_path, [*BEFORE, "evaluate"])
    assert read_table(run / "data/readings.parquet", Reading) == []
    figures = json.loads((run / "evaluation.json").read_text("utf-8"))["measurements"]
    assert not any("compliance_" in one["name"] or "judged" in one["name"] for one in figures)
