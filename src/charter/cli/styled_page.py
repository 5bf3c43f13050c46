"""A page of text with styles; where no colours show, changed words carry marks. Pure."""

from __future__ import annotations

from rich.text import Text

from charter.cli.console import printable
from charter.cli.word_difference import word_difference

_HEADING, _LABEL, _REMOVED, _ADDED = "bold", "cyan", "red strike", "green"


class Page:
    """Text that grows by headings, lines and passages."""

    def __init__(self, *, colours: bool) -> None:
        self.text = Text()
        self._marks = ("", "", "", "") if colours else ("[-", "-]", "{+", "+}")

    def heading(self, words: str) -> None:
        """Begin a part."""
        self.text.append(("\n" if self.text else "") + printable(words) + "\n", style=_HEADING)

    def line(self, words: str) -> None:
        """Say something about the part."""
        self.text.append(f"  {printable(words)}\n")

    def passage(self, label: str, words: str) -> None:
        """Show a text under a label."""
        self.text.append(f"  {printable(label)}\n", style=_LABEL)
        self.text.append(f"{_indented(printable(words))}\n")

    def changed(self, label: str, before: str, after: str) -> None:
        """Show a text under a label, as what became of another one."""
        self.text.append(f"  {printable(label)}\n", style=_LABEL)
        if before == after:
            self.line("  (the same)")
            return
        cut, uncut, put, unput = self._marks
        whole = Text()
        for kind, words in word_difference(before, after):
            shown = printable(words)
            if kind == "same":
                whole.append(shown)
                continue
            opening, closing, style = (cut, uncut, _REMOVED) if kind == "removed" else (put, unput, _ADDED)
            core = shown.rstrip()
            whole.append(f"{opening}{core}{closing}" if core else "", style=style)
            whole.append(shown[len(core) :])
        for line in whole.split("\n", allow_blank=True):
            self.text.append("    ")
            self.text.append_text(line)
            self.text.append("\n")


def _indented(words: str) -> str:
    return "\n".join(f"    {line}" for line in words.split("\n"))
