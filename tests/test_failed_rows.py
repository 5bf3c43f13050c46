"""Runs whose models fail now and then: what is tried again, and what is done anew because of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError, Interrupted, TooManyFailures
from charter.journal.store import Journal
from charter.pipeline import run_stages
from charter.reporting import report
from charter.runs import sittings
from charter.runs.folder import Run, open_run
from charter.runs.tally import Tally
from charter.stages import STAGES
from charter.stages.summary import Summary
from run_examples import RECIPE, SMALL_STAGES, journal_rows, small_recipe, small_run, summaries

WHOLE = list(SMALL_STAGES[:-1])


class Failing:
    """Makes the scripted engine fail on what ``fails`` picks, and counts the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: Callable[[Any], bool] = lambda _: False
        self.n_calls = 0
        self.n_failed = 0
        for kind in ("complete", "choose", "score"):
            monkeypatch.setattr(ScriptedEngine, kind, self._failing(getattr(ScriptedEngine, kind)))

    def _failing(self, answer: Any) -> Any:
        async def answers(engine: ScriptedEngine, request: Any) -> Any:
            self.n_calls += 1
            if self.fails(request):
                self.n_failed += 1
                raise EngineError("no answer")
            return await answer(engine, request)

        return answers

    def once_in(self, n: int) -> Callable[[Any], bool]:
        """Fail each call whose request's hash says so: always the same ones, about one in ``n``."""
        return lambda request: int(request.key("x")[:8], 16) % n == 0


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """The scripted engine, that can be told to fail."""
    return Failing(monkeypatch)


def wait_for(found: Callable[[], Any]) -> Any:
    """Wait until there is something, for a minute at most."""
    end = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


def files(run: Path) -> dict[str, bytes]:
    """Read every table and figure of a run."""
    return {path.name: path.read_bytes() for path in (*run.glob("data/*"), run / "evaluation.json") if path.exists()}


def ends(run: Path, part: str) -> set[str]:
    """Read how the rows of a part of a stage stand in the journal."""
    return {status for stage, _, status, _ in journal_rows(run) if stage.startswith(part)}


def summary(run: Path, stage: str) -> Any:
    """Read a stage's summary."""
    return json.loads((run / "stages" / f"{stage}.json").read_text("utf-8"))


def times(run: Path, names: Sequence[str] = WHOLE) -> dict[str, int]:
    """When each stage ended."""
    return {name: (run / f"stages/{name}.json").stat().st_mtime_ns for name in names}


def n_calls(run: Path, stage: str) -> int:
    """How many calls a stage's summary counts."""
    return sum(used["n_calls"] for used in summary(run, stage)["usage"].values())


def test_failed_rows_are_named_and_the_run_goes_on(tmp_path: Path, failing: Failing) -> None:
    """A summary names the rows that failed; later stages do without them."""
    failing.fails = failing.once_in(20)
    run = small_run(tmp_path, WHOLE)
    named = {name: summary(run, name)["failed_rows"] for name in WHOLE}
    counted = {name: sum(summary(run, name)["failed"].values()) for name in WHOLE}
    assert {name: len(rows) for name, rows in named.items()} == counted
    assert sum(counted.values()) > 2
    with Journal(run / "journal.sqlite") as journal:
        for rows in named.values():
            for stage, row in (one.rsplit(": ", 1) for one in rows):
                assert journal.outcomes(stage)[row].status == "failed"


def test_rows_that_failed_once_are_made_good(tmp_path: Path, failing: Failing) -> None:
    """When the model answers again, the same command ends with the very files of a run that never failed."""
    failing.fails = failing.once_in(20)
    mended = small_run(tmp_path / "mended", WHOLE)
    assert any(summary(mended, name)["failed"] for name in WHOLE)
    failing.fails = lambda _: False
    small_run(tmp_path / "mended", WHOLE)
    plain = small_run(tmp_path / "plain", WHOLE)
    assert files(mended) == files(plain)
    assert not any(summary(mended, name)["failed_rows"] for name in WHOLE)


@pytest.mark.parametrize(("stage", "n"), [("revise", 12), ("sft", 12), ("pairs", 12), ("label", 12), ("evaluate", 6)])
def test_only_failed_rows_are_asked_again(tmp_path: Path, failing: Failing, stage: str, n: int) -> None:
    """The good rows are the journal's: what is put to the model again are the failed rows' missing calls."""
    before = WHOLE[: WHOLE.index(stage)]
    small_run(tmp_path, before)
    failing.fails = failing.once_in(n)
    run = small_run(tmp_path, [stage])
    n_failed = len(summary(run, stage)["failed_rows"])
    assert n_failed
    n_done = summary(run, stage)["n_done"]
    failing.fails = lambda _: False
    failing.n_calls = 0
    small_run(tmp_path, [stage])
    assert summary(run, stage)["failed_rows"] == []
    assert summary(run, stage)["n_done"] > n_done or stage == "sft"  # whose mixture has a limit
    calls_per_row = 8
    assert 0 < failing.n_calls <= calls_per_row * n_failed


def test_rows_that_fail_again_change_nothing(tmp_path: Path, failing: Failing) -> None:
    """Where the same rows fail again, no stage is done anew: a training would be repeated for nothing."""
    failing.fails = failing.once_in(20)
    run = small_run(tmp_path, WHOLE)
    before, told, failed = files(run), summaries(run), failing.n_failed
    small_run(tmp_path, WHOLE)
    assert failing.n_failed > failed
    assert summaries(run) == told
    assert files(run) == before
    assert sum(n_calls(run, name) for name in WHOLE) == failing.n_calls


@pytest.mark.parametrize("names", [list(SMALL_STAGES), WHOLE], ids=["whole run", "as far as the evaluation"])
def test_the_report_tells_of_tries_in_vain(tmp_path: Path, failing: Failing, names: list[str]) -> None:
    """Where nothing came of another try but calls and time, the report is drawn again with all of them."""
    failing.fails = failing.once_in(20)
    run = small_run(tmp_path, list(SMALL_STAGES))
    before, n_before = (run / "report.html").read_text("utf-8"), failing.n_calls
    small_run(tmp_path, names)
    found = (run / "report.html").read_text("utf-8")
    assert failing.n_calls > n_before
    assert found != before
    assert found == report(run).read_text("utf-8")
    assert (run / "stages/report.json").exists()


def test_the_report_is_drawn_once(tmp_path: Path, failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many stages are tried again, the page is drawn once: at the end, or by its own stage."""
    drawn: list[Path] = []
    whole = STAGES["report"]

    def draws(run: Run) -> Summary:
        drawn.append(run.folder)
        return whole.run(run)

    failing.fails = failing.once_in(20)
    run = small_run(tmp_path, list(SMALL_STAGES))
    assert sum(bool(summary(run, name)["failed_rows"]) for name in WHOLE) > 1
    monkeypatch.setitem(cast("Any", STAGES), "report", replace(whole, run=draws))
    small_run(tmp_path, list(SMALL_STAGES))
    assert len(drawn) == 1
    (run / "stages/report.json").unlink()
    small_run(tmp_path, list(SMALL_STAGES))
    assert len(drawn) == 2


def test_a_stage_that_is_forgotten_leaves_no_report(tmp_path: Path, failing: Failing) -> None:
    """A stage done from the start on request takes the report with it: no page tells the totals of before."""
    failing.fails = failing.once_in(20)
    run = small_run(tmp_path, list(SMALL_STAGES))
    small_run(tmp_path, ["prompts", "evaluate"], again="evaluate")
    assert not (run / "report.html").exists()
    assert n_calls(run, "evaluate")


def test_time_and_calls_are_totals(tmp_path: Path, failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary counts the sittings that were cut off, and those that tried failed rows again."""
    small_run(tmp_path, ["prompts"])
    failing.fails, failing.n_calls = failing.once_in(12), 0
    whole = STAGES["revise"]

    def cut(run: Run) -> Summary:
        whole.run(run)
        raise Interrupted("before the summary")

    with monkeypatch.context() as patch:
        patch.setitem(cast("Any", STAGES), "revise", replace(whole, run=cut))
        with pytest.raises(Interrupted):
            small_run(tmp_path, ["revise"])
    with Journal(tmp_path / "run/journal.sqlite") as journal:
        first = Tally.from_json(journal.tally("revise") or "")
    assert sum(used.total.n_calls for used in first.usage.values()) == failing.n_calls > 6
    run = small_run(tmp_path, ["revise"])
    assert summary(run, "revise")["failed_rows"]
    assert n_calls(run, "revise") == failing.n_calls
    assert summary(run, "revise")["seconds"] > first.seconds > 0
    before = summary(run, "revise")["seconds"]
    failing.fails = lambda _: False
    small_run(tmp_path, ["revise"])
    assert n_calls(run, "revise") == failing.n_calls
    assert summary(run, "revise")["seconds"] > before


def test_a_killed_sitting_leaves_what_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and calls are kept while a stage is at work, not only at its end."""
    monkeypatch.setattr(sittings, "_KEEP_EVERY_SECONDS", 0.01)
    small_run(tmp_path, ["prompts"])
    with open_run(small_recipe(tmp_path), tmp_path / "run", recipe_text=RECIPE) as run:
        with sittings.sitting(run, "revise"):
            STAGES["revise"].run(run)
            kept = wait_for(lambda: sittings.tally_so_far(run, "revise").usage)
        assert kept["small"].total.n_calls > 0


def test_nothing_is_asked_where_nothing_failed(tmp_path: Path, failing: Failing) -> None:
    """A run without failures is passed over as it was."""
    run = small_run(tmp_path, WHOLE)
    ended, failing.n_calls = times(run), 0
    small_run(tmp_path, WHOLE)
    assert failing.n_calls == 0
    assert times(run) == ended


def test_later_stages_follow_a_row_that_came_back(tmp_path: Path, failing: Failing) -> None:
    """Stages after the one that gained a row are done anew; those before it are left alone."""
    failing.fails = lambda request: isinstance(request, ChoiceRequest) and failing.once_in(10)(request)
    run = small_run(tmp_path, WHOLE)
    assert summary(run, "label")["failed_rows"]
    ended = times(run)
    failing.fails = lambda _: False
    small_run(tmp_path, ["prompts", "label"])
    assert not summary(run, "label")["failed_rows"]
    assert times(run, WHOLE[:4]) == {name: ended[name] for name in WHOLE[:4]}
    assert {path.stem for path in (run / "stages").iterdir()} == set(WHOLE[:5])


@pytest.mark.parametrize(("later", "part"), [("pairs", "pairs"), ("evaluate", "evaluate/respond/sft")])
def test_rows_of_a_later_stage_half_done_are_forgotten(
    tmp_path: Path, failing: Failing, monkeypatch: pytest.MonkeyPatch, later: str, part: str
) -> None:
    """What was sampled from a model that is now trained anew is not mixed with what its successor says."""
    small_run(tmp_path, ["prompts", "revise"])
    failing.fails = failing.once_in(9)
    run = small_run(tmp_path, ["sft"])
    assert summary(run, "sft")["failed_rows"]

    def cut(_: Any) -> None:
        raise Interrupted("half way")

    failing.fails = lambda _: False
    whole = STAGES[later]
    with monkeypatch.context() as patch:
        patch.setitem(cast("Any", STAGES), later, replace(whole, run=lambda run: cut(whole.run(run))))
        with pytest.raises(Interrupted):
            small_run(tmp_path, [later])  # its rows are in the journal, its summary is not
    assert not (run / f"stages/{later}.json").exists()
    assert "done" in ends(run, part)
    small_run(tmp_path, ["sft"])
    assert summary(run, "sft")["failed_rows"] == []
    assert ends(run, part) == {"failed"}


def test_a_done_stage_can_be_passed_over_with_its_failures(tmp_path: Path, failing: Failing) -> None:
    """Where no second try is wanted, failed rows and all that rests on the stage stay as they are."""
    failing.fails = failing.once_in(20)
    folder = small_run(tmp_path, WHOLE)
    before, failing.n_calls = times(folder), 0
    failing.fails = lambda _: False
    with open_run(small_recipe(tmp_path), folder, recipe_text=RECIPE) as run:
        run_stages(run, WHOLE, retry=False)
    assert failing.n_calls == 0
    assert times(folder) == before


def test_some_rows_come_back(tmp_path: Path, failing: Failing) -> None:
    """Rows that fail once more are named again; the others are done by now."""
    failing.fails = failing.once_in(6)
    run = small_run(tmp_path, ["prompts", "revise"])
    before = summary(run, "revise")
    failing.fails = failing.once_in(12)  # half of those
    small_run(tmp_path, ["revise"])
    after = summary(run, "revise")
    assert set() < set(after["failed_rows"]) < set(before["failed_rows"])
    assert after["n_in"] == before["n_in"] == 6
    assert after["n_done"] == 6 - len(after["failed_rows"])


def test_an_interrupted_second_try_is_gone_on_with(
    tmp_path: Path, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between the rows' coming back and the stage's being done anew, the next command does it all the same."""
    from charter import pipeline

    names = WHOLE[:5]
    failing.fails = failing.once_in(10)
    run = small_run(tmp_path, ["prompts", "revise"])
    assert summary(run, "revise")["failed_rows"]
    failing.fails = lambda _: False
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_try_failed", lambda *_: None)  # as in one sitting
        small_run(tmp_path, names)

    def cut(*_: Any) -> None:
        raise Interrupted("here")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_forget_later", cut)
        with pytest.raises(Interrupted):
            small_run(tmp_path, names)
    small_run(tmp_path, names)
    assert files(run) == files(small_run(tmp_path / "plain", names))


def test_too_many_failures_still_stop_the_stage(tmp_path: Path, failing: Failing) -> None:
    """The limit holds as before: a stage that passed it is not done."""
    small_run(tmp_path, ["prompts"])
    failing.fails = lambda _: True
    with pytest.raises(TooManyFailures):
        small_run(tmp_path, ["revise"])
    assert not (tmp_path / "run/stages/revise.json").exists()


def test_no_model_is_trained_again_for_nothing(tmp_path: Path, failing: Failing) -> None:
    """A second try of the SFT stage maps its rows alone; the training follows where a row came back."""
    trained = tmp_path / "run/models/sft"
    small_run(tmp_path, ["prompts", "revise"])
    failing.fails = failing.once_in(9)
    run = small_run(tmp_path, ["sft"])
    assert summary(run, "sft")["failed_rows"]
    trained.mkdir(parents=True)  # as a model that can be trained leaves it
    small_run(tmp_path, ["sft"])
    assert trained.exists()
    failing.fails = lambda _: False
    small_run(tmp_path, ["sft"])
    assert not trained.exists()
