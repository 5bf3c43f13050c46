"""The only place that prints: results go to stdout, everything else to stderr.

Text that comes from outside (prompts, responses, names of files) is never read as markup, and its control characters
are shown as escapes: a response must not be able to move the cursor or rewrite what stands above it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from charter.errors import UserError

_NO_LIMIT = 10_000  # columns
_CLOSED_PIPE = 141  # what a shell reports for a process that SIGPIPE ended
# C0 and C1 controls but newline and tab, and the marks that turn the direction of text around.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHOW_CURSOR = "\x1b[?25h"


def printable(text: str) -> str:
    """Show control characters as escapes, and leave everything else as it is."""
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def write(text: str = "") -> None:
    """Print a result, as it is."""
    _to_stdout(f"{printable(text)}\n")


def write_styled(text: Text) -> None:
    """Print a result whose styles show where stdout is a terminal."""
    if has_colours():
        Console(file=sys.stdout, markup=False, highlight=False, emoji=False).print(text, soft_wrap=True)
    else:
        write(text.plain)


def write_json(value: Any) -> None:
    """Print a result as one line of JSON."""
    _to_stdout(f"{json.dumps(value, allow_nan=False)}\n")


def write_columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows under a header in aligned columns; ``right`` names the columns that are set to the right."""
    for line in columns(header, rows, right=right):
        write(line)


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Align cells in columns as wide as their widest cell; a line break in one is escaped, lest it pass for a row."""
    table = [[cell.replace("\n", "\\n") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    return ["  ".join(_cell(row, place, widths, right) for place in range(len(header))).rstrip() for row in table]


def _cell(row: Sequence[str], place: int, widths: Sequence[int], right: Sequence[int]) -> str:
    return row[place].rjust(widths[place]) if place in right else row[place].ljust(widths[place])


def width() -> int:
    """Say how many columns the terminal has that results go to; a file or a pipe has room for all."""
    return shutil.get_terminal_size((_NO_LIMIT, 24)).columns


def note(text: str) -> None:
    """Say something to the person who waits, on stderr; nothing any more where nobody reads it."""
    try:
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()
    except BrokenPipeError:  # the interpreter flushes once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def fail(message: str) -> None:
    """Say what went wrong, on stderr."""
    note(f"error: {message}")


def is_terminal() -> bool:
    """Tell whether there is a person to ask: lines are typed, and what is asked is seen."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def ask(prompt: str) -> str:
    """Let the person type a line; EOFError where there is no more."""
    return input(printable(prompt))


def note_from_signal(text: str) -> None:
    """Say something from a signal's handler, which may interrupt another write: past Python's buffers."""
    show_cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    with contextlib.suppress(BrokenPipeError):  # nobody reads it any more
        os.write(2, f"\n{show_cursor}{text}\n".encode())


def has_colours() -> bool:
    """Tell whether stdout shows colours: a terminal, and nobody asked for none."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def expect_any_text() -> None:
    """Let every character be printed: what the terminal's encoding lacks is escaped, not a crash."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Hand everything printed to whoever reads it, quietly where nobody does any more."""
    _to_stdout("")


def require_output() -> None:
    """Require somewhere to print results to; what is said to a person who closed the error stream is dropped.

    Raises:
        UserError: where the output is closed.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        raise UserError("the output is closed; give it somewhere to go, such as a file or /dev/null")


def find_lost_output() -> UserError | None:
    """Give the error of an output that takes no more, which a library may have met; a closed pipe ends the process."""
    try:
        flush()
    except UserError as error:
        return error
    return None


def _to_stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes once more when it ends, and must find something that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(_CLOSED_PIPE) from None
        raise UserError(f"the output cannot be written ({error.strerror}); what was to be printed is lost") from error
