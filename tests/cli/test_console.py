from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from charter.cli import console


def test_text_from_outside_moves_no_cursor() -> None:
    """Escape sequences, carriage returns and turned directions come out as what they are."""
    assert console.printable("a\x1b[2Jb\rc\u202ed\x9b1m") == r"a\x1b[2Jb\rc\u202ed\x9b1m"


def test_a_question_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked may quote a file, such as the names of its columns."""
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "typed")
    assert console.ask("which of a\x1b[2J, b? ") == "typed"
    assert asked == [r"which of a\x1b[2J, b? "]


@given(st.text())
def test_printable_leaves_ordinary_text(text: str) -> None:
    """What has no control characters is printed verbatim, markup and braces too; nothing unsafe is left of the rest."""
    shown = console.printable(text)
    assert not any(ord(one) < 32 and one not in "\n\t" for one in shown)
    if all(one.isprintable() or one in "\n\t" for one in text):
        assert shown == text


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Results can be piped: nothing else is among them."""
    console.write("a [bold]result[/bold]")
    console.note("by the way")
    console.fail("it is [red]wrong[/red]")
    printed = capsys.readouterr()
    assert printed.out == "a [bold]result[/bold]\n"
    assert printed.err == "by the way\nerror: it is [red]wrong[/red]\n"


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON survives every terminal encoding and every character."""
    value = {"text": "é\n\x1b\ud800 \u202e"}
    console.write_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == value


def test_columns_are_aligned() -> None:
    """Cells stand under their header, numbers to the right, with no space at the end of a line."""
    assert console.columns(("name", "n"), [("a", "5"), ("longer", "12")], right=(1,)) == [
        "name     n",
        "a        5",
        "longer  12",
    ]


def test_a_cell_cannot_pass_for_a_row() -> None:
    """A category or a name may come from outside, with a line break in it."""
    assert console.columns(("category", "n"), [("a\nworse  99", "5")]) == ["category      n", "a\\nworse  99  5"]


def test_styles_are_left_out_of_pipes(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stdout is no terminal, styled text is plain text, unwrapped."""
    console.write_styled(Text("word " * 60, style="red"))
    assert capsys.readouterr().out == "word " * 60 + "\n"


def test_styles_show_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stdout is a terminal, styles show, unless the person asked for none."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    console.write_styled(Text("word", style="red"))
    assert "\x1b[31mword" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    console.write_styled(Text("word", style="red"))
    assert capsys.readouterr().out == "word\n"


UNHEARD = """
import sys
from charter.cli import console
sys.stdin.readline()
console.note("one")
console.note_from_signal("two")
console.note("three")
console.write("done")
"""


def test_notes_that_nobody_reads_are_dropped() -> None:
    """Whoever read the progress has gone: what is said goes nowhere, and the rest goes on."""
    command = [sys.executable, "-c", UNHEARD]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stderr is not None
        running.stderr.close()
        out, _ = running.communicate("\n")
    assert (out, running.returncode) == ("done\n", 0)
