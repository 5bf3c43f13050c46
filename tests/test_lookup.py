from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.errors import RunError
from charter.files.tables import read_table
from charter.lookup import find_row
from charter.records import Comparison, Pair, Preference, Prompt, Response, SftRow, Trace
from charter.store import Journal, Outcome
from run_examples import small_run

TABLES = {
    "traces": Trace,
    "sft": SftRow,
    "pairs": Pair,
    "preferences": Preference,
    "responses": Response,
    "comparisons": Comparison,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every table."""
    stages = ["prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate"]
    return small_run(tmp_path_factory.mktemp("lookup"), stages)


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
        parts = (life.traces, life.sft_rows, life.pairs, life.preferences, life.responses, life.comparisons)
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


def test_rows_that_were_left_out_say_why(run: Path, tmp_path: Path) -> None:
    """A pair that was filtered or failed, or that got no label, is told with its reason."""
    import shutil

    own = tmp_path / "run"
    shutil.copytree(run, own)
    pair = next(pair for pair in rows(own, "pairs") if pair.source == "on_policy")
    with Journal(own / "journal.sqlite") as journal:
        journal.record("pairs", pair.id, Outcome("filtered", "on_policy: sample 1 is cut"))
        journal.record("label", pair.id, Outcome("failed", "the judge is away"))
    told = {(end.stage, end.row): (end.status, end.reason) for end in find_row(own, pair.id).left_out}
    assert told == {
        ("pairs", pair.id): ("filtered", "on_policy: sample 1 is cut"),
        ("label", pair.id): ("failed", "the judge is away"),
    }


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
