"""What is old is kept from the collector while rows are mapped, and given back."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from charter.garbage import old_set_aside


@pytest.fixture(autouse=True)
def nothing_set_aside() -> Iterator[None]:
    """Take back what the tests themselves have set aside."""
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_is_old_is_set_aside_and_given_back() -> None:
    """Inside of the context the collector has hardly anything to look through; afterwards all, whatever was raised."""
    n_before = len(gc.get_objects())
    with old_set_aside():
        assert len(gc.get_objects()) < n_before / 10
    assert gc.get_freeze_count() == 0
    with pytest.raises(ValueError, match="inside"), old_set_aside():
        raise ValueError("inside")
    assert gc.get_freeze_count() == 0
    assert len(gc.get_objects()) > n_before / 2


def test_what_somebody_has_set_aside_stays_there() -> None:
    """A program that has done so itself finds it as it was, but for what died meanwhile; so does the outer context."""
    with old_set_aside():
        n_aside = gc.get_freeze_count()
        with old_set_aside():
            assert n_aside / 2 < gc.get_freeze_count() <= n_aside
        assert n_aside / 2 < gc.get_freeze_count() <= n_aside
