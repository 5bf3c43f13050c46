"""Runs a command until its own standard input ends: a server must not outlive the run that began it, however that ends.

Run as a file by the Python of any environment: it imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: Holds the number of the command's group, for as long as the guard is to end it.
GROUP = "group"
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_SET_DEATH_SIGNAL = 1  # of Linux: what a process gets when the one that began it ends


def guard(place: Path, command: list[str]) -> int:
    """Run a command in a group of its own; end the group when the input or who began us ends, or with a signal to us.

    Args:
        place: a folder that goes with the command.
        command: what is run.
    """
    parent = os.getppid()
    process = subprocess.Popen(  # noqa: S603 - our caller's
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_ends_with_us(),  # noqa: PLW1509 - no other thread runs yet
    )
    (place / GROUP).write_text(str(process.pid))
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ending.set())
    threading.Thread(target=_wait_for_input, args=(ending,), daemon=True).start()
    while process.poll() is None and os.getppid() == parent and not ending.wait(_LOOK_SECONDS):
        pass
    end_group(process.pid, lambda: process.poll() is not None)
    process.wait()
    shutil.rmtree(place, ignore_errors=True)
    return process.returncode


def release(begun: subprocess.Popen[bytes], place: Path) -> None:
    """End what a guard runs, also where the guard itself was killed.

    Args:
        begun: the guard, begun with a pipe for its input.
        place: the folder that it was given.
    """
    assert begun.stdin is not None  # noqa: S101 - asked for
    begun.stdin.close()  # which the guard waits for
    begun.wait()
    group = place / GROUP
    if group.exists():  # a guard that ends takes it along
        end_group(int(group.read_text()))
    shutil.rmtree(place, ignore_errors=True)


def end_group(group: int, has_ended: Callable[[], bool] | None = None) -> None:
    """End a whole group, also where its first process is gone and has left others behind.

    Args:
        group: its number.
        has_ended: tells whether its first process is gone; None waits for all of them.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        until = time.monotonic() + _GRACE_SECONDS
        while not (has_ended or (lambda: not is_there(group)))() and time.monotonic() < until:
            time.sleep(0.05)


def is_there(group: int) -> bool:
    """Tell whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _ends_with_us() -> Callable[[], None] | None:
    """Have the command told to end where we are killed, which leaves us no time to end it; Linux alone can."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # found here: nothing is to be loaded between fork and exec
    return lambda: prctl(_SET_DEATH_SIGNAL, int(signal.SIGTERM))


def _wait_for_input(ending: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    ending.set()


if __name__ == "__main__":
    sys.exit(guard(Path(sys.argv[1]), sys.argv[2:]))
