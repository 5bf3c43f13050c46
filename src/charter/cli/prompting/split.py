"""``charter prompts split``: prompts divided into training and evaluation files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples
from charter.cli.prompting.built_in import Kind
from charter.errors import PromptError, RunError

if TYPE_CHECKING:
    from charter.prompts.gathering import Gathered
    from charter.prompts.holding_out import Division
    from charter.prompts.split import Stratum
    from charter.records import Prompt

_FILES = {"train": "train.jsonl", "evaluation": "evaluation.jsonl"}
_MOST_SHOWN = 5


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "split",
        epilog=examples(
            "charter prompts split attacks.csv --out divided --fraction 0.25",
            "charter prompts split red.jsonl helpful.jsonl --out divided --n-evaluation 100 --by category",
            "charter prompts split attacks.csv --out divided --against held-out.jsonl --near-duplicates 0.6",
        ),
    )(split)


Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Prompts, of any layout.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where train.jsonl and evaluation.jsonl go.")]
Column = Annotated[str | None, typer.Option("--column", metavar="C", help="Where the prompt is.", show_default=False)]
IdColumn = Annotated[str | None, typer.Option("--id-column", metavar="C", help="Where ids are.", show_default=False)]
CategoryColumn = Annotated[
    str | None, typer.Option("--category-column", metavar="C", help="Where the category is.", show_default=False)
]
PrincipleColumn = Annotated[
    str | None, typer.Option("--principle-column", metavar="C", help="Where the principle is.", show_default=False)
]


def split(  # noqa: PLR0917 - the command line names them
    files: Files,
    out: Out,
    n_evaluation: Annotated[
        int | None,
        typer.Option("--n-evaluation", min=1, metavar="N", help="Groups held out.", show_default=False),
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option("--fraction", metavar="F", help="The share of groups held out: 0.2, if not given."),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="S,S", help="Of what both sides hold their share, beside the kind.")
    ] = "principle,category",
    near_duplicates: Annotated[
        float,
        typer.Option(
            "--near-duplicates",
            metavar="T",
            help="How much prompts must resemble each other (0.1 to 1) to stay together; 0 ignores likeness.",
        ),
    ] = 0.7,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="FILE", help="Evaluation files: prompts that resemble one are left out."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="What is held out is drawn from it.")] = 0,
    kind: Annotated[Kind, typer.Option("--kind", help="Of prompts whose file does not say.")] = Kind.red_team,
    column: Column = None,
    id_column: IdColumn = None,
    category_column: CategoryColumn = None,
    principle_column: PrincipleColumn = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Divide prompts into training and evaluation files by whole groups, so that nothing is seen on both sides.

    A prompt, its twins, its near-duplicates and conversations that open alike stay together.
    """
    from charter.prompts.gathering import gather_prompts
    from charter.prompts.holding_out import divide_prompts

    strata = _strata(by)
    _check_target(out, force=force)
    gathered = gather_prompts(
        files,
        kind=kind.value,
        column=column,
        column_option="--column",
        id_column=id_column,
        category_column=category_column,
        principle_column=principle_column,
    )
    division = divide_prompts(
        gathered.prompts,
        n_evaluation=n_evaluation,
        fraction=fraction,
        by=strata,
        near_duplicates=near_duplicates or None,
        against=[text for file in against or () for text in _texts(file)],
        seed=seed,
    )
    _write(out, division)
    summary = _summary(gathered, division, out)
    if as_json:
        console.write_json(summary)
    else:
        _view(summary, division)


def _strata(by: str) -> tuple[Stratum, ...]:
    from charter.prompts.split import STRATA

    asked = [name.strip() for name in by.split(",") if name.strip()]
    known: dict[str, Stratum] = {name: name for name in STRATA}
    for name in asked:
        if name not in known:
            raise PromptError(f"--by is {by!r}; expected {' and '.join(STRATA)}, or one of them")
    return tuple(dict.fromkeys(known[name] for name in asked))


def _check_target(folder: Path, *, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; name a folder")
    there = [folder / name for name in _FILES.values() if (folder / name).exists()]
    if there and not force:
        raise RunError(f"{there[0]}: is there; name another folder, or replace it with --force")


def _texts(file: str) -> list[str]:
    """Read what an evaluation file asks: prompts of any layout, or multiple-choice questions without their options."""
    from charter.evaluation.multiple_choice import asked_in
    from charter.prompts.gathering import gather_prompts
    from charter.prompts.reading import read_rows

    if all({"corrects", "incorrects"} <= set(row.values) for row in read_rows(file)):
        return asked_in(file)
    return [prompt.text for prompt in gather_prompts([file]).prompts]


def _write(folder: Path, division: Division) -> None:
    from charter.files.tables import write_text
    from charter.seeds import canonical_json

    def lines(prompts: Sequence[Prompt]) -> str:
        return "".join(f"{canonical_json(prompt.model_dump(mode='json'))}\n" for prompt in prompts)

    # Cut off in between, it must not leave the new training prompts beside those that were held out before.
    (folder / _FILES["evaluation"]).unlink(missing_ok=True)
    write_text(folder / _FILES["train"], lines(division.side("train")))
    write_text(folder / _FILES["evaluation"], lines(division.side("evaluation")))


def _summary(gathered: Gathered, division: Division, out: Path) -> dict[str, Any]:
    def told(found: Sequence[Any]) -> dict[str, Any]:
        shown = [
            {"prompt": one.prompt.text, "resembles": one.seen, "similarity": round(one.similarity, 3)}
            for one in found[:_MOST_SHOWN]
        ]
        return {"number": len(found), "examples": shown}

    return {
        "prompts": len(gathered.prompts),
        "rejected": gathered.rejected,
        "mended": gathered.mended,
        "left_out_against": told(division.seen),
        "groups": division.n_groups,
        "largest_group": division.largest,
        "threshold": division.threshold,
        "near_duplicates": told(division.joined),
        "crossing": told(division.crossing),
        "train": len(division.side("train")),
        "evaluation": len(division.side("evaluation")),
        "strata": [
            {**dict(zip(("kind", *division.by), name, strict=True)), "train": n_train, "evaluation": n_evaluation}
            for name, (n_train, n_evaluation) in division.strata().items()
        ],
        "files": [str(out / name) for name in _FILES.values()],
    }


def _view(summary: dict[str, Any], division: Division) -> None:
    for file, reasons in summary["rejected"].items():
        for reason, n in reasons.items():
            console.note(f"{file}: {n} rows are left out: {reason}")
    for file, found in summary["mended"].items():
        for what, n in found.items():
            console.note(f"{file}: of {n} rows: {what}")
    _view_found("left out, for they resemble a text of --against", division.seen)
    _view_found("near-duplicates of an earlier prompt, kept on its side", division.joined)
    _view_strata(division)
    console.write()
    groups = f"{summary['groups']} groups, the largest of {summary['largest_group']}"
    console.write(f"{summary['train']} prompts to train on, {summary['evaluation']} held out; {groups}.")
    if division.crossing:
        _view_found(
            "to train on, but resemble one that is held out; --near-duplicates keeps them together", division.crossing
        )
    else:
        console.write("No training prompt resembles one that is held out.")
    for file in summary["files"]:
        console.write(file)


def _view_strata(division: Division) -> None:
    """Show how many of each stratum fell on each side, without columns that say nothing."""
    strata = division.strata()
    telling = [place for place in range(1 + len(division.by)) if place == 0 or any(name[place] for name in strata)]
    names = ("kind", *division.by)
    header = (*(names[place] for place in telling), "train", "evaluation")
    rows = [
        (*(name[place] for place in telling), str(n_train), str(n_held)) for name, (n_train, n_held) in strata.items()
    ]
    console.write_columns(header, rows, right=(len(header) - 2, len(header) - 1))


def _view_found(about: str, found: Sequence[object]) -> None:
    if not found:
        return
    console.write(f"{len(found)} {about}:")
    for one in found[:_MOST_SHOWN]:
        console.write(f"  {one}")
    if len(found) > _MOST_SHOWN:
        console.write(f"  and {len(found) - _MOST_SHOWN} more")
    console.write()
