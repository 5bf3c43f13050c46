"""The card of a run's datasets together, as one repository of a hub holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charter.reporting import wording
from charter.reporting.cards.dataset_card import (
    DATASETS,
    EXAMPLE,
    MADE_BY,
    WHAT,
    Dataset,
    count_rows,
    files_of,
    front_matter,
    list_columns,
    rows_of,
    show_row,
    stages_behind,
    tell_sources,
    tell_warnings,
)
from charter.reporting.cards.facts import Facts
from charter.reporting.cards.label_facts import tell_labels
from charter.reporting.cards.making import tell_making
from charter.reporting.cards.markdown import Markdown, fence, heading, line, paragraphs, table


def datasets_of(facts: Facts) -> tuple[Dataset, ...]:
    """Name the datasets of a run that have rows."""
    return tuple(what for what in DATASETS if files_of(facts, what) and rows_of(facts, what))


def collection_card(facts: Facts, whats: Sequence[Dataset], *, licence: str | None = None) -> str:
    """Write the card of several datasets of a run: front matter as the hub reads it, and Markdown.

    Args:
        facts: of the run, which has the datasets' files.
        whats: which datasets, at least one; the last is what loads where none is named.
        licence: as the hub names it; None leaves the choice to whoever publishes the rows.
    """
    body = paragraphs(
        heading(f"{facts.name}: the rows of a run", 1),
        line("What a run made, one table each. ", MADE_BY),
        _contents(facts, whats),
        tell_warnings(facts, whats),
        tell_labels(facts) if "preferences" in whats else "",
        *(_section(facts, what) for what in whats),
        tell_sources(facts, whats, licence),
        tell_making(facts, stages_behind(facts, whats)),
    )
    data = front_matter(facts, whats, f"{facts.name}: the rows of a run", licence)
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def _contents(facts: Facts, whats: Sequence[Dataset]) -> Markdown:
    rows = [
        [Path(files_of(facts, what)[0]).stem, wording.count(len(rows_of(facts, what))), WHAT[what]] for what in whats
    ]
    last = Path(files_of(facts, whats[-1])[-1]).stem
    code = (
        "from datasets import load_dataset\n\n"
        'folder = "."  # where this card lies, or the name that the rows were published under\n'
        f'rows = load_dataset(folder, "{last}", split="train")\nprint(rows)\n'
    )
    return paragraphs(table(["table", "rows", "what"], rows, right=(1,)), fence(Markdown(code), "python"))


def _section(facts: Facts, what: Dataset) -> Markdown:
    return paragraphs(
        heading(f"The table {what}"),
        count_rows(facts, what),
        list_columns(facts, what),
        EXAMPLE,
        show_row(rows_of(facts, what)),
    )
