from __future__ import annotations

from pathlib import Path

from charter.files.removal import remove


def test_what_is_removed_is_gone_and_nothing_else(tmp_path: Path) -> None:
    """Files and folders go, a link goes without what it leads to, and what is not there is no fault."""
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "file").write_text("x", "utf-8")
    (tmp_path / "link").symlink_to(kept)
    for name in ("folder", "file", "link", "nothing"):
        remove(tmp_path / name)
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]
    assert (kept / "inner").is_dir()
