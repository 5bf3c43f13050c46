"""Build HTML from elements: every text is escaped, and only what was built here counts as markup."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

_SLOT = re.compile(r"<!-- slot: ([a-z]+) -->|\[\[slot: ([a-z]+)\]\]")
_VOID = frozenset({"meta", "input", "br", "hr"})


class Markup(str):
    """Text that is already markup."""

    __slots__ = ()


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Build an element.

    Args:
        tag: the element's name.
        children: markup is taken as it is, None is left out, a list is taken child by child, anything else is
            written as escaped text.
        attributes: escaped; ``class_`` and ``for_`` lose the underscore, ``_`` elsewhere becomes ``-``; True writes
            the bare name, False and None leave it out.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: object) -> Markup:
    """Write children one after the other (see ``element``)."""
    return Markup("".join(_child(child) for child in children))


def json_text(value: Any) -> str:
    """Write a JSON value that is safe inside a ``<script type="application/json">``: no ``<``, ``>`` or ``&``."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Put markup into a template's marked slots, each once; what is put in is not searched for slots.

    Raises:
        ValueError: if the template and the slots do not name the same slots, each once.
    """
    parts = _SLOT.split(template)
    names = [first or second for first, second in zip(parts[1::3], parts[2::3], strict=True)]
    if sorted(names) != sorted(slots):
        raise ValueError(f"the template has the slots {sorted(names)}, but {sorted(slots)} were given")
    filled = [parts[0]]
    for name, after in zip(names, parts[3::3], strict=True):
        filled += [slots[name], after]
    return "".join(filled)


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{html.escape(str(value), quote=True)}"'


def _child(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, list | tuple):
        return join(*child)
    return html.escape(str(child), quote=False)
