"""What a caller should know where a list or a file has no place to say so: rows that are left out, and remarks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping


class LeftOutWarning(UserWarning):
    """Some rows were left out; the message says how many, and why."""


class PrinciplesWarning(UserWarning):
    """Something in a file of principles is there and looks wrong; the message says where, and what to do."""


def tell_remarks(remarks: Iterable[str]) -> None:
    """Warn of each remark."""
    for remark in remarks:
        warnings.warn(remark, PrinciplesWarning, stacklevel=3)


def tell_left_out(what: str, n_rows: int, left_out: Mapping[str, int]) -> None:
    """Warn of rows that were left out, by reason; of none nothing is said.

    Args:
        what: they were left out of.
        n_rows: there were in all.
        left_out: how many, by reason.
    """
    n = sum(left_out.values())
    if n:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        warnings.warn(f"{what}: {n} of {n_rows} rows are left out ({reasons})", LeftOutWarning, stacklevel=3)
