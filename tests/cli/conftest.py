"""Ways to run the command inside this process and in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charter.cli import main
from cli.command import RECIPE, SLOW, Command, Done, Start


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipe ``demo.yaml``, which is the current one."""
    (tmp_path / "demo.yaml").write_text(RECIPE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARTER_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def charter(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, run inside this process in ``place``."""
    del place

    def run(*arguments: str | Path) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def start(place: Path) -> Start:
    """The command, started in a process of its own."""

    def begin(*arguments: str, wait: str = "pass") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", SLOW.replace("{wait}", wait), *arguments],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; tests read it and change nothing."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "demo.yaml").write_text(RECIPE, "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(folder / "demo.yaml"), "--out", str(folder / "run")])
    assert ended.value.code == 0
    return folder / "run"
