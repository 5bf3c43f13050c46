"""The report of a run that was done, not made up: what the stages write is what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_folder import build

from charter.engines.scripted import ScriptedEngine
from charter.feedback.settling import DISAGREES
from charter.files.tables import read_table
from charter.records import Pair, Preference, Reading
from charter.reporting import read_run, wording
from charter.reporting.browsing import gather
from charter.reporting.label_quality import by_source
from charter.stages import STAGES as ALL_STAGES
from report_pages import Page
from run_examples import IF_ASKED, small_run

N_SHARED = 7


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on a scripted engine that says it shared a prefix, with the judge's readings, and pairs dropped."""
    with pytest.MonkeyPatch.context() as patch:
        shared = SimpleNamespace(n_from_cache=N_SHARED)
        patch.setattr(ScriptedEngine, "prefix_statistics", shared, raising=False)
        return small_run(
            tmp_path_factory.mktemp("real"),
            list(ALL_STAGES),
            "evaluate.judge_reading=true",
            "label.on_disagreement=drop",
        )


def summary(folder: Path, stage: str) -> Any:
    """Read a stage's summary."""
    return json.loads((folder / f"stages/{stage}.json").read_text("utf-8"))


def test_what_other_tests_make_up_is_what_a_stage_writes(run: Path, tmp_path: Path) -> None:
    """The made-up folder of the other tests has a real summary's keys, no more and no less."""
    made_up = build(tmp_path / "made-up")
    for stage in (one for one in ALL_STAGES if one not in {*IF_ASKED, "report"}):
        real, other = summary(run, stage), summary(made_up, stage)
        assert set(real) == set(other), stage
        columns = {frozenset(used) for one in (real, other) for used in one["usage"].values()}
        assert len(columns) <= 1, stage


def test_tokens_from_a_shared_prefix_reach_the_report(run: Path) -> None:
    """What the engine counted is in the summary, and in the page's column."""
    used = summary(run, "revise")["usage"]["small"]
    assert used["n_prompt_tokens_from_prefix"] == N_SHARED
    names = ("n_calls", "n_cached", "n_prompt_tokens", "n_prompt_tokens_from_prefix", "n_completion_tokens")
    row = " ".join(["revise", "small", *(wording.count(used[name]) for name in names)])
    assert " ".join(row.split()) in Page((run / "report.html").read_text("utf-8")).text


def test_agreement_counts_what_was_dropped(run: Path) -> None:
    """The report's agreement is the label stage's own: kept pairs agree by construction, dropped ones do not."""
    told = summary(run, "label")
    preferences = read_table(run / "data/preferences.parquet", Preference)
    pairs = {pair.id for pair in read_table(run / "data/pairs.parquet", Pair)}
    data = read_run(run)
    dropped = {one.id for one in data.unlabelled if one.reason == DISAGREES}
    assert pairs >= dropped > set()
    assert told["filtered"][DISAGREES] == len(dropped)
    sources = by_source(data.judged)
    n_agrees = sum(round(one.agreement.value * one.n_intended) for one in sources if one.agreement)
    assert n_agrees == told["counts"]["agrees with the source"]
    assert sum(one.n_intended for one in sources) - n_agrees == told["counts"]["disagrees with the source"]
    assert sum(one.n_undecided for one in sources) == told["counts"]["undecided about the source"]
    assert sum(one.n for one in sources) == len(preferences)
    words = Page((run / "report.html").read_text("utf-8")).text
    assert all(f"{one.n_left_out} left out" in words for one in sources if one.n_left_out)


def test_the_judges_readings_are_shown(run: Path) -> None:
    """They are in the list of data files, and each in its prompt's life."""
    readings = read_table(run / "data/readings.parquet", Reading)
    assert readings
    assert f"and {len(readings)} readings" in Page((run / "report.html").read_text("utf-8")).text
    lives = gather(read_run(run), classify=lambda _prompt, _response: "compliance").chunks[0]["lives"]
    assert {one["id"] for life in lives for one in life["readings"]} == {one.id for one in readings}
    assert all(one.prompt.id == life["id"] for life in lives for one in readings if one.id in str(life["readings"]))
