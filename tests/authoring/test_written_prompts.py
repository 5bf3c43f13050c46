from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from authoring_examples import AXES, CONSTITUTION, row, rows_json, writer
from charter.authoring.coverage import Axes
from charter.authoring.helpful import TASKS, helpful_subjects, write_helpful
from charter.authoring.red_team import FIELDS, red_team_subjects, write_red_team
from charter.authoring.written import WrittenBatch, WrittenPrompt, settle_written, write_rows
from charter.engines.base import CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError, TooManyFailures
from charter.journal.store import Journal
from charter.prompts import load_prompts
from charter.records import make_prompt
from charter.rows import Mapped, map_rows

SUBJECTS = red_team_subjects(CONSTITUTION, AXES)


def counting(answer: Callable[[int, CompletionRequest], str]) -> ScriptedEngine:
    """Make an engine whose answers are told how many came before."""
    seen: list[CompletionRequest] = []

    def reply(request: CompletionRequest) -> str:
        seen.append(request)
        return answer(len(seen) - 1, request)

    return ScriptedEngine(reply, script="counting")


def good(place: int, _: CompletionRequest) -> str:
    """Answer with two rows, never the same."""
    return rows_json(2 * place, 2 * place + 1)


def write(engine: ScriptedEngine, **settings: object) -> Mapped[WrittenBatch]:
    """Write two prompts a call, four a principle."""
    chosen = {"n_per_principle": 4, "per_call": 2, "axes": AXES, **settings}
    return write_red_team(CONSTITUTION, engine, **chosen)  # type: ignore[arg-type]


def test_a_red_team_is_written_for_every_principle() -> None:
    """Prompts carry their principle, category, setting and source; responses are verbatim."""
    mapped = write(counting(good), source="model-x")
    result = settle_written(mapped, SUBJECTS, AXES.settings)
    assert result.summary["written"] == result.summary["kept"] == 8
    assert result.grid.holes == ()
    first = result.written[0]
    assert first.prompt.kind == "red_team"
    assert (first.prompt.principle, first.prompt.category, first.prompt.source) == ("privacy", "data", "model-x")
    assert first.prompt.setting in AXES.settings
    assert (first.prompt.text, first.aligned, first.misaligned) == tuple(row(0).values())
    assert {one.principle for one in result.prompts} == {"privacy", "truth"}


def test_rows_survive_the_journal() -> None:
    """A batch comes back from its JSON as it was."""
    batch = write(counting(good)).done[0]
    assert WrittenBatch.from_json(batch.to_json()) == batch


def test_hostile_answers_are_counted_and_stop_nothing() -> None:
    """Whatever a model answers, the stage ends, and each call is written or has its reason."""
    answers = [
        "{0.__class__} %s {",
        "[" * 5000,
        '[{"prompt": "\\ud800"}]',
        "\x00\u202e",
        "{{ 7*7 }}",
        "null",
        "[[]]",
        "{}",
    ]
    mapped = write(counting(lambda place, _: answers[place % len(answers)]))
    assert mapped.done == ()
    assert mapped.failed == {}
    assert len(mapped.filtered) == 4
    assert all(reason.startswith("malformed: ") for reason in mapped.filtered.values())
    summary = settle_written(mapped, SUBJECTS, AXES.settings).summary
    assert sum(summary["malformed"].values()) == summary["calls"] == 4


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": "Who?"}, "a prompt of one or two words"),
        ({"aligned": f"{FIELDS[1].about.capitalize()}."}, "the request, copied"),
        ({"aligned": "She does.", "misaligned": "she does"}, "two fields that say the same"),
        ({"misaligned": "No no no no no no. " * 30}, "a text that goes round in circles"),
    ],
)
def test_rows_of_no_use_are_left_out(fields: dict[str, str], reason: str) -> None:
    """A row that is whole may be no use all the same."""
    mapped = write(writer(json.dumps([row(1, **fields)] * 2)))
    assert set(mapped.filtered.values()) == {f"malformed: {reason}"}


def test_a_copied_example_is_left_out() -> None:
    """What the model was shown is no prompt of its own, also in another case."""
    shown = row(1)
    mapped = write(writer(json.dumps([{**row(2), "prompt": shown["prompt"].upper()}, row(3)])), few_shots=[shown])
    assert mapped.done[0].lost == {"an example, copied": 1}


def test_twins_name_their_prompt() -> None:
    """A twin is a prompt of its own kind, with the id of the one that it imitates."""
    answer = json.dumps([row(k, twin=f"What grows in the garden of house {k}{k}?") for k in range(2)])
    mapped = write(writer(answer), twins=True, n_per_principle=2)
    result = settle_written(mapped, SUBJECTS, AXES.settings)
    assert result.summary["twins"] == len(result.twins) == 2
    for prompt, twin in zip(result.prompts, result.twins, strict=True):
        assert twin.kind == "benign_twin"
        assert twin.twin_of == prompt.id


def test_near_duplicates_are_left_out_within_and_against() -> None:
    """Of prompts that say nearly the same the first is kept, and none that a given one says already."""
    given = make_prompt(row(5)["prompt"], "red_team", principle="truth", category="honesty", setting="home")
    mapped = write(counting(lambda place, _: rows_json(5, place)))
    result = settle_written(mapped, SUBJECTS, AXES.settings, against=[given], threshold=0.8)
    told = result.summary["near_duplicates"]
    assert told["threshold"] == 0.8
    assert told["against"] == 4
    assert told["within"] == 0
    assert {one["for"] for one in told["examples"]} == {given.text}
    assert given.text not in {one.text for one in result.prompts}
    alone = settle_written(mapped, SUBJECTS, AXES.settings, threshold=0.8)
    assert alone.summary["near_duplicates"]["within"] == 3


def test_given_prompts_fill_the_grid_first() -> None:
    """What is there already is no hole: the first call goes to the other setting."""
    given = [
        make_prompt(f"{k}", "red_team", principle=name, category=category, setting="home")
        for name, category in (("privacy", "data"), ("truth", "honesty"))
        for k in range(2)
    ]
    mapped = write(counting(good), existing=given, n_per_principle=2)
    assert {batch.brief.setting for batch in mapped.done} == {"work"}


def test_a_stage_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Recorded calls are not made again, and the outcome is that of a stage that was never interrupted."""
    whole = write(writer(lambda request: rows_json(request.sampling.seed % 97, request.sampling.seed % 89 + 100), "s"))

    class Killed(BaseException):
        pass

    def dying(request: CompletionRequest) -> str:
        if engine.n_calls["complete"] > 2:
            raise Killed
        return rows_json(request.sampling.seed % 97, request.sampling.seed % 89 + 100)

    with Journal(tmp_path / "journal") as journal:
        engine = writer(dying, "s")
        with pytest.raises(Killed):
            write(engine, mapper=partial(map_rows, journal=journal, n_in_flight=1))
    with Journal(tmp_path / "journal") as journal:
        engine = writer(lambda request: rows_json(request.sampling.seed % 97, request.sampling.seed % 89 + 100), "s")
        again = write(engine, mapper=partial(map_rows, journal=journal))
    assert engine.n_calls["complete"] == 2
    assert again.n_resumed == 2
    assert again.done == whole.done
    with Journal(tmp_path / "journal") as journal:
        silent = writer("never asked", "s")
        assert write(silent, mapper=partial(map_rows, journal=journal)).done == whole.done
    assert silent.n_calls["complete"] == 0


def test_more_prompts_go_on_from_fewer(tmp_path: Path) -> None:
    """A larger number asks only for what is not there."""
    with Journal(tmp_path / "journal") as journal:
        mapper = partial(map_rows, journal=journal)
        first = write(counting(good), mapper=mapper, n_per_principle=2)
        engine = counting(lambda place, request: good(place + 10, request))
        more = write(engine, mapper=mapper, n_per_principle=4)
    assert more.n_resumed == 2
    assert more.done[:2] == first.done
    assert engine.n_calls["complete"] == 2


def test_a_failing_engine_fails_rows() -> None:
    """An engine's error is a failed call, tried again by the next run; too many stop the stage."""

    def fails(_: CompletionRequest) -> str:
        raise EngineError("out of reach")

    with pytest.raises(TooManyFailures, match="out of reach"):
        write(ScriptedEngine(fails))


def test_helpful_tasks_come_with_a_reference() -> None:
    """They are of no single principle; their category is the kind of task."""
    engine = counting(
        lambda place, _: json.dumps([{"prompt": row(place)["prompt"], "reference": f"As follows: {place}."}])
    )
    mapped = write_helpful(CONSTITUTION, engine, n=10, per_call=1, axes=Axes())
    result = settle_written(mapped, helpful_subjects(Axes()), Axes().settings)
    assert {one.category for one in result.prompts} == set(TASKS)
    assert all(one.kind == "helpful" and one.reference and not one.principle for one in result.prompts)
    assert len({one.setting for one in result.prompts}) == 10


def test_written_rows_read_as_prompts(tmp_path: Path) -> None:
    """The file gives back prompts and twins by kind, to the letter, with principle and setting."""
    answer = json.dumps(
        [
            row(1, prompt='A "quoted" {brace} 100 %s\n\nline, and = too', twin="=1+1 is what, please\r\nsay"),
            row(2, twin="What grows\tin the garden?"),
        ]
    )
    result = settle_written(write(writer(answer), twins=True, n_per_principle=2), SUBJECTS, AXES.settings)
    path = tmp_path / "red.jsonl"
    write_rows(path, result.written)
    red = load_prompts(str(path), "red_team").prompts
    twins = load_prompts(str(path), "benign_twin").prompts
    assert [one.text for one in red] == [one.text for one in result.prompts]
    assert [(one.id, one.principle, one.setting) for one in red] == [
        (one.id, one.principle, one.setting) for one in result.prompts
    ]
    assert [(one.text, one.twin_of) for one in twins] == [(one.text, one.twin_of) for one in result.twins]
    first = json.loads(path.read_text("utf-8").splitlines()[0])
    keys = ("id", "prompt", "kind", "principle", "category", "setting", "register", "length", "language", "aligned")
    assert set(first) == {*keys, "turns", "misaligned", "source"}


def test_a_prompt_without_twin_is_one_row() -> None:
    """Its row has no key of a twin."""
    (batch, *_) = write(counting(good)).done
    one: WrittenPrompt = batch.written[0]
    assert [set(line) & {"twin_of", "reference"} for line in one.to_rows()] == [set()]
