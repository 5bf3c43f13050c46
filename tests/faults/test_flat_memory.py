"""A hundred thousand rows take hardly more memory than a tenth of them: results stay on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from faults.points import FULL, point

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ROWS = """
import json, re, sys, tempfile
from functools import partial
from pathlib import Path
from charter.constitution import load_constitution
from charter.engines.cache import CachedEngine
from charter.engines.scripted import ScriptedEngine
from charter.journal.store import Journal
from charter.records import make_prompt
from charter.revision import revise
from charter.rows import map_rows

constitution = load_constitution("harmless")
peaks = []
for n in map(int, sys.argv[1:]):
    prompts = [make_prompt(f"What of case {number}?", "red_team") for number in range(n)]
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        engine = CachedEngine(ScriptedEngine(), journal)
        mapped = revise(prompts, constitution, engine, rounds=1, seed=0, mapper=partial(map_rows, journal=journal))
        assert sum(1 for _ in mapped.done) == n
    # What getrusage tells begins with the peak of the process that started this one.
    told = Path("/proc/self/status").read_text("ascii")
    peaks.append(1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", told)[1]))
print(json.dumps(peaks))
"""
#: A prompt, its id, and what mapper and journal keep of a row that has ended; over the first rows caches grow besides.
_BYTES_A_ROW = 3_000 if FULL else 8_000


def test_memory_is_flat_over_the_rows(tmp_path: Path) -> None:
    """From a tenth of the rows to all of them, the process grows by what a prompt takes and not by its results."""
    few, many = (10_000, 100_000) if FULL else (1_000, 4_000)
    with point("memory over rows", f"{many:,} rows") as tried:
        done = subprocess.run(
            [sys.executable, "-c", ROWS, str(few), str(many)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        before, after = json.loads(done.stdout)
        a_row = (after - before) / (many - few)
        assert a_row < _BYTES_A_ROW
        assert after < 600e6
        tried.outcome = f"{after / 1e6:.0f} MB at most, {a_row:,.0f} bytes more a row"
