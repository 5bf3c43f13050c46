"""Prompts by kind: the built-in set, and the reader for the user's own files, with counts of what was rejected."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.prompts.escaped_cells import own_unescaped
from charter.prompts.layouts import choose_layout
from charter.prompts.layouts.base import MENDED, Layout
from charter.prompts.principles import PrincipleNames
from charter.prompts.reading import read_rows
from charter.prompts.row_prompts import (
    RowReader,
    check_columns,
    column_names,
    content_id,
    optional_text,
    tells_apart,
)
from charter.prompts.source_rows import SourceRow
from charter.prompts.text_files import file_kind
from charter.records import BUILT_IN, Message, Prompt, PromptKind, PromptLayout, make_prompt
from charter.seeds import digest

_FILES: Mapping[PromptKind, str] = {
    "red_team": "red_team.jsonl",
    "benign_twin": "benign_twins.jsonl",
    "helpful": "helpful.jsonl",
}
_BUILT_IN_COLUMNS = ("id", "category")
_OTHER_KIND = "of another kind"


@dataclass(frozen=True)
class LoadedPrompts:
    """Prompts read from one source, and how many rows were left out, by reason.

    ``places`` says by prompt id where each was read (nothing of built-in ones). ``given_ids`` are the ids that the
    source itself gives, those of rows that were left out too; ``columns`` are its columns. ``ids_unasked`` is true
    where the ids are those of a column ``id`` that nobody named. ``layout`` is how the source was read. ``n_rows`` is
    what was read: as many as ``prompts`` and ``rejected`` together. ``links_within`` is true where ``twin_of`` was
    found by the layout, and so means prompts of the same source. ``mended`` counts the prompts that are not to the
    letter what the source has, by what was done to them.
    """

    prompts: tuple[Prompt, ...]
    rejected: dict[str, int]
    source: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    given_ids: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    ids_unasked: bool = False
    layout: PromptLayout = "rows"
    n_rows: int = 0
    links_within: bool = False
    mended: Mapping[str, int] = field(default_factory=dict)


def load_prompts(
    source: str,
    kind: PromptKind,
    *,
    layout: PromptLayout | None = None,
    column: str | None = None,
    id_column: str | None = None,
    category_column: str | None = None,
    reference_column: str | None = None,
    principle_column: str | None = None,
    setting_column: str | None = None,
    twin_column: str | None = None,
    system_column: str | None = None,
    system: str | None = None,
    principles: str | None = None,
    where: Mapping[str, Any] | None = None,
    split: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
) -> LoadedPrompts:
    """Read prompts of one kind.

    Args:
        source: ``built-in``, a file, a saved dataset's folder, or a Hugging Face dataset id.
        kind: what the prompts are for. Of a file that says what each row is for, the others are left out and counted.
        layout: how the source holds its prompts; None recognises it (see ``prompts.layouts``).
        column: where the prompt is; None takes the layout's, or the first likely name that exists.
        id_column: where the source's own ids are; None takes the layout's, or ``id``, where every row has one and no
            two share it, and else makes ids from the content.
        category_column: where the category is; None takes the layout's, or ``category`` where it exists.
        reference_column: where a reference answer is, else ``reference``.
        principle_column: where the principle is that the prompt presses on, else ``principle``.
        setting_column: where its setting is, else ``setting``.
        twin_column: where the id of the red-team prompt is that a benign twin imitates, else ``twin_of``.
        system_column: where a system text is that goes before the conversation, if that has none.
        system: a system text for every prompt that has none yet.
        principles: a constitution whose principles' ids the file's names or positions of principles become.
        where: keep rows whose columns equal these values, or one of a list of them; a CSV's cells are compared as text.
            Built-in prompts have ``id`` and ``category``.
        split: of a Hugging Face dataset.
        limit: keep this many.
        seed: of the draw of those that are kept, which does not depend on the rows' order; None keeps the first.

    Returns:
        Distinct prompts in the source's order.

    Raises:
        PromptError: where the source is empty, malformed, or nothing is left; where built-in prompts, whose columns
            are known, are given columns or a split.
    """
    named = {
        "prompt": column,
        "id": id_column,
        "category": category_column,
        "reference": reference_column,
        "principle": principle_column,
        "setting": setting_column,
        "twin": twin_column,
        "system": system_column,
    }
    asked = {use: name for use, name in named.items() if name is not None}
    if source == BUILT_IN:
        refused = {"column" if use == "prompt" else f"{use}_column": name for use, name in asked.items()}
        _refuse({**refused, "split": split, "layout": layout, "principles": principles})
        return _load_built_in(kind, where or {}, system or "", _Draw(limit, seed))
    rows = read_rows(source, split=split)
    if file_kind(Path(source)) == ".csv":
        rows = own_unescaped(rows)
    form = choose_layout(rows, layout, column)
    rows = form.unfold(rows)
    check_columns(rows, asked, where or {})
    own_id = form.columns.id or "id"
    ids_unasked = id_column is None and tells_apart(rows, own_id)
    columns = replace(form.columns, **{"id": own_id if ids_unasked else None, **asked})
    names = PrincipleNames(principles or "", is_indexed=form.is_indexed and principle_column is None)
    if principles and all(row.values.get(columns.principle or "") in (None, "") for row in rows):
        there = ", ".join(column_names(rows))
        raise PromptError(
            f"{source}: 'principles' is {principles!r}, and no row names a principle (columns: {there}); name the "
            "column with principle_column, or leave 'principles' out"
        )
    unused_id = "" if ids_unasked or id_column is not None else own_id
    reader = RowReader(kind, source, columns, form.has_transcripts, system or "", names, unused_id)
    sifted = _sift(rows, form, reader, where or {})
    kept = _Draw(limit, seed).keep(sifted.prompts, sifted.rejected)
    if not kept:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sifted.rejected.items())
        remedy = (
            f"its rows say what they are for, and none is for {kind}: read it under the key of another kind, or as "
            "'layout: rows'"
            if sifted.rejected[_OTHER_KIND]
            else "check 'column' and 'where'"
        )
        raise PromptError(f"{source}: no prompt is left of {len(rows)} rows ({reasons}); {remedy}")
    return LoadedPrompts(
        kept,
        dict(sifted.rejected),
        source,
        {prompt.id: sifted.places[prompt.id] for prompt in kept},
        frozenset(given for row in rows if (given := optional_text(row, columns.id)) is not None),
        column_names(rows),
        ids_unasked,
        form.name,
        len(rows),
        sifted.links_within,
        dict(Counter(sifted.mended[prompt.id] for prompt in kept if prompt.id in sifted.mended)),
    )


@dataclass(frozen=True)
class _Draw:
    """Which prompts are kept where only so many are wanted."""

    limit: int | None
    seed: int | None

    def keep(self, prompts: Iterable[Prompt], rejected: Counter[str]) -> tuple[Prompt, ...]:
        """Keep the first, or those that the seed draws, in their order; count the others."""
        prompts = tuple(prompts)
        if self.limit is None or len(prompts) <= self.limit:
            return prompts
        rejected["over the limit"] += len(prompts) - self.limit
        return prompts[: self.limit] if self.seed is None else draw_prompts(prompts, self.limit, self.seed)


def draw_prompts(prompts: Sequence[Prompt], n: int, seed: int) -> tuple[Prompt, ...]:
    """Draw prompts, and give them in their order: of more, those of fewer are a part.

    They are drawn by their content, so that neither their order nor their numbers count.
    """
    order = sorted(prompts, key=lambda one: digest([seed, "limit", content_id(one.kind, one.turns)]))
    drawn = {one.id for one in order[:n]}
    return tuple(one for one in prompts if one.id in drawn)


@dataclass
class _Sifted:
    """The distinct prompts of a source by id, where each was read, and how many rows hold none of them, by reason."""

    by_id: dict[str, Prompt] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    links_within: bool = False
    mended: dict[str, str] = field(default_factory=dict)

    @property
    def prompts(self) -> Iterable[Prompt]:
        """The prompts, in their rows' order."""
        return self.by_id.values()


def _sift(rows: Sequence[SourceRow], form: Layout, reader: RowReader, where: Mapping[str, Any]) -> _Sifted:
    """Make the prompts of the rows that hold one of the kind that is read."""
    sifted = _Sifted()
    links = form.links(rows) if reader.kind == "benign_twin" else {}
    seen: set[tuple[Message, ...]] = set()
    for position, row in enumerate(rows):
        reason = _unwanted(row, form, reader.kind, where)
        if reason:
            sifted.rejected[reason] += 1
            continue
        imitated = reader.id_of(rows[links[position]]) if position in links else None
        prompt = reader.read(row, imitated)
        if isinstance(prompt, str):
            sifted.rejected[prompt] += 1
        elif prompt.turns in seen:
            sifted.rejected["duplicate text"] += 1
        elif prompt.id in sifted.by_id:
            raise PromptError(
                f"{row.place}: the id {prompt.id!r} in column {reader.columns.id!r} was used before "
                f"({sifted.places[prompt.id]}); ids must be distinct: mend them, or name "
                "another column with 'id_column'"
            )
        else:
            sifted.by_id[prompt.id] = prompt
            sifted.places[prompt.id] = row.place
            sifted.links_within |= imitated is not None
            if MENDED in row.values:
                sifted.mended[prompt.id] = str(row.values[MENDED])
            seen.add(prompt.turns)
    return sifted


def _unwanted(row: SourceRow, form: Layout, kind: PromptKind, where: Mapping[str, Any]) -> str:
    """Say why a row is not looked at any further; nothing where it is."""
    if row.reason:
        return row.reason
    if form.kind_of(row) not in {None, kind}:
        return _OTHER_KIND
    return "" if all(_is(row.values.get(name), value) for name, value in where.items()) else "filtered by where"


def _is(cell: Any, value: Any) -> bool:
    """Whether a cell is a value, or one of several."""
    if isinstance(value, list | tuple):
        return any(_is(cell, one) for one in value)
    if isinstance(cell, str) and not isinstance(value, str):
        return cell.strip().lower() == str(value).lower()
    return bool(cell == value)


def _refuse(settings: Mapping[str, str | None]) -> None:
    """Refuse columns for built-in prompts, which have none to choose."""
    for name, value in settings.items():
        if value is not None:
            raise PromptError(f"{name!r} is {value!r}, and built-in prompts have none to choose; leave it out")


def _load_built_in(kind: PromptKind, where: Mapping[str, Any], system: str, draw: _Draw) -> LoadedPrompts:
    prompts = _built_in(kind)
    unknown = next((name for name in where if name not in _BUILT_IN_COLUMNS), None)
    if unknown is not None:
        raise PromptError(f"built-in prompts have no column {unknown!r}; 'where' takes {list(_BUILT_IN_COLUMNS)}")
    found = [one for one in prompts if all(_is(getattr(one, name), value) for name, value in where.items())]
    if not found:
        raise PromptError(f"no built-in {kind} prompt is left where {dict(where)}; check where")
    rejected = Counter({"filtered by where": len(prompts) - len(found)})
    kept = draw.keep(found, rejected)
    if system:
        opening = Message(role="system", content=system)
        kept = tuple(one.model_copy(update={"turns": (opening, *one.turns)}) for one in kept)
    return LoadedPrompts(
        kept,
        {reason: n for reason, n in rejected.items() if n},
        BUILT_IN,
        given_ids=frozenset(one.id for one in prompts),
        columns=_BUILT_IN_COLUMNS,
        n_rows=len(prompts),
    )


def _built_in(kind: PromptKind) -> tuple[Prompt, ...]:
    file = resources.files("charter.prompts") / "data" / _FILES[kind]
    rows = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
    return tuple(
        make_prompt(
            row["prompt"],
            kind,
            id=row["id"],
            category=row["category"],
            source=BUILT_IN,
            split=row.get("split", "train"),
            twin_of=row.get("twin_of"),
            reference=row.get("reference"),
        )
        for row in rows
    )
