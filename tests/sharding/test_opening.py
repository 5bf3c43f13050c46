from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from pathlib import Path

import filelock
import pytest

from charter.absorption import absorb
from charter.engines.pool import ModelSpec, Pool
from charter.engines.spending import Budget, Spending
from charter.engines.usage import KindUsage, Usage
from charter.errors import BudgetSpent, Busy, Interrupted, RunError
from charter.runs.tally import Tally
from charter.sharding.merging import merge_shards
from charter.sharding.opening import begin_run, do_shard, open_shard
from charter.sharding.papers import model_key, read_papers
from charter.sharding.shard import Shard
from charter.store import Journal
from run_examples import small_recipe
from sharding.sharded_run import OUTSIDE, do_shards, do_whole


def test_a_shard_waits_for_who_begins_the_run(tmp_path: Path) -> None:
    """While somebody is at work in the run's folder a shard waits, says so once, and goes on when they are done."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    run.mkdir()
    lock = filelock.FileLock(run / ".lock", thread_local=False)
    (run / ".holder").write_text("process 7", "utf-8")
    lock.acquire()
    told: list[str] = []
    threading.Timer(1.0, lock.release).start()
    began = time.monotonic()
    assert do_shard(recipe, run, Shard(2, 1), dataclasses.replace(OUTSIDE, on_wait=told.append)) == ["revise"]
    assert time.monotonic() - began > 0.9
    assert len(told) == 1
    assert "process 7 is running on this folder" in told[0]


def test_a_shard_waits_no_longer_than_it_is_patient(tmp_path: Path) -> None:
    """The error says who is at work, and how long was waited; Ctrl-C ends the waiting too."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    run.mkdir()
    with filelock.FileLock(run / ".lock"):
        with pytest.raises(Busy, match=r"is running on this folder.*\(waited 0 s\)"):
            do_shard(recipe, run, Shard(2, 1), dataclasses.replace(OUTSIDE, patience=0.0))
        stop = threading.Event()
        stop.set()
        with pytest.raises(Interrupted):
            do_shard(recipe, run, Shard(2, 1), dataclasses.replace(OUTSIDE, stop=stop))


def test_a_run_that_is_damaged_gives_nothing_to_shards(tmp_path: Path) -> None:
    """What a shard would rest on is looked at first."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    begin_run(recipe, run, OUTSIDE)
    (run / "data/prompts.parquet").unlink()
    with pytest.raises(RunError, match=r"prompts\.parquet: is missing"):
        do_shard(recipe, run, Shard(2, 1), OUTSIDE)


def test_what_models_can_do_is_noted(tmp_path: Path) -> None:
    """A merge loads no model: what each could do stands in the papers of the shards that asked it."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_shards(recipe, run, 2)
    papers = read_papers(run / "shards/1-of-2")
    assert papers.capabilities[model_key(ModelSpec("small", "scripted"))] == tuple(
        sorted(("complete", "choose", "score", "chat", "text"))
    )
    assert papers.brought.keys() == {"prompts"}


def test_what_was_brought_in_is_not_copied(tmp_path: Path) -> None:
    """On one disk the tables of a run stand in its shards as the same files."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_shards(recipe, run, 2)
    assert (run / "shards/1-of-2/data/prompts.parquet").samefile(run / "data/prompts.parquet")
    merge_shards(run)
    do_whole(recipe, run, "sft")
    do_shard(recipe, run, Shard(2, 1), OUTSIDE)
    assert (run / "shards/1-of-2/data/traces.parquet").samefile(run / "data/traces.parquet")


def test_each_shard_may_spend_its_part_of_the_budget(tmp_path: Path) -> None:
    """What the run itself spent is taken off, and of the rest each shard may spend the same."""
    recipe, run = (
        small_recipe(tmp_path, "budget.tokens=1000", "models.judge={name: m, engine: http, server: openai}"),
        (tmp_path / "run"),
    )
    begin_run(recipe, run, OUTSIDE)
    with Journal(run / "journal.sqlite") as journal:
        used = Usage(complete=KindUsage(n_calls=1, n_prompt_tokens=150, n_completion_tokens=50))
        tally = Tally(seconds=1.0, usage={"m": used}).to_json()
        journal.keep_tally("prompts", tally)
    with open_shard(recipe, run, Shard(4, 1), OUTSIDE) as shard:
        assert shard.spending.budget == Budget(None, 200, " (this shard's part of it, one of 4)")
        assert (shard.spending.tokens, shard.spending.money) == (0, 0.0)
        shard.journal.keep_tally("revise", tally)
    with Journal(run / "journal.sqlite") as journal:
        absorb(journal, run / "shards/1-of-4/journal.sqlite", source=read_papers(run / "shards/1-of-4").source)
    for number, tokens in ((1, 200 + 150), (2, 150)):  # of 1000 there are 600 left, and the first has spent 200
        with open_shard(recipe, run, Shard(4, number), OUTSIDE) as shard:
            assert shard.spending.budget.tokens == tokens


def test_a_part_of_a_budget_says_so() -> None:
    """Whoever is held to a part of the budget is told of which."""
    spent, own = Spending(money=1.0, tokens=20), Spending(money=0.5, tokens=3)
    part = Budget(money=5.0, tokens=100).divide(spent, own, 4, " (a fourth)")
    assert part == Budget(1.5, 23, " (a fourth)")
    assert Budget().divide(spent, own, 4, "") == Budget()
    assert Budget(money=0.5).divide(spent, Spending(), 4, "").money == 0.0
    spending = Spending(budget=Budget(tokens=20, part=" (a fourth)"))

    async def call() -> None:
        async with spending.hold("m", 20, 1):
            pass

    with pytest.raises(BudgetSpent, match=r"^budget\.tokens is 20 \(a fourth\): "):
        asyncio.run(call())


def test_a_pool_that_makes_engines_by_itself_loads_none() -> None:
    """What a pool is given to make engines with stands in for every model."""
    from charter.engines.cache import DictMemory
    from charter.engines.scripted import ScriptedEngine

    made: list[ModelSpec] = []

    def make(spec: ModelSpec) -> ScriptedEngine:
        made.append(spec)
        return ScriptedEngine()

    pool = Pool({"policy": ModelSpec("no such model")}, DictMemory(), make=make)
    assert "score" in pool.engine("policy").capabilities
    assert [spec.name for spec in made] == ["no such model"]
