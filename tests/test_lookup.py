from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from charter.cli.life_view import view_life
from charter.errors import JournalError, RunError
from charter.files.tables import read_table, write_table
from charter.journal.records import FORGOTTEN, Outcome, Status
from charter.journal.store import Journal
from charter.lookup import _owners, _Tables, find_row
from charter.records import Comparison, Pair, Preference, Prompt, Reading, Response, RewardedPair, SftRow, Trace
from charter.status import read_run_recipe
from run_examples import small_run

TABLES = {
    "traces": Trace,
    "sft": SftRow,
    "pairs": Pair,
    "preferences": Preference,
    "responses": Response,
    "readings": Reading,
    "comparisons": Comparison,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every table."""
    stages = ["prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate"]
    settings = ("evaluate.judge_reading=true", "revise.n_samples=2", "label.held_out=0.75")
    return small_run(tmp_path_factory.mktemp("lookup"), stages, *settings)


def rows(run: Path, table: str) -> list:  # type: ignore[type-arg]
    """Read a table of the run."""
    return read_table(run / f"data/{table}.parquet", TABLES[table])


@pytest.mark.parametrize("table", TABLES)
def test_every_row_leads_to_its_prompt(run: Path, table: str) -> None:
    """Any row's id, whole or cut by a digit or two, gives the life of its prompt."""
    for row in rows(run, table)[:3]:
        assert find_row(run, row.id).prompt == row.prompt
        assert find_row(run, row.id[:-2]).prompt.id == row.prompt.id


def test_a_life_holds_all_of_the_prompts_rows_and_no_others(run: Path) -> None:
    """Over all prompts, every row of every table is in exactly one life."""
    found = dict.fromkeys(TABLES, 0)
    for prompt in read_table(run / "data/prompts.parquet", Prompt):
        life = find_row(run, prompt.id)
        assert life.row == prompt.id
        parts = (
            life.traces, life.sft_rows, life.pairs, life.preferences, life.responses, life.readings, life.comparisons,
        )  # fmt: skip
        for table, part in zip(TABLES, parts, strict=True):
            assert all(row.prompt.id == prompt.id for row in part)
            found[table] += len(part)
    assert found == {table: len(rows(run, table)) for table in TABLES}
    assert found["pairs"] == 16


def test_a_life_is_json(run: Path) -> None:
    """The prompt is given once; every other row as the record that it is."""
    life = find_row(run, rows(run, "pairs")[0].id)
    value = json.loads(json.dumps(life.to_dict()))
    assert value["pairs"][0]["id"] == life.pairs[0].id
    assert "prompt" not in value["pairs"][0]
    assert value["prompt"]["id"] == life.prompt.id


def test_a_text_that_was_left_open_is_said_to_be(run: Path) -> None:
    """What stops in the middle of a sentence is not taken for the whole answer, of a training row or of a pair."""
    life = next(one for row in rows(run, "sft") if (one := find_row(run, row.id)).pairs)
    (first, *others), pair = life.sft_rows, life.pairs[0]
    assert "left open" not in view_life(life, colours=False).plain
    opened = [first.model_copy(update={"whole": False}), *others]
    changed = replace(life, sft_rows=opened, pairs=[pair.model_copy(update={"whole_b": False}), *life.pairs[1:]])
    told = [line for line in view_life(changed, colours=False).plain.splitlines() if line.endswith(", left open")]
    assert told == [f"  {first.origin} ({first.id}), left open", f"  b ({pair.origin_b}), left open"]


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be changed."""
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


STAGES = {
    "revise": "trace-", "sft/helpful": "trace-", "sft/benign_twin": "trace-", "pairs": "pair-", "label": "pair-",
    "evaluate/respond/base": "hp-", "evaluate/respond/dpo": "hp-", "evaluate/reference loss/sft": "hp-",
    "evaluate/drift/base": "hp-", "evaluate/preferences/dpo": "pair-",
    "evaluate/head to head/sft/red_team": "comparison-", "evaluate/head to head/dpo/helpful": "comparison-",
    "evaluate/judge reading/base": "response-",
}  # fmt: skip


def test_every_end_leads_to_its_prompt(run: Path) -> None:
    """Whatever row the journal knows, of any stage, its id gives the life of a prompt that is the same for all."""
    with Journal(run / "journal.sqlite") as journal:
        ends = {stage: journal.outcomes(stage) for stage in journal.stages()}
    assert set(STAGES) <= set(ends)
    known = {prompt.id for prompt in read_table(run / "data/prompts.parquet", Prompt)}
    owners = _owners(_Tables(run, ends, read_run_recipe(run)), ends, 1)
    assert {row for of_stage in ends.values() for row in of_stage} <= owners.keys()
    assert set(owners.values()) <= known
    bare = _Tables(run, {}, read_run_recipe(run))
    for table in ("traces", "sft", "pairs", "preferences", "readings", "comparisons"):
        expected = {row.id: row.prompt.id for row in getattr(bare, table)}
        getattr(bare, table).clear()  # with nothing but ids to go by the owners are the same
        assert {row: owners[row] for row in expected} == expected
    again = _owners(bare, ends, 1)
    journaled = {row for of_stage in ends.values() for row in of_stage}
    assert {row: again[row] for row in journaled} == {row: owners[row] for row in journaled}


@pytest.mark.parametrize(("stage", "kind"), STAGES.items())
@pytest.mark.parametrize("status", ["failed", "filtered"])
def test_rows_that_were_left_out_say_why(own: Path, stage: str, kind: str, status: Status) -> None:
    """A row without a result is found by its id, by the beginning of that and by its prompt's, with its reason."""
    with Journal(own / "journal.sqlite") as journal:
        row = next(name for name in journal.outcomes(stage) if name.startswith(kind) or kind == "hp-")
        journal.record(stage, row, Outcome(status, "the {judge} is away, 100 %"))
    drop_tables(own, stage)
    life = find_row(own, row)
    told = [end for end in life.left_out if end.row == row and end.stage == stage]
    assert [(end.status, end.reason) for end in told] == [(status, "the {judge} is away, 100 %")]
    assert find_row(own, life.prompt.id).left_out == life.left_out
    assert find_row(own, row if row == life.prompt.id else row[:-2]).prompt == life.prompt
    shown = view_life(life, colours=False).plain
    assert f"\n{'failed' if status == 'failed' else 'left out'}\n" in shown
    assert f"  {stage} {row}: the {{judge}} is away, 100 %\n" in shown
    assert json.loads(json.dumps(life.to_dict()))["left_out"][0]["reason"] == "the {judge} is away, 100 %"


def test_rewards_stand_with_their_pair(own: Path) -> None:
    """What a preference model gives both sides is told under the label, and whether it was trained on that."""
    label = read_table(own / "data/preferences.parquet", Preference)[0]
    told = {name: getattr(label, name) for name in ("id", "prompt", "chosen", "rejected", "p_chosen", "source")}
    counts = {"n_tokens_chosen": 3, "n_tokens_rejected": 4}
    rewarded = RewardedPair(**told, group="g", held_out=True, reward_chosen=1.25, reward_rejected=-0.5, **counts)
    write_table(own / "data/rewards.parquet", [rewarded], RewardedPair)
    life = find_row(own, label.pair)
    assert life.rewards == (rewarded,)
    assert life.to_dict()["rewards"][0]["reward_chosen"] == 1.25
    shown = view_life(life, colours=False).plain
    assert "preference model (held out from it): 1.250 for the chosen side, -0.500 for the other" in shown
    assert "preference model" not in view_life(replace(life, rewards=()), colours=False).plain


def drop_tables(folder: Path, stage: str) -> None:
    """Leave the tables as they are while a stage is under way: neither its own nor a later one's is there."""
    order = ["revise", "sft", "pairs", "label", "evaluate"]
    written = {"revise": ["traces"], "sft": ["sft"], "pairs": ["pairs"], "label": ["preferences", "unlabelled"]}
    written["evaluate"] = ["responses", "readings", "comparisons"]
    for later in order[order.index(stage.partition("/")[0]) :]:
        for table in written[later]:
            (folder / f"data/{table}.parquet").unlink()


def test_rows_of_an_unfinished_stage_are_shown(own: Path, run: Path) -> None:
    """While a stage is under way its rows are those that the journal holds."""
    pair = rows(run, "pairs")[0]
    drop_tables(own, "revise")
    for row in (pair.id, pair.prompt.id):
        found, whole = find_row(own, row), find_row(run, row)
        assert set(found.pairs) == set(whole.pairs)
        assert set(found.preferences) == set(whole.preferences)
        assert set(found.traces) == set(whole.traces)


def test_rows_that_wait_to_be_done_again_are_not_failed(own: Path, run: Path) -> None:
    """What ``--again`` put back has no end, and is told as none."""
    pair = rows(run, "pairs")[0]
    with Journal(own / "journal.sqlite") as journal:
        journal.record("label", pair.id, Outcome("failed", FORGOTTEN))
    assert find_row(own, pair.id).left_out == ()


def test_a_row_of_another_version_is_named(own: Path, run: Path) -> None:
    """A recorded row that cannot be read stops the look, and says where it is."""
    with Journal(own / "journal.sqlite") as journal:
        journal.record("pairs", rows(run, "pairs")[0].id, Outcome("done", "{}"))
    (own / "data/pairs.parquet").unlink()
    with pytest.raises(JournalError, match="a row of stage 'pairs' is no Pair"):
        find_row(own, "rt-")


def test_an_early_run_has_lives_too(tmp_path: Path) -> None:
    """After the first stage a prompt's life is the prompt."""
    own = small_run(tmp_path, ["prompts"])
    prompt = read_table(own / "data/prompts.parquet", Prompt)[0]
    life = find_row(own, prompt.id)
    assert (life.prompt, life.traces, life.left_out) == (prompt, (), ())


@pytest.mark.parametrize(
    ("row", "message"), [("nothing", "has no row 'nothing'; ids are such as "), ("", "has no row"), ("p", "several")]
)
def test_what_fits_nothing_or_much_is_refused(run: Path, row: str, message: str) -> None:
    """An id that fits no row, or rows of several prompts, is refused with some that are there."""
    with pytest.raises(RunError, match=message):
        find_row(run, row)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """A folder that holds no run is named."""
    with pytest.raises(RunError, match="is no run's folder"):
        find_row(tmp_path, "x")
