"""Processes that are killed at a moment of their own choice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Every engine call, and before and after every commit, sync and rename, is a moment; so is a file half of which is
# written. At the n-th the process is killed. 0 lists them, each by its phase and kind.
_BEFORE = """
import json, math, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])

from charter import pipeline
from charter.files import writing
from charter.journal import store
from charter.engines.scripted import ScriptedEngine

moments, phase = [], "opening"
last = int(sys.argv[2])

def moment(kind, before=None):
    moments.append((phase, kind))
    if len(moments) == last:
        if before is not None:
            before()
        os.kill(os.getpid(), signal.SIGKILL)

def around(owner, name, kind, is_async=False):
    inner = getattr(owner, name)
    async def answers(*arguments):
        moment(kind)
        return await inner(*arguments)
    def does(*arguments):
        moment(kind)
        result = inner(*arguments)
        moment(f"after {kind}")
        return result
    setattr(owner, name, answers if is_async else does)

for call in ("complete", "choose", "score"):
    around(ScriptedEngine, call, "call", is_async=True)
around(store.Journal, "_commit", "commit")
around(os, "fsync", "sync")
around(os, "replace", "rename")

sync = writing.sync

def syncs(path):
    if path.is_file():
        moment("write", lambda: os.truncate(path, path.stat().st_size // 2))
    sync(path)

writing.sync = syncs
store._MAX_PENDING = 5
store._MAX_PENDING_SECONDS = math.inf  # a moment is the same one however busy the machine is

do, close = pipeline._do, store.Journal.close

def does(run, name):
    global phase
    phase = name
    do(run, name)

def closes(journal):
    global phase
    phase = "closing"
    moment("commit")
    close(journal)
    moment("after commit")

pipeline._do, store.Journal.close = does, closes
"""
_AFTER = """
print(json.dumps(moments))
"""


def killed_child(code: str, folder: Path, last: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that is killed at its ``last`` moment; of 0 it prints what its moments are.

    The code finds the folder as ``sys.argv[1]`` and the arguments from ``sys.argv[4]`` on.
    """
    tests = str(Path(__file__).parent)
    command = [sys.executable, "-c", _BEFORE + code + _AFTER, str(folder), str(last), tests, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
