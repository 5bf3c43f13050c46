"""Side by side in one run: workloads by turns, ratios per round, a table, and the result as one line of JSON.

A machine's speed drifts (heat, neighbours, caches), so that two numbers from two runs say little. Here every round runs
each workload once, in the same order, and a ratio is only ever taken within a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

MIN_ROUNDS = 5  # fewer give no median worth the name; `--rounds` may go below to try a benchmark out


@dataclass(frozen=True, slots=True)
class Sample:
    """One workload in one round.

    Attributes:
        seconds: the wall time of the work itself; loading and counting are left out.
        n_rows: the rows that were done, in which workloads are compared.
        n_tokens: the tokens that they came to.
        least_seconds: what the machine's measured limits allow for the tokens that this workload computed.
        notes: figures that the benchmark reports beside these.
    """

    seconds: float
    n_rows: int
    n_tokens: int
    least_seconds: float = 0.0
    notes: Mapping[str, float] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float:
        """Rows in a second of wall time."""
        return self.n_rows / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens in a second of wall time."""
        return self.n_tokens / self.seconds

    @property
    def limit_share(self) -> float:
        """The share of the machine's limit that was reached."""
        return self.least_seconds / self.seconds


Workload = Callable[[int], Sample]


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """How many times as fast: the median, least and greatest of the rounds' own ratios, and the number of rounds."""

    ratio: float
    min: float
    max: float
    n: int


class Clock:
    """Wall time of a block, in ``seconds`` once it has ended."""

    seconds: float = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began


def interleave(workloads: Mapping[str, Workload], rounds: int) -> dict[str, tuple[Sample, ...]]:
    """Run each workload once a round, in their order: A B A B. What each took is told on standard error.

    Args:
        workloads: by name; each is given the round's number, from 0.
        rounds: at least one.

    Returns:
        A sample per round for each workload.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; at least one is measured")
    samples: dict[str, list[Sample]] = {name: [] for name in workloads}
    for number in range(rounds):
        for name, work in workloads.items():
            samples[name].append(work(number))
            print(f"round {number + 1} of {rounds}: {name} {samples[name][-1].seconds:.1f} s", file=sys.stderr)
    return {name: tuple(found) for name, found in samples.items()}


def speed_up(ours: Sequence[Sample], theirs: Sequence[Sample]) -> SpeedUp:
    """Compare rows per second, round by round; above 1 ours is faster."""
    ratios = [one.rows_per_second / other.rows_per_second for one, other in zip(ours, theirs, strict=True)]
    return SpeedUp(statistics.median(ratios), min(ratios), max(ratios), len(ratios))


def median(samples: Sequence[Sample], name: str) -> float:
    """Take the median of a figure over rounds: an attribute of ``Sample``, or a note."""
    return statistics.median(
        sample.notes[name] if name in sample.notes else float(getattr(sample, name)) for sample in samples
    )


def table(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Write the medians of every workload as a Markdown table."""
    notes = list(dict.fromkeys(name for found in samples.values() for name in found[-1].notes))
    head = ["", "s", "rows", "rows/s", "tokens/s", "share of limit", *(name.replace("_", " ") for name in notes)]
    lines = [head, ["---"] * len(head)]
    for name, found in samples.items():
        figures = [median(found, figure) for figure in ("seconds", "n_rows", "rows_per_second", "tokens_per_second")]
        share = median(found, "limit_share")
        lines.append(
            [
                name,
                *(f"{figure:.4g}" for figure in figures),
                f"{share:.1%}" if share else "",
                *(f"{median(found, note):.4g}" if note in found[-1].notes else "" for note in notes),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def result(benchmark: str, found: SpeedUp, samples: Mapping[str, Sequence[Sample]], **more: Any) -> dict[str, Any]:
    """Gather what the last line says; the first workload is ours."""
    ours = next(iter(samples.values()))
    return {
        "benchmark": benchmark,
        **_rounded(asdict(found)),
        "tokens_per_second": _rounded({name: median(one, "tokens_per_second") for name, one in samples.items()}),
        "seconds": _rounded({name: median(one, "seconds") for name, one in samples.items()}),
        "limit_share": _rounded(median(ours, "limit_share")),
        **_rounded(more),
    }


def finish(figures: Mapping[str, Any], samples: Mapping[str, Sequence[Sample]]) -> None:
    """Print the table, and the result as the last line."""
    print(table(samples))
    if figures["n"] < MIN_ROUNDS:
        print(f"\n{figures['n']} round(s): a trial; a figure to quote needs {MIN_ROUNDS}.")
    print(f"\n{json.dumps(figures)}", flush=True)


def flags(description: str | None, *, model: bool = True) -> argparse.ArgumentParser:
    """Begin a benchmark's command line: what all of them have."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS, help="rounds that are measured")
    if model:
        parser.add_argument("--model", default="smollm2-135m", help="an embedded name, a folder or a hub id")
    return parser


def _rounded(value: Any) -> Any:
    """Keep four significant digits: more is noise."""
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
