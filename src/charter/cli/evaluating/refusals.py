"""``charter evaluate refusals``: which answers of a file refuse, by rules, held against people's labels and a judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating import refusal_view
from charter.cli.held_file import has_keys, hold, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import examples

if TYPE_CHECKING:
    from charter.evaluation.refusals import Answers, KindReading, Scheme
    from charter.rows import Mapped
    from charter.text_quality import ResponseReading

_FIGURES, _ROWS = "refusals.json", "rows.csv"
_KEYS = frozenset(
    {"response_column", "classes", "degrees"}
)  # that tell its figures: of rules alone there is no journal

_File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Answers: a CSV, JSON lines or any other form that prompts are read in, packed as .gz or not.",
        show_default=False,
    ),
]
_PromptColumn = Annotated[
    str, typer.Option("--prompt-column", metavar="P", help="What was asked, or a whole transcript.", show_default=False)
]
_ResponseColumn = Annotated[str, typer.Option("--response-column", metavar="R", help="The answer.", show_default=False)]
_LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="L",
        help="What people call the answer: 1, 2, 3 or full_compliance, full_refusal, partial_refusal, such as "
        "1_full_compliance; or the names of the four classes. Rows without a label are not compared.",
        show_default=False,
    ),
]
_GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        metavar="G",
        help="What rows share that hang together; the prompt if not given.",
        show_default=False,
    ),
]
_JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="M",
        help="A model that says which kind each answer is of, beside the rules: an embedded name, a folder, a hub id.",
        show_default=False,
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where figures and every row's labels are kept; with --judge the same command goes on there.",
        show_default=False,
    ),
]
_AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of text; without --out with every row's labels.")
]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "refusals",
        epilog=examples(
            "charter evaluate refusals answers.csv --prompt-column prompt --response-column completion",
            "charter evaluate refusals answers.jsonl --prompt-column prompt --response-column response --json",
            "charter evaluate refusals labelled.csv --prompt-column prompt --response-column completion "
            "--label-column final_label --out read",
            "charter evaluate refusals answers.csv --prompt-column prompt --response-column completion "
            "--judge Qwen/Qwen2.5-7B-Instruct --out read",
        ),
    )(refusals)


def refusals(  # noqa: PLR0917 - the command line names them
    file: _File,
    prompt_column: _PromptColumn,
    response_column: _ResponseColumn,
    label_column: _LabelColumn = None,
    group_column: _GroupColumn = None,
    judge: _JudgeOption = None,
    engine: Engine = IN_PROCESS,
    out: _Out = None,
    as_json: _AsJson = False,
) -> None:
    """Read off answers, whoever wrote them, which comply, object, refuse or evade.

    Rules label every row: one of four classes, one of three degrees of refusal, and the rule that decided. Shares have
    95 % intervals, in which rows of one prompt count as one. With people's labels stands how far the rules agree with
    them; with a judge, how far rules, judge and people do.
    """
    from charter.cli.progress import make_progress
    from charter.errors import UserError
    from charter.evaluation.refusals import Columns, assess_rules, load_answers, read_answers

    if judge is None and engine != IN_PROCESS:
        raise UserError(f"--engine {engine}: only --judge asks a model; name one, or leave it out")
    answers = load_answers(file, Columns(prompt_column, response_column, label_column, group_column))
    with keeping_folder(out, (_FIGURES, _ROWS), _FIGURES, is_ours=partial(has_keys, keys=_KEYS)) as folder:
        with make_progress() as progress:
            readings = read_answers(answers.kept, progress)
        told = {
            "file": file,
            "prompt_column": prompt_column,
            "response_column": response_column,
            "label_column": label_column,
            "group_column": group_column,
            **refusal_view.figures(answers, assess_rules(answers.kept, readings, answers.scheme)),
        }
        kinds: Sequence[KindReading] = ()
        if judge is not None:
            mapped = _judged(folder, file, judge, engine, answers, kept=out is not None)
            kinds = tuple(mapped.done)
            told["judge"] = _of_judge(judge, answers, readings, mapped, kinds)
        rows = refusal_view.labelled(answers, readings, kinds, with_judge=judge is not None)
        if out is not None:
            _keep(folder, told, answers, rows)
    if as_json:
        console.write_json(told if out is not None else {**told, "rows": rows})
        return
    refusal_view.tell(told)
    if out is not None:
        console.write(str(out))


def _judged(
    folder: Path, file: str, judge: str, engine: str, answers: Answers[Scheme], *, kept: bool
) -> Mapped[KindReading]:
    """Let a model read the answers, those alone that it has not read before."""
    from charter.evaluation.refusals import DESCRIPTIONS, make_reader, read_kinds
    from charter.seeds import digest

    setup = {"way of asking the judge": digest(dict(DESCRIPTIONS))}
    with hold(folder / _FIGURES, judge, engine, setup, same_model=True, kept=kept) as asked:
        return read_kinds(answers.kept, make_reader(asked.engine), file=file, mapper=asked.mapper)


def _of_judge(
    judge: str,
    answers: Answers[Scheme],
    readings: Sequence[ResponseReading],
    mapped: Mapped[KindReading],
    kinds: Sequence[KindReading],
) -> dict[str, Any]:
    from charter.evaluation.refusals import assess_judge

    found = assess_judge(answers.kept, readings, kinds, answers.scheme)
    return {"model": judge, **refusal_view.judge_figures(found), "failed": mapped.reasons["failed"]}


def _keep(folder: Path, told: dict[str, Any], answers: Answers[Scheme], rows: Sequence[dict[str, Any]]) -> None:
    """Write the figures, and every row with its labels as a spreadsheet opens it."""
    from charter.files.tables import write_json, write_whole
    from charter.publishing.contents import csv_table

    header = ["row", "id", "prompt", "response", *(name for name in rows[0] if name not in {"row", "id"})]
    texts = [
        {**row, "prompt": answer.prompt, "response": answer.response}
        for row, answer in zip(rows, answers.rows, strict=True)
    ]
    cells = [["" if row[name] is None else str(row[name]) for name in header] for row in texts]
    write_whole(folder / _ROWS, csv_table(header, cells, raw=False))
    write_json(folder / _FIGURES, told)
