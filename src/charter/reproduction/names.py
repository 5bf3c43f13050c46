"""What figures are called and which files of the user's they read: told before anything heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from charter.errors import UserError
from charter.spelling import hint

ALL = "all"
_ALSO = {"8": "3"}  # Figure 8 of the paper goes on with what Figure 3 shows
_CHOICES = {"choices": "questions of which reply is better, as `charter evaluate multiple-choice` reads them"}
_PREFIX = re.compile(r"fig(ure)?s?[ ._-]*", re.IGNORECASE)

#: Files that each figure can read, by name, with what each is; figures are in the paper's order.
WANTS: Mapping[str, Mapping[str, str]] = {
    "2": {},
    "3": {},
    "4": _CHOICES,
    "5": {},
    "6": {},
    "7": {},
    "9": _CHOICES,
    "10": {},
    "12": {
        "identification": "questions of whether a reply is harmful",
        "kinds": "questions of which kind of harm a reply does",
    },
    "soft-labels": _CHOICES,
    "clamp": _CHOICES,
    "chains": _CHOICES,
}


def find_names(names: Sequence[str]) -> list[str]:
    """Find figures' names, in the paper's order, each once; ``all`` names all of them.

    Raises:
        UserError: for a name that is none.
    """
    known = [*WANTS, ALL]
    known[known.index("9") : known.index("9")] = _ALSO
    if not names:
        raise UserError(f"name a figure: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UserError(f"FIGURE is {name!r}; expected {', '.join(known)}{_meant(name, known)}")
    wanted = set(WANTS) if ALL in names else {_ALSO.get(name, name) for name in names}
    return [name for name in WANTS if name in wanted]


def check_data(names: Iterable[str], data: Sequence[str]) -> None:
    """Refuse a file of a name that none of the figures reads.

    Args:
        names: of the figures.
        data: names of files.

    Raises:
        UserError: naming those that some read.
    """
    wanted = {name: told for one in names for name, told in WANTS[one].items()}
    for name in data:
        if name not in wanted:
            there = "; ".join(f"{one} ({told})" for one, told in wanted.items()) or "none"
            raise UserError(f"--data {name}: is read by none of these figures; there are: {there}{hint(name, wanted)}")


def _meant(name: str, known: Sequence[str]) -> str:
    """Say which figure is meant by ``fig9``; another number is near none, whatever its digits."""
    bare = _PREFIX.sub("", name, count=1)
    if bare in known:
        return f'; did you mean "{bare}"?'
    return "" if bare.isdecimal() else hint(name, known)
