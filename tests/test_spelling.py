"""A mistyped name is told from a strange one."""

from __future__ import annotations

from charter.spelling import hint, nearest


def test_a_typo_has_a_nearest_name_and_a_stranger_none() -> None:
    """What is near is named, in quotes where it is said."""
    assert nearest("principels", ["principles", "name"]) == "principles"
    assert hint("principels", ["principles", "name"]) == '; did you mean "principles"?'
    assert nearest("zebra", ["principles", "name"]) == hint("zebra", ["principles", "name"]) == ""
