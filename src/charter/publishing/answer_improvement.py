"""The layout of answer improvement: CSV, one column ``text`` for SFT, and ``prompt, chosen, rejected``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from charter.publishing.contents import csv_table
from charter.publishing.layout import File, Layout, Options, Part, Written, sift
from charter.records import Message, Preference, SftRow

REFUSED = "refused by the chat template"


class TemplateRefusedError(ValueError):
    """A chat template that takes no such conversation."""


def chatml(turns: Sequence[Message]) -> str:
    """Write a conversation in ChatML, which no model's template is needed for."""
    return "".join(f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in turns)


def _sft(rows: Sequence[SftRow], options: Options) -> Written:
    texts: list[tuple[str]] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        try:
            texts.append((options.render((*row.prompt.turns, Message(role="assistant", content=row.response))),))
        except TemplateRefusedError:
            left_out[REFUSED] += 1
    return Written({"sft.csv": File(len(texts), csv_table(("text",), texts, raw=options.raw))}, left_out)


def _preferences(rows: Sequence[Preference], options: Options) -> Written:
    kept, left_out = sift(rows, is_text=True)
    cells = [(one.prompt.text, one.chosen, one.rejected) for one in kept]
    header = ("prompt", "chosen", "rejected")
    return Written({"preferences.csv": File(len(cells), csv_table(header, cells, raw=options.raw))}, left_out)


ANSWER_IMPROVEMENT: Layout = {
    "sft": Part(_sft, frozenset({"prompt", "turns", "response"})),
    "preferences": Part(_preferences, frozenset({"prompt", "turns", "chosen", "rejected"})),
}
