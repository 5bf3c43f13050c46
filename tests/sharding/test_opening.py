from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import filelock
import pytest

from charter.engines.pool import Pool
from charter.engines.specs import ModelSpec
from charter.engines.spending import Budget, Spending
from charter.engines.usage import KindUsage, Usage
from charter.errors import BudgetSpent, Busy, Interrupted, RunError
from charter.journal.absorption import absorb
from charter.journal.store import Journal
from charter.recipe import Recipe
from charter.runs import workers
from charter.runs.folder import open_run
from charter.runs.place import held
from charter.runs.tally import Tally
from charter.sharding import opening
from charter.sharding.merging import merge_shards
from charter.sharding.opening import begin_run, do_shard, open_shard
from charter.sharding.papers import model_key, read_papers
from charter.sharding.shard import Shard
from run_examples import RECIPE, small_recipe
from sharding.sharded_run import OUTSIDE, do_shards, do_whole

SERVED = "models.judge={name: m, engine: http, server: openai}"


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


def _wait_for(run: Path, said: Path) -> int:
    """Wait in a process of its own until the run's folder is free, and note how that went; gives the process."""
    child = os.fork()
    if child == 0:
        opening._POLL_SECONDS = 0.005  # the more often they look, the more they would meet
        try:
            with contextlib.ExitStack() as opened:
                opening._in_turn(lambda: opened.enter_context(held(run)), OUTSIDE)
            said.write_text("held", "utf-8")
        except BaseException as error:  # noqa: BLE001 - the other process must hear of it
            said.write_text(repr(error), "utf-8")
        os._exit(0)
    return child


def test_many_that_wait_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Sixteen processes that wait for one folder all get it, one after another, and leave nothing in it."""
    run = tmp_path / "run"
    with held(run) as place:
        place.is_taken = True
        waiting = [_wait_for(run, tmp_path / f"{number}") for number in range(16)]
        time.sleep(2.0)
    for child in waiting:
        os.waitpid(child, 0)
    assert {(tmp_path / f"{number}").read_text("utf-8") for number in range(16)} == {"held"}
    assert [one.name for one in run.iterdir()] == [".lock"]


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


def test_a_shard_waits_for_a_worker_and_not_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor of a run that was killed still writes; once it has ended the shard begins."""
    recipe, run = small_recipe(tmp_path), tmp_path / "run"
    do_shard(recipe, run, Shard(2, 1), OUTSIDE)
    (run / "workers").mkdir()
    Journal(run / "workers/one.sqlite").close()
    monkeypatch.setattr(opening, "take_in_workers", partial(workers.take_in_workers, seconds=0.1))
    actor = filelock.FileLock(run / "workers/one.lock", thread_local=False)
    actor.acquire()
    threading.Timer(1.0, actor.release).start()
    began = time.monotonic()
    assert do_shard(recipe, run, Shard(2, 2), dataclasses.replace(OUTSIDE, patience=60.0)) == ["revise"]
    assert 0.5 < time.monotonic() - began < 60.0
    assert not (run / "workers").exists()


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
        sorted(("complete", "choose", "score", "chat", "text", "prefill"))
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
        small_recipe(tmp_path, "budget.tokens=1000", SERVED),
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


def take(tokens: int) -> str:
    """Give the tally of a stage that took so many tokens of the served model."""
    used = Usage(choose=KindUsage(n_calls=1, n_prompt_tokens=tokens))
    return Tally(seconds=1.0, usage={"m": used}).to_json()


def spend_all(recipe: Recipe, run: Path, shard: Shard) -> int:
    """Let a shard spend all that it still may, and give how much that was."""
    with open_shard(recipe, run, shard, OUTSIDE) as opened:
        assert opened.spending.budget.tokens is not None
        left = max(opened.spending.budget.tokens - opened.spending.tokens, 0)
        opened.journal.keep_tally("revise", take(opened.spending.tokens + left))
    return left


def test_a_budget_is_spent_once_however_it_is_divided(tmp_path: Path) -> None:
    """What shards took that are not merged is spent, for shards of another division and for the run in one piece."""
    recipe, run = small_recipe(tmp_path, "budget.tokens=8000", SERVED), tmp_path / "run"
    begin_run(recipe, run, OUTSIDE)
    assert [spend_all(recipe, run, shard) for shard in (Shard(4, 1), Shard(4, 2))] == [2000, 2000]
    assert spend_all(recipe, run, Shard(2, 1)) == 2000
    with open_run(recipe, run, recipe_text=RECIPE) as whole:
        assert whole.spending.tokens == 6000
    # Of 6,000 that are left to four shards, two have spent 4,000: the other two share the rest.
    assert [spend_all(recipe, run, Shard(4, number)) for number in (1, 2, 3, 4)] == [0, 0, 1000, 1000]
    assert [spend_all(recipe, run, Shard(2, number)) for number in (1, 2)] == [0, 0]
    merge_tallies(run, [Shard(4, number) for number in (1, 2, 3, 4)])
    with open_run(recipe, run, recipe_text=RECIPE) as whole:
        assert whole.spending.tokens == 8000


def merge_tallies(run: Path, merged: Sequence[Shard]) -> None:
    """Take what shards took into their run."""
    with Journal(run / "journal.sqlite") as journal:
        for shard in merged:
            folder = shard.folder(run)
            absorb(journal, folder / "journal.sqlite", source=read_papers(folder).source)


def test_shards_of_two_divisions_do_not_share_a_budget_at_once(tmp_path: Path) -> None:
    """A shard of another division that is at work may still spend its part: the others wait for it."""
    recipe, run = small_recipe(tmp_path, "budget.tokens=8000", SERVED), tmp_path / "run"
    begin_run(recipe, run, OUTSIDE)
    impatient = dataclasses.replace(OUTSIDE, patience=0.0)
    with open_shard(recipe, run, Shard(4, 1), OUTSIDE):
        with pytest.raises(Busy, match=r"1-of-4: process .* of another division, on the same budget"):
            do_shard(recipe, run, Shard(2, 1), impatient)
        with open_shard(recipe, run, Shard(4, 2), impatient) as second:
            assert second.spending.budget.tokens == 2000


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

    def make(spec: ModelSpec, _reply: object) -> ScriptedEngine:
        made.append(spec)
        return ScriptedEngine()

    pool = Pool({"policy": ModelSpec("no such model")}, DictMemory(), make=make)
    assert "score" in pool.engine("policy").capabilities
    assert [spec.name for spec in made] == ["no such model"]
