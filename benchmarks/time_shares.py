"""Where the time of our own engine's thread goes while it writes traces or reads labels.

    python -m benchmarks.time_shares [--of traces] [--prompts 64] [--revision-rounds 4] [--few-shots 4]

One turn of ours of ``benchmarks.generation`` (``--of traces``) or of ``benchmarks.scoring`` (``--of labels``, about as
many pairs as there are prompts), with Python's own profiler in the engine's thread. What a library's function took is
laid to the module of ours that called it, and matrix products of the layers and the head are taken by themselves. On a
CPU every call is awaited where it is made; on a GPU the last one to wait would be charged for all, so that this is for
CPUs alone.

``shares`` are of the thread's time from its first pass to its last, ``profiled_seconds``; the profiler itself takes a
few microseconds a call. ``product_limit_seconds`` is what the same products take at the machine's limits.
"""

from __future__ import annotations

import cProfile
import json
import pstats
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.chains import add_flags, make_task
from benchmarks.generation import ours
from benchmarks.labels import make_pairs
from benchmarks.machine_models import make_bench
from benchmarks.measuring import Sample, flags
from benchmarks.scoring import Task, one_pass
from charter.constitution import load_constitution
from charter.engines.transformers import scheduler

Function = tuple[str, int, str]  # a file (~ for what is not written in Python), a line and a name

_PRODUCTS = "matrix products of layers and head"
_LAYERS = "norms, rotations, activations"
_ELSEWHERE = "everything else"
_WAITING = "waiting for calls"
#: What each of the engine's modules does.
_OF_MODULE = {
    "body": _LAYERS,
    "attention": "attention",
    "store": "keys and values moved and kept",
    "keeping": "keys and values moved and kept",
    "sampling": "drawing tokens",
    "stopping": "looking for a text's end",
    "scheduler": "scheduling and log-probabilities",
    "decoding": "scheduling and log-probabilities",
    "batches": "scheduling and log-probabilities",
    "jobs": "scheduling and log-probabilities",
}
_PRODUCT_FILES = {"_ops"}  # of torch: through it go the products with packed weights, and nothing else of ours
_WAITS = ("method 'get' of '_queue.SimpleQueue'", "method 'acquire' of '_thread.lock'")


@contextmanager
def profiled() -> Iterator[cProfile.Profile]:
    """Watch the threads of engines that are made in this context; read it when they are closed."""
    profile, run = cProfile.Profile(), scheduler.Scheduler.run

    def watched(self: scheduler.Scheduler) -> None:
        profile.runcall(run, self)

    scheduler.Scheduler.run = watched  # type: ignore[method-assign] # to watch it, for as long as the context lasts
    try:
        yield profile
    finally:
        scheduler.Scheduler.run = run  # type: ignore[method-assign]


def shares_of(profile: cProfile.Profile) -> tuple[float, dict[str, float]]:
    """Lay all time to what it was spent on; the seconds without waiting, and the share of each, the largest first."""
    stats: Mapping[Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined] # undocumented, and stable
    seconds: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        told = {caller: figures[2] for caller, figures in callers.items()} or {function: own}
        for caller, taken in told.items():
            seconds[_kind(function, caller, stats)] += taken
    seconds.pop(_WAITING, None)
    total = sum(seconds.values())
    return total, {kind: taken / total for kind, taken in seconds.most_common()}


def _kind(function: Function, caller: Function, stats: Mapping[Function, Any]) -> str:
    """Name what a function's own time was spent on, where a caller called it."""
    if any(wait in function[2] for wait in _WAITS):
        return _WAITING
    for place in _callers(function, caller, stats):
        stem = Path(place[0]).stem
        if stem in _PRODUCT_FILES or "torch._C._nn.linear" in place[2]:
            return _PRODUCTS
        if "charter" in Path(place[0]).parts and stem in _OF_MODULE:
            return _OF_MODULE[stem]
    return _ELSEWHERE


def _callers(function: Function, caller: Function, stats: Mapping[Function, Any]) -> Iterator[Function]:
    """Go up from a function: its caller, who called that most, and so on."""
    seen = {function}
    yield function
    place: Function | None = caller
    while place is not None and place not in seen:
        seen.add(place)
        yield place
        place = _main_caller(place, stats)


def _main_caller(function: Function, stats: Mapping[Function, Any]) -> Function | None:
    """Find who spent most in a function."""
    callers = stats[function][4] if function in stats else {}
    return max(callers, key=lambda caller: float(callers[caller][3]), default=None)


def main() -> None:
    parser = flags(__doc__)
    parser.set_defaults(rounds=1)
    add_flags(parser)
    parser.add_argument("--of", choices=("traces", "labels"), default="traces", help="what is done")
    parser.add_argument("--principles", type=int, default=2, help="that each pair is asked about under")
    given = parser.parse_args()
    bench, _, tokenizer = make_bench(given.model)
    turns: dict[str, Callable[[], Callable[[int], Sample]]] = {
        "traces": lambda: ours(bench, make_task(given), tokenizer),
        "labels": lambda: one_pass(
            bench, Task(make_pairs(given.prompts), load_constitution("harmless"), given.principles)
        ),
    }
    with profiled() as profile:
        sample = turns[given.of]()(0)
    total, shares = shares_of(profile)
    print(f"| {given.of}: {total:.1f} s of the engine's thread, {sample.seconds:.1f} s in all | share |\n|---|---|")
    for kind, share in shares.items():
        print(f"| {kind} | {share:.1%} |")
    figures = {
        "benchmark": "time_shares",
        "of": given.of,
        "seconds": sample.seconds,
        "profiled_seconds": total,
        "product_limit_seconds": sample.least_seconds,
        "shares": shares,
        **sample.notes,
    }
    print(f"\n{json.dumps(figures)}", flush=True)


if __name__ == "__main__":
    main()
