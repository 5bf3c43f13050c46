from __future__ import annotations

import json
from pathlib import Path

import filelock
import pytest

from charter.errors import RunError
from charter.journal.records import FORGOTTEN, Outcome
from charter.journal.store import Journal
from charter.recipe import Recipe
from charter.recipe.stages import STAGE_NAMES
from charter.runs.tally import Tally
from charter.status import read_run_recipe, read_status, read_summaries
from run_examples import SMALL_STAGES, small_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose first two stages are done."""
    return small_run(tmp_path, ["prompts", "revise"])


def states(run: Path) -> dict[str, str]:
    """Read each stage's state."""
    return {stage.stage: stage.state for stage in read_status(run).stages}


def test_done_and_waiting_stages(run: Path) -> None:
    """What has a summary is done, with its counts; what has no rows waits."""
    found = read_status(run)
    assert [stage.stage for stage in found.stages] == list(SMALL_STAGES)
    assert states(run) == {name: "done" if name in {"prompts", "revise"} else "waiting" for name in SMALL_STAGES}
    assert found.stages[1].n_done == 6
    assert found.stages[1].seconds is not None
    assert found.holder == ""
    assert "'sft'" in found.next_step
    json.dumps(found.to_dict())


def test_interrupted_stage_counts_its_journal(run: Path) -> None:
    """A stage that was stopped shows what its journal holds, parts of it together, with reasons."""
    with Journal(run / "journal.sqlite") as journal:
        journal.record("sft/helpful", "a", Outcome("done", "{}"))
        journal.record("sft/benign_twin", "b", Outcome("done", "{}"))
        journal.record("sft/benign_twin", "c", Outcome("failed", "no answer"))
        journal.record("sft/benign_twin", "d", Outcome("filtered", "empty"))
        journal.record("sft/benign_twin", "e", Outcome("failed", FORGOTTEN))
    stage = read_status(run).stages[2]
    assert (stage.state, stage.n_done, stage.failed, stage.filtered) == (
        "interrupted",
        2,
        {"no answer": 1},
        {"empty": 1},
    )


def test_a_stage_that_ended_without_some_of_its_rows(tmp_path: Path) -> None:
    """Its state says so, the next stage goes on all the same, and in the end the failed rows are what is left."""
    run = small_run(tmp_path, SMALL_STAGES)
    path = run / "stages/revise.json"
    for name in SMALL_STAGES[2:]:
        (run / f"stages/{name}.json").rename(run / f"{name}.json")
    summary = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(summary | {"failed": {"no answer": 2}}), "utf-8")
    found = read_status(run)
    assert (found.stages[1].state, found.stages[1].failed) == ("done with failures", {"no answer": 2})
    assert "go on with 'sft'" in found.next_step
    for name in SMALL_STAGES[2:]:
        (run / f"{name}.json").rename(run / f"stages/{name}.json")
    assert read_status(run).next_step.startswith("try the 2 failed rows again: charter run ")
    path.write_text(json.dumps(summary), "utf-8")
    assert read_status(run).next_step == f"read {run / 'report.html'}"


def test_a_stage_that_was_stopped_before_its_first_row(run: Path) -> None:
    """It is interrupted, for it was begun; one that was undone waits, though what it took is kept."""
    with Journal(run / "journal.sqlite") as journal:
        journal.keep_tally("sft", Tally(seconds=120.0).to_json())
    assert states(run)["sft"] == "interrupted"
    with Journal(run / "journal.sqlite") as journal:
        journal.keep_tally("sft", Tally(seconds=120.0, is_undone=True).to_json())
    assert states(run)["sft"] == "waiting"


def test_what_a_stage_took_elsewhere_is_part_of_its_money(run: Path) -> None:
    """Before the stage is done it is read from the journal: what actors told of it, or shards took, besides its own."""
    with Journal(run / "journal.sqlite") as journal:
        journal.keep_tally("sft", Tally(money={"judge": 0.5}).to_json())
        journal.keep_taken("sft", {"one": Tally(money={"judge": 0.25}).to_json(), "two": Tally().to_json()})
        journal.keep_taken("sft", {"two": Tally(money={"judge": 2.0}).to_json()})
    assert next(stage.money for stage in read_status(run).stages if stage.stage == "sft") == 2.75


def test_a_damaged_stage(run: Path) -> None:
    """A finished stage that lacks what it made is damaged, and what to do about it comes next."""
    (run / "data/traces.parquet").unlink()
    found = read_status(run)
    assert [stage.state for stage in found.stages[:3]] == ["done", "damaged", "waiting"]
    assert found.next_step == (
        "restore it, or do the stage again, which undoes the later ones: "
        f"charter revise {run / 'recipe.resolved.yaml'} --out {run} --again"
    )
    assert found.to_dict()["damage"][0]["problem"] == f"{run / 'data/traces.parquet'}: is missing"


def test_a_run_that_is_held_is_running(run: Path) -> None:
    """While a process holds the folder, its first unfinished stage runs; nothing of it is disturbed."""
    (run / ".holder").write_text("process 12345", "utf-8")
    with filelock.FileLock(run / ".lock"):
        found = read_status(run)
    assert found.holder == "process 12345"
    assert {stage.stage: stage.state for stage in found.stages}["sft"] == "running"
    assert "wait" in found.next_step


def test_a_holder_whose_name_is_not_seen_is_unnamed(run: Path) -> None:
    """The lock tells that somebody is at work, though over a network the name may be seen late."""
    with filelock.FileLock(run / ".lock"):
        assert read_status(run).holder == "another process"


def test_a_killed_process_holds_nothing(run: Path) -> None:
    """A name left behind without its lock is nobody."""
    (run / ".holder").write_text("process 12345", "utf-8")
    assert read_status(run).holder == ""


def test_damaged_records_are_counted(run: Path) -> None:
    """Records whose checksum fails are said to be damaged."""
    import sqlite3

    with Journal(run / "journal.sqlite"):
        pass
    database = sqlite3.connect(run / "journal.sqlite")
    database.execute("UPDATE rows SET payload = 'x' WHERE row IN (SELECT row FROM rows LIMIT 1)")
    database.commit()
    database.close()
    assert read_status(run).n_damaged == 1


def test_recipe_and_summaries_are_read_back(run: Path) -> None:
    """The run's own recipe and the summaries of what is done can be read."""
    assert isinstance(read_run_recipe(run), Recipe)
    assert list(read_summaries(run, STAGE_NAMES)) == ["prompts", "revise"]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """A folder that is not there or holds no run is named."""
    with pytest.raises(RunError, match="no such folder"):
        read_status(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is no run's folder"):
        read_status(tmp_path)
