"""Files that grow by lines: what was written is read, and what was torn is cut off."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from charter.errors import RunError
from charter.files.lines import append_line, read_lines, take_up_lines

VALUES = [[[3, -1.25, 0.1]], [], {"a": "ö\u2028"}]


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    """In their order, and more of them later; a file that is not there has none."""
    file = tmp_path / "lines"
    assert take_up_lines(file) == []
    for n, value in enumerate(VALUES):
        append_line(file, value)
        assert take_up_lines(file) == VALUES[: n + 1]


def test_what_is_torn_is_cut_off_wherever_it_breaks(tmp_path: Path) -> None:
    """At every byte of the last line; what is written behind it is read again."""
    file = tmp_path / "lines"
    for value in VALUES:
        append_line(file, value)
    content = file.read_bytes()
    n_before = len(content) - len(content.splitlines(keepends=True)[-1])
    for end in range(n_before, len(content)):
        file.write_bytes(content[:end])
        assert take_up_lines(file) == VALUES[:-1]
        append_line(file, VALUES[-1])
        assert file.read_bytes() == content


def test_nothing_is_believed_behind_an_altered_line(tmp_path: Path) -> None:
    """One digit of the first is another."""
    file = tmp_path / "lines"
    for value in VALUES:
        append_line(file, value)
    file.write_bytes(file.read_bytes().replace(b"1.25", b"1.35"))
    assert take_up_lines(file) == []
    assert file.read_bytes() == b""


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With the file's name and what to do."""
    with pytest.raises(RunError, match=r"lines: cannot be written.*Check free space"):
        append_line(tmp_path / "nowhere" / "lines", 1)


def test_reading_alone_changes_nothing(tmp_path: Path) -> None:
    """Whole lines are read wherever others are damaged, and what is written behind a torn one begins a line."""
    file = tmp_path / "lines"
    assert read_lines(file) == ([], 0)
    for value in VALUES:
        append_line(file, value)
    content = file.read_bytes().replace(b"1.25", b"1.35")
    file.write_bytes(content + b"0123456789")
    assert read_lines(file) == (VALUES[1:], 2)
    assert file.read_bytes() == content + b"0123456789"
    append_line(file, "more")
    assert read_lines(file) == ([*VALUES[1:], "more"], 2)


@pytest.mark.parametrize("text", [b'{"a": ', b"[" * 100_000, b"\xff", b""], ids=["torn", "deep", "no text", "empty"])
def test_what_is_no_json_is_damaged_whatever_its_digest(tmp_path: Path, text: bytes) -> None:
    """Somebody who knows how digests are made writes a line that no parser reads."""
    file = tmp_path / "lines"
    append_line(file, 1)
    made = hashlib.sha256(text).hexdigest()[:16].encode() + b" " + text + b"\n"
    file.write_bytes(file.read_bytes() + made)
    assert read_lines(file) == ([1], 1)
    assert take_up_lines(file) == [1]


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    """A folder in a file's place."""
    with pytest.raises(RunError, match="cannot be read"):
        read_lines(tmp_path)
