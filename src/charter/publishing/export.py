"""Rows written in a layout, and what of them the layout cannot hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from charter.constitution import load_constitution
from charter.constitution.model import Constitution
from charter.engines.templates import CHATML, Render, chatml, find_template
from charter.errors import RunError, UserError
from charter.files.tables import read_table
from charter.files.writing import new_folder, replace_whole
from charter.publishing.answer_improvement import ANSWER_IMPROVEMENT
from charter.publishing.cai_conversation import CAI_CONVERSATION
from charter.publishing.contents import json_document
from charter.publishing.conversations import ALIGNMENT_HANDBOOK, AXOLOTL, LLAMA_FACTORY, TRL, TRL_STANDARD
from charter.publishing.country import COUNTRY
from charter.publishing.layout import RECORDS, File, Layout, Options, What, Written, lost_columns
from charter.publishing.native import NATIVE
from charter.recipe import Recipe, load_recipe

LayoutName = Literal[
    "native",
    "cai-conversation",
    "country",
    "answer-improvement",
    "trl",
    "trl-standard",
    "alignment-handbook",
    "axolotl",
    "llama-factory",
]
LAYOUTS: Mapping[LayoutName, Layout] = {
    "native": NATIVE,
    "cai-conversation": CAI_CONVERSATION,
    "country": COUNTRY,
    "answer-improvement": ANSWER_IMPROVEMENT,
    "trl": TRL,
    "trl-standard": TRL_STANDARD,
    "alignment-handbook": ALIGNMENT_HANDBOOK,
    "axolotl": AXOLOTL,
    "llama-factory": LLAMA_FACTORY,
}
_RECIPE = "recipe.resolved.yaml"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    ``files`` gives the rows of each file by its name, ``lost`` by kind of rows the columns that had something in them
    and that the layout has no place for, ``left_out`` by kind the rows that it cannot hold, by reason. ``missing`` are
    the kinds of rows that it could hold and the run does not have yet. ``template`` names what conversations were
    written out with, where the layout has them as one text.
    """

    out: str
    layout: LayoutName
    files: dict[str, int]
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    template: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return asdict(self)


def export_run(
    folder: str | Path, out: str | Path, layout: LayoutName, *, what: What | None = None, raw: bool = False
) -> Exported:
    """Write the rows of a run in a layout.

    Args:
        folder: of the run.
        out: the folder that is made; it appears whole or not at all.
        layout: one of ``LAYOUTS``.
        what: which rows; None takes all that the layout holds and the run has.
        raw: leave cells of a CSV as they are, for training tools: a spreadsheet may run them.

    Raises:
        UserError: where the layout or the run has no such rows, or the folder that is to be made is there already.
    """
    folder = Path(folder)
    recipe = _recipe(folder)
    parts = _parts(layout, what)
    paths = {kind: folder / "data" / f"{kind}.parquet" for kind in parts}
    missing = tuple(kind for kind, path in paths.items() if not path.exists())
    if what is not None or len(missing) == len(parts):
        missing = ()  # so that reading says which file is not there
    rows = {kind: read_table(path, RECORDS[kind]) for kind, path in paths.items() if kind not in missing}
    is_templated = layout == "answer-improvement" and "sft" in rows
    template, render = _template(recipe) if is_templated else ("", chatml)
    constitution = load_constitution(recipe.constitution.source) if layout == "country" else None
    return export_rows(
        rows, out, layout, constitution=constitution, render=render, template=template, raw=raw, missing=missing
    )


def export_rows(
    rows: Mapping[What, Sequence[Any]],
    out: str | Path,
    layout: LayoutName,
    *,
    constitution: Constitution | None = None,
    render: Render = chatml,
    template: str = "",
    raw: bool = False,
    missing: tuple[str, ...] = (),
) -> Exported:
    """Write rows in a layout.

    Args:
        rows: by kind; the layout has each of these.
        out: the folder that is made.
        layout: one of ``LAYOUTS``.
        constitution: gives principles their positions in the country layout; without one they are numbered as met.
        render: writes a conversation as one text, where the layout has it so.
        template: what ``render`` is, for the record.
        raw: see ``export_run``.
        missing: see ``Exported``.

    Raises:
        UserError: where the layout has no such rows or holds none of them, or ``out`` is there already.
    """
    out = Path(out)
    options = Options(constitution, render, raw)
    written: dict[What, Written] = {}
    lost: dict[str, tuple[str, ...]] = {}
    for kind, some in rows.items():
        part = _parts(layout, kind)[kind]
        written[kind] = part.written(some, options)
        lost[kind] = (*lost_columns(kind, some, part.keeps), *written[kind].lost)
    files = {name: file for one in written.values() for name, file in one.files.items() if file.n_rows}
    if not files:
        reasons = [f"{n} {kind}: {why}" for kind, one in written.items() for why, n in (+one.left_out).items()]
        raise UserError(
            f"layout {layout!r} holds none of the rows ({'; '.join(reasons) or 'there are none'}); nothing is written"
        )
    shared: dict[str, dict[str, Any]] = {}
    for one in written.values():
        for name, value in one.shared.items():
            shared.setdefault(name, {}).update(value)
    extra = {name: File(len(value), json_document(value)) for name, value in shared.items()}
    _write_folder(out, files | extra)
    return Exported(
        out=str(out),
        layout=layout,
        files={name: file.n_rows for name, file in files.items()},
        lost={kind: names for kind, names in lost.items() if names},
        left_out={kind: dict(+one.left_out) for kind, one in written.items() if +one.left_out},
        missing=missing,
        template=template,
    )


@dataclass(frozen=True)
class ExportedFile:
    """How many rows a file has, and how many its layout could not hold, by reason."""

    n_rows: int
    left_out: Mapping[str, int]


def export_file(
    rows: Sequence[Any],
    path: str | Path,
    layout: LayoutName,
    what: What,
    *,
    render: Render = chatml,
    raw: bool = False,
) -> ExportedFile:
    """Write rows of one kind as the one file that a layout makes of them, over the file that is there.

    Args:
        rows: of the kind.
        path: the file; it appears whole or not at all.
        layout: one of ``LAYOUTS`` that has such rows in one file.
        what: the kind.
        render: see ``export_rows``.
        raw: see ``export_run``.

    Raises:
        UserError: where the layout has no such rows or holds none of them, or the file cannot be written.
    """
    path = Path(path)
    written = _parts(layout, what)[what].written(rows, Options(None, render, raw))
    left_out = dict(+written.left_out)
    (file,) = written.files.values()
    if not file.n_rows:
        reasons = ", ".join(f"{n} {why}" for why, n in left_out.items()) or "there are none"
        raise UserError(f"{path}: layout {layout!r} holds none of the {what} ({reasons}); nothing is written")
    try:
        replace_whole(path, file.write, shared=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); check its folder and rights"
        ) from error
    return ExportedFile(file.n_rows, left_out)


def _parts(layout: LayoutName, what: What | None) -> Layout:
    parts = LAYOUTS[layout]
    if what is None:
        return parts
    if what not in parts:
        able = [name for name, one in LAYOUTS.items() if what in one]
        raise UserError(f"layout {layout!r} has no {what}, only {', '.join(parts)}; {what} are in {', '.join(able)}")
    return {what: parts[what]}


def _recipe(folder: Path) -> Recipe:
    if not (folder / _RECIPE).is_file():
        raise RunError(f"{folder}: is no run's folder (it has no {_RECIPE}); name one that 'charter run' made")
    return load_recipe(folder / _RECIPE)


def _template(recipe: Recipe) -> tuple[str, Render]:
    """Take the chat template of the run's policy; a scripted one has none, and ChatML stands in for it."""
    policy = recipe.models.policy
    name = CHATML if policy.engine == "scripted" else policy.name
    return name, find_template(name, trust_remote_code=policy.trust_remote_code)


def _write_folder(out: Path, files: Mapping[str, File]) -> None:
    with new_folder(out) as folder:
        for name, file in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            replace_whole(path, file.write)
