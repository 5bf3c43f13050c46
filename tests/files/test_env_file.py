from __future__ import annotations

import os
from pathlib import Path

import pytest

from charter.errors import UserError
from charter.files.env_file import read_env_file, use_env_file

TOKEN = "hf_plantedPlanted0123456789"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def _used(text: str, **environment: str) -> dict[str, str]:
    """Give an environment after a file was used."""
    Path(".env").write_text(text, "utf-8")
    use_env_file(environment)
    return environment


def test_only_the_token_and_folders_are_taken() -> None:
    """A server's address, a library's path or a proxy in a folder that somebody was given leads nothing astray."""
    others = (
        "HF_ENDPOINT", "HF_HOME", "LD_PRELOAD", "PYTHONPATH", "PATH", "HTTPS_PROXY", "SSL_CERT_FILE", "CHARTER_DEBUG",
        "OPENAI_API_KEY", "OPENAI_BASE_URL", "WANDB_BASE_URL", "CXX", "GIT_SSH_COMMAND", "hf_token",
    )  # fmt: skip
    text = "\n".join(f"{name}=/evil" for name in others)
    assert _used(f"{text}\nHF_TOKEN={TOKEN}\nSFT_OUTPUT_DIR=out/sft\nHF_HUB_CACHE=/cache\n") == {
        "HF_TOKEN": TOKEN,
        "SFT_OUTPUT_DIR": "out/sft",
        "HF_HUB_CACHE": "/cache",
    }


@pytest.mark.parametrize("value", ["hf_otherOther", ""])
def test_the_environment_comes_first(value: str) -> None:
    """What is set stays, also to nothing: somebody may want no token to be sent."""
    told = _used(f"HF_TOKEN={TOKEN}\nDPO_OUTPUT_DIR=there\n", HF_TOKEN=value, DPO_OUTPUT_DIR="here")
    assert told == {"HF_TOKEN": value, "DPO_OUTPUT_DIR": "here"}


def test_the_forms_that_such_files_have_are_read(desk: Path) -> None:
    """Quotes, comments, blanks, ``export``, a byte order mark, other line ends, names without a value."""
    lines = ("\ufeff# mine", f"export HF_TOKEN = '{TOKEN}'  # of the hub", "", 'DPO_OUTPUT_DIR="my models/dpo"')
    text = "\r\n".join((*lines, "HF_HUB_CACHE=", "CHARTER_CACHE", ""))
    assert _used(text) == {"HF_TOKEN": TOKEN, "DPO_OUTPUT_DIR": "my models/dpo"}
    assert _used("SFT_OUTPUT_DIR=~nobody-of-that-name/sft\n") == {"SFT_OUTPUT_DIR": "~nobody-of-that-name/sft"}
    assert _used("SFT_OUTPUT_DIR=~/sft\n") == {"SFT_OUTPUT_DIR": str(desk / "home/sft")}


def test_a_folder_may_name_another_variable_and_a_token_may_look_so(desk: Path) -> None:
    """Folders are written out; the token is taken as it stands."""
    assert _used("HF_TOKEN=hf_${HOME}x\nSFT_OUTPUT_DIR=${HOME}/sft\n") == {
        "HF_TOKEN": "hf_${HOME}x",
        "SFT_OUTPUT_DIR": f"{desk}/home/sft",
    }


def test_without_a_file_nothing_changes(desk: Path) -> None:
    """Nor where a folder has that name, as some virtual environments do."""
    environment: dict[str, str] = {}
    use_env_file(environment)
    (desk / ".env").mkdir()
    use_env_file(environment)
    assert environment == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_of_that_name_is_not_waited_for(desk: Path) -> None:
    """What has no end is no file of names and values."""
    os.mkfifo(desk / ".env")
    assert read_env_file() == {}


@pytest.mark.parametrize("content", [b"HF_TOKEN=\xff\xfe", b"HF_TOKEN=hf_x\0y", b"A=1\n" * 300_000])
def test_what_is_no_such_file_is_said_and_not_quoted(desk: Path, content: bytes) -> None:
    """Its place is named, and nothing of it: what was read by mistake may be anything."""
    (desk / ".env").write_bytes(content)
    with pytest.raises(UserError, match=r"\.env cannot be read .*it should hold lines of NAME=value") as refused:
        use_env_file({})
    assert "hf_x" not in str(refused.value)
    assert "A=1" not in str(refused.value)


def test_a_line_that_says_nothing_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """The lines around it are read, and it is shown nowhere."""
    assert _used(f"'{TOKEN}\nHF_TOKEN={TOKEN}\n= 3\n").get("HF_HUB_CACHE") is None
    printed = capsys.readouterr()
    assert TOKEN not in printed.out + printed.err
