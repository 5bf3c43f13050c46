"""A report's page as a browser's tokenizer reads it, and the rows that are packed into it."""

from __future__ import annotations

import base64
import json
import zlib
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "input", "br", "hr"}


class Page(HTMLParser):
    """Reads a page as a browser's tokenizer would: elements with attributes, scripts and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that what closes is what was open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text, that of scripts and styles by itself."""
        if self.open and self.open[-1] in {"script", "style"}:
            self.raw.append((self.open[-1], data))
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees."""
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Every element of a name, as its attributes."""
        return [attributes for name, attributes in self.elements if name == tag]


def rows_in(page: Page) -> Any:
    """The rows of a page that has one chunk, as the page's script gets them."""
    _, packed, _ = (text for kind, text in page.raw if kind == "script")
    return json.loads(zlib.decompress(base64.b64decode(packed)))
