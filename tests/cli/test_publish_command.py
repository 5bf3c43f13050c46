"""``charter publish``: what it shows and refuses; ``tests/publishing`` has what it sends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cli.command import Command
from publishing.test_leaks import SECRETS

TABLES = ("prompts", "traces", "sft", "preferences")


def test_a_dry_run_lists_every_file(charter: Command, finished: Path) -> None:
    """With its size, and all of them; nothing is sent, and what to see to is said beside."""
    before = sorted(finished.rglob("*"))
    done = charter("publish", finished, "--to", "anna/demo", "--what", "dataset,cards", "--dry-run")
    assert (done.code, sorted(finished.rglob("*"))) == (0, before)
    lines = [line.split() for line in done.out.splitlines()]
    sizes = {name: (finished / name).stat().st_size for name in (f"data/{one}.parquet" for one in TABLES)}
    assert [line[2] for line in lines[1:-2]] == [*sizes, "README.md"]
    for name, size in sizes.items():
        assert ["dataset", "anna/demo", name, f"{size:,}"] in lines
    assert sum(int(line[3].replace(",", "")) for line in lines[1:-2]) == int(lines[-2][1].replace(",", ""))
    assert done.out.endswith("nothing was sent\n")
    assert "no licence is named" in done.err


def test_json_has_the_findings_too(charter: Command, finished: Path, tmp_path: Path) -> None:
    """A dry run whose files hold something ends with code 2, says what and where, and not what it is."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    secret = SECRETS["an API key (sk-...)"]
    table = pq.read_table(run / "data/sft.parquet")
    place = table.column_names.index("response")
    answers = [f"Use {secret}", *table["response"].to_pylist()[1:]]
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(answers)), run / "data/sft.parquet")
    options = ("--to", "anna/demo", "--what", "dataset", "--what", "cards", "--licence", "mit", "--dry-run", "--json")
    done = charter("publish", run, *options)
    assert done.code == 2
    (found,) = done.value["findings"]
    where = {"file": "anna/demo/data/sft.parquet", "place": "row 1, column 'response'", "n": 1}
    assert found == {**where, "kind": "an API key (sk-...)", "is_secret": True}
    assert (done.value["sent"], [one["kind"] for one in done.value["repositories"]]) == ([], ["dataset"])
    assert "anna/demo/data/sft.parquet, row 1, column 'response': an API key" in done.err
    assert secret not in done.out + done.err


def test_what_is_not_there_is_refused(charter: Command, finished: Path) -> None:
    """A part that is none, with the nearest; and a model that a script has not."""
    wrong = charter("publish", finished, "--to", "anna/demo", "--what", "datasets")
    assert (wrong.code, wrong.out) == (2, "")
    assert 'did you mean "dataset"?' in wrong.err
    without = charter("publish", finished, "--to", "anna/demo", "--dry-run")
    assert without.code == 2
    assert "there is no model of stage 'dpo'" in without.err
    assert "--what dataset,cards" in without.err
    assert "Missing option '--to'" in charter("publish", finished).err
