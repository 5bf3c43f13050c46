"""The layout of answer improvement: CSV files of prompts, of texts for SFT, and of ``prompt, chosen, rejected``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from charter.engines.templates import TemplateRefusedError
from charter.prompts.escaped_cells import OWN_COLUMNS
from charter.publishing.contents import csv_table
from charter.publishing.layout import File, Layout, Options, Part, Written, sift
from charter.records import Message, Preference, Prompt, SftRow

REFUSED = "refused by the chat template"
SEVERAL_TURNS = "of more than one turn"


def _prompts(rows: Sequence[Prompt], options: Options) -> Written:
    cells = [(one.id, one.text, one.category) for one in rows if len(one.turns) == 1]
    left_out = Counter({SEVERAL_TURNS: len(rows) - len(cells)})
    return Written({"prompts.csv": File(len(cells), csv_table(OWN_COLUMNS, cells, raw=options.raw))}, left_out)


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
    "prompts": Part(_prompts, frozenset({"id", "prompt_id", "prompt", "turns", "category"})),
    "sft": Part(_sft, frozenset({"prompt", "turns", "response"})),
    "preferences": Part(_preferences, frozenset({"prompt", "turns", "chosen", "rejected"})),
}
