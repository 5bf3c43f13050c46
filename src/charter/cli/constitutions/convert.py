"""``charter constitution convert``: a constitution from any layout that we read to any that we write."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples
from charter.errors import UserError

if TYPE_CHECKING:
    from charter.constitution.reading import Reading


class Written(StrEnum):
    """Layouts that can be written."""

    native = "native"
    answer_improvement = "answer-improvement"
    principle_list = "principle-list"
    markdown = "markdown"


_SUFFIXES = {
    ".yaml": Written.native,
    ".yml": Written.native,
    ".json": Written.native,
    ".md": Written.markdown,
    ".markdown": Written.markdown,
}


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "convert",
        epilog=examples(
            "charter constitution convert principles.json mine.yaml",
            "charter constitution convert instructions.json few_shots.json comparisons.json paper.yaml",
            "charter constitution convert south_africa/ south_africa.yaml",
            "charter constitution convert harmless harmless.json --to answer-improvement",
            "charter constitution convert rules.txt rules.yaml --format markdown --force",
        ),
    )(convert)


def convert(  # noqa: PLR0917 - the command line names them
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="What to read (built-in names, files in any layout, folders; several make one constitution), and last "
            "the file to write.",
            show_default=False,
        ),
    ],
    source_layout: Annotated[
        str | None,
        typer.Option(
            "--from",
            "--format",
            metavar="LAYOUT",
            help="Which layout the files have that are read, where what they hold does not tell.",
            show_default=False,
        ),
    ] = None,
    target_layout: Annotated[
        Written | None,
        typer.Option("--to", help="Which layout to write; by OUT's suffix where it is not given.", show_default=False),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What the constitution is called.", show_default=False)
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read a constitution in any layout, or from several files, and write it; say what the layout cannot hold."""
    from charter.constitution.formats import export_constitution
    from charter.constitution.reading import read_constitution

    if len(paths) == 1:
        raise UserError(f"{paths[0]}: only one path is given; name what to read, and last the file to write")
    *sources, last = paths
    out = Path(last)
    _require_free(out, force=force)
    if any(out.resolve() == Path(source).resolve() for source in sources):
        raise UserError(f"{out}: is what is read; name another file, so that what it says in its own words stays")
    written = target_layout or _layout_of(out)
    reading = read_constitution(sources, layout=source_layout, name=name)
    lost = export_constitution(reading.constitution, out, layout=written.value)
    summary = _summary(reading, out, written, lost)
    if as_json:
        console.write_json(summary)
    else:
        _show(summary)


def _layout_of(out: Path) -> Written:
    layout = _SUFFIXES.get(out.suffix.lower())
    if layout is None:
        raise UserError(
            f"{out}: its suffix says no layout; end it in .yaml, .json or .md, or name one with --to "
            f"({', '.join(Written)})"
        )
    return layout


def _require_free(out: Path, *, force: bool) -> None:
    if out.is_dir():
        raise UserError(f"{out}: is a folder; name a file to write")
    if out.exists() and not force:
        raise UserError(f"{out}: is there already; take another name, or give --force to write over it")


def _summary(reading: Reading, out: Path, written: Written, lost: Sequence[str]) -> dict[str, Any]:
    from charter.constitution.derivation import derived_fields

    constitution = reading.constitution
    derived: dict[str, int] = {}
    for principle in constitution.principles:
        for field in derived_fields(principle):
            derived[field] = derived.get(field, 0) + 1
    return {
        "out": str(out),
        "layout": written.value,
        "name": constitution.name,
        "read": [{"file": file, "layout": layout} for file, layout in reading.layouts],
        "principles": len(constitution.principles),
        "revise_examples": len(constitution.few_shots.revise),
        "judge_examples": len(constitution.few_shots.judge),
        "derived": derived,
        "metadata": list(constitution.metadata),
        "remarks": list(reading.remarks),
        "lost": list(lost),
    }


def _show(summary: dict[str, Any]) -> None:
    for one in summary["read"]:
        console.write(f"read {one['file']} ({one['layout']})")
    for remark in summary["remarks"]:
        console.write(f"note: {remark}")
    console.write(
        f"wrote {summary['out']} ({summary['layout']}): {summary['principles']} principles, few-shot examples: "
        f"{summary['revise_examples']} of revision, {summary['judge_examples']} of judging"
    )
    for field, n in summary["derived"].items():
        console.write(f"derived by rule: {field} of {n} of {summary['principles']} principles")
    if summary["metadata"]:
        console.write(f"read as metadata: {', '.join(summary['metadata'])}")
    for one in summary["lost"]:
        console.write(f"not held by {summary['layout']}: {one}")
