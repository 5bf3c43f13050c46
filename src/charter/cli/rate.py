"""``charter rate``: people compare answers blind on a page of this machine, and what they say becomes figures."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from charter.cli import console
from charter.cli.held_file import locked
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.rating import Item, Sitting
    from charter.rating.items import Items, Unnamed

_Kind = Literal["red_team", "helpful", "benign_twin"]
_Source = Annotated[
    str,
    typer.Argument(
        metavar="RUN|FILE",
        help="A run's folder; or a file of pairs in any layout, or of answers (model, prompt, response).",
        show_default=False,
    ),
]
_Rater = Annotated[
    str | None,
    typer.Option("--rater", metavar="NAME", help="Who rates; the page asks if not given.", show_default=False),
]
_Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        metavar="A,B",
        help="Whose answers meet, each with each, such as base,dpo; the first and the last if not given.",
        show_default=False,
    ),
]
_KindOption = Annotated[
    _Kind | None,
    typer.Option(
        "--kind", help="Only prompts of this kind; of a file that does not say, what all are for.", show_default=False
    ),
]
_Number = Annotated[
    int | None,
    typer.Option(
        "--n", min=1, help="Items, drawn by the seed, the same for every rater; all if not given.", show_default=False
    ),
]
_Gold = Annotated[
    str | None,
    typer.Option(
        "--gold",
        metavar="FILE",
        help="Pairs whose better answer is known, mixed in to check raters: in any layout of pairs.",
        show_default=False,
    ),
]
_Question = Annotated[
    str | None,
    typer.Option(
        "--question",
        metavar="TEXT",
        help="What stands above the answers; 'Which answer is better?' if not given.",
        show_default=False,
    ),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the items, orders and sides, and of resamples.")]
_Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the page; 0 takes any that is free.")]
_Host = Annotated[
    str, typer.Option("--host", metavar="H", help="Where the page is reached; any but this machine asks for a token.")
]
_NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Open no browser; the address is printed.")]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Where ratings are kept, and read; ratings.jsonl in the run if not given.",
        show_default=False,
    ),
]
_Results = Annotated[bool, typer.Option("--results", help="Tell what the ratings come to, and serve nothing.")]
_Export = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="FILE",
        help="Write what raters prefer as JSON lines that 'charter audit --labels' reads, and serve nothing.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "rate",
        epilog=examples(
            "charter rate runs/one --models base,dpo --n 60 --gold checks.jsonl",
            "charter rate runs/one --results",
            "charter rate runs/one --export labels.jsonl",
            "charter rate pairs.jsonl --out ratings.jsonl --rater ann",
            "charter rate runs/one --host 0.0.0.0 --no-browser",
        ),
    )(rate)


def rate(  # noqa: PLR0917 - the command line names them
    source: _Source,
    rater: _Rater = None,
    models: _Models = None,
    kind: _KindOption = None,
    n: _Number = None,
    gold: _Gold = None,
    question: _Question = None,
    seed: _Seed = 0,
    port: _Port = 8417,
    host: _Host = "127.0.0.1",
    no_browser: _NoBrowser = False,
    out: _Out = None,
    results: _Results = False,
    export: _Export = None,
    as_json: AsJson = False,
) -> None:
    """Compare answers blind, on a page of this machine, so that people's judgement joins a run.

    Whose answers they are never reaches the browser; sides and order are drawn anew for each rater. Every choice is on
    the disk before the next pair comes, and the same command goes on. With --results: win rates and ratings with
    intervals, agreement of raters with each other and the run's judge, and what checks and positions say of raters.
    """
    from charter.rating import draw_items, gold_items

    kept = _kept(source, out)
    named = [name.strip() for name in models.split(",") if name.strip()] if models else []
    if results or export is not None:
        found = _items(source, named, kind, "every")
        if export is not None:
            _write_labels(found, kept, export, as_json=as_json)
        if results:
            _tell(source, found, kept, seed, as_json=as_json)
        return
    found = _items(source, named, kind, "ends")
    drawn = draw_items(found.items, n, seed)
    checks = gold_items(gold).items if gold else ()
    for reason, count in found.left_out.items():
        console.note(f"not rated, {count:,}: {reason}")
    with locked(kept):
        sitting = _sitting([*drawn, *checks], kept, question, seed)
        _serve(sitting, host, port, _named(rater), open_browser=not no_browser, as_json=as_json)


def _kept(source: str, out: Path | None) -> Path:
    """Say where ratings are kept.

    Raises:
        UserError: for a source that is not there, and for a file's where nobody says.
    """
    from charter.errors import UserError
    from charter.rating.store import RATINGS

    if not Path(source).exists():
        raise UserError(f"{source}: no such run or file; give a run's folder, or a file of pairs or answers")
    if out is None and not _is_run(source):
        raise UserError(f"{source} is no run, in which ratings would be kept; name a file for them with --out")
    kept = Path(source) / RATINGS if out is None else out
    if kept.is_dir() or not kept.absolute().parent.is_dir():
        raise UserError(f"--out {kept}: expected a file in a folder that is there")
    return kept


def _is_run(source: str) -> bool:
    from charter.runs.place import RESOLVED

    return (Path(source) / RESOLVED).exists()


def _items(source: str, models: list[str], kind: _Kind | None, unnamed: Unnamed) -> Items:
    """Read what is rated.

    Raises:
        UserError: where there is nothing.
    """
    from charter.errors import UserError
    from charter.rating import file_items, run_items

    if _is_run(source):
        found = run_items(Path(source), models, kind, unnamed=unnamed)
    else:
        found = file_items(source, models, kind, unnamed=unnamed)
    if not found.items:
        told = ", ".join(f"{n:,}: {reason}" for reason, n in found.left_out.items()) or f"no prompts of kind {kind}"
        raise UserError(f"{source}: holds nothing to compare ({told})")
    return found


def _named(rater: str | None) -> str | None:
    from charter.errors import UserError
    from charter.rating.sitting import clean_name

    try:
        return None if rater is None else clean_name(rater)
    except ValueError as error:
        raise UserError(f"--rater is {rater!r}; {error}") from error


def _sitting(items: list[Item], kept: Path, question: str | None, seed: int) -> Sitting:
    from charter.rating import RatingStore, Sitting
    from charter.rating.sitting import QUESTION

    store = RatingStore(kept)
    if store.n_damaged:
        console.note(f"{kept}: lines that are damaged, and not counted: {store.n_damaged:,}")
    return Sitting(items, store, question=question or QUESTION, seed=seed)


def _serve(sitting: Sitting, host: str, port: int, rater: str | None, *, open_browser: bool, as_json: bool) -> None:
    """Serve the page until the person stops it."""
    from charter.rating.server import RatingServer

    server = RatingServer(sitting, host=host, port=port, rater=rater)
    try:
        if as_json:
            console.write_json({"address": server.address, "ratings": str(sitting.store.path), "n": len(sitting.items)})
        else:
            console.write(server.address)
        console.note(f"{len(sitting.items):,} pairs of answers; ratings go to {sitting.store.path} (Ctrl-C ends)")
        if open_browser and _has_windows():
            _open(server.address)
        server.serve()
    except KeyboardInterrupt:
        console.note("")
    finally:
        server.close()
    for name in sitting.store.raters:
        console.note(f"{name}: {sitting.state(name)['n_done']:,} of {len(sitting.items):,}")


def _has_windows() -> bool:
    """Tell whether a browser would open a window, and not take the terminal."""
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        console.note("no browser could be opened; open the address above")


def _tell(source: str, found: Items, kept: Path, seed: int, *, as_json: bool) -> None:
    """Print what the ratings come to.

    Raises:
        RunError: where there are none.
    """
    from charter.cli.rate_view import plain_values, write_results
    from charter.errors import RunError
    from charter.rating import assess, read_ratings
    from charter.records import Comparison

    by_rater, n_damaged = read_ratings(kept)
    if not by_rater:
        raise RunError(f"{kept}: holds no ratings yet; 'charter rate {source}' opens the page that asks for them")
    judged = Path(source) / "data" / "comparisons.parquet"
    comparisons = []
    if _is_run(source) and judged.exists():
        from charter.files.tables import read_table

        comparisons = read_table(judged, Comparison)
    told = plain_values(assess(found.items, found.names, by_rater, comparisons, seed=seed))
    told = {"source": source, "ratings": str(kept), **told, "n_damaged": n_damaged}
    if as_json:
        console.write_json(told)
    else:
        write_results(told)


def _write_labels(found: Items, kept: Path, target: Path, *, as_json: bool) -> None:
    """Write what raters prefer as labels.

    Raises:
        RunError: where they prefer nothing, or the file is there.
    """
    from charter.errors import RunError
    from charter.files.tables import write_text
    from charter.rating import label_rows, read_ratings
    from charter.seeds import canonical_json

    if target.exists():
        raise RunError(f"--export {target}: is there; name another file, or remove it")
    if target.suffix.lower() != ".jsonl":
        raise RunError(f"--export {target}: its name ends in {target.suffix!r}; expected .jsonl")
    rows, n_ties = label_rows(found.items, read_ratings(kept)[0])
    if not rows:
        raise RunError(f"{kept}: holds no preference for an answer yet ({n_ties:,} ties), and no labels can be written")
    write_text(target, "".join(f"{canonical_json(row)}\n" for row in rows))
    if as_json:
        console.write_json({"labels": str(target), "n": len(rows), "n_ties": n_ties})
    else:
        console.write(f"{target}: {len(rows):,} labels; left out as ties: {n_ties:,}")
