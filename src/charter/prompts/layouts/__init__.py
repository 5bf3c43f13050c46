"""Layouts of prompts: one module for each that is foreign; recognised by what the rows hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.errors import PromptError
from charter.prompts.layouts.ailuminate import AILUMINATE
from charter.prompts.layouts.base import Layout
from charter.prompts.layouts.behaviours import BEHAVIOURS
from charter.prompts.layouts.conversations import MESSAGES, PAIRS, ROWS, TRANSCRIPTS, hold_transcripts
from charter.prompts.layouts.instructions import INSTRUCTIONS
from charter.prompts.layouts.native import NATIVE
from charter.prompts.layouts.numbered import NUMBERED
from charter.prompts.layouts.traits import TRAITS
from charter.prompts.layouts.xstest import XSTEST
from charter.prompts.source_rows import SourceRow
from charter.records import PromptLayout

#: In the order in which they are tried: what has more marks of its own goes first.
LAYOUTS: Mapping[PromptLayout, Layout] = {
    one.name: one
    for one in (
        NATIVE,
        NUMBERED,
        TRAITS,
        INSTRUCTIONS,
        XSTEST,
        AILUMINATE,
        BEHAVIOURS,
        PAIRS,
        MESSAGES,
        TRANSCRIPTS,
        ROWS,
    )
}


def choose_layout(rows: Sequence[SourceRow], name: PromptLayout | None = None, column: str | None = None) -> Layout:
    """Recognise the layout of rows, or take the one that is named.

    Args:
        rows: all of a source's.
        name: of the layout; None goes by what the rows hold.
        column: where the prompt is said to be. A layout that has it elsewhere is then not meant.

    Raises:
        PromptError: where the rows are not of the layout that is named.
    """
    if name is None:
        return next(one for one in LAYOUTS.values() if _is(one, rows, column))
    layout = LAYOUTS[name]
    if layout is not TRANSCRIPTS and not layout.fits(rows):  # of transcripts each row is told by itself
        first = rows[0]
        raise PromptError(
            f"{first.header or first.place}: not of the layout {name!r}, whose rows have {layout.about}; here they "
            f"have {', '.join(first.values)}. Leave out 'layout' to have it recognised, or mend the file"
        )
    return layout


def _is(layout: Layout, rows: Sequence[SourceRow], column: str | None) -> bool:
    if layout is TRANSCRIPTS:
        return hold_transcripts(rows, column)
    return layout.fits(rows) if column in (None, layout.columns.prompt) or layout is ROWS else False
