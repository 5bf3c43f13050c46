from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pages import ROOT

# Stands for Python and for the pip of the environment that it is asked to make.
PYTHON = """\
#!/bin/sh
case "$*" in
*venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
*pip*) echo "$*" ;;
*) cat >/dev/null ;;
esac
"""


@pytest.mark.parametrize(("has_gpu", "size"), [(False, "2"), (True, "7")])
def test_the_set_up_says_at_once_what_it_does(tmp_path: Path, *, has_gpu: bool, size: str) -> None:
    """One line tells size and place before anything is fetched; pip is quiet in a log; a GPU gets its torch."""
    python = tmp_path / "python"
    python.write_text(PYTHON, "utf-8")
    python.chmod(0o755)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "sed", "mkdir", "cp", "cat"):
        (programs / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    if has_gpu:
        (programs / "nvidia-smi").symlink_to("/bin/sh")
    done = subprocess.run(
        ["/bin/sh", "scripts/install.sh", str(python), str(tmp_path / "venv")],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60, env={"PATH": str(programs)},
    )  # fmt: skip
    assert done.stderr == f"installing about {size} GB of packages into {tmp_path / 'venv'}: some minutes\n"
    calls = done.stdout.splitlines()
    assert all(" install --quiet " in call for call in calls)
    assert any("+cpu" in call for call in calls) is not has_gpu
    assert calls[-1].endswith("--editable .[dev,docs]")
