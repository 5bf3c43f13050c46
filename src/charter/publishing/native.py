"""Our own rows as JSON lines: every column, as in the run's tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, get_args

from charter.publishing.contents import json_lines
from charter.publishing.layout import File, Layout, Options, Part, What, Written


def _write(rows: Sequence[Any], _: Options, *, what: What) -> Written:
    return Written({f"{what}.jsonl": File(len(rows), json_lines(row.to_row() for row in rows))})


NATIVE: Layout = {what: Part(partial(_write, what=what), None) for what in get_args(What)}
