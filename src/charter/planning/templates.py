"""What a chat template puts before a conversation of its own accord: some models bring a system text with them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from charter.engines.inspection import TEMPLATE_FILES, read_chat_template, read_configuration
from charter.planning.sizing import CountTokens

_FIRST, _LAST = "\ue000", "\ue001"  # questions that stand in no template
_LONGEST = 100_000  # characters; templates that call tools have some ten thousand
_MOST_STEPS = 10_000  # of all loops together, over three turns


def count_lead(folder: Path, count: CountTokens) -> float:
    """Count the tokens that a tokenizer's template puts before a first user turn, beyond those around any turn.

    Templates are programs that come with a model. This one is run in a sandbox of its own, with less than a rendered
    conversation has: no loop controls, no ``generation`` tag, no ``raise_exception``. Its length and the steps of its
    loops are bounded, and it may not multiply: an estimate is worth no more. That holds off a template which is wrong
    or careless, not one that means harm, and which a run would render without these bounds.

    Returns:
        The count; 0 where there is no template, or it does not render two plain questions within these bounds.
    """
    template = read_chat_template(folder)
    if not template or len(template) > _LONGEST:
        return 0.0
    settings = folder / TEMPLATE_FILES[1]
    special = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in (read_configuration(settings) if settings.is_file() else {}).items()
        if name in {"bos_token", "eos_token"}
    }
    turns = [
        {"role": role, "content": content} for role, content in (("user", _FIRST), ("assistant", "a"), ("user", _LAST))
    ]
    try:
        text = _render(template, messages=turns, add_generation_prompt=True, **special)
    except Exception:  # noqa: BLE001 - somebody else's program may raise anything, and the estimate can do without it
        return 0.0
    if _FIRST not in text or _LAST not in text:
        return 0.0
    before, last = text.partition(_FIRST)[0], text.rpartition(_LAST)[0]
    pairs = zip(reversed(before), reversed(last), strict=False)
    n_around = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))  # as before any user's turn
    return count(before[: len(before) - n_around])


def _render(template: str, **values: Any) -> str:
    """Render a template whose loops take a bounded number of steps in all."""
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class _Bounded(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**"})  # of which one can take all memory, or all time

        def call_binop(self, _context: Any, operator: str, _left: Any, _right: Any) -> Any:
            raise SecurityError(f"{operator} is not done for an estimate")

    n_left = _MOST_STEPS

    def counted(items: Iterable[Any]) -> list[Any]:
        nonlocal n_left
        found = list(itertools.islice(items, n_left + 1))
        n_left -= len(found)
        if n_left < 0:
            raise SecurityError(f"loops take more than {_MOST_STEPS} steps")
        return found

    environment = _Bounded(trim_blocks=True, lstrip_blocks=True)
    environment.globals["strftime_now"] = lambda _format: "1 Jan"
    environment.filters["counted"] = counted
    tree = environment.parse(template)
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None)
    return environment.from_string(tree).render(**values)
