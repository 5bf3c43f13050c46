"""Where ratings are kept: a file that only grows, each line with its digest and on the disk before it counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from charter.errors import JournalError
from charter.files.lines import append_line, read_lines
from charter.files.writing import cannot_be_written, sync
from charter.rating.records import Rating

#: In a run's folder.
RATINGS = "ratings.jsonl"
_BEGUN = re.compile(rb"[0-9a-f]{16} |[0-9a-f]{0,16}$")  # as a line of ours does, torn or not


def read_ratings(path: Path) -> tuple[dict[str, list[Rating]], int]:
    """Read every rater's records in their order; the file stays as it is, and may be written meanwhile.

    Returns:
        The records by rater, and how many lines are damaged: a process that was killed leaves one at most.

    Raises:
        JournalError: for a file of something else, and for a line that is whole and no rating.
        RunError: where the file cannot be read.
    """
    values, n_damaged = read_lines(path)
    if n_damaged and not values and not _BEGUN.match(path.read_bytes().split(b"\n", 1)[0]):
        raise JournalError(f"{path}: is no file of ratings; name another, which is made where there is none")
    numbered: dict[str, dict[int, Rating]] = {}
    for value in values:
        try:
            one = Rating.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise JournalError(
                f"{path}: a line is no rating ({first['msg']}: {'.'.join(map(str, first['loc']))}); another command or "
                "version wrote it: read it with that one, or name another file"
            ) from error
        # A line that was written and could not be synced was never acknowledged: what was said then counts.
        numbered.setdefault(one.rater, {})[one.number] = one
    return {rater: [own[number] for number in sorted(own)] for rater, own in numbered.items()}, n_damaged


class RatingStore:
    """The ratings of a file, and the only one that writes there.

    Attributes:
        path: the file, which is made where there is none.
        n_damaged: lines that could not be read when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._by_rater, self.n_damaged = read_ratings(path)
        try:
            path.touch()
            sync(path.parent)
        except OSError as error:
            raise cannot_be_written(path, error) from error

    def of(self, rater: str) -> Sequence[Rating]:
        """Give a rater's records in their order."""
        return self._by_rater.get(rater, ())

    @property
    def raters(self) -> tuple[str, ...]:
        """Name everybody who has a record."""
        return tuple(self._by_rater)

    def add(self, rating: Rating) -> None:
        """Keep the next record of a rater; it is on the disk when this returns.

        Raises:
            RunError: where it cannot be written; it is then not there.
        """
        append_line(self.path, rating.model_dump(mode="json"))
        self._by_rater.setdefault(rating.rater, []).append(rating)
