"""``charter init``: a recipe and a constitution to begin from, after a few questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples
from charter.errors import Interrupted, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from charter.beginning import Begun, Question


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "init",
        epilog=examples(
            "charter init mine",
            "charter init mine --yes",
            "charter init mine --constitution blank --principles 5 --prompts mine.csv --prompt-column question --yes",
            "charter init mine --model Qwen/Qwen2.5-0.5B-Instruct --constitution honest --size laptop --yes",
        ),
    )(init)


def init(  # noqa: PLR0917 - the command line names them
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the files go; it is made if not there.")
    ] = Path(),
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="The embedded model, a folder or a hub id.")
    ] = None,
    constitution: Annotated[
        str | None,
        typer.Option("--constitution", metavar="NAME", help="A built-in name, a file, or blank: your own alone."),
    ] = None,
    principles: Annotated[
        str | None,
        typer.Option("--principles", metavar="N", help="Principles of your own to write, in a constitution.yaml."),
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", metavar="FILE", help="built-in, or a file with a prompt a row.")
    ] = None,
    prompt_column: Annotated[
        str | None, typer.Option("--prompt-column", metavar="NAME", help="Its column; recognised if not given.")
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="SIZE", help="smoke, laptop or gpu.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What the run is called.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take the defaults for what is not given; ask nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Begin: after a few questions, write a commented recipe.yaml, and a constitution.yaml for principles of yours.

    What an option answers is not asked. Schemas are written beside both, so that editors complete and check them.
    Nothing that is there is written over without --force.
    """
    from charter.beginning import begin, questions, require_free, settle

    if not force:
        require_free(folder)
    options = {
        "model": model,
        "constitution": constitution,
        "principles": principles,
        "prompts": prompts,
        "prompt_column": prompt_column,
        "size": size,
        "name": name,
    }
    given = {key: text for key, text in options.items() if text is not None}
    if not yes:
        given = _ask(questions(folder), given)
    begun = begin(folder, settle(folder, given), force=force)
    if as_json:
        console.write_json({"files": [str(path) for path in begun.files], "next": list(begun.next)})
    else:
        _tell(begun)


def _ask(asked: Sequence[Question], given: dict[str, str]) -> dict[str, str]:
    """Ask what no option answers, each until the answer is one."""
    answers: dict[str, str] = {}
    for place, question in enumerate(asked):
        if question.key in given:
            answers[question.key] = given[question.key]
            question.check(given[question.key], answers)
        elif not question.is_asked(answers):
            answers[question.key] = question.default(answers)
        elif console.is_terminal():
            answers[question.key] = _answer(question, answers)
        else:
            missing = [one.option for one in asked[place:] if one.key not in given and one.key != "prompt_column"]
            raise UserError(
                f"there is no terminal to ask on: give {', '.join(missing)}, or --yes for the default of whatever is "
                "not given"
            )
    return answers


def _answer(question: Question, answers: dict[str, str]) -> str:
    default = question.default(answers)
    while True:
        try:
            typed = console.ask(f"{question.text(answers)}{f' [{default}]' if default else ''}: ").strip() or default
        except EOFError as error:
            console.note("")
            raise Interrupted("stopped; nothing was written") from error
        try:
            question.check(typed, answers)
        except UserError as error:
            console.note(str(error))
        else:
            return typed


def _tell(begun: Begun) -> None:
    for path in begun.files:
        console.write(f"written: {path}")
    console.write("next:")
    for command in begun.next:
        console.write(f"  {command}")
