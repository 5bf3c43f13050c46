"""Rows that are not among what a function gives, told where a list or a file has no place to say so."""

from __future__ import annotations

import warnings
from collections.abc import Mapping


class LeftOutWarning(UserWarning):
    """Some rows were left out; the message says how many, and why."""


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
