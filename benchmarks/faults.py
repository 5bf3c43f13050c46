"""What the suite of faults came to, as a table: from what it wrote of each point (``tests/faults/points.py``).

    python -m benchmarks.faults faults.jsonl

It measures nothing itself. A line of the table is a line of the suite: its points, how many of them held, what came of
them, the seconds of the middle one and of the slowest, and of all together.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_HEADER = ("what goes wrong", "points", "held", "what came of them", "median s", "most s", "all, min")
_MOST_OUTCOMES = 6


def rows_of(points: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Make a row of each line of the suite, in the order in which they were first tried."""
    lines: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in points:
        lines[one["line"]].append(one)
    return [(line, *_figures(tried)) for line, tried in lines.items()]


def _figures(tried: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    seconds = [one["seconds"] for one in tried]
    n_held = sum(not one["outcome"].startswith("failed") for one in tried)
    return (
        f"{len(tried):,}",
        f"{n_held:,}",
        _outcomes([one["outcome"] for one in tried]),
        f"{statistics.median(seconds):.2g}",
        f"{max(seconds):.2g}",
        f"{sum(seconds) / 60:.1f}",
    )


def _outcomes(outcomes: Sequence[str]) -> str:
    found = Counter(outcomes)
    if len(found) > _MOST_OUTCOMES:
        return f"{len(found):,} different ones"
    return ", ".join(f"{outcome} {n:,}" for outcome, n in found.most_common())


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Write rows as a table in Markdown."""
    ruled = ["---", "---:", "---:", "---", "---:", "---:", "---:"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (_HEADER, ruled, *rows))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, help="the file that CHARTER_FAULTS_LOG named")
    lines = parser.parse_args().log.read_text("utf-8").splitlines()
    print(table(rows_of(json.loads(line) for line in lines)))


if __name__ == "__main__":
    main()
