"""JSON packed into a page: compressed, in letters that are no markup, and opened by its script when it is needed."""

from __future__ import annotations

import base64
import zlib
from typing import Any

from charter.reporting.markup import Markup, element, json_text


def packed(name: str, value: Any) -> Markup:
    """Write a JSON value as an element that no browser reads as script, image or text.

    Args:
        name: the element's id.
        value: written as UTF-8, compressed as zlib does, and said in base64. A lone surrogate, which has no UTF-8,
            becomes the escape that JSON knows.
    """
    raw = json_text(value).encode("utf-8", "backslashreplace")
    return element("script", Markup(base64.b64encode(zlib.compress(raw, 6)).decode()), type="text/plain", id=name)
