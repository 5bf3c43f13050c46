"""How many small changes of formulas and parsers tests notice, as a table: from what mutmut wrote (``make mutants``).

    python -m benchmarks.mutants [mutants]

It measures nothing itself. A line of the table is a room: its changes (mutants), how many of them made a test fail (or
run out of time), how many no test ran, how many all tests passed with, and the share that was noticed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from charter.statistics import wilson_interval

_HEADER = ("what is changed", "mutants", "noticed", "not run", "not noticed", "share noticed")
_ALL = "all"
# How a worker of mutmut ended, as mutmut 3 numbers it.
_FAILED, _UNTESTED, _PASSED = {1, 3}, {5, 33}, {0}
_OUT_OF_TIME = {36, -24, 24, 152, 255}


def outcomes_in(folder: Path) -> dict[str, Counter[str]]:
    """Count what became of the mutants of each module, by its path below the package.

    Args:
        folder: that mutmut made.
    """
    found = {}
    for file in sorted(folder.rglob("*.py.meta")):
        codes = json.loads(file.read_text("utf-8"))["exit_code_by_key"].values()
        module = file.relative_to(folder / "src/charter").as_posix().removesuffix(".py.meta")
        found[module] = Counter(map(outcome_of, codes))
    return {module: counts for module, counts in found.items() if counts}


def outcome_of(code: int | None) -> str:
    """Name what a worker's exit status says of its mutant."""
    if code in _FAILED or code in _OUT_OF_TIME:
        return "noticed"
    if code in _UNTESTED:
        return "not run"
    return "not noticed" if code in _PASSED else "unclear"


def rows_of(outcomes: Mapping[str, Counter[str]]) -> list[tuple[str, ...]]:
    """Make a row of each room and one of all; what mutmut did not come to, or could not tell, is in none."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for module, counts in outcomes.items():
        rooms[module.rpartition("/")[0]] += counts
        rooms[_ALL] += counts
    return [(room, *_figures(rooms[room])) for room in sorted(rooms, key=lambda one: (one == _ALL, one))]


def _figures(counts: Counter[str]) -> tuple[str, ...]:
    told = [counts[name] for name in ("noticed", "not run", "not noticed")]
    if not sum(told):
        return "0", "0", "0", "0", ""
    share = wilson_interval(told[0], sum(told))
    assert share.low is not None
    assert share.high is not None
    return (
        f"{sum(told):,}",
        *(f"{one:,}" for one in told),
        f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})",
    )


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Write rows as a table in Markdown."""
    ruled = ["---", *["---:"] * (len(_HEADER) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (_HEADER, ruled, *rows))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("mutants"), help="the folder that mutmut made")
    print(table(rows_of(outcomes_in(parser.parse_args().folder))))


if __name__ == "__main__":
    main()
