"""Semantic versions (https://semver.org): their order, ranges of them, and what a change asks of the next one.

Python's own tools for versions know another grammar: they refuse ``1.0.0-next.1``, which is a semantic version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Literal

Part = Literal["major", "minor", "patch"]

_VERSION = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,18})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<|)\s*(\d{1,9}(?:\.\d{1,9}){0,2})(?:-([0-9A-Za-z.-]+))?")


@dataclass(frozen=True, order=True)
class Version:
    """A version by its precedence: three numbers, then what comes before a release; builds count for nothing."""

    numbers: tuple[int, ...]
    is_release: bool
    pre: tuple[tuple[bool, int, str], ...] = ()


_COMPARISONS: Mapping[str, Callable[[Version, Version], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}


def parse_version(text: str) -> Version:
    """Read a version such as ``1.4.0`` or ``2.0.0-rc.1``.

    Raises:
        ValueError: for what is no semantic version.
    """
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no semantic version; expected three numbers such as "1.0.0" (semver.org)')
    return _version([int(part) for part in found.groups()[:3]], found[4] or "")


def in_range(version: str, wanted: str) -> bool:
    """Tell whether a version lies in a range: conditions such as ``>=1.2,<2``, all of which must hold.

    Numbers that are left out are zeros; of ``==``, ``!=`` and a bare version, whatever is there. A version before a
    release (``2.0.0-rc.1``) is in a range only where a condition names one of the same three numbers.

    Raises:
        ValueError: for what cannot be read.
    """
    given = parse_version(version)
    named = not given.pre
    holds = True
    for clause in wanted.split(","):
        found = _CLAUSE.fullmatch(clause.strip())
        if found is None:
            raise ValueError(
                f'"{clause.strip()}" is no condition on a version; expected such as ">=1.2,<2" (>=, >, <=, <, ==, !=)'
            )
        operator, numbers, pre = found[1], [int(part) for part in found[2].split(".")], found[3] or ""
        bound = _version([*numbers, 0, 0][:3], pre)
        named = named or (bool(pre) and bound.numbers == given.numbers)
        if operator in _COMPARISONS:
            holds = holds and _COMPARISONS[operator](given, bound)
        else:
            is_it = given == bound if pre else given.numbers[: len(numbers)] == tuple(numbers)
            holds = holds and is_it == (operator != "!=")
    return holds and named


def next_version(version: str, part: Part) -> str:
    """Give the lowest version that is a step of this part above another one.

    Before 1.0.0 nothing is promised yet, and a major change asks for a step of the second number only.
    """
    major, minor, patch = parse_version(version).numbers
    if part == "major" and major == 0:
        part = "minor"
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}"}[
        part
    ]


def _version(numbers: list[int], pre: str) -> Version:
    parts = tuple((not one.isdigit(), int(one) if one.isdigit() else 0, one) for one in pre.split(".")) if pre else ()
    return Version(tuple(numbers), not pre, parts)
