"""What changed between two constitutions, as text with styles; and what of a run that touches, as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from charter.cli.console import columns
from charter.cli.styled_page import Page

if TYPE_CHECKING:
    from rich.text import Text

    from charter.constitution.diff import ConstitutionDiff, FieldChange, PrincipleChange
    from charter.planning.touched import Touched, TouchedTable

_WHY = {
    "principle": "another principle is drawn",
    "request": "the same principle asks in other words",
    "weight": "votes count in other shares",
    "shown": "other examples or system texts are shown",
    "responses": "responses would be others",
}


def view_diff(found: ConstitutionDiff, *, colours: bool) -> Text:
    """Show what changed: principles, then what stands around them, then the version that this asks for."""
    page = Page(colours=colours)
    page.heading(f"{found.old} -> {found.new}")
    for one in found.removed:
        page.heading(f"removed: {one.id}")
        page.changed("text", one.text, "")
    for one in found.added:
        page.heading(f"added: {one.id}{f' (of {one.base})' if one.base else ''}")
        page.changed("text", "", one.text)
    for changes in _alike(found.changed):
        _view_principles(page, changes)
    if found.reordered:
        page.heading("order: the principles stand in another one")
    for shots in found.few_shots:
        page.heading(f"few_shots.{shots.use}")
        page.line(f"removed (places before): {_places(shots.removed)}; added (places after): {_places(shots.added)}")
        if shots.reordered:
            page.line("those that stay stand in another order")
    for text in found.system:
        page.heading(f"system.{text.field}")
        _view_field(page, text)
    for about in found.about:
        page.heading(f"about: {about.field}")
        _view_field(page, about)
    page.heading(f"version: {_version(found)}")
    return page.text


def _alike(changes: Sequence[PrincipleChange]) -> list[list[PrincipleChange]]:
    """Put together principles of which the same notes were taken, such as a licence; any other change stands alone."""
    groups: dict[Any, list[PrincipleChange]] = {}
    for one in changes:
        is_note = not one.renamed_to and one.kinds == ("other notes",)
        key = tuple((field.field, repr(field.old), repr(field.new)) for field in one.fields) if is_note else one.id
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _view_principles(page: Page, changes: Sequence[PrincipleChange]) -> None:
    change = changes[0]
    renamed = ("renamed (the text is the same)",) if change.renamed_to else ()
    name = f"{change.id} -> {change.renamed_to}" if renamed else ", ".join(one.id for one in changes)
    page.heading(f"{name}: {', '.join((*renamed, *change.kinds))}")
    for one in change.fields:
        _view_field(page, one)


def _view_field(page: Page, change: FieldChange) -> None:
    if isinstance(change.old, str) and isinstance(change.new, str) and max(len(change.old), len(change.new)) > 0:
        page.changed(change.field, change.old, change.new)
    elif isinstance(change.old, dict) and isinstance(change.new, dict):
        for key in {**change.old, **change.new}:
            old, new = change.old.get(key), change.new.get(key)
            if old != new:
                page.changed(f"{change.field}.{key}", *("" if one is None else _plain(one) for one in (old, new)))
    else:
        page.line(f"{change.field}: {_plain(change.old)} -> {_plain(change.new)}")


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _places(places: tuple[int, ...]) -> str:
    return ", ".join(map(str, places)) or "none"


def _version(found: ConstitutionDiff) -> str:
    advice = found.version
    if any(one.field == "name" for one in found.about):
        return f"{advice.old} -> {advice.new}, of another name: no step is asked for"
    if advice.step is None:
        return f"{advice.old} -> {advice.new}; nothing changed that asks for another one"
    if advice.enough:
        return f"{advice.old} -> {advice.new} is enough for a {advice.step} change ({advice.reason})"
    too_little = f"{advice.old} -> {advice.new} is too little for a {advice.step} change"
    return f"{too_little}: at least {advice.least} ({advice.reason})"


def view_touched(touched: Touched) -> Iterator[str]:
    """Say how many rows of a run are touched, why, and by which principle they were made."""
    yield f"{touched.folder}: OLD is the run's {' and '.join(touched.roles)}"
    tables = (("traces", touched.traces), ("pairs", touched.pairs), ("labels", touched.labels))
    for name, table in tables:
        yield f"  {len(table.rows)} of {table.n} {name} are touched{_brought(table)}"
        for why, words in _WHY.items():
            n = sum(why in row.why for row in table.rows)
            if n:
                yield f"    {n}: {words}"
    yield from _by_principle(touched)
    if touched.prompts_may_change:
        yield "  The examples show other requests; prompts that are among them are left out, and others may come in."
    if any(table.rows for _, table in tables):
        yield "  What is trained on touched rows changes with them, and so does everything that comes after it."


def _brought(table: TouchedTable) -> str:
    return f" ({table.n_brought} were brought, not drawn)" if table.n_brought else ""


def _by_principle(touched: Touched) -> Iterator[str]:
    traces, labels = touched.traces.by_principle, touched.labels.by_principle
    names = sorted({*traces, *labels})
    if not names:
        return
    rows = []
    for name in names:
        (n_traces, of_traces), (n_labels, of_labels) = traces.get(name, (0, 0)), labels.get(name, (0, 0))
        rows.append((name, f"{of_traces} of {n_traces}", f"{of_labels} of {n_labels}"))
    yield from (f"  {line}" for line in columns(("recorded principle", "traces", "labels"), rows, right=(1, 2)))
