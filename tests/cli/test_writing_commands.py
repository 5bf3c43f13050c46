from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from charter.constitution import load_constitution
from charter.prompts import load_prompts
from cli.command import Command, Start

DRY = ("--model", "demo", "--engine", "scripted")
CONSTITUTION = """\
name: small
principles:
  - {id: privacy, text: "Keep what people tell you to yourself.", category: data}
  - {id: truth, text: "Say what is true.", category: honesty, critique_request: "Is it true, or is it not?"}
"""


@pytest.fixture
def small(place: Path) -> Path:
    """A constitution of two principles, one with a request of its own."""
    path = place / "small.yaml"
    path.write_text(CONSTITUTION, "utf-8")
    return path


def test_red_team_writes_prompts_twins_and_a_summary(charter: Command, small: Path, place: Path) -> None:
    """The file reads as prompts and twins, and the summary shows the grid with its holes."""
    done = charter("prompts", "red-team", small, "red.jsonl", *DRY, "--n", "6", "--twins", "--languages", "en,ro")
    assert done.code == 0, done.err
    assert "red.jsonl: 12 of 12 prompts asked for, with 12 benign twins" in done.out
    assert "coverage: 4 of 52 cells, a dot is a hole" in done.out
    assert len(load_prompts(str(place / "red.jsonl"), "red_team").prompts) == 12
    assert len(load_prompts(str(place / "red.jsonl"), "benign_twin").prompts) == 12
    languages = {json.loads(line)["language"] for line in (place / "red.jsonl").read_text("utf-8").splitlines()}
    assert languages == {"en", "ro"}


@pytest.mark.parametrize("verb", ["red-team", "helpful"])
@pytest.mark.parametrize("form", ["json", "labelled"])
def test_a_finished_file_is_made_anew_without_a_call(charter: Command, small: Path, verb: str, form: str) -> None:
    """The same command gives the same file, as JSON tells; nothing is asked twice."""
    command = ("prompts", verb, small, "out.jsonl", *DRY, "--n", "4", "--form", form, "--json")
    first, again = charter(*command), charter(*command)
    assert first.code == again.code == 0, first.err
    assert first.value == again.value
    n_calls = first.value["calls"]
    assert first.value["kept"] == first.value["asked"]
    assert f"{n_calls}/{n_calls}, {n_calls} of them before" in again.err


def test_more_are_written_by_a_larger_number(charter: Command, small: Path) -> None:
    """A larger --n goes on from what is there."""
    command = ("prompts", "red-team", small, "red.jsonl", *DRY, "--per-call", "2", "--json")
    assert charter(*command, "--n", "4").value["kept"] == 8
    more = charter(*command, "--n", "6")
    assert more.value["kept"] == 12
    assert "6/6, 4 of them before" in more.err


def test_against_fills_holes_and_keeps_out_what_is_there(charter: Command, small: Path, place: Path) -> None:
    """New prompts go to other cells than the given ones."""
    (place / "axes.yaml").write_text("settings: [home, work]\n", "utf-8")
    command = ("prompts", "red-team", small, *DRY, "--n", "2", "--per-call", "2", "--settings", "axes.yaml", "--json")
    assert charter(*command, "one.jsonl").value["coverage"]["n_holes"] == 2
    second = charter(*command, "two.jsonl", "--against", "one.jsonl")
    assert second.value["coverage"]["n_holes"] == 0


def test_a_country_s_configuration_is_taken(charter: Command, small: Path, place: Path) -> None:
    """Its number of prompts a call holds where the command names none."""
    (place / "config.yaml").write_text(
        'red_team:\n  RT_USER_PROMPT: "Press {num_rtp_per_call} times on {principle}."\n  RT_NUM_RTP_PER_CALL: 3\n',
        "utf-8",
    )
    done = charter("prompts", "red-team", small, "red.jsonl", *DRY, "--n", "6", "--config", "config.yaml", "--json")
    assert done.code == 0, done.err
    assert done.value["calls"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--form", "xml"), "Invalid value for '--form': 'xml' is not one of 'json', 'labelled'"),
        (("--few-shots", "none.jsonl"), "none.jsonl: no such file"),
        (("--config", "none.yaml"), "none.yaml: cannot be read"),
        (("--threshold", "7"), "'--threshold': Input should be less than or equal to 1"),
        (("--temperature", "inf"), "'--temperature': Input should be less than or equal to 10"),
    ],
)
def test_wrong_arguments_are_named(charter: Command, small: Path, arguments: tuple[str, ...], message: str) -> None:
    """What is wrong and what was expected, with exit code 2."""
    done = charter("prompts", "red-team", small, "red.jsonl", *DRY, *arguments)
    assert done.code == 2
    assert message in done.err
    assert "red_team:" not in done.err  # before the first call


def test_targets_that_are_not_ours_are_left_alone(charter: Command, small: Path, place: Path) -> None:
    """A file that this command did not write, one of another kind, one in no folder."""
    (place / "mine.jsonl").write_text("mine", "utf-8")
    for target, message in (
        ("mine.jsonl", "no journal"),
        ("out.csv", "ends in '.csv'"),
        ("no/where/out.jsonl", "there is no folder"),
    ):
        done = charter("prompts", "red-team", small, target, *DRY)
        assert done.code == 2
        assert message in done.err
    assert (place / "mine.jsonl").read_text("utf-8") == "mine"


def test_another_setup_does_not_go_on(charter: Command, small: Path) -> None:
    """What has changed is named."""
    command = ("prompts", "red-team", small, "red.jsonl", "--engine", "scripted", "--n", "2")
    assert charter(*command, "--model", "demo").code == 0
    done = charter(*command, "--model", "other", "--seed", "3")
    assert done.code == 2
    assert "was begun with another --seed and another model" in done.err


def test_nothing_usable_is_an_error(
    charter: Command, small: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and writes no file."""
    monkeypatch.setattr("charter.authoring.dry_run.dry_answer", lambda _: "No.")
    done = charter("prompts", "red-team", small, "red.jsonl", *DRY, "--n", "2")
    assert done.code == 1
    assert "nothing usable was written: 2 calls (0 repaired), 2 malformed answers (2 no JSON object)" in done.err
    assert not (place / "red.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_command_goes_on(
    start: Start, charter: Command, small: Path, place: Path, how: signal.Signals
) -> None:
    """Killed at any moment, the same command goes on, and ends as one that was never killed."""
    command = ("prompts", "red-team", str(small), "red.jsonl", *DRY, "--n", "20", "--per-call", "1")
    journal = place / "red.jsonl.journal"
    process = start(*command, wait="await asyncio.sleep(0.05 * (request.sampling.seed % 40))")
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1.0)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert not (place / "red.jsonl").exists()
    done = charter(*command, "--json")
    assert done.code == 0, done.err
    assert "of them before" in done.err
    whole = charter(*(one if one != "red.jsonl" else "whole.jsonl" for one in command), "--json")
    assert (place / "red.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()
    assert done.value["kept"] == whole.value["kept"]


def test_drafted_requests_are_accepted_with_yes(charter: Command, small: Path, place: Path) -> None:
    """Requests that were derived are new, one that somebody wrote is as it was, and the change is shown."""
    done = charter("constitution", "draft", small, "new.yaml", *DRY, "--yes")
    assert done.code == 0, done.err
    assert "new.yaml: 2 of 2 proposals accepted" in done.out
    assert "privacy (changed)" in done.out
    before, after = load_constitution(small), load_constitution(place / "new.yaml")
    assert after.principle("truth").critique_request == "Is it true, or is it not?"
    assert after.principle("privacy").critique_request != before.principle("privacy").critique_request


def test_without_a_terminal_the_draft_is_to_be_read(charter: Command, small: Path, place: Path) -> None:
    """It goes to OUT.draft, and says so; --yes takes it without another call."""
    done = charter("constitution", "draft", small, "new.yaml", *DRY)
    assert done.code == 0, done.err
    assert "new.yaml.draft: 2 proposals to read" in done.out
    assert not (place / "new.yaml").exists()
    accepted = charter("constitution", "draft", small, "new.yaml", *DRY, "--yes")
    assert "2/2, 2 of them before" in accepted.err
    assert (place / "new.yaml").read_bytes() == (place / "new.yaml.draft").read_bytes()


@pytest.mark.parametrize(
    ("typed", "n_accepted"),
    [(("y", "n"), 1), (("x", "a"), 2), (("q",), 0), (("e", "", "Is it? Or not?", "", "", "n"), 1)],
)
def test_on_a_terminal_each_change_is_asked_about(  # noqa: PLR0917 - fixtures
    charter: Command, small: Path, place: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], n_accepted: int
) -> None:
    """Yes, no, edit, all, none: what is not accepted stays as it was."""
    answers = iter(typed)
    monkeypatch.setattr("charter.cli.console.is_terminal", lambda: True)
    monkeypatch.setattr("charter.cli.console.ask", lambda _: next(answers))
    done = charter("constitution", "draft", small, "new.yaml", *DRY)
    assert done.code == 0, done.err
    assert next(answers, None) is None
    if not n_accepted:
        assert "nothing was accepted" in done.out
        assert not (place / "new.yaml").exists()
        return
    after = load_constitution(place / "new.yaml")
    assert f"{n_accepted} of 2 proposals accepted" in done.out
    assert (after.principle("privacy").critique_request == "Is it? Or not?") == (typed[0] == "e")


def test_what_was_edited_is_told_as_accepted(charter: Command, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON holds the text that was typed, and says that it was taken."""
    answers = iter(("e", "", "Is it? Or not?", "", "", "n"))
    monkeypatch.setattr("charter.cli.console.is_terminal", lambda: True)
    monkeypatch.setattr("charter.cli.console.ask", lambda _: next(answers))
    done = charter("constitution", "draft", small, "new.yaml", *DRY, "--json")
    told = json.loads(done.out.splitlines()[-1])["proposals"]
    assert [one["accepted"] for one in told] == [True, False]
    assert [after for name, _, after in told[0]["changed"] if name == "critique_request"] == ["Is it? Or not?"]


def test_another_merging_does_not_go_on(charter: Command, place: Path) -> None:
    """Requests are recorded by id, and ids follow from what was merged."""
    (place / "village.md").write_text("Nobody eats alone here.\n\nThe river is ours.\n", "utf-8")
    command = ("constitution", "draft", "new", "village.yaml", "--from-document", "village.md", *DRY, "--yes")
    assert charter(*command).code == 0
    again = charter(*command, "--threshold", "0.3")
    assert (again.code, "was begun with another --threshold" in again.err) == (2, True)


def test_rows_that_a_passage_lost_are_counted(charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their reason; those of all passages together."""
    row = {"title": "River", "text": "The assistant keeps it clean.", "category": "water", "quotation": "The river is"}
    answer = json.dumps([row, {**row, "text": ""}, {**row, "quotation": "Not said"}])
    monkeypatch.setattr("charter.authoring.dry_run.dry_answer", lambda _: answer)
    (place / "village.md").write_text("The river is ours.\n\nThe river is old.\n", "utf-8")
    done = charter(
        "constitution",
        "draft",
        "new",
        "village.yaml",
        "--from-document",
        "village.md",
        "--passage",
        "200",
        *DRY,
        "--yes",
    )
    assert "left out: 1 'text' is empty; 1 a quotation that is not in the document" in done.out


def test_principles_are_drafted_from_a_document(charter: Command, place: Path) -> None:
    """Each names the document and the words that it comes from."""
    document = "Nobody eats alone here.\n\nThe river is ours.\n"
    (place / "village.md").write_text(document, "utf-8")
    done = charter(
        "constitution", "draft", "new", "village.yaml", "--from-document", "village.md", *DRY, "--yes", "--json"
    )
    assert done.code == 0, done.err
    assert done.value["accepted"]
    drafted = load_constitution(place / "village.yaml")
    assert drafted.name == "village"
    for principle in drafted.principles:
        assert principle.source == "village.md"
        assert isinstance(principle.metadata["passages"], list)
        for passage in principle.metadata["passages"]:
            assert isinstance(passage, dict)
            assert str(passage["text"]) in document


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "x.yaml"), "name it with --from-document"),
        (("small.yaml", "x.txt"), "expected .yaml or .yml or .json"),
        (("small.yaml", "x.yaml", "--from-document", "none.md"), "none.md: cannot be read"),
        (("small.yaml", "x.yaml", "--from-document", "empty.md"), "empty.md: is empty"),
        (("small.yaml", "x.yaml", "--from-document", "binary.md"), "binary.md:1: byte 0xff is not UTF-8"),
    ],
)
def test_wrong_drafts_are_named(
    charter: Command, small: Path, place: Path, arguments: tuple[str, ...], message: str
) -> None:
    """What is wrong and what to do, with exit code 2."""
    assert small.exists()
    (place / "empty.md").write_text(" \n", "utf-8")
    (place / "binary.md").write_bytes(b"\xff\xfe\x00")
    done = charter("constitution", "draft", *arguments, *DRY)
    assert done.code == 2
    assert message in done.err
