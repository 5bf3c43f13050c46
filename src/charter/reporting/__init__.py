"""One self-contained HTML page that says what a run did, and what got worse.

```
report(run) ── reading      the run folder's parts, each of which may be missing
            ├─ verdict      what got worse, better, unclear            (pure)
            ├─ label_quality, accounting                               (pure)
            ├─ figures, label_figures, training_figures ── svg         (matplotlib to inline SVG)
            ├─ browsing ── lives, row_index ── packing   rows in chunks, sampled above a limit (pure)
            ├─ sections ── markup                                      (pure)
            └─ page         the templates' slots, the CSP, the atomic write
```
"""

from charter.reporting.page import report
from charter.reporting.reading import RunData, read_run
from charter.reporting.verdict import Change, Findings, weigh

__all__ = ["Change", "Findings", "RunData", "read_run", "report", "weigh"]
