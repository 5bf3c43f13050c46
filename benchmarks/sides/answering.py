"""The other end of ``benchmarks.children``: lines of JSON in, lines of JSON out. The standard library alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def answer_all(begin: Callable[[], tuple[dict[str, Any], Answer]]) -> None:
    """Begin, say so, and answer line after line until the input ends.

    What libraries print goes to the standard error: the output is for answers alone.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        ready, answer = begin()
        print(json.dumps(ready), file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=out, flush=True)
