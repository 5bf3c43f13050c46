"""What axe-core finds on a page that is open in a browser."""

from __future__ import annotations

from typing import Any


def serious(page: Any, script: str) -> list[str]:
    """List the findings that shut somebody out: serious and critical ones, each with its first element."""
    page.evaluate(script)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in {"serious", "critical"}
    ]
