from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import filelock
import pytest

from charter.engines.base import Completion, CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import Busy, EngineError, JournalError, RunError, TooManyFailures
from charter.files.tables import read_json, read_table, write_json
from charter.journal import reading
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.pipeline import forget, run_stages
from charter.recipe import Recipe
from charter.records import Prompt, Trace
from charter.runs.folder import open_run
from charter.sharding.merging import merge_shards
from charter.sharding.opening import do_shard
from charter.sharding.overview import read_shards
from charter.sharding.papers import read_papers, write_papers
from charter.sharding.shard import Shard, shard_of
from charter.status import read_status
from journal.journal_damage import hide
from run_examples import RECIPE, journal_rows, small_recipe, small_run, table_bytes
from sharding.sharded_run import OUTSIDE, do_shards, do_whole, first_merged, shards


@pytest.fixture
def divided(tmp_path: Path) -> tuple[Recipe, Path]:
    """Give a run whose three shards have revised and are not merged."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_shards(recipe, run, 3)
    return recipe, run


def refusal(run: Path, folders: Sequence[Path] = ()) -> str:
    """Say why a merge is refused; nothing of the run may be done by it."""
    done = sorted(path.name for path in (run / "stages").iterdir())
    with pytest.raises(RunError) as caught:
        merge_shards(run, folders)
    assert sorted(path.name for path in (run / "stages").iterdir()) == done
    return str(caught.value)


def change(journal: Path, statement: str) -> None:
    """Change a journal behind its back."""
    with sqlite3.connect(journal) as database:
        assert database.execute(statement).rowcount > 0
    database.close()


def test_a_missing_shard_is_named_with_its_command(divided: tuple[Recipe, Path]) -> None:
    """Every shard that is missing is named, and how it is run; once it is there the merge goes through."""
    recipe, run = divided
    shutil.rmtree(run / "shards/2-of-3")
    told = refusal(run)
    assert "not all of 3 shards are finished" in told
    assert re.search(r"shard 2/3 is missing: charter run .*recipe\.resolved\.yaml --out .*run --shard 2/3$", told)
    do_shard(recipe, run, Shard(3, 2), OUTSIDE)
    assert merge_shards(run).stages == ("revise",)


def test_a_shard_that_is_not_finished_is_named(divided: tuple[Recipe, Path]) -> None:
    """A shard that was stopped in a stage which others have done is not passed over."""
    _, run = divided
    (run / "shards/3-of-3/stages/revise.json").unlink()
    assert "3-of-3) has not finished revise: charter run" in refusal(run)


def test_rows_that_no_shard_has_are_named_with_their_shard(divided: tuple[Recipe, Path]) -> None:
    """A gap is found row by row; what was taken in is kept, and the shard that is run again fills it."""
    recipe, run = divided
    journal = run / "shards/1-of-3/journal.sqlite"
    with Journal(journal) as opened:
        row = min(opened.outcomes("revise"))
    change(journal, "UPDATE rows SET payload = 'damaged' WHERE row = (SELECT min(row) FROM rows)")
    told = refusal(run)
    assert f"of 6 rows of 'revise' 1 are recorded nowhere:\n  shard 1/3: {row}\n" in told
    assert "--shard 1/3" in told
    assert do_shard(recipe, run, Shard(3, 1), OUTSIDE) == ["revise"]
    assert merge_shards(run).stages == ("revise",)


def test_a_row_with_an_end_that_nobody_knows_is_missing(divided: tuple[Recipe, Path]) -> None:
    """A row that ended in another way than rows end is named, and not passed over uncounted."""
    recipe, run = divided
    journal = run / "shards/2-of-3/journal.sqlite"
    with Journal(journal) as opened:
        row, end = min(opened.outcomes("revise").items())
        opened.record("revise", row, dataclasses.replace(end, status="skipped"))  # type: ignore[arg-type]
    assert f"of 6 rows of 'revise' 1 are recorded nowhere:\n  shard 2/3: {row}\n" in refusal(run)
    do_shard(recipe, run, Shard(3, 2), OUTSIDE)
    merge_shards(run)
    assert json.loads((run / "stages/revise.json").read_text("utf-8"))["n_in"] == 6


def test_shards_of_another_recipe_or_other_inputs_are_refused(divided: tuple[Recipe, Path], tmp_path: Path) -> None:
    """A shard that was done by other settings, or with another model, is none of this run's."""
    _, run = divided
    other = small_recipe(tmp_path / "other", "revise.rounds=1")
    do_shard(other, tmp_path / "other/run", Shard(3, 2), OUTSIDE)
    shutil.rmtree(run / "shards/2-of-3")
    told = refusal(run, [tmp_path / "other/run/shards/2-of-3"])
    foreign = tmp_path / "other/run/shards/2-of-3"
    assert told == (
        f"{foreign}: shard 2/3 was done by another recipe than {run} has; where they differ:\n"
        "  revise.rounds: was 1, is 2\nLeave it out, or name the run that it belongs to"
    )
    with pytest.raises(RunError, match="belongs to another recipe"):
        do_shard(other, run, Shard(3, 2), OUTSIDE)


def test_a_shard_with_other_inputs_is_refused(divided: tuple[Recipe, Path]) -> None:
    """A shard whose inputs had other contents is named, with what differed."""
    recipe, run = divided
    path = run / "shards/2-of-3/inputs.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"model judge": "another"}), "utf-8")
    assert "2-of-3: shard 2/3 was done with other inputs than" in refusal(run)
    with pytest.raises(RunError, match="model judge"):
        do_shard(recipe, run, Shard(3, 2), OUTSIDE)


def test_two_divisions_overlap(divided: tuple[Recipe, Path], tmp_path: Path) -> None:
    """3 shards and 2 shards of the same rows are not merged together, wherever they were done."""
    _, run = divided
    elsewhere = small_recipe(tmp_path / "elsewhere")
    do_shard(elsewhere, tmp_path / "elsewhere/run", Shard(2, 1), OUTSIDE)
    shutil.move(tmp_path / "elsewhere/run/shards/1-of-2", run / "shards/1-of-2")
    told = refusal(run)
    assert "are shards 1/2 and 1/3: what both divisions did overlaps" in told
    shutil.rmtree(run / "shards/1-of-2")
    assert merge_shards(run).n_shards == 3


def test_a_second_division_is_not_begun(divided: tuple[Recipe, Path]) -> None:
    """Shards whose rows wait for a merge are named to whoever would do those again; once they are gone it begins."""
    recipe, run = divided
    with pytest.raises(RunError) as caught:
        do_shard(recipe, run, Shard(2, 1), OUTSIDE)
    told = str(caught.value)
    assert "that shard 1/2 would do again: 1/3, 2/3, 3/3. Go on with --shard K/3, and merge: charter merge " in told
    assert told.endswith(f"To divide it anew, remove {run}/shards/*-of-3")
    assert not (run / "shards/1-of-2").exists()
    for shard in shards(3):
        shutil.rmtree(shard.folder(run))
    assert do_shard(recipe, run, Shard(2, 1), OUTSIDE) == ["revise"]


def test_what_overlaps_is_named_by_what_comes_next(divided: tuple[Recipe, Path], tmp_path: Path) -> None:
    """Where two divisions did the same rows, the one with less done is to be removed and the other merged."""
    _, run = divided
    elsewhere = small_recipe(tmp_path / "elsewhere")
    do_shard(elsewhere, tmp_path / "elsewhere/run", Shard(2, 1), OUTSIDE)
    shutil.move(tmp_path / "elsewhere/run/shards/1-of-2", run / "shards/1-of-2")
    told = "shards 1/2 to 2/2 and 1/3 to 3/3 overlap, and only one division can be merged: remove "
    assert read_status(run).next_step == f"{told}{run}/shards/*-of-2, then charter merge {run}"
    shutil.rmtree(run / "shards/2-of-3")
    assert read_status(run).next_step == f"{told}{run}/shards/*-of-3, and look again"
    (run / "shards/1-of-2/.holder").write_text("process 7", "utf-8")
    with filelock.FileLock(run / "shards/1-of-2/.lock"):
        assert read_status(run).next_step.startswith("wait for the shards at work, 1/2: shards 1/2 to 2/2 and 1/3 to")


def test_rows_of_shards_are_not_done_again_by_the_run(divided: tuple[Recipe, Path]) -> None:
    """A plain run names what waits for a merge, also of a shard that was stopped, and goes on from what is merged."""
    recipe, run = divided
    shutil.rmtree(run / "shards/1-of-3")
    (run / "shards/2-of-3/stages/revise.json").unlink()
    with pytest.raises(RunError) as caught:
        do_whole(recipe, run, "revise", "sft")
    assert str(caught.value) == (
        f"{run}: shards did rows of 'revise' that are not merged, and would be done again: 2/3, 3/3. "
        f"Merge them: charter merge {run}. To do without them, remove {run}/shards"
    )
    do_whole(recipe, run, "prompts")
    do_shards(recipe, run, 3)
    merge_shards(run)
    do_whole(recipe, run, "revise", "sft", "pairs")


def test_rows_of_finished_shards_are_not_looked_at_before_the_merge(divided: tuple[Recipe, Path]) -> None:
    """What a finished shard did is known without its rows: damage to their pages is met by the merge alone."""
    recipe, run = divided
    damaged = run / "shards/2-of-3/journal.sqlite"
    with contextlib.closing(sqlite3.connect(damaged)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rows'").fetchone()
    data = bytearray(damaged.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    damaged.write_bytes(data)
    assert [(one.shard, one.state) for one in read_shards(run)] == [(f"{one}/3", "done") for one in (1, 2, 3)]
    assert do_shard(recipe, run, Shard(3, 1), OUTSIDE) == ["revise"]
    with pytest.raises(RunError, match="would do again: 1/3, 2/3, 3/3"):
        do_shard(recipe, run, Shard(2, 1), OUTSIDE)
    with pytest.raises(JournalError, match=r"2-of-3/journal\.sqlite: the journal cannot be read"):
        merge_shards(run)


def test_rows_of_unfinished_shards_are_counted_and_not_read(
    divided: tuple[Recipe, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many rows a stopped shard has, and of which stages, is told though its results are too long to be read."""
    recipe, run = divided
    (run / "shards/2-of-3/stages/revise.json").unlink()
    journal = run / "shards/2-of-3/journal.sqlite"
    with Journal(journal) as opened:
        n_rows = len(opened.outcomes("revise"))
    change(journal, "UPDATE rows SET payload = hex(zeroblob(500000))")
    monkeypatch.setattr(reading, "_MOST_BYTES", 900_000)
    assert [(one.state, one.n_rows) for one in read_shards(run)] == [("done", 0), ("interrupted", n_rows), ("done", 0)]
    with pytest.raises(RunError, match=r"rows of 'revise' that are not merged, .* again: 1/3, 2/3, 3/3\. "):
        do_whole(recipe, run, "revise")


def test_rows_that_an_index_hides_are_not_done_again(divided: tuple[Recipe, Path]) -> None:
    """A stopped shard whose index has lost all rows is named by whoever would do them, and counted."""
    recipe, run = divided
    shard = run / "shards/2-of-3"
    (shard / "stages/revise.json").unlink()
    with Journal(shard / "journal.sqlite") as journal:
        n_rows = len(journal.outcomes("revise"))
    hide(shard / "journal.sqlite", n_rows)
    assert read_shards(run)[1].n_rows == n_rows > 0
    with pytest.raises(RunError, match=r"rows of 'revise' that are not merged, .* again: 1/3, 2/3, 3/3\. "):
        do_whole(recipe, run, "revise")


def test_what_was_merged_and_undone_is_done_by_the_run(tmp_path: Path) -> None:
    """Shards that were merged are in nobody's way, nor are those that rest on a model that is trained anew since."""
    recipe, run, _ = first_merged(tmp_path, 2)
    with open_run(recipe, run, recipe_text=RECIPE) as opened:
        forget(opened, "revise")
    do_whole(recipe, run, "revise", "sft")
    do_shards(recipe, run, 2)
    with pytest.raises(RunError, match=r"rows of 'pairs' that are not merged.*: 1/2, 2/2"):
        do_whole(recipe, run, "pairs")
    do_whole_again(recipe, run, "sft")
    summary = run / "stages/sft.json"  # no two trainings take the same time, but for those of a scripted model
    write_json(summary, read_json(summary) | {"seconds": 9.0})
    do_whole(recipe, run, "pairs")


def test_one_shard_that_is_there_twice(divided: tuple[Recipe, Path], tmp_path: Path) -> None:
    """Two folders of one shard are not merged, and neither are rows that two shards did."""
    _, run = divided
    copy = shutil.copytree(run / "shards/1-of-3", tmp_path / "copy")
    own = run / "shards/1-of-3"
    assert refusal(run, [copy]) == (
        f"{own} and {copy} are both shard 1/3, of this recipe and these inputs; the run's own is {own}: "
        f"leave out {copy}, or remove the run's own to take the other"
    )
    shutil.copytree(own, tmp_path / "again")
    shutil.move(own, tmp_path / "away")
    assert refusal(run, [copy, tmp_path / "again"]).endswith("of this recipe and these inputs; keep one of them")
    shutil.move(tmp_path / "away", own)
    inputs = copy / "inputs.json"
    kept = inputs.read_text("utf-8")
    inputs.write_text(json.dumps(json.loads(kept) | {"model judge": "another"}), "utf-8")
    assert f"{copy}: shard 1/3 was done with other inputs than" in refusal(run, [copy])
    inputs.write_text(kept, "utf-8")
    shutil.rmtree(run / "shards/2-of-3")
    write_papers(copy, read_papers(copy).model_copy(update={"number": 2}))
    assert re.search(r"both did row .* of 'revise'; remove one of them", refusal(run, [copy]))


def test_shards_that_were_done_elsewhere(tmp_path: Path) -> None:
    """Machines that share no disk begin the run each for themselves; their shards' folders are copied back."""
    recipes = {number: small_recipe(tmp_path / str(number)) for number in range(1, 4)}
    for number, recipe in recipes.items():
        do_shard(recipe, tmp_path / f"{number}/run", Shard(3, number), OUTSIDE)
    run = tmp_path / "1/run"
    fetched = [
        shutil.copytree(tmp_path / f"{one}/run/shards/{one}-of-3", tmp_path / f"fetched {one}") for one in (2, 3)
    ]
    assert merge_shards(run, fetched).n_shards == 3
    plain = small_run(tmp_path / "plain", ["prompts", "revise"])
    assert table_bytes(run) == table_bytes(plain)


def test_what_is_no_shard_is_named(divided: tuple[Recipe, Path], tmp_path: Path) -> None:
    """A mistyped folder of a shard, and of a run, is told."""
    _, run = divided
    assert "is no shard's folder" in refusal(run, [tmp_path])
    with pytest.raises(RunError, match="is no run's folder"):
        merge_shards(tmp_path / "nowhere")
    (run / "shards/1-of-3/shard.json").write_text("{}", "utf-8")
    assert "shard.json: is damaged" in refusal(run)


@pytest.mark.parametrize(
    "said",
    [{"of": 3_000_000}, {"of": 0}, {"number": 0}, {"number": -1}, {"number": 4}, {"brought": {"nothing": {}}}, []],
)
def test_papers_of_no_possible_shard_are_damaged(divided: tuple[Recipe, Path], said: object) -> None:
    """A shard's folder may come from elsewhere: what it says of itself is looked at before it is believed."""
    _, run = divided
    path = run / "shards/1-of-3/shard.json"
    papers = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(papers | said if isinstance(said, dict) else said), "utf-8")
    assert "shard.json: is damaged; remove" in refusal(run)
    with pytest.raises(RunError, match=r"shard\.json: is damaged"):
        read_shards(run)


def test_inputs_that_are_none_are_damaged(divided: tuple[Recipe, Path]) -> None:
    """Fingerprints that are no mapping are told, of a shard and of the run."""
    _, run = divided
    for folder in (run / "shards/1-of-3", run):
        (folder / "inputs.json").write_text("[1]", "utf-8")
        assert refusal(run).startswith(f"{folder}/inputs.json: is damaged: it holds no fingerprints")


def test_a_model_that_was_trained_anew_makes_shards_stale(tmp_path: Path) -> None:
    """Shards that rest on what the run has no more are refused, and do their rows anew when they are run again."""
    recipe, run, _ = first_merged(tmp_path)
    do_whole(recipe, run, "sft")
    do_shards(recipe, run, 3)
    table = run / "data/sft.parquet"
    table.unlink()
    shutil.copyfile(run / "data/prompts.parquet", table)  # what the stage wrote is not what it was
    told = refusal(run)
    assert "1-of-3: rests on another data/sft.parquet than" in told
    do_whole_again(recipe, run, "sft")
    assert merge_shards(run).stages == ("pairs", "label")


def do_whole_again(recipe: Recipe, run: Path, name: str) -> None:
    """Undo a stage of the run and do it again."""
    with open_run(recipe, run, recipe_text=RECIPE) as opened:
        run_stages(opened, [name], again=name, retry=False)


def test_a_shard_undoes_what_rests_on_what_is_no_more(tmp_path: Path) -> None:
    """Where the run lost a stage or did it otherwise, the shard's later rows are done again: it forgets no answer."""
    recipe, run, _ = first_merged(tmp_path, 2)
    do_whole(recipe, run, "sft")
    do_shards(recipe, run, 2)
    shard = run / "shards/1-of-2"
    papers = read_papers(shard)
    write_papers(
        shard, papers.model_copy(update={"brought": papers.brought | {"sft": {"data/sft.parquet": "another"}}})
    )
    (shard / "stages/sft.json").unlink()
    assert do_shard(recipe, run, Shard(2, 1), OUTSIDE) == ["pairs", "label"]
    assert read_papers(shard).brought["sft"] == read_papers(run / "shards/2-of-2").brought["sft"]
    with open_run(recipe, run, recipe_text=RECIPE) as opened:
        forget(opened, "sft")
    assert merge_shards(run).stages == ()  # what comes next is none of the shards'
    do_whole(recipe, run, "sft")
    assert merge_shards(run).stages == ("pairs", "label")  # it came to the same: what rests on it stands


def fails_for(monkeypatch: pytest.MonkeyPatch, words: Sequence[str]) -> None:
    """Let the scripted engine fail on requests that contain any of these words."""
    complete = ScriptedEngine.complete

    async def answer(self: ScriptedEngine, request: CompletionRequest) -> Completion:
        said = "".join(turn.content for turn in request.messages or ()) + (request.text or "")
        if any(word in said for word in words):
            raise EngineError("no answer")
        return await complete(self, request)

    monkeypatch.setattr(ScriptedEngine, "complete", answer)


def first_red_team(recipe: Recipe, run: Path) -> Prompt:
    """Choose a run's prompts, and give the first that is revised."""
    do_whole(recipe, run, "prompts")
    prompts = read_table(run / "data/prompts.parquet", Prompt)
    return next(one for one in prompts if (one.kind, one.split) == ("red_team", "train"))


def test_failed_rows_stay_failed_and_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that failed in its shard is failed in the merged run, as in a plain one; a plain run tries it again."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    red = first_red_team(recipe, run)
    with monkeypatch.context() as patch:
        fails_for(patch, [red.text])
        do_shards(recipe, run, 3)
        merge_shards(run)
        plain = small_run(tmp_path / "plain", ["prompts", "revise"])
    assert journal_rows(run) == journal_rows(plain)
    assert table_bytes(run) == table_bytes(plain)
    summary = json.loads((run / "stages/revise.json").read_text("utf-8"))
    assert (summary["n_done"], summary["failed"], len(summary["failed_rows"])) == (5, {"no answer": 1}, 1)
    with open_run(recipe, run, recipe_text=RECIPE) as opened:
        run_stages(opened, ["revise"])
    assert json.loads((run / "stages/revise.json").read_text("utf-8"))["n_done"] == 6


def test_a_shard_that_waited_for_a_merge_leaves_what_was_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be done is found out after the waiting: a row that failed in the merged stage is not tried in it."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        fails_for(patch, [first_red_team(recipe, run).text])
        do_shards(recipe, run, 2)
    lock = filelock.FileLock(run / ".lock", thread_local=False)
    merged = []

    def merge(_: str) -> None:
        lock.release()
        merged.append(merge_shards(run).stages)

    lock.acquire()
    for shard in shards(2):
        assert do_shard(recipe, run, shard, dataclasses.replace(OUTSIDE, on_wait=merge)) == []
    assert merged == [("revise",)]
    for shard in shards(2):
        with Journal(shard.folder(run) / "journal.sqlite") as journal, Journal(run / "journal.sqlite") as whole:
            ends = journal.outcomes("revise")
            assert ends == {row: end for row, end in whole.outcomes("revise").items() if row in ends}


def test_a_row_of_a_merged_stage_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge takes rows of the stages that it finishes: what a shard holds of earlier ones is the run's own by now."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        fails_for(patch, [first_red_team(recipe, run).text])
        do_shards(recipe, run, 2)
    merge_shards(run)
    do_whole(recipe, run, "sft")
    do_shards(recipe, run, 2)
    for shard in shards(2):
        with Journal(shard.folder(run) / "journal.sqlite") as journal:
            failed = [row for row, end in journal.outcomes("revise").items() if end.status == "failed"]
            for row in failed:
                journal.record("revise", row, Outcome("done", "{}"))
    assert merge_shards(run).stages == ("pairs", "label")
    summary = json.loads((run / "stages/revise.json").read_text("utf-8"))
    with Journal(run / "journal.sqlite") as journal:
        ends = journal.outcomes("revise")
    assert [f"revise: {row}" for row, end in ends.items() if end.status == "failed"] == summary["failed_rows"]
    assert len(summary["failed_rows"]) == 1


def test_failures_are_held_to_the_limit_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of all shards may not fail, though those of one may; once the cause is mended the shards go on."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        fails_for(patch, [""])
        do_shards(recipe, run, 6)
        with pytest.raises(TooManyFailures, match=r"6 of 6 rows failed, more than may.*run the shards again"):
            merge_shards(run)
    do_shards(recipe, run, 6)
    assert merge_shards(run).stages == ("revise",)
    assert table_bytes(run) == table_bytes(small_run(tmp_path / "plain", ["prompts", "revise"]))


def test_nobody_opens_a_run_while_a_shard_is_at_work(divided: tuple[Recipe, Path]) -> None:
    """Neither a merge nor a plain run begins under a shard's feet."""
    recipe, run = divided
    (run / "shards/2-of-3/.holder").write_text("process 7", "utf-8")
    with filelock.FileLock(run / "shards/2-of-3/.lock"):
        with pytest.raises(Busy, match="2-of-3: process 7 is at work on this shard"):
            merge_shards(run)
        with pytest.raises(Busy, match="2-of-3: process 7 is at work"):
            do_whole(recipe, run, "revise")
    merge_shards(run)


def test_rows_go_to_the_shard_that_is_named(divided: tuple[Recipe, Path]) -> None:
    """What a shard's journal holds are rows of its own."""
    _, run = divided
    for shard in shards(3):
        traces = read_table(shard.folder(run) / "data/traces.parquet", Trace)
        assert all(shard_of(trace, 3) == shard.number for trace in traces)
