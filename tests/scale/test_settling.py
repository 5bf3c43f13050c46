"""Journals of lost actors, some of them held by another process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from charter.engines.usage import KindUsage, Usage
from charter.errors import JournalError
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.runs.tally import Tally
from charter.runs.workers import worker_journal
from charter.scale.settling import Settling, take_in
from scale.holding import first_held, holding, let_go

END = Outcome("filtered", "not wanted")
TOOK = Tally(usage={"judge": Usage(complete=KindUsage(n_calls=1, n_prompt_tokens=3))})


def left_by_actor(folder: Path, name: str) -> Path:
    """Leave a journal as an actor does that was lost, with the end of a row of its own name."""
    path = folder / f"workers/{name}.sqlite"
    path.parent.mkdir(exist_ok=True)
    with worker_journal(path) as journal:
        journal.record("revise", name, END)
        journal.record("revise", "row of another", END)
        journal.keep_tally("revise", TOOK.to_json())
    return path


def test_a_held_journal_holds_up_nothing_else(tmp_path: Path) -> None:
    """While a third process holds one journal, the loop turns and the other's ends come; its own come afterwards."""
    held, free = (left_by_actor(tmp_path, name) for name in ("held", "free"))
    settling = Settling(600.0)

    async def run() -> None:
        with holding(tmp_path / "waiting", held.with_suffix(".lock")) as process:
            first_held(process)
            for path in (held, free):
                settling.begin(path, "revise", [path.stem])
            coming = asyncio.create_task(settling.ends(held))
            given_up = asyncio.create_task(settling.ends(held))
            assert await settling.ends(free) == {"free": END}
            assert list(settling.ended()) == [(free, TOOK)]
            assert (settling.waits_for(free), settling.waits_for(held)) == (False, True)
            assert not coming.done()
            given_up.cancel()
            let_go(process)
            assert await coming == {"held": END}
        assert list(settling.ended()) == [(held, TOOK)]

    asyncio.run(run())
    assert settling.give_up() == [held, free]
    assert list(settling.ended()) == []


def test_a_journal_that_is_held_for_too_long_is_left(tmp_path: Path) -> None:
    """It ends nothing: its rows have no end, the others are taken in, and so is it when it is free."""
    held, free = (left_by_actor(tmp_path, name) for name in ("held", "free"))
    settling = Settling(0.0)
    with Journal(tmp_path / "journal.sqlite") as journal:
        with holding(tmp_path / "waiting", held.with_suffix(".lock")) as process:
            first_held(process)
            settling.begin(held, "revise", ["held"])
            assert asyncio.run(settling.ends(held)) == {}
            assert list(settling.ended()) == [(held, None)]
            took, left = take_in(journal, [*settling.give_up(), free], [], seconds=0.0)
            assert (took, left, free.exists()) == ({free: TOOK}, [held], False)
            assert set(journal.outcomes("revise")) == {"free", "row of another"}
            assert take_in(journal, [], left, seconds=600.0) == ({}, [held])
        assert take_in(journal, [], left, seconds=0.0) == ({held: TOOK}, [])
        assert journal.taken_tallies("revise").keys() == {"free", "held"}
        assert set(journal.outcomes("revise")) == {"free", "held", "row of another"}
    assert not held.parent.exists()


def test_waiting_ends_when_it_is_given_up(tmp_path: Path) -> None:
    """Whoever stops a run waits for no journal that somebody holds."""
    held = left_by_actor(tmp_path, "held")
    settling = Settling(600.0)
    with holding(tmp_path / "waiting", held.with_suffix(".lock")) as process:
        first_held(process)
        settling.begin(held, "revise", ["held"])
        assert settling.give_up() == [held]


def test_an_actor_that_never_began_left_nothing(tmp_path: Path) -> None:
    """Where there is no journal there is nothing to wait for."""
    settling = Settling(600.0)
    settling.begin(tmp_path / "none.sqlite", "revise", ["row"])
    assert asyncio.run(settling.ends(tmp_path / "none.sqlite")) == {}
    assert list(settling.ended()) == [(tmp_path / "none.sqlite", Tally())]
    settling.give_up()


def test_a_damaged_journal_is_told_with_its_remedy(tmp_path: Path) -> None:
    """To whoever waits for it, and to whoever looks."""
    path = tmp_path / "one.sqlite"
    path.write_bytes(b"no database" * 100)
    settling = Settling(600.0)
    settling.begin(path, "revise", ["row"])
    with pytest.raises(JournalError, match=r"one.sqlite is the journal of a worker.* remove it and run"):
        asyncio.run(settling.ends(path))
    with pytest.raises(JournalError, match="remove it and run"):
        list(settling.ended())
    settling.give_up()
