"""What a stage says of itself: rows in, done, filtered and failed, and whatever else it counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from charter.rows import Mapped

Summary = dict[str, Any]


def summarise(
    n_in: int,
    n_done: int,
    *,
    filtered: Mapping[str, int] | None = None,
    failed: Mapping[str, int] | None = None,
    counts: Mapping[str, Any] | None = None,
) -> Summary:
    """Make a summary; reasons that hold for no row are left out."""
    return {
        "n_in": n_in,
        "n_done": n_done,
        "filtered": {reason: n for reason, n in (filtered or {}).items() if n},
        "failed": {reason: n for reason, n in (failed or {}).items() if n},
        "counts": dict(counts or {}),
    }


def summarise_rows(mapped: Mapped[Any], *, counts: Mapping[str, Any]) -> Summary:
    """Make the summary of mapped rows."""
    return summarise(mapped.n_in, len(mapped.done), **mapped.reasons, counts=counts)


def tally(names: Iterable[str]) -> dict[str, int]:
    """Count names, in alphabetical order."""
    return dict(sorted(Counter(names).items()))
