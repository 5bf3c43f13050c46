"""What an actor is, without Ray: a worker in this process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from charter.engines.specs import ModelSpec
from charter.engines.spending import Budget, Price
from charter.engines.usage import Usage
from charter.errors import BudgetSpent, Busy, ClusterError, EngineError, JournalError, ModelError
from charter.journal.reading import count_journal
from charter.journal.records import FORGOTTEN, Outcome
from charter.journal.store import Journal
from charter.rows import Filtered
from charter.runs.spent import tallies_of
from charter.runs.tally import Tally
from charter.runs.workers import settle_worker, take_in_workers, worker_journal
from charter.scale.stand_ins import EngineName, StandIn, found_from_anywhere, pack
from charter.scale.worker import Answer, Opened, Orders, Refused, Worker
from scale.clustered import N_CALLS, Asked, Said, ask, write_down

NAME = EngineName(7, ModelSpec("small+write_down", engine="scripted"), write_down)


class Uncounted:
    """Stands for the driver's crew, which is not asked in these tests."""


def orders(folder: Path, name: str = "one", *, at_rest: tuple[Path, ...] = ()) -> Orders:
    """Make the orders of a worker whose run has an empty journal."""
    Journal(folder / "journal.sqlite").close()
    (folder / "workers").mkdir(exist_ok=True)
    journal = folder / f"workers/{name}.sqlite"
    return Orders(journal, folder / "journal.sqlite", (), at_rest, n_rows=4, stage="revise")


def packed() -> bytes:
    """Pack the row function of these tests, with an engine that stands for the worker's."""
    stand_in = StandIn(NAME, "scripted", frozenset(("complete", "text")), Uncounted())  # type: ignore[arg-type]

    async def one(row: Asked) -> Said | Filtered:
        if row.number == 1:
            return Filtered("not wanted")
        if row.number == 2:
            raise EngineError("the model fell silent")
        return await ask(row, stand_in, "")

    return pack(one)


async def do_rows(worker: Worker, folder: Path) -> list[Answer | Refused]:
    """Have a worker do three rows: one that is done, one filtered, one failed."""
    assert isinstance(await worker.open(NAME), Opened)
    assert await worker.begin(1, "revise", packed()) is None
    found = [await worker.do(1, Asked(number, folder / "log")) for number in range(3)]
    before = await worker.count()
    assert before.usage[NAME.spec.label].complete.n_calls == N_CALLS
    await worker.close(7)
    assert await worker.count() == before
    await worker.end()
    return found


def test_a_worker_records_what_becomes_of_rows(tmp_path: Path) -> None:
    """Results and reasons come back and are in its journal, with the answers; what failed is the driver's to record."""
    worker = Worker(orders(tmp_path))
    done, filtered, failed = asyncio.run(do_rows(worker, tmp_path))
    assert isinstance(done, Answer)
    assert Said.from_json(done.end.payload).texts == ("row-000:0", "row-000:1", "row-000:2")
    assert isinstance(filtered, Answer)
    assert filtered.end == Outcome("filtered", "not wanted")
    assert isinstance(failed, Refused)
    assert isinstance(failed.error, EngineError)
    assert str(failed.error) == "the model fell silent"
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert take_in_workers(journal, tmp_path) == 1
        assert journal.outcomes("revise") == {"row-000": done.end, "row-001": filtered.end}
        assert journal.outcomes_of("revise", ["row-001", "row-002"]) == {"row-001": filtered.end}
    assert not (tmp_path / "workers").exists()


def test_a_worker_finds_what_a_lost_one_was_answered(tmp_path: Path) -> None:
    """Answers in a journal that nobody writes any more are not asked for again."""
    first = orders(tmp_path)
    asyncio.run(do_rows(Worker(first), tmp_path))
    worker = Worker(orders(tmp_path, "two"))
    settle_worker(first.journal)
    worker.adopt((first.journal,))

    async def again() -> None:
        await worker.open(NAME)
        await worker.begin(1, "revise", packed())
        assert isinstance(await worker.do(1, Asked(0, tmp_path / "log")), Answer)
        usage = (await worker.count()).usage[NAME.spec.label].complete
        assert (usage.n_calls, usage.n_hits) == (0, N_CALLS)
        await worker.end()

    asyncio.run(again())
    assert len((tmp_path / "log").read_text("utf-8").split()) == N_CALLS


def test_a_worker_looks_into_its_run(tmp_path: Path) -> None:
    """Answers of the run are found in its journal's file, held still while its owner goes on writing."""
    asyncio.run(do_rows(Worker(orders(tmp_path)), tmp_path))
    with Journal(tmp_path / "journal.sqlite") as journal:
        take_in_workers(journal, tmp_path)
        journal.hold_still()
        before = journal.path.read_bytes()
        journal.record("pairs", "later", Outcome("failed", FORGOTTEN))
        journal.flush()
        assert journal.path.read_bytes() == before
        (tmp_path / "workers").mkdir()
        worker = Worker(Orders(tmp_path / "workers/two.sqlite", journal.path, (), (), n_rows=4))
        asyncio.run(_asked_nothing(worker, tmp_path))
        journal.move_on()


async def _asked_nothing(worker: Worker, folder: Path) -> None:
    await worker.open(NAME)
    await worker.begin(1, "revise", packed())
    await worker.do(1, Asked(0, folder / "log"))
    usage = (await worker.count()).usage[NAME.spec.label].complete
    assert (usage.n_calls, usage.n_hits) == (0, N_CALLS)
    await worker.end()


def test_a_worker_that_cannot_open_a_model_says_so(tmp_path: Path) -> None:
    """The error comes back as what it is."""
    worker = Worker(orders(tmp_path))
    refused = asyncio.run(worker.open(EngineName(1, ModelSpec(str(tmp_path / "nowhere")))))
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ModelError)
    asyncio.run(worker.end())


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_taken_is_kept_though_no_row_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """A row that has not ended, or that failed, tells nobody what it took: it is in the worker's journal even so."""
    monkeypatch.setattr("charter.scale.worker._TELL_SECONDS", 0.0)
    told = orders(tmp_path)
    stand_in = StandIn(NAME, "scripted", frozenset(("complete", "text")), Uncounted())  # type: ignore[arg-type]

    async def one(row: Asked) -> Said:
        said = await ask(row, stand_in, "")
        if fails:
            raise EngineError("the model fell silent")
        await asyncio.sleep(3600)
        return said

    async def work() -> None:
        worker = Worker(told)
        await worker.begin(1, "revise", pack(one))
        row = asyncio.create_task(worker.do(1, Asked(0, tmp_path / "log")))
        while n_kept(told.journal) < N_CALLS:  # noqa: ASYNC110 - what a worker leaves that is killed now
            await asyncio.sleep(0.02)
        assert n_kept(told.journal) == N_CALLS
        assert row.done() == fails
        await worker.end()
        assert n_kept(told.journal) == N_CALLS

    asyncio.run(asyncio.wait_for(work(), 60.0))


def n_kept(journal: Path) -> int:
    """Read how many calls of these tests' engine are counted in a worker's journal."""
    kept = count_journal(journal).tallies.get("revise")
    return 0 if kept is None else n_calls(kept)


def n_calls(kept: str) -> int:
    """Read how many calls of these tests' engine a tally counts."""
    return Tally.from_json(kept).usage[NAME.spec.label].total.n_calls


def test_what_a_worker_took_is_counted_once(tmp_path: Path) -> None:
    """It is taken in under its journal's name, in place of what had been told, and taking it in again adds nothing."""
    asyncio.run(do_rows(Worker(orders(tmp_path)), tmp_path))
    path = tmp_path / "workers/one.sqlite"
    settled = settle_worker(path)
    copy = path.read_bytes()
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.keep_taken("revise", {"one": Tally(usage={NAME.spec.label: Usage()}).to_json()})
        for _ in range(2):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(copy)
            assert take_in_workers(journal, tmp_path) == 1
            assert [n_calls(kept) for kept in tallies_of(journal)] == [N_CALLS]
        assert Tally.from_json(journal.taken_tallies("revise")["one"]) == settled.took


def test_a_model_is_counted_as_its_run_calls_it(tmp_path: Path) -> None:
    """A folder is found from anywhere by another name than the recipe's, under which its calls are told."""
    worker = Worker(orders(tmp_path))
    asyncio.run(worker.open(replace(NAME, label="as the recipe calls it")))
    assert asyncio.run(worker.count()).usage == {"as the recipe calls it": Usage()}
    asyncio.run(worker.end())


def test_a_worker_has_its_part_of_the_budget(tmp_path: Path) -> None:
    """What a server's calls come to is held to the worker's part, before any is made."""
    told = orders(tmp_path)
    part = Budget(tokens=3, part=" (an actor's part of it, one of 2)")
    worker = Worker(Orders(told.journal, told.whole, (), (), 4, None, {"served": Price(1.0, 1.0)}, part))

    async def call() -> None:
        async with worker.spending.hold("served", 3, 1):
            raise AssertionError("it was let through")

    with pytest.raises(BudgetSpent, match=r"budget.tokens is 3 \(an actor's part of it, one of 2\)"):
        asyncio.run(call())
    asyncio.run(worker.end())


def test_rows_given_up_are_left(tmp_path: Path) -> None:
    """Rows under way are cancelled, and the worker can be ended at once."""
    worker = Worker(orders(tmp_path))

    async def give_up() -> None:
        async def wait(row: Asked) -> Said:
            await asyncio.sleep(3600)
            return Said(id=row.id, texts=())

        await worker.begin(1, "revise", pack(wait))
        row = asyncio.create_task(worker.do(1, Asked(0, tmp_path / "log")))
        await asyncio.sleep(0.05)
        await worker.give_up()
        with pytest.raises(asyncio.CancelledError):
            await row
        await worker.end()

    asyncio.run(give_up())


def test_a_journal_that_is_written_is_waited_for(tmp_path: Path) -> None:
    """The journal of a worker that is still at work is not taken in, and the wait for it has an end."""
    with worker_journal(tmp_path / "one.sqlite"):
        with pytest.raises(Busy, match="still writes it after 0 s"):
            settle_worker(tmp_path / "one.sqlite", seconds=0.0)
        with pytest.raises(filelock.Timeout), worker_journal(tmp_path / "one.sqlite"):
            raise AssertionError("two hold it")
    settle_worker(tmp_path / "one.sqlite", seconds=0.0)


def test_a_worker_s_damaged_journal_is_told(tmp_path: Path) -> None:
    """With what to do: it alone is to be removed, and the run is as it was."""
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers/one.sqlite").write_bytes(b"no database" * 100)
    with Journal(tmp_path / "journal.sqlite") as journal:
        with pytest.raises(JournalError, match=r"workers/one.sqlite is the journal of a worker.* remove it and run"):
            take_in_workers(journal, tmp_path)
        (tmp_path / "workers/one.sqlite").unlink()
        assert take_in_workers(journal, tmp_path) == 0


def test_what_cannot_be_sent_is_refused() -> None:
    """A row function that holds what no other process can have is named."""
    values = (value for value in ())
    with pytest.raises(ClusterError, match="cannot be sent to actors"):
        pack(values)


def test_folders_of_models_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor works in another folder: paths are sent whole, names of the hub and of scripts as they are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "smollm2-135m").mkdir()  # the embedded model's name comes first
    own = ModelSpec("base", adapter=Path("run/models/sft"))
    assert found_from_anywhere(own) == ModelSpec(str(tmp_path / "base"), adapter=tmp_path / "run/models/sft")
    for spec in (ModelSpec("smollm2-135m"), ModelSpec("./small", engine="scripted")):
        assert found_from_anywhere(spec) == spec


def test_a_stand_in_refuses_to_answer() -> None:
    """The driver asks no model itself."""
    stand_in = StandIn(NAME, "scripted", frozenset(("complete",)), Uncounted())  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="only actors ask it"):
        asyncio.run(ask(Asked(0, Path("log")), stand_in, ""))
