"""Another process that does one side's work: in another environment, or with nothing of ours in its memory.

It is asked in lines of JSON on its standard input, and answers each with one on its standard output; it ends when its
input does. Its first line says that it is ready, so that loading is on nobody's clock.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

HERE = Path(__file__).parent
_SHOWN = 3000  # characters of what a process said before it ended


class Child:
    """A process that answers.

    Args:
        command: what starts it.
        environment: its variables.

    Attributes:
        first: what it said when it was ready.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="charter-benchmark-")  # noqa: SIM115 - closed with it
        self._process = subprocess.Popen(  # noqa: S603 - of our own making
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(environment),
            text=True,
        )
        try:
            self.first: dict[str, Any] = self._read()
        except BaseException:
            self.close()
            raise

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Put a question, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(question)}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        """Give the process itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()  # it may still be saying why
            self._log.seek(0)
            said = self._log.read().decode("utf-8", "replace")[-_SHOWN:]
            raise RuntimeError(f"{self._process.args!r} ended with {status} and said:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer
