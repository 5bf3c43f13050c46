from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import charter as package
from charter.cli.entry import app
from cli.command import Command

PROGRAM = [sys.executable, "-c", "from charter.cli import main; main()"]
VERBS = [
    [], ["init"], ["import-country"],
    ["run"], ["merge"], ["check"], ["schema"], ["plan"], ["status"], ["show"], ["report"], ["audit"],
    ["diff-labels"], ["compare"], ["reproduce"], ["rate"], ["chat"], ["serve"],
    ["revise"], ["sft"], ["pairs"], ["label"], ["preference-model"], ["dpo"], ["rl"], ["evaluate"],
    ["evaluate", "multiple-choice"], ["evaluate", "refusals"], ["evaluate", "head-to-head"],
    ["evaluate", "adherence"], ["evaluate", "attacks"], ["evaluate", "harm"],
    ["evaluate", "instructions"], ["evaluate", "retention"], ["evaluate", "preferences"],
    ["evaluate", "behaviour"], ["evaluate", "lm-eval"],
    ["constitution"],
    ["constitution", "list"], ["constitution", "show"],
    ["constitution", "check"], ["constitution", "convert"], ["constitution", "diff"], ["constitution", "draft"],
    ["prompts"], ["prompts", "list"], ["prompts", "show"], ["prompts", "read"], ["prompts", "red-team"],
    ["prompts", "helpful"], ["prompts", "split"],
    ["country"], ["country", "red-team"], ["country", "sft"], ["country", "preferences"],
    ["export"], ["card"], ["publish"],
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_command_has_help_with_an_example(charter: Command, verb: list[str]) -> None:
    """--help says what a command does, and a command by itself shows an example."""
    done = charter(*verb, "--help")
    assert done.code == 0
    assert "Usage: charter" in done.out
    assert f"charter {' '.join(verb)}" in done.out.partition("Options:")[2] or verb in (["constitution"], ["prompts"])


def test_every_command_is_tested_for_help() -> None:
    """The list above is complete."""
    named = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert named == {verb[0] for verb in VERBS if verb}


def test_no_arguments_is_help(charter: Command) -> None:
    """The bare command shows what there is."""
    assert charter().out == charter("--help").out


def test_version(charter: Command) -> None:
    """--version prints the installed version."""
    done = charter("--version")
    assert (done.code, done.out) == (0, f"charter {package.__version__}\n")


def test_help_loads_nothing_heavy() -> None:
    """Help is there at once: neither torch nor numpy nor any of the method's modules is loaded for it."""
    code = (
        "import sys\n"
        "from charter.cli import main\n"
        "try:\n    main(['run', '--help'])\n"
        "except SystemExit:\n    print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(done.stderr.split())
    assert not loaded & {"torch", "transformers", "datasets", "numpy", "yaml", "pyarrow"}
    assert {name for name in loaded if name.startswith("charter.")} <= {
        "charter.errors", "charter.spelling", "charter.files", "charter.files.env_file",
        *(name for name in loaded if name.startswith("charter.cli"))
    }  # fmt: skip


@pytest.mark.parametrize("verb", [["constitution", "list"], ["prompts", "list"]])
def test_closed_pipe_is_quiet(place: Path, verb: list[str]) -> None:
    """A reader that goes away ends the command without a word."""
    del place
    with subprocess.Popen([*PROGRAM, *verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(timeout=60) == 141


def test_unexpected_errors_are_one_line(charter: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is one line that asks for a report, with exit code 1 and no traceback."""
    monkeypatch.setattr("charter.prompts.load_prompts", lambda *_: 1 // 0)
    done = charter("prompts", "list")
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("error: unexpected ZeroDivisionError: ")
    assert "report" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debugging_shows_the_traceback(charter: Command, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """--debug, or CHARTER_DEBUG=1, shows where an error comes from."""
    monkeypatch.setattr("charter.prompts.load_prompts", lambda *_: 1 // 0)
    monkeypatch.setenv("CHARTER_DEBUG", "1" if how == "variable" else "")
    done = charter(*(["--debug"] if how == "option" else []), "prompts", "list")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "1 // 0" in done.err


def test_markup_in_an_error_is_text(charter: Command) -> None:
    """A message is printed as it is: what it quotes may look like markup."""
    done = charter("run", "[bold]nowhere[/bold].yaml")
    assert "[bold]nowhere[/bold].yaml" in done.err


def test_control_characters_in_an_error_are_shown(charter: Command) -> None:
    """A name from outside moves no cursor."""
    done = charter("run", "nowhere\x1b[2J.yaml")
    assert "\x1b" not in done.err


def test_ctrl_c_outside_a_run_ends_the_command(place: Path) -> None:
    """Where nothing is to be continued, Ctrl-C just ends, with exit code 130 and no traceback."""
    del place
    import signal

    talk = subprocess.Popen(
        [*PROGRAM, "chat", "anyone", "--engine", "scripted"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert talk.stdin is not None
    assert talk.stdout is not None
    talk.stdin.write("hello\n")
    talk.stdin.flush()
    assert talk.stdout.readline()
    time.sleep(0.2)
    talk.send_signal(signal.SIGINT)
    _, err = talk.communicate(timeout=30)
    assert talk.returncode == 130
    assert "Traceback" not in err


def test_the_package_is_the_command_too() -> None:
    """``python -m charter`` does what ``charter`` does."""
    done = subprocess.run(
        [sys.executable, "-m", "charter", "--version"], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"charter {package.__version__}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("verb", [["prompts", "show", "red_team"], ["--help"], ["--version"]], ids=" ".join)
def test_output_that_takes_nothing(verb: list[str]) -> None:
    """A full disk behind the output is one line, and no fault of ours."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *verb], check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close a stream")
@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [
        (">&-", 2, "error: the output is closed; give it somewhere to go, such as a file or /dev/null\n"),
        ("2>&-", 0, ""),
    ],
)
def test_closed_streams(streams: str, code: int, said: str) -> None:
    """A closed output is said to be; a closed error stream is nobody's business."""
    command = f"exec {sys.executable} -m charter prompts list {streams}"
    done = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, said)
