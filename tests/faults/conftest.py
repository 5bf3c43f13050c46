"""What the suite of faults shares: a run that nothing interrupted, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import charter, finished, place
from run_examples import SMALL_STAGES, small_run

__all__ = ["charter", "clean", "finished", "place"]


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small run that nothing interrupted; tests read it and change nothing."""
    return small_run(tmp_path_factory.mktemp("clean"), SMALL_STAGES)
