"""Stage ``report``: everything above on one page, read only."""

from __future__ import annotations

from charter.reporting import report
from charter.runs.folder import Run
from charter.stages.summary import Summary, summarise


def do_report(run: Run) -> Summary:
    """Write ``report.html``."""
    report(run.folder)
    return summarise(0, 0)
