"""Ends the processes that vLLM began inside a run where the run is gone: one that is killed ends nothing itself.

Run as a file, beside the run: it imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_END = b"end"  # a child that was forked keeps our input open
_PROCESSES = Path("/proc")


class Watch:
    """Watches over the children that this process begins from now on, as ``multiprocessing`` does."""

    def __init__(self) -> None:
        self._known = _children()
        self._watcher = subprocess.Popen(  # noqa: S603 - of our own making
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the run's to answer
        )

    def look(self) -> None:
        """Find the children that were begun since this was last called."""
        assert self._watcher.stdin is not None  # noqa: S101 - asked for
        for child in sorted(_children() - self._known):
            self._known.add(child)
            with contextlib.suppress(BrokenPipeError):  # somebody ended it
                self._watcher.stdin.write(f"{child}\n".encode())
                self._watcher.stdin.flush()

    def close(self) -> None:
        """End those that are still there."""
        assert self._watcher.stdin is not None  # noqa: S101 - asked for
        with contextlib.suppress(BrokenPipeError):  # somebody ended it
            self._watcher.stdin.write(_END)
            self._watcher.stdin.close()
        self._watcher.wait()


def _children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


def watch() -> None:
    """Read processes' numbers until the input ends, or who began us is gone; then end those, and what they began."""
    parent = os.getppid()
    known: set[tuple[int, str]] = set()
    read = b""
    # A child that was forked has the other end of our input too: that its owner is gone is seen by who our parent is.
    while os.getppid() == parent:
        if not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            continue
        more = os.read(sys.stdin.fileno(), 4096)
        if not more:
            break
        *lines, read = (read + more).split(b"\n")
        known |= {(int(line), _begun(int(line))) for line in lines}  # before the end, which may come along with them
        if read == _END:
            break
    _end([number for number, begun in known if _begun(number) == begun])


def _end(roots: list[int]) -> None:
    left = {(number, _begun(number)) for number in _with_descendants(roots)}
    for told in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _GRACE_SECONDS
        for number, _ in left:
            try:
                os.kill(number, told)
            except ProcessLookupError:
                continue
        while left and time.monotonic() < until:
            left = {(number, begun) for number, begun in left if begun and _begun(number) == begun}
            time.sleep(0.05)


def _with_descendants(roots: list[int]) -> list[int]:
    children = defaultdict(list)
    for entry in _PROCESSES.glob("[0-9]*"):
        told = _status(int(entry.name))
        if told:
            children[int(told[1])].append(int(entry.name))
    found = list(roots)
    for number in found:
        found += children[number]
    return found


def _begun(number: int) -> str:
    """Say when a process began, which tells it from a later one of its number; empty for one that is not there."""
    told = _status(number)
    return told[19] if told and told[0] != "Z" else ""


def _status(number: int) -> list[str]:
    """Read what the system says of a process, behind its name: state, parent, and so on."""
    try:
        return (_PROCESSES / str(number) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    watch()
