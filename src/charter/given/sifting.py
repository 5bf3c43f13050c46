"""The rows of a file, one after another: kept, or left out with the place and the reason."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from charter.errors import PromptError
from charter.given.loaded import Loaded, Noted, RejectedRowError
from charter.given.reading import GivenFile, GivenRow
from charter.given.values import first_fault


def sift_rows(file: GivenFile, keep: Callable[[GivenRow], None]) -> tuple[Noted, ...]:
    """Keep every row that can be kept, and note the others; ``keep`` raises where a row cannot be used."""
    left_out = []
    for row in file.rows:
        try:
            keep(row)
        except RejectedRowError as problem:
            left_out.append(Noted(row.place, str(problem)))
        except ValidationError as error:
            left_out.append(Noted(row.place, first_fault(error)))
    return tuple(left_out)


def require_rows(loaded: Loaded, n_kept: int, remedy: str = "") -> None:
    """Raise PromptError where no row is left, with what may help."""
    if not n_kept:
        reasons = ", ".join(f"{n} {reason}" for reason, n in loaded.rejected.items())
        first = loaded.left_out[0]
        raise PromptError(
            f"{first.place}: {first.reason}; no row of {loaded.source} is left ({reasons}), read in layout "
            f"{loaded.layout!r}{remedy and '; '}{remedy}"
        )
