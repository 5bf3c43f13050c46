"""A process that holds the lock of an actor's journal, as a machine does that is cut off, or has lost power."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Each lock is waited for in the kernel, so that it is had as soon as its owner ends, before anybody who looks for it.
_HOLD = """
import fcntl, sys, threading, time
from pathlib import Path

waiting, *locks = map(Path, sys.argv[1:])
had = []

def hold(lock):
    file = lock.open("a")
    had.append(file)
    fcntl.flock(file, fcntl.LOCK_EX)
    print(lock, flush=True)

for lock in locks:
    threading.Thread(target=hold, args=(lock,), daemon=True).start()
while len(had) < len(locks):
    time.sleep(0.01)
waiting.touch()
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(waiting: Path, *locks: Path) -> Iterator[subprocess.Popen[str]]:
    """Have another process take locks as they become free; it tells each that it has, and lets go at the end.

    Args:
        waiting: made once it waits for all of them.
        locks: the files.
    """
    command = [sys.executable, "-c", _HOLD, str(waiting), *map(str, locks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            let_go(process)


def let_go(process: subprocess.Popen[str]) -> None:
    """End it, and with it what it holds."""
    process.kill()
    process.wait()


def first_held(process: subprocess.Popen[str]) -> Path:
    """Wait until it has a lock, and name it."""
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())
