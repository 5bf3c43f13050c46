"""A whole recipe on the scripted engine: what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.damage import read_figures
from charter.files.tables import read_table
from charter.records import Comparison, MeasuredRow, Pair, Preference, Prompt, Response, SftRow, Trace
from charter.stages import STAGES
from run_examples import small_run, table_bytes

STAGE_NAMES = tuple(name for name in STAGES if name != "report")
PROMPT_COLUMNS = [
    "turns", "kind", "category", "split", "prompt_source", "prompt_id", "twin_of", "reference", "principle", "setting",
    "source_id",
]  # fmt: skip
OWN_COLUMNS: dict[str, tuple[Any, list[str]]] = {
    "prompts": (Prompt, ["id", "prompt"]),
    "traces": (Trace, ["id", "prompt", "sample", "initial", "initial_flags", "rounds", "flags"]),
    "sft": (SftRow, ["id", "prompt", "response", "origin", "whole"]),
    "pairs": (
        Pair,
        ["id", "prompt", "a", "b", "source", "intended", "origin_a", "origin_b", "whole_a", "whole_b"],
    ),
    "preferences": (
        Preference,
        [
            *("id", "prompt", "chosen", "rejected", "p_chosen", "source", "verdicts", "pair", "chosen_side"),
            *("p_judge", "position_bias", "intended", "agrees", "whole_chosen", "whole_rejected", "weight"),
        ],
    ),
    "responses": (Response, ["id", "prompt", "model", "text", "finish", "n_tokens", "label", "flags"]),
    "comparisons": (Comparison, ["id", "prompt", "model", "base", "win", "p_model", "position_bias", "verdicts"]),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that nothing interrupted."""
    return small_run(tmp_path_factory.mktemp("whole"), STAGE_NAMES, "preference_model={}", "rl={}")


def _summary(folder: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stages" / f"{stage}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("name", OWN_COLUMNS)
def test_tables_have_the_promised_columns(finished: Path, name: str) -> None:
    """Each table has its own columns and its prompt's, and rows that read back, every id once."""
    import pyarrow.parquet as pq

    kind, columns = OWN_COLUMNS[name]
    path = finished / "data" / f"{name}.parquet"
    assert pq.read_schema(path).names == ["id", "prompt", *PROMPT_COLUMNS, *columns[2:]]
    rows = read_table(path, kind)
    assert rows
    assert len({row.id for row in rows}) == len(rows)


def test_no_other_table_is_written(finished: Path) -> None:
    """A run's data are these tables, those that it did not ask for, and no more."""
    unasked = {"readings", "probes", "adherence", "rewards", "unlabelled"}
    assert {path.stem for path in (finished / "data").iterdir()} == {*OWN_COLUMNS, *unasked, "measured"}


def test_every_figure_of_rows_has_its_values(finished: Path) -> None:
    """The values behind a figure average to it, for every model."""
    figures = read_figures(finished / "evaluation.json").measurements
    rows = read_table(finished / "data" / "measured.parquet", MeasuredRow)
    of_rows = [one for one in figures if not one.name.endswith(("_kappa", "_ece"))]
    assert {(one.name, one.subset, one.model) for one in of_rows} == {(row.name, row.subset, row.model) for row in rows}
    for one in of_rows:
        own = [row.value for row in rows if (row.name, row.subset, row.model) == (one.name, one.subset, one.model)]
        assert len(own) == one.n
        assert sum(own) / len(own) == pytest.approx(one.value)


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_every_row_of_a_stage_is_accounted_for(finished: Path, stage: str) -> None:
    """What went in came out, was filtered for a reason, or failed for a reason."""
    summary = _summary(finished, stage)
    assert summary["n_in"] == summary["n_done"] + sum(summary["filtered"].values()) + sum(summary["failed"].values())
    assert summary["n_in"] > 0
    assert summary["stage"] == stage
    assert summary["failed"] == {}


def test_calls_are_counted_also_where_a_model_makes_way_for_training(finished: Path) -> None:
    """The answers that are sampled for supervised fine-tuning are in its summary, though the model was closed."""
    assert _summary(finished, "sft")["usage"]["small"]["n_calls"] > 0
    assert _summary(finished, "sft")["training"] == {"skipped": "the policy is scripted: it has no weights to train"}
    assert _summary(finished, "label")["usage"]["small"]["kinds"]["choose"]["n_calls"] > 0


def test_splits_do_not_mix(finished: Path) -> None:
    """Nothing is trained on that is evaluated on, prompts and their twins alike."""
    tables = {name: read_table(finished / "data" / f"{name}.parquet", kind) for name, (kind, _) in OWN_COLUMNS.items()}
    held_out = {prompt.id for prompt in tables["prompts"] if prompt.split == "evaluation"}
    groups = {prompt.twin_of or prompt.id for prompt in tables["prompts"] if prompt.split == "evaluation"}
    for name in ("traces", "sft", "pairs", "preferences"):
        assert {row.prompt.split for row in tables[name]} == {"train"}
        assert not {row.prompt.id for row in tables[name]} & held_out
        assert not {row.prompt.twin_of or row.prompt.id for row in tables[name]} & groups
    assert {row.prompt.id for row in tables["responses"]} == held_out
    counts = {(one.kind, one.split): 0 for one in tables["prompts"]}
    for one in tables["prompts"]:
        counts[one.kind, one.split] += 1
    assert counts["red_team", "evaluation"] == counts["benign_twin", "evaluation"] == 4
    assert counts["red_team", "train"] == counts["benign_twin", "train"] == 6


def test_rows_lead_back_to_where_they_came_from(finished: Path) -> None:
    """A preference names its pair, whose responses it holds; a pair of a trace holds the trace's texts."""
    made = {pair.id: pair for pair in read_table(finished / "data/pairs.parquet", Pair)}
    traces = {trace.prompt.id: trace for trace in read_table(finished / "data/traces.parquet", Trace)}
    for preference in read_table(finished / "data/preferences.parquet", Preference):
        pair = made[preference.pair]
        assert {preference.chosen, preference.rejected} == {pair.a, pair.b}
        assert preference.chosen == (pair.a if preference.chosen_side == "a" else pair.b)
        assert preference.p_chosen >= 0.5
    from_traces = [pair for pair in made.values() if pair.source == "revision_vs_initial"]
    assert from_traces
    for pair in from_traces:
        trace = traces[pair.prompt.id]
        assert {pair.a, pair.b} == {trace.initial, trace.final}


def test_an_evaluation_has_its_models_and_figures(finished: Path) -> None:
    """The evaluation lists the models, base first, and a measurement for each that it measured."""
    evaluation = json.loads((finished / "evaluation.json").read_text("utf-8"))
    assert evaluation["models"] == ["base", "sft", "dpo", "rl"]
    names = {(one["name"], one["model"]) for one in evaluation["measurements"]}
    assert {("harmful_compliance", model) for model in evaluation["models"]} <= names
    assert ("win_rate_harmless", "dpo") in names
    for one in evaluation["measurements"]:
        assert one["low"] is one["high"] is None or one["low"] <= one["value"] <= one["high"]
        assert one["n"] > 0


def test_a_run_is_the_same_every_time(finished: Path, tmp_path: Path) -> None:
    """The same recipe gives the same bytes in another folder; another seed does not."""
    assert table_bytes(small_run(tmp_path / "again", STAGE_NAMES, "preference_model={}", "rl={}")) == table_bytes(
        finished
    )
    assert (
        table_bytes(small_run(tmp_path / "other", ["prompts", "revise"], "seed=1"))["traces.parquet"]
        != table_bytes(finished)["traces.parquet"]
    )
