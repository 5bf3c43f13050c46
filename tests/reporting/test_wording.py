"""How the report writes what it has as plain values."""

from __future__ import annotations

import pytest

from charter.reporting import wording


@pytest.mark.parametrize(
    ("stamp", "told"),
    [
        ("2026-11-20T10:00:59Z", "2026-11-20, 10:00 UTC"),
        ("2026-11-20T10:00:00+02:00", "2026-11-20, 08:00 UTC"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("<b>soon</b>", "<b>soon</b>"),
        ("", ""),
    ],
)
def test_a_moment_is_told_to_the_minute(stamp: str, told: str) -> None:
    """In one zone for all; what is no stamp, or out of all calendars, stands as it is."""
    assert wording.moment(stamp) == told
