"""Code run in other processes, whose hashing of texts differs from this one's."""

from __future__ import annotations

import os
import subprocess
import sys


def printed_everywhere(code: str) -> str:
    """Run code in two processes that hash texts otherwise, and give what both print; they must print the same."""
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "77")
    }
    assert len(runs) == 1
    return runs.pop()
