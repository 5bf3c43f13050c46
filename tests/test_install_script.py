from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pages import ROOT

# Stands for Python and for the pip of the environment that it is asked to make.
PYTHON = """\
#!/bin/sh
case "$*" in
*pip*) echo "$*" ;;
*venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
*) cat >/dev/null ;;
esac
"""


@pytest.mark.parametrize(("has_gpu", "size"), [(False, "2"), (True, "7")])
def test_the_set_up_says_at_once_what_it_does(tmp_path: Path, *, has_gpu: bool, size: str) -> None:
    """One line tells size and place before anything is fetched; pip is quiet in a log; a GPU gets its torch."""
    done = set_up(tmp_path, has_gpu=has_gpu)
    assert done.stderr == f"installing about {size} GB of packages into {tmp_path / 'venv'}: some minutes\n"
    calls = done.stdout.splitlines()
    assert all(" install --quiet " in call for call in calls)
    assert any("+cpu" in call for call in calls) is not has_gpu
    assert calls[-1].endswith("--editable .[dev,docs]")


@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_set_up_by_hashes_takes_nothing_else(tmp_path: Path, *, has_gpu: bool) -> None:
    """Archives are checked, all of them; a machine without a GPU gets no CUDA; the package itself fetches nothing."""
    *locked, own = set_up(tmp_path, "1", has_gpu=has_gpu).stdout.splitlines()
    assert all("--require-hashes --no-deps --requirement " in call for call in locked)
    assert any("requirements-cpu.lock" in call for call in locked) is not has_gpu
    assert own.endswith("--no-deps --no-build-isolation --editable .")
    taken = (ROOT / "requirements.lock" if has_gpu else tmp_path / "venv/requirements.lock").read_text("utf-8")
    names = set(locked_versions(taken))
    assert {name for name in names if name.startswith(("nvidia-", "cuda-"))} or not has_gpu
    assert ("torch" in names) is has_gpu
    assert names >= {"numpy", "transformers", "hatchling", "editables"}


def test_what_is_locked_is_what_is_tested_with() -> None:
    """Each version of the constraints has its hashes, and torch's build without CUDA is of the same version."""
    constraints = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
    )
    locked = locked_versions((ROOT / "requirements.lock").read_text("utf-8"))
    wanted = {normal(name): version for name, version in constraints.items()}
    assert {name: locked.get(name) for name in wanted} == wanted
    (cpu,) = locked_versions((ROOT / "requirements-cpu.lock").read_text("utf-8")).items()
    assert cpu == ("torch", f"{wanted['torch']}+cpu")


def locked_versions(text: str) -> dict[str, str]:
    """Read the entries of a lock that have a hash at least: version by name."""
    found = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)[^\n]*\\\n {4}--hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    return {normal(name): version for name, version in found}


def normal(name: str) -> str:
    """Write a package's name as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def set_up(tmp_path: Path, *arguments: str, has_gpu: bool) -> subprocess.CompletedProcess[str]:
    """Run the script by a Python that tells what its pip is asked."""
    python = tmp_path / "python"
    python.write_text(PYTHON, "utf-8")
    python.chmod(0o755)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "sed", "mkdir", "cp", "cat", "awk"):
        (programs / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    if has_gpu:
        (programs / "nvidia-smi").symlink_to("/bin/sh")
    return subprocess.run(
        ["/bin/sh", "scripts/install.sh", str(python), str(tmp_path / "venv"), *arguments],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60, env={"PATH": str(programs)},
    )  # fmt: skip
