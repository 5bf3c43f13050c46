from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from charter.engines.usage import Usage
from charter.journal.store import Journal
from charter.recipe.stages import stages_of
from charter.runs.tally import Tally
from charter.sharding.merging import merge_shards
from charter.sharding.opening import do_shard
from charter.sharding.shard import Shard
from charter.stages import STAGES
from charter.status import read_status
from run_examples import journal_rows, small_recipe, small_run, summaries, table_bytes
from sharding.sharded_run import OUTSIDE, do_shards, do_whole, first_merged, sharded_run, usage


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that was done in one piece."""
    return small_run(tmp_path_factory.mktemp("plain"), list(STAGES))


def completions(run: Path) -> list[Any]:
    """Read every answer that a run has."""
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as database:
        return database.execute("SELECT * FROM completions ORDER BY key").fetchall()


@pytest.mark.parametrize("n", [1, 3, pytest.param(8, marks=pytest.mark.thorough)])
def test_shards_come_to_the_plain_run(tmp_path: Path, plain: Path, n: int) -> None:
    """However many shards: tables, rows, answers, counts and figures are those of the run in one piece."""
    run = sharded_run(tmp_path, n)
    assert table_bytes(run) == table_bytes(plain)
    assert journal_rows(run) == journal_rows(plain)
    assert completions(run) == completions(plain)
    assert summaries(run) == summaries(plain)
    assert (run / "evaluation.json").read_bytes() == (plain / "evaluation.json").read_bytes()
    assert {path.name for path in run.iterdir()} == {path.name for path in plain.iterdir()} | {"shards"}
    assert all(one.is_done for one in read_status(run).stages)
    assert not list(run.rglob("*.partial"))


def test_iterations_in_shards_come_to_the_plain_run(tmp_path: Path) -> None:
    """Shards do the rows of every iteration, each once the training before it is done."""
    twice = "iterations=2"
    plain = small_run(tmp_path / "plain", stages_of(small_recipe(tmp_path / "plain", twice)), twice)
    run = sharded_run(tmp_path / "shards", 2, twice)
    assert table_bytes(run) == table_bytes(plain)
    assert journal_rows(run) == journal_rows(plain)
    assert summaries(run) == summaries(plain)


def test_what_shards_took_adds_up(tmp_path: Path, plain: Path) -> None:
    """Calls and tokens of the merged run are those of the plain one, and its time is all shards' together."""
    run = sharded_run(tmp_path, 3)
    for stage in ("revise", "sft", "pairs", "label", "evaluate"):
        assert usage(run, stage) == usage(plain, stage), stage
        seconds = json.loads((run / f"stages/{stage}.json").read_text("utf-8"))["seconds"]
        with Journal(run / "journal.sqlite") as journal:
            taken = [Tally.from_json(one) for one in journal.taken_tallies(stage).values()]
        assert len(taken) == (0 if stage == "sft" else 3)
        assert seconds >= sum(one.seconds for one in taken)
        assert sum((used for one in taken for used in one.usage.values()), Usage()).total.n_calls == (
            0 if stage == "sft" else sum(model["n_calls"] for model in usage(run, stage).values())
        )


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("a model was loaded")


def test_a_merge_asks_and_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every phase is merged from records alone, with engines that cannot even be made."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    for following in ("sft", "dpo", ""):
        do_shards(recipe, run, 3)
        with monkeypatch.context() as patch:
            patch.setattr(ScriptedEngine, "__init__", _refuse)
            assert merge_shards(run).n_shards == 3
        if following:
            do_whole(recipe, run, following)
    assert (run / "report.html").exists()


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    """The second merge finds nothing to do, and leaves every byte of the run as it was."""
    _, run, merged = first_merged(tmp_path)
    assert (merged.n_shards, merged.n_rows) == (3, 6)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.suffix != ".sqlite"}
    rows, answers = journal_rows(run), completions(run)
    assert merge_shards(run).stages == ()
    assert {path: path.read_bytes() for path in before} == before
    assert (journal_rows(run), completions(run)) == (rows, answers)


def test_a_shard_that_is_done_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that is run again finds its rows recorded, before the merge and after it."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_shards(recipe, run, 2)
    monkeypatch.setattr(ScriptedEngine, "__init__", _refuse)
    assert do_shard(recipe, run, Shard(2, 1), OUTSIDE) == ["revise"]
    merge_shards(run)
    assert do_shard(recipe, run, Shard(2, 1), OUTSIDE) == []


def test_the_next_phase_may_have_another_number_of_shards(tmp_path: Path, plain: Path) -> None:
    """Three shards revise and two label; answers that the run has are not asked again."""
    recipe, run, _ = first_merged(tmp_path, 3)
    do_whole(recipe, run, "sft")
    do_shards(recipe, run, 2)
    assert merge_shards(run).n_shards == 2
    names = ("traces.parquet", "sft.parquet", "pairs.parquet", "preferences.parquet")
    assert {name: table_bytes(run)[name] for name in names} == {name: table_bytes(plain)[name] for name in names}


def test_a_stage_that_the_run_has_begun_is_taken_over(tmp_path: Path, plain: Path) -> None:
    """Answers that the run has from before it was divided are not asked again by its shards."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_whole(recipe, run, "prompts", "revise")
    (run / "stages/revise.json").unlink()
    do_shards(recipe, run, 3)
    for shard in ("1-of-3", "2-of-3", "3-of-3"):
        used = usage(run / "shards" / shard, "revise")
        assert all(one["n_calls"] == 0 for one in used.values())
    merge_shards(run)
    assert table_bytes(run)["traces.parquet"] == table_bytes(plain)["traces.parquet"]


def test_until_ends_a_shard_early(tmp_path: Path) -> None:
    """A shard does no more than is asked for, and the merge takes what all have."""
    recipe, run, _ = first_merged(tmp_path, 2)
    do_whole(recipe, run, "sft")
    for number in (1, 2):
        assert do_shard(recipe, run, Shard(2, number), OUTSIDE, until="pairs") == ["pairs"]
    assert merge_shards(run).stages == ("pairs",)
    do_shards(recipe, run, 2)
    assert merge_shards(run).stages == ("label",)
