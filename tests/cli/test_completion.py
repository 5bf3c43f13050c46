"""The shell completes verbs, options and the verbs of groups, by the program itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def completed(words: str, n_words: int) -> set[str]:
    """Give what bash is offered behind the words typed so far."""
    env = {**os.environ, "_CHARTER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(n_words)}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['charter']; from charter.cli import main; main()"],
        env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "n_words", "offered"),
    [
        ("charter re", 1, {"report", "revise", "reproduce"}),
        ("charter run --fr", 2, {"--from"}),
        ("charter constitution c", 2, {"check", "convert"}),
        ("charter evaluate head", 2, {"head-to-head"}),
    ],
)
def test_verbs_and_options_are_completed(words: str, n_words: int, offered: set[str]) -> None:
    """What begins so is offered, and nothing else."""
    assert completed(words, n_words) == offered


def test_the_script_for_a_shell_is_shown() -> None:
    """It names the program, so that a shell knows whom to ask."""
    done = subprocess.run(
        [sys.executable, "-m", "charter", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "_CHARTER_COMPLETE=complete_bash" in done.stdout
