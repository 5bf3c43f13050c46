from __future__ import annotations

from pathlib import Path

import pytest

from charter.files.writing import replace_whole


def names(folder: Path) -> list[str]:
    """Name what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("shared", [False, True])
def test_what_fails_leaves_the_old_file_alone(tmp_path: Path, shared: bool) -> None:
    """A fault while writing keeps what was there, leaves nothing beside it, and is told as it is."""
    path = tmp_path / "file.txt"
    replace_whole(path, lambda temporary: temporary.write_text("before"), shared=shared)

    def fills_the_disk(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        replace_whole(path, fills_the_disk, shared=shared)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["file.txt"]


def test_several_may_write_one_file_at_once(tmp_path: Path) -> None:
    """A file that processes share is always that of one of them, also where another writes it while the first does."""
    path = tmp_path / "file.txt"

    def writes_while_another_does(temporary: Path) -> None:
        temporary.write_text("first, half")
        replace_whole(path, lambda other: other.write_text("second"), shared=True)
        assert path.read_text() == "second"
        temporary.write_text("first")

    replace_whole(path, writes_while_another_does, shared=True)
    assert path.read_text() == "first"
    assert names(tmp_path) == ["file.txt"]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    """A file of one writer has one temporary name, so that leftovers do not pile up."""
    used: list[Path] = []

    def writes(temporary: Path) -> None:
        used.append(temporary)
        temporary.write_text("one")

    replace_whole(tmp_path / "file.txt", writes)
    used[0].write_text("half of a longer text, from a process that was killed")
    replace_whole(tmp_path / "file.txt", lambda temporary: temporary.write_text("two"))
    assert (tmp_path / "file.txt").read_text() == "two"
    assert names(tmp_path) == ["file.txt"]
