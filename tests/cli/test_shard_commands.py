from __future__ import annotations

import platform
import shutil
import signal
import time
from pathlib import Path

from cli.command import Command, Start
from cli.test_interruption import wait_for
from run_examples import table_bytes


def test_a_run_in_two_shards(charter: Command, place: Path, finished: Path) -> None:
    """From the command line: shards say what comes next, the merge says what it joined, and the figures are shown."""
    for following in ("sft", "dpo", ""):
        first = charter("run", "demo.yaml", "--shard", "1/2")
        assert first.code == 0, first.err
        lines = first.out.splitlines()
        assert lines[-4].startswith("shard 1/2: done: ")
        assert lines[-3] == "shards still to be finished: 1 of 2"
        assert lines[-2].startswith("next: run the shards that are left, 2/2: charter run ")
        assert lines[-1] == "runs/demo"
        second = charter("run", "demo.yaml", "--shard", "2/2")
        assert second.out.splitlines()[-2:] == ["next: merge the shards: charter merge runs/demo", "runs/demo"]
        merged = charter("merge", "runs/demo")
        assert merged.code == 0, merged.err
        assert "merged 2 shards: " in merged.out
        assert merged.out.splitlines()[-1] == "runs/demo"
        if following:
            command = "charter run runs/demo/recipe.resolved.yaml --out runs/demo --until shards"
            again = "charter run runs/demo/recipe.resolved.yaml --out runs/demo --shard 1/2"
            told = (
                f"next: do '{following}', which needs all rows at once: {command}; then the shards again, 1/2 to 2/2: "
            )
            assert merged.out.splitlines()[-2] == told + again
            assert charter("status", "runs/demo").out.splitlines()[-1] == told + again
            idle = charter("run", "demo.yaml", "--shard", "1/2")
            assert idle.code == 0
            assert idle.out.startswith(
                f"shard 1/2: nothing to do\nnext: do '{following}', which needs all rows at once"
            )
            assert charter(following, "demo.yaml").code == 0
    assert "unclear" in merged.out
    assert table_bytes(place / "runs/demo") == table_bytes(finished)
    assert charter("run", "demo.yaml", "--shard", "1/2").out.splitlines()[-2] == "next: read runs/demo/report.html"
    assert charter("merge", "runs/demo").out.startswith("nothing to merge")


def test_one_command_does_what_shards_do_not(charter: Command, place: Path) -> None:
    """Whatever a recipe trains: each time up to the stages that shards do, and again it does no more."""
    recipe = ("demo.yaml", "preference_model={}", "rl={}", "dpo=null")
    done: list[str] = []
    for alone, by_shards in (
        (["prompts"], ["revise"]),
        (["sft"], ["pairs", "label"]),
        (["preference_model", "rl"], ["evaluate", "report"]),
    ):
        done += alone
        for _ in range(2):
            one = charter("run", *recipe, "--until", "shards")
            assert (one.code, one.out.splitlines()[-1]) == (0, "runs/demo"), one.err
            assert one.out.splitlines()[-2].startswith("next: run the shards, ")
            assert {path.stem for path in (place / "runs/demo/stages").iterdir()} == set(done)
        assert charter("status", "runs/demo").out.splitlines()[-1].startswith("next: run the shards, ")
        for number in (1, 2):
            assert charter("run", *recipe, "--shard", f"{number}/2").code == 0
        merged = charter("merge", "runs/demo", "--json").value
        assert merged["merged"]["stages"] == by_shards
        done += by_shards
        if "label" in by_shards:
            command = (
                "charter run runs/demo/recipe.resolved.yaml --out runs/demo --until shards; then the shards again, "
            )
            assert merged["next"].startswith(
                f"do 'preference_model', 'rl', which need all rows at once: {command}1/2 to 2/2: "
            )
    last = charter("run", *recipe, "--until", "shards", "--json")
    assert (last.code, last.value["next"]) == (0, "read runs/demo/report.html")
    assert charter("status", "runs/demo").out.splitlines()[-1] == "next: read runs/demo/report.html"


def test_shards_that_wait_for_a_merge_are_left_theirs(charter: Command) -> None:
    """With rows of shards unmerged, what one process has to do before them is nothing."""
    assert charter("run", "demo.yaml", "--shard", "1/2").code == 0
    assert charter("run", "demo.yaml", "--until", "shards").code == 0
    told = charter("status", "runs/demo", "--json").value
    assert [one["stage"] for one in told["stages"] if one["state"] == "done"] == ["prompts"]
    assert [(one["shard"], one["state"]) for one in told["shards"]] == [("1/2", "done"), ("2/2", "waiting")]


def test_shards_as_json(charter: Command, place: Path) -> None:
    """Shard, merge and status print one object each."""
    shard = charter("run", "demo.yaml", "--shard", "2/2", "--json").value
    assert (shard["run"], shard["shard"], shard["folder"]) == ("runs/demo", "2/2", "runs/demo/shards/2-of-2")
    assert shard["stages"]["revise"]["failed"] == {}
    assert [(one["shard"], one["state"]) for one in shard["shards"]] == [("1/2", "waiting"), ("2/2", "done")]
    assert charter("status", "runs/demo", "--json").value["shards"] == shard["shards"]
    refused = charter("merge", "runs/demo", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "shard 1/2 is missing" in refused.err
    charter("run", "demo.yaml", "--shard", "1/2")
    shutil.move(place / "runs/demo/shards/1-of-2", place / "fetched")
    merged = charter("merge", "runs/demo", "fetched", "--json").value
    assert merged["merged"] == {"stages": ["revise"], "n_shards": 2, "n_completions": 30, "n_rows": 6, "n_damaged": 0}
    assert merged["stages"]["revise"]["n_done"] == 6
    assert merged["next"].startswith("do 'sft', which needs all rows at once: charter run ")


def test_status_shows_the_shards(charter: Command) -> None:
    """Each shard has a line, whoever is at work in it and whatever it has left."""
    charter("run", "demo.yaml", "--shard", "1/3")
    told = charter("status", "runs/demo")
    assert told.code == 0
    assert "shard  state    done    left    rows\n1/3    done     revise\n2/3    waiting          revise\n" in told.out
    assert "next: run the shards that are left, 2/3, 3/3: charter run " in told.out


def test_a_plain_run_leaves_shards_their_rows(charter: Command) -> None:
    """Rows that shards did are not done again: the run is refused, with the command that merges them."""
    charter("run", "demo.yaml", "--shard", "1/1")
    for command in ("run", "revise"):
        refused = charter(command, "demo.yaml")
        assert (refused.code, refused.out) == (2, "")
        assert "that are not merged, and would be done again: 1/1. Merge them: charter merge runs/demo" in refused.err
    assert charter("status", "runs/demo").out.splitlines()[-1] == "next: merge the shards: charter merge runs/demo"
    assert "merged 1 shard: revise; " in charter("merge", "runs/demo").out
    assert charter("run", "demo.yaml", "--until", "pairs").code == 0


def test_a_run_that_shards_began_goes_on_with_shards(charter: Command, place: Path) -> None:
    """Before a shard has a row, what comes next is a shard all the same; how many there will be is open yet."""
    assert charter("run", "demo.yaml", "--shard", "2/3", "--until", "prompts").code == 0
    command = "charter run runs/demo/recipe.resolved.yaml --out runs/demo --shard"
    assert charter("status", "runs/demo").out.splitlines()[-1] == f"next: run the shards, K of 1 to N: {command} K/N"
    shutil.rmtree(place / "runs/demo/shards")
    assert "go on with 'revise': charter run" in charter("status", "runs/demo").out


def test_what_is_no_shard_is_told(charter: Command, place: Path) -> None:
    """A mistyped shard is refused before anything is made."""
    done = charter("run", "demo.yaml", "--shard", "3")
    assert done.code == 2
    assert "such as 3/16" in done.err
    assert not (place / "runs").exists()
    missing = charter("merge", "runs/nowhere")
    assert (missing.code, "is no run's folder" in missing.err) == (2, True)


def test_a_shard_stops_at_a_signal_and_goes_on(charter: Command, place: Path, start: Start, finished: Path) -> None:
    """SIGTERM ends a shard within ten seconds; the same command goes on, and the merge is the plain run's."""
    running = start("run", "demo.yaml", "--shard", "1/2", wait="await asyncio.sleep(0.3)")
    wait_for((place / "runs/demo/shards/1-of-2/stages/prompts.json").exists, running)
    time.sleep(0.5)
    status = charter("status", "runs/demo", "--json").value["shards"]
    assert (status[0]["state"], status[0]["holder"]) == ("running", f"process {running.pid} on {platform.node()}")
    busy = charter("merge", "runs/demo")
    assert (busy.code, "is at work on this shard of the run; wait for it" in busy.err) == (2, True)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 143, err
    assert "Traceback" not in err
    for number in (1, 2):
        assert charter("run", "demo.yaml", "--shard", f"{number}/2").code == 0
    assert charter("merge", "runs/demo").code == 0
    assert table_bytes(place / "runs/demo")["traces.parquet"] == table_bytes(finished)["traces.parquet"]
