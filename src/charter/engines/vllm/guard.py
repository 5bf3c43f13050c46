"""Runs a command until its own standard input ends: a server must not outlive the run that began it, however that ends.

Run as a file by the Python of any environment: it imports the standard library alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

_GRACE_SECONDS = 15.0


def guard(command: list[str]) -> int:
    """Run a command in a group of its own; end the group when the input ends, or with a signal to this process."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our caller's
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ending.set())
    threading.Thread(target=_wait_for_input, args=(ending,), daemon=True).start()
    while process.poll() is None and not ending.wait(0.2):
        pass
    _end(process)
    return process.returncode


def _wait_for_input(ending: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    ending.set()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group, also where its first process is gone and has left others behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        waited = time.monotonic() + _GRACE_SECONDS
        while process.poll() is None and time.monotonic() < waited:
            time.sleep(0.05)
    process.wait()


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))
