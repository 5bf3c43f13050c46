"""Rows through a server that fails on purpose: all are done, none twice, and no key gets anywhere."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from charter.engines.base import ChoiceRequest, CompletionRequest
from charter.engines.cache import CachedEngine
from charter.engines.http import HttpEngine, Limits, failures
from charter.engines.http.calls import MOST_TRIES
from charter.engines.http.catalogue import list_models
from charter.engines.http.servers import find_server
from charter.errors import EngineError, ModelError, TooManyFailures
from charter.journal.store import Journal
from charter.records import Message, Record
from charter.rows import Mapped, map_rows
from engines.fault_server import FAULTS, Fault, FaultServer, Manners

KEY = "sk-planted-0123456789"


@dataclass(frozen=True)
class Row:
    """A row that asks one thing."""

    id: str

    @property
    def message(self) -> Message:
        """What it asks."""
        return Message(role="user", content=f"Name a harbour: row {self.id}.")


class Answered(Record):
    """What a row was told."""

    id: str
    told: str


@dataclass
class Asking:
    """A row function: every other row draws a text, the others choose."""

    engine: CachedEngine
    ended: Counter[str] = field(default_factory=Counter)

    async def __call__(self, row: Row) -> Answered:
        """Ask, and count the row's end."""
        if int(row.id) % 2:
            told = str((await self.engine.choose(ChoiceRequest(messages=(row.message,), prefill="("))).logprobs)
        else:
            told = (await self.engine.complete(CompletionRequest(messages=(row.message,)))).text
        self.ended[row.id] += 1
        return Answered(id=row.id, told=told)


@dataclass(frozen=True)
class Ran:
    """What came of rows, and how long they took."""

    mapped: Mapped[Answered]
    ended: Counter[str]
    seconds: float


def _run(server: FaultServer, n_rows: int, journal: Journal, limits: Limits, manners: Manners | None = None) -> Ran:
    """Make an engine, let the server take on its manners, and put rows through it."""
    engine = HttpEngine("stub", server.url, key_name="SOME_KEY", limits=limits)
    server.manners = manners or server.manners
    cached = CachedEngine(engine, journal)
    try:
        fn, begun = Asking(cached), time.monotonic()
        rows = [Row(str(number)) for number in range(n_rows)]
        mapped = map_rows(fn, rows, "asked", result=Answered, journal=journal)
        return Ran(mapped, fn.ended, time.monotonic() - begun)
    finally:
        cached.close()


@pytest.fixture(autouse=True)
def planted_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """Plant a key for the servers of these tests."""
    monkeypatch.setenv("SOME_KEY", KEY)
    return KEY


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a hundredth of the time between tries."""
    monkeypatch.setattr(failures, "_BASE_SECONDS", 0.005)
    monkeypatch.setattr(failures, "_SPREAD_SECONDS", 0.001)


@pytest.fixture
def no_key_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Give a function that looks for the planted key, or its beginning, in files, logs, output and texts."""
    caplog.set_level(logging.DEBUG)

    def look(*texts: str) -> None:
        out, err = capfd.readouterr()
        held = [caplog.text, out, err, *texts]
        assert not [text for text in held if KEY[:12] in text]
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY[:12].encode() in path.read_bytes()]

    return look


def test_a_well_behaved_server_is_asked_once_for_each_row(tmp_path: Path) -> None:
    """Without faults every row is one call and one try; a second run asks nothing."""
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        ran = _run(server, 40, journal, Limits())
        assert len(ran.mapped.done) == 40
        assert set(server.seen.tries.values()) == {1}
        n_probing = server.seen.n_calls - 40
        again = _run(server, 40, journal, Limits())
        assert server.seen.n_calls == 40 + 2 * n_probing
    assert again.mapped.done == ran.mapped.done
    assert again.mapped.n_resumed == 40


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("short_pauses")
def test_each_fault_alone_is_overcome(fault: Fault, tmp_path: Path, no_key_anywhere: Callable[..., None]) -> None:
    """Every call meets one fault again and again, and every row ends with what a server without faults says."""
    n_faults = 2 if fault == "hang" else 6
    faulty = Manners(key=KEY, share=1.0, faults=(fault,), most_faults=n_faults, wait=0.02)
    limits = Limits(call_seconds=0.5 if fault == "hang" else 60.0)
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        ran = _run(server, 12, journal, limits, faulty)
        n_fitting = 6 if fault in {"nan", "no text"} else 12
        assert server.seen.met[fault] == n_faults * n_fitting
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "clean.sqlite") as journal:
        clean = _run(server, 12, journal, Limits())
    assert ran.mapped.done == clean.mapped.done
    assert len(ran.mapped.done) == 12
    assert set(ran.ended.values()) == {1}
    no_key_anywhere()


@pytest.mark.usefixtures("short_pauses")
def test_faults_of_every_kind_are_overcome(tmp_path: Path, no_key_anywhere: Callable[..., None]) -> None:
    """Half of all tries fail in all ways at once: the rows end with what a server without faults says."""
    limits = Limits(most_at_once=16, call_seconds=0.5)
    faulty = Manners(key=KEY, share=0.5, wait=0.02, seed=3)
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        ran = _run(server, 60, journal, limits, faulty)
        assert set(server.seen.met) == set(FAULTS)
        assert max(server.seen.tries.values()) <= MOST_TRIES
        assert server.seen.keys == {KEY}
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "clean.sqlite") as journal:
        clean = _run(server, 60, journal, Limits())
    assert ran.mapped.done == clean.mapped.done
    assert ran.mapped.failed == {}
    no_key_anywhere()


def test_a_server_that_names_its_model_after_the_key_is_refused(no_key_anywhere: Callable[..., None]) -> None:
    """Neither what it answers as nor what it lists shows the key, nor what an error was raised from."""
    told = r"answers as Bearer \*\*\* \d, then as Bearer \*\*\* \d, where stub"
    with FaultServer(Manners(names_key=True)) as server:
        with pytest.raises(EngineError, match=told) as raised:
            HttpEngine("stub", server.url, key_name="SOME_KEY")
        listed = list_models(find_server(server.url), KEY, "SOME_KEY")
        assert listed == ["Bearer ***"]
    no_key_anywhere(str(raised.value), repr(raised.getrepr(chain=True)), *listed)


@pytest.mark.parametrize("refusal", [401, 500])
def test_a_list_that_is_refused_shows_no_key(refusal: int, no_key_anywhere: Callable[..., None]) -> None:
    """Also where a traceback is printed with what the error came of."""
    with FaultServer(Manners(refusal=refusal)) as server, pytest.raises((EngineError, ModelError)) as raised:
        list_models(find_server(server.url), KEY, "SOME_KEY")
    assert "not with ***" in str(raised.value)
    no_key_anywhere("".join(traceback.format_exception(raised.value)))


REMEDIES = [
    (401, r"the server does not know the key: set SOME_KEY \(in the environment or in \.env\)"),
    (402, "the account has no money left"),
    (403, r"ask the server's owner for access to the model, or take another key \(SOME_KEY\)"),
    (404, "check the model's name and the server's address"),
]


@pytest.mark.parametrize(("status", "remedy"), REMEDIES)
def test_a_permanent_fault_stops_before_the_first_row(
    status: int, remedy: str, tmp_path: Path, no_key_anywhere: Callable[..., None]
) -> None:
    """What no waiting mends is said at once, with what to do."""
    with FaultServer(Manners(refusal=status)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        begun = time.monotonic()
        with pytest.raises(ModelError, match=remedy) as raised:
            _run(server, 12, journal, Limits())
        assert time.monotonic() - begun < 5.0
    no_key_anywhere(str(raised.value), repr(raised.getrepr(chain=True)))


def test_a_wrong_key_stops_before_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_key_anywhere: Callable[..., None]
) -> None:
    """The server repeats the key that it does not know; the message names the variable instead."""
    monkeypatch.setenv("SOME_KEY", f"{KEY}-mistyped")
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        begun = time.monotonic()
        with pytest.raises(ModelError, match="set SOME_KEY") as raised:
            _run(server, 12, journal, Limits())
        assert time.monotonic() - begun < 5.0
    assert server.seen.keys == {f"{KEY}-mistyped"}
    no_key_anywhere(str(raised.value))


@pytest.mark.parametrize(("status", "remedy"), REMEDIES)
def test_a_permanent_fault_in_the_middle_stops_the_rows(
    status: int, remedy: str, tmp_path: Path, no_key_anywhere: Callable[..., None]
) -> None:
    """A key that is withdrawn during a run stops it at once; what was done is kept, and not done again."""
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        with pytest.raises(ModelError, match=remedy) as raised:
            _run(server, 300, journal, Limits(), Manners(refusal=status, refuses_from=60, latency=0.01))
        assert time.monotonic() - server.seen.first_refused < 5.0
        done = {row for row, end in journal.outcomes("asked").items() if end.status == "done"}
        assert 0 < len(done) < 300
        assert len(journal.outcomes("asked")) == len(done)
        server.manners = Manners(key=KEY)
        ran = _run(server, 300, journal, Limits())
        assert ran.mapped.n_resumed == len(done)
        assert len(ran.mapped.done) == 300
    no_key_anywhere(str(raised.value))


def test_rows_that_are_refused_for_one_reason_stop_the_run(
    tmp_path: Path, no_key_anywhere: Callable[..., None]
) -> None:
    """A request that the server never takes fails row after row: twenty are enough, and their reasons hold no key.

    Rows in flight may fail in the same moment as the twentieth, so that more than twenty are told of; never more than
    that and what was in flight.
    """
    with FaultServer(Manners(key=KEY)) as server, Journal(tmp_path / "journal.sqlite") as journal:
        refusing = Manners(refusal=400)
        with pytest.raises(
            TooManyFailures, match=r"\d+ rows in a row failed with the same error.*status 400"
        ) as raised:
            _run(server, 1000, journal, Limits(), refusing)
        reasons = [end.payload for end in journal.outcomes("asked").values()]
        assert 20 <= len(reasons) <= 20 + 256
        assert all("refuses the request (status 400): no, not with ***" in reason for reason in reasons)
        journal.flush()
        no_key_anywhere(str(raised.value), *reasons)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_two_thousand_rows_through_a_bad_server(
    seed: int,
    tmp_path: Path,
    no_key_anywhere: Callable[..., None],
    record_property: Callable[[str, object], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With three bad answers in ten all rows are done, none twice, no call above eight tries; the ratio is printed."""
    limits = Limits(most_at_once=64, call_seconds=2.0)
    clean_manners = Manners(key=KEY, latency=0.3)
    with FaultServer(clean_manners) as server, Journal(tmp_path / "clean.sqlite") as journal:
        clean = _run(server, 2000, journal, limits)
    faulty = replace(clean_manners, share=0.3, seed=seed)
    with FaultServer(faulty) as server, Journal(tmp_path / "journal.sqlite") as journal:
        ran = _run(server, 2000, journal, limits)
        assert max(server.seen.tries.values()) <= MOST_TRIES
        assert set(server.seen.met) == set(FAULTS)
        assert server.seen.most_in_flight <= 64 + 8  # a call that timed out here may not have ended there
        assert server.seen.keys == {KEY}
        outcomes = journal.outcomes("asked")
        assert {end.status for end in outcomes.values()} == {"done"}
        assert len(outcomes) == 2000
    assert ran.mapped.done == clean.mapped.done
    assert len(ran.mapped.done) == 2000
    assert set(ran.ended.values()) == {1}
    no_key_anywhere()
    ratio = ran.seconds / clean.seconds
    record_property("ratio", ratio)
    with capfd.disabled():
        print(  # noqa: T201 - the figure that this test is for
            f"\nseed {seed}: {ran.seconds:.1f} s, without faults {clean.seconds:.1f} s: {ratio:.2f} times"
        )
