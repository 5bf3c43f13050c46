from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.errors import (
    BudgetSpent,
    CapabilityError,
    EngineError,
    Interrupted,
    JournalError,
    RecipeError,
    TooManyFailures,
)
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.records import Record
from charter.rows import Filtered, Mapped, map_rows


@dataclass(frozen=True)
class Number:
    """A row: a number by its name."""

    id: str

    @property
    def value(self) -> int:
        """The number."""
        return int(self.id)


class Square(Record):
    """What a number becomes."""

    id: str
    square: int


@dataclass
class Counted:
    """A row function that squares numbers, and remembers which ones it was asked for."""

    filtered: frozenset[int] = frozenset()
    failing: frozenset[int] = frozenset()
    asked: list[int] = field(default_factory=list)

    async def __call__(self, row: Number) -> Square | Filtered:
        """Square one number, after a wait that puts later rows first."""
        self.asked.append(row.value)
        await asyncio.sleep(0.0001 * (row.value % 3))
        if row.value in self.failing:
            raise EngineError(f"no answer for {row.value}")
        if row.value in self.filtered:
            return Filtered("unwanted")
        return Square(id=row.id, square=row.value**2)


@dataclass
class Steps:
    """Progress that remembers what it was told."""

    calls: list[tuple[str, str, int]] = field(default_factory=list)

    def begin(self, stage: str, total: int, done: int) -> None:
        """Remember a bar."""
        self.calls.append(("begin", f"{stage} {total}", done))

    def advance(self, stage: str, note: str = "") -> None:
        """Remember a step."""
        self.calls.append(("advance", note or stage, 0))

    def end(self, stage: str) -> None:
        """Remember the bar's end."""
        self.calls.append(("end", stage, 0))


def _numbers(n: int) -> list[Number]:
    return [Number(str(number)) for number in range(n)]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


def _map(fn: Callable[[Number], Awaitable[Square | Filtered]], n: int, **options: object) -> Mapped[Square]:
    return map_rows(fn, _numbers(n), "squares", result=Square, **options)  # type: ignore[arg-type]


def test_results_keep_the_order_of_the_rows() -> None:
    """Rows end in any order; results, and the others' reasons, come in the order that the rows went in."""
    fn = Counted(filtered=frozenset({7, 3}), failing=frozenset({8, 2}))
    mapped = _map(fn, 20)
    assert [one.square for one in mapped.done] == [n**2 for n in range(20) if n not in {2, 3, 7, 8}]
    assert list(mapped.filtered.items()) == [("3", "unwanted"), ("7", "unwanted")]
    assert list(mapped.failed) == ["2", "8"]
    assert mapped.failed["2"] == "no answer for 2"
    assert mapped.n_in == 20
    assert mapped.n_resumed == 0


def test_reasons_are_counted() -> None:
    """Equal reasons are counted together, filtered and failed apart."""

    async def fn(row: Number) -> Filtered:
        if row.value == 0:
            raise EngineError("no answer")
        return Filtered("odd" if row.value % 2 else "even")

    mapped = map_rows(fn, _numbers(6), "squares", result=Square)
    assert mapped.reasons == {"filtered": {"even": 2, "odd": 3}, "failed": {"no answer": 1}}


def test_no_rows_are_no_work(journal: Journal) -> None:
    """An empty stage maps to nothing."""
    mapped = _map(Counted(), 0, journal=journal)
    assert (mapped.n_in, list(mapped.done)) == (0, [])


def test_done_and_filtered_rows_are_not_run_again(journal: Journal) -> None:
    """A second call runs only what failed; results are the same as of the first."""
    first = _map(Counted(filtered=frozenset({1}), failing=frozenset({4})), 6, journal=journal)
    again = Counted()
    second = _map(again, 6, journal=journal)
    assert again.asked == [4]
    assert first.failed == {"4": "no answer for 4"}
    assert [one.square for one in second.done] == [0, 4, 9, 16, 25]
    assert second.filtered == {"1": "unwanted"}
    assert second.failed == {}
    assert second.n_resumed == 5


def test_stages_do_not_share_records(journal: Journal) -> None:
    """The same rows in another stage are other work."""
    _map(Counted(), 3, journal=journal)
    fn = Counted()
    map_rows(fn, _numbers(3), "cubes", result=Square, journal=journal)
    assert sorted(fn.asked) == [0, 1, 2]


def test_recorded_rows_that_are_gone_are_left_alone(journal: Journal) -> None:
    """A stage that has fewer rows than it had before returns those it has."""
    _map(Counted(), 5, journal=journal)
    mapped = _map(Counted(), 2, journal=journal)
    assert [one.square for one in mapped.done] == [0, 1]
    assert mapped.n_in == 2


def test_a_damaged_row_is_done_again(journal: Journal) -> None:
    """A record whose checksum fails is work to be done, and nothing else is."""
    _map(Counted(), 3, journal=journal)
    journal._db.execute("UPDATE rows SET payload = 'x' WHERE row = '1'")
    fn = Counted()
    assert len(_map(fn, 3, journal=journal).done) == 3
    assert fn.asked == [1]


def test_a_record_of_another_shape_is_an_error(journal: Journal) -> None:
    """A recorded result that is no such record says so; it is not taken, and not overwritten."""
    journal.record("squares", "1", Outcome("done", '{"id":"1","cube":1}'))
    with pytest.raises(JournalError, match="recorded for row 1 is not a Square"):
        _map(Counted(), 3, journal=journal)


@pytest.mark.parametrize(("n_rows", "share", "allowed"), [(100, 0.1, 10), (100, 0.0, 5), (20, 0.1, 5), (100, 0.5, 50)])
def test_so_many_rows_may_fail_and_no_more(n_rows: int, share: float, allowed: int) -> None:
    """The stage goes on up to its limit of failed rows and stops beyond it, saying what failed last."""
    even_first = sorted(range(n_rows), key=lambda number: number % 2)
    fn = Counted(failing=frozenset(even_first[:allowed]))
    assert len(_map(fn, n_rows, max_failed_share=share).failed) == allowed
    fn = Counted(failing=frozenset(even_first[: allowed + 1]))
    with pytest.raises(TooManyFailures, match=rf"squares: {allowed + 1} rows failed.*no answer for \d+"):
        _map(fn, n_rows, max_failed_share=share)


def test_twenty_rows_in_a_row_that_fail_alike_stop_the_stage(journal: Journal) -> None:
    """Long before the share that may fail, one error for row after row is no bad luck: numbers and ids aside."""
    asked = []

    async def fn(row: Number) -> Square:
        asked.append(row.value)
        raise EngineError(
            f"status {400 + row.value}: no model for trace-{row.value:016x} after {row.value / 7} seconds"
        )

    with pytest.raises(TooManyFailures, match=r"squares: 20 rows in a row failed with the same error\. The last: 19: "):
        _map(fn, 1000, journal=journal, n_in_flight=1)
    assert asked == list(range(20))
    assert len(journal.outcomes("squares")) == 20
    assert len(_map(Counted(), 1000, journal=journal).done) == 1000


@pytest.mark.parametrize("between", ["done", "filtered", "another reason"])
def test_rows_that_fail_alike_with_others_in_between_are_counted_anew(between: str) -> None:
    """Nineteen alike, something else, and nineteen alike again go on; a twentieth stops."""

    async def fn(row: Number) -> Square | Filtered:
        if row.value and (row.value % 20 != 19 or row.value > 60):
            raise EngineError(f"no answer for {row.value}")
        if row.value and between == "another reason":
            raise EngineError("no answer: no connection")
        return Filtered("unwanted") if between == "filtered" else Square(id=row.id, square=0)

    assert len(_map(fn, 79, n_in_flight=1, max_failed_share=1.0).failed) >= 75
    with pytest.raises(TooManyFailures, match="20 rows in a row"):
        _map(fn, 80, n_in_flight=1, max_failed_share=1.0)


@given(st.lists(st.tuples(st.sampled_from(["done", "one", "other"]), st.integers(1, 24)), max_size=8))
def test_only_twenty_alike_in_a_row_stop_the_stage(stretches: list[tuple[str, int]]) -> None:
    """Whatever the order of the ends, the stage stops where twenty alike stand together, and nowhere else."""
    ends = [*itertools.chain.from_iterable([end] * n for end, n in stretches), "done"]

    async def fn(row: Number) -> Square:
        end = ends[row.value]
        if end == "done":
            return Square(id=row.id, square=0)
        raise EngineError(f"{end} reason {row.value}")

    longest = max((len(list(same)) for end, same in itertools.groupby(ends) if end != "done"), default=0)
    expects = pytest.raises(TooManyFailures, match="20 rows in a row") if longest >= 20 else contextlib.nullcontext()
    with expects:
        _map(fn, len(ends), n_in_flight=1, max_failed_share=1.0)


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_a_stage_that_failed_altogether_is_not_done(n_rows: int) -> None:
    """However few the rows, all of them failing is too many: no stage goes on with nothing."""
    with pytest.raises(TooManyFailures):
        _map(Counted(failing=frozenset(range(n_rows))), n_rows)
    assert len(_map(Counted(failing=frozenset(range(n_rows - 1))), n_rows).done) == 1


def test_what_was_done_before_too_many_failed_is_kept(journal: Journal) -> None:
    """After the cause is mended, only what failed or never ran is run."""
    fn = Counted(failing=frozenset(range(30, 60)))
    with pytest.raises(TooManyFailures):
        _map(fn, 60, journal=journal, n_in_flight=1)
    mended = Counted()
    assert len(_map(mended, 60, journal=journal).done) == 60
    assert sorted(mended.asked) == list(range(30, 60))


def test_a_failure_is_never_a_value(journal: Journal) -> None:
    """A failed row has a reason and no result, in what is returned and in the journal."""
    mapped = _map(Counted(failing=frozenset({1})), 3, journal=journal)
    assert [one.id for one in mapped.done] == ["0", "2"]
    assert journal.outcomes("squares")["1"] == Outcome("failed", "no answer for 1")


def test_a_reason_that_no_file_can_hold_is_kept_as_escapes(journal: Journal) -> None:
    """Half a surrogate pair in a server's error does not stop the journal."""

    async def fn(row: Number) -> Filtered:
        if row.value == 0:
            raise EngineError("the server said \ud800")
        return Filtered("\udfff")

    mapped = map_rows(fn, _numbers(2), "squares", result=Square, journal=journal)
    assert mapped.failed == {"0": "the server said \\ud800"}
    assert journal.outcomes("squares")["1"] == Outcome("filtered", "\\udfff")


def test_a_missing_capability_counts_as_the_engines_failure() -> None:
    """What an engine cannot do fails the row like any other of its errors."""

    async def fn(row: Number) -> Square:
        if row.value:
            return Square(id=row.id, square=1)
        raise CapabilityError("no letters")

    assert map_rows(fn, _numbers(3), "squares", result=Square).failed == {"0": "no letters"}


@pytest.mark.parametrize("error", [RecipeError("a wrong key"), ValueError("a bug"), JournalError("a full disk")])
def test_other_errors_are_raised_at_once(journal: Journal, error: Exception) -> None:
    """The user's errors and ours are not counted: they stop the stage, and what is done is kept."""
    cancelled = []

    async def fn(row: Number) -> Square:
        if row.value == 3:
            raise error
        try:
            await asyncio.sleep(0 if row.value < 3 else 60)
        except asyncio.CancelledError:
            cancelled.append(row.value)
            raise
        return Square(id=row.id, square=0)

    started = time.monotonic()
    with pytest.raises(type(error), match=str(error)):
        _map(fn, 8, journal=journal)
    assert time.monotonic() - started < 30
    assert sorted(cancelled) == [4, 5, 6, 7]
    assert set(journal.outcomes("squares")) <= {"0", "1", "2"}


def test_errors_beside_the_first_make_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    """Rows that fail in the same moment as the one that is raised are not reported behind its back."""

    async def fn(row: Number) -> Square:
        raise RecipeError(f"a wrong key {row.id}")

    with caplog.at_level(logging.ERROR), pytest.raises(RecipeError):
        _map(fn, 50)
    assert not caplog.records


def test_stop_leaves_the_rest_to_be_resumed(journal: Journal) -> None:
    """A stage that is stopped says so, keeps what was done, and goes on from there."""
    stop = threading.Event()
    asked = []

    async def fn(row: Number) -> Square:
        asked.append(row.value)
        if row.value == 10:
            stop.set()
            await asyncio.sleep(60)
        return Square(id=row.id, square=row.value**2)

    with pytest.raises(Interrupted, match="stopped during squares"):
        _map(fn, 40, journal=journal, stop=stop, n_in_flight=4)
    done = {int(row) for row in journal.outcomes("squares")}
    assert set(range(9)) <= done
    assert 10 not in done
    assert len(asked) < 40
    rest = Counted()
    mapped = _map(rest, 40, journal=journal, stop=threading.Event())
    assert set(rest.asked) == set(range(40)) - done
    assert [one.square for one in mapped.done] == [n**2 for n in range(40)]


def test_stop_that_is_already_set_runs_nothing() -> None:
    """A stage that begins after the stop asks nothing of the model."""
    stop = threading.Event()
    stop.set()
    fn = Counted()
    with pytest.raises(Interrupted):
        _map(fn, 5, stop=stop)
    assert fn.asked == []


def test_stop_is_noticed_while_rows_wait() -> None:
    """Rows that hang do not hold up the stop."""
    stop = threading.Event()

    async def fn(row: Number) -> Square:
        await asyncio.sleep(60)
        return Square(id=row.id, square=0)

    timer = threading.Timer(0.1, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        _map(fn, 5, stop=stop)
    timer.join()
    assert time.monotonic() - started < 30


def test_it_works_where_a_loop_is_running(journal: Journal) -> None:
    """In a notebook, whose cell runs inside a loop, rows are mapped and errors raised all the same."""

    async def cell() -> Mapped[Square]:
        with pytest.raises(RecipeError, match="a wrong key"):
            _map(_raises, 3)
        return _map(Counted(), 5, journal=journal)

    assert [one.square for one in asyncio.run(cell()).done] == [0, 1, 4, 9, 16]


async def _raises(_: Number) -> Square:
    raise RecipeError("a wrong key")


def test_ctrl_c_where_a_loop_is_running_cancels_the_rows(journal: Journal) -> None:
    """An interrupted notebook cell stops its rows before it returns, and keeps what was done."""
    cancelled = []
    main_thread = threading.get_ident()

    async def fn(row: Number) -> Square:
        if row.value < 2:
            return Square(id=row.id, square=0)
        if row.value == 4:  # as the terminal does it: the thread that waits is the one that is interrupted
            await asyncio.sleep(0.1)
            signal.pthread_kill(main_thread, signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(row.value)
            raise
        return Square(id=row.id, square=0)

    async def cell() -> None:
        _map(fn, 5, journal=journal)

    # asyncio.run would handle the signal itself; a notebook's loop leaves it to Python.
    loop = asyncio.new_event_loop()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
    finally:
        loop.close()
    assert time.monotonic() - started < 30
    assert sorted(cancelled) == [2, 3, 4]
    assert set(journal.outcomes("squares")) == {"0", "1"}


def test_so_many_rows_run_at_once() -> None:
    """No more rows are in flight than allowed, and as many as that."""
    n_running, most = 0, 0

    async def fn(row: Number) -> Square:
        nonlocal n_running, most
        n_running += 1
        most = max(most, n_running)
        await asyncio.sleep(0.001)
        n_running -= 1
        return Square(id=row.id, square=0)

    assert len(_map(fn, 30, n_in_flight=7).done) == 30
    assert most == 7
    with pytest.raises(ValueError, match="n_in_flight is 0"):
        _map(fn, 3, n_in_flight=0)


def test_a_slow_row_holds_up_no_other() -> None:
    """Rows behind a slow one are all done before it is."""
    ends = []

    async def fn(row: Number) -> Square:
        await asyncio.sleep(0.2 if row.value == 0 else 0)
        ends.append(row.value)
        return Square(id=row.id, square=0)

    _map(fn, 50, n_in_flight=4)
    assert ends[-1] == 0


def test_duplicate_ids_are_refused() -> None:
    """Two rows of one name would overwrite each other: the name is given."""
    rows = [Number("1"), Number("2"), Number("1")]
    with pytest.raises(ValueError, match="stage squares: the row id '1' occurs twice"):
        map_rows(Counted(), rows, "squares", result=Square)


def test_progress_counts_every_row(journal: Journal) -> None:
    """Progress begins with what was recorded, counts each row once, names failures, and ends."""
    _map(Counted(), 2, journal=journal)
    steps = Steps()
    _map(Counted(filtered=frozenset({2}), failing=frozenset({3})), 5, journal=journal, progress=steps)
    assert steps.calls[0] == ("begin", "squares 5", 2)
    assert steps.calls[-1] == ("end", "squares", 0)
    assert sorted(note for call, note, _ in steps.calls if call == "advance") == ["1 failed", "squares", "squares"]


def test_progress_ends_when_the_stage_is_stopped() -> None:
    """A bar is closed also where an error ends the stage."""
    steps = Steps()
    with pytest.raises(RecipeError):
        _map(_raises, 3, progress=steps)
    assert steps.calls[-1] == ("end", "squares", 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    n_rows=st.integers(1, 30),
    n_in_flight=st.integers(1, 12),
    filtered=st.frozensets(st.integers(0, 29)),
    stops=st.lists(st.integers(0, 29), max_size=3),
)
def test_interrupted_and_resumed_is_uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, n_rows: int, n_in_flight: int, filtered: frozenset[int], stops: list[int]
) -> None:
    """However often a stage is stopped, its results are those of one that never was, and no row is done twice."""
    whole = _map(Counted(filtered=filtered), n_rows, n_in_flight=n_in_flight)
    fn = Counted(filtered=filtered)
    ended: list[int] = []
    with Journal(tmp_path_factory.mktemp("run") / "journal.sqlite") as journal:
        for stop_at in [*stops, None]:
            stop = threading.Event()

            async def stopping(
                row: Number, stop: threading.Event = stop, at: int | None = stop_at
            ) -> Square | Filtered:
                value = await fn(row)
                if row.value == at:
                    stop.set()
                ended.append(row.value)
                return value

            try:
                mapped = _map(stopping, n_rows, journal=journal, stop=stop, n_in_flight=n_in_flight)
            except Interrupted:
                assert stop_at is not None
                continue
            assert (mapped.done, mapped.filtered, mapped.failed) == (whole.done, whole.filtered, whole.failed)
    assert sorted(ended) == list(range(n_rows))


def test_where_the_budget_is_spent_rows_under_way_come_as_far_as_they_can(tmp_path: Path) -> None:
    """None is begun any more; what ends is recorded, and the message says how far the rows came."""
    begun: list[int] = []

    async def one(row: Number) -> Square:
        begun.append(row.value)
        if row.value == 1:
            raise BudgetSpent("the budget is spent.")
        await asyncio.sleep(0.01)
        return Square(id=row.id, square=row.value**2)

    rows = [Number(str(number)) for number in range(6)]
    with Journal(tmp_path / "journal.sqlite") as journal:
        with pytest.raises(BudgetSpent, match=r"the budget is spent\. squares: 2 of 6 rows have ended"):
            map_rows(one, rows, "squares", result=Square, journal=journal, n_in_flight=3)
        assert begun == [0, 1, 2]
        assert {row: end.status for row, end in journal.outcomes("squares").items()} == {"0": "done", "2": "done"}
