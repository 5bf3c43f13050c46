"""``charter evaluate instructions``: how often models follow instructions that can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating.entrants import Entrant, hold_to_models, read_answer_files, read_models
from charter.cli.evaluating.instructions_view import describe, write_instructions
from charter.cli.evaluating.options import KeptIn, SomeModels
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.cli.held_file import Held
    from charter.engines.base import Sampling
    from charter.evaluation.head_to_head import GivenAnswers
    from charter.evaluation.instructions import InstructionRow, Outcome
    from charter.records import Prompt

_FIGURES, _ANSWERS = "instructions.json", "answers.jsonl"

_Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE...]",
        help="Rows of {key, prompt, instruction_id_list, kwargs}, as IFEval has them; built-in, prompts that come with "
        "Charter, if not given.",
        show_default=False,
    ),
]
_Answers = Annotated[
    list[str] | None,
    typer.Option(
        "--answers",
        "-a",
        metavar="[NAME=]FILE",
        help="Answers that are there already, rows of {prompt, response}, in place of models; several times to compare "
        "others with the first.",
        show_default=False,
    ),
]
_Number = Annotated[
    int | None,
    typer.Option("--n", min=1, help="Prompts of each file, drawn by the seed; all if not given.", show_default=False),
]
_Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of the answers; 0 takes the likeliest.")]
_Tokens = Annotated[int, typer.Option("--max-tokens", min=1, help="At most, of each answer.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the prompts and answers drawn.")]


@dataclass(frozen=True)
class Answered:
    """One model's answers to one file of prompts.

    Attributes:
        by_prompt: the texts, by prompt id.
        finish: how each ended, where that is known.
        missing: why others lack.
        n_other: answers of a file of answers that are to no prompt of any file.
    """

    by_prompt: Mapping[str, str]
    finish: Mapping[str, str]
    missing: Mapping[str, int]
    n_other: int = 0


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "instructions",
        epilog=examples(
            "charter evaluate instructions --model smollm2-135m --n 20",
            "charter evaluate instructions -m base=smollm2-135m -m dpo=runs/one/models/dpo --out followed",
            "charter evaluate instructions ifeval.jsonl -m Qwen/Qwen2.5-7B-Instruct --max-tokens 1024 --json",
            "charter evaluate instructions ifeval.jsonl --answers gpt=answers.jsonl --answers mine=others.jsonl",
        ),
    )(instructions)


def instructions(  # noqa: PLR0917 - the command line names them
    files: _Files = None,
    models: SomeModels = None,
    answers: _Answers = None,
    engine: Engine = IN_PROCESS,
    n: _Number = None,
    temperature: _Temperature = 0.0,
    max_tokens: _Tokens = 512,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Measure how often answers follow instructions that can be checked by rules, such as "no commas".

    Strictly an answer is taken as it is; loosely without its first or last line and without asterisks too, as in
    IFEval. Instructions of one prompt hang together. Of several models the others are compared with the first, and
    p-values are adjusted for the families of instructions that stand beside one another.
    """
    from charter.engines.base import Sampling
    from charter.evaluation.instructions import load_instructions
    from charter.records import BUILT_IN

    entrants = _entrants(models or [], answers or [], engine)
    asked = {file: load_instructions(file, n=n, seed=seed) for file in dict.fromkeys(files or [BUILT_IN])}
    drawn = {"--temperature": temperature, "--max-tokens": max_tokens, "--seed": seed}
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    with (
        keeping_folder(out, (_FIGURES, _ANSWERS), _FIGURES) as folder,
        hold_file(folder / _FIGURES, kept=out is not None) as held,
    ):
        _hold_to(held, entrants, drawn)
        answered = {one.name: _answer(held, one, asked, sampling, seed) for one in entrants}
        told, rows = _score(entrants, asked, answered)
        if out is not None:
            _keep(folder, told, rows)
    if as_json:
        console.write_json(told)
        return
    write_instructions(told)
    if out is not None:
        console.write(str(out))


def _entrants(models: Sequence[str], answers: Sequence[str], engine: str) -> list[Entrant]:
    """Read who answers: models, or files of answers.

    Raises:
        UserError: where there are none, or both.
    """
    from charter.errors import UserError

    if bool(models) == bool(answers):
        said = "both are given" if models else "neither is given"
        raise UserError(f"--model, who is asked, or --answers, that are there already: {said}; give one of the two")
    if answers and engine != IN_PROCESS:
        raise UserError(f"--engine {engine}: only --model is asked; leave it out")
    return read_models(models, engine) if models else read_answer_files(answers)


def _hold_to(held: Held, entrants: Sequence[Entrant], drawn: Mapping[str, Any]) -> None:
    """Refuse a folder that was begun otherwise; more prompts and further models may come to what is there."""
    asked = [one for one in entrants if one.spec is not None]
    if asked:
        held.require_setup(drawn)
    hold_to_models(held, asked)


def _answer(
    held: Held, one: Entrant, asked: Mapping[str, Sequence[InstructionRow]], sampling: Sampling, seed: int
) -> dict[str, Answered]:
    """Let a model answer every file's prompts, or take the answers that are there."""
    from charter.evaluation.head_to_head import load_answers
    from charter.evaluation.responding import respond

    prompts = {file: [row.prompt for row in rows] for file, rows in asked.items()}
    if one.spec is None:
        given = load_answers(one.source, [prompt for of_file in prompts.values() for prompt in of_file])
        return {file: _of_file(of_file, given) for file, of_file in prompts.items()}
    found = {}
    with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
        for file, of_file in prompts.items():
            mapped = respond(
                of_file, one.name, engine, sampling=sampling, seed=seed, purpose="instructions", mapper=held.mapper
            )
            done = tuple(mapped.done)
            finish = {row.prompt.id: row.finish for row in done}
            found[file] = Answered({row.prompt.id: row.text for row in done}, finish, mapped.reasons["failed"])
    return found


def _of_file(prompts: Sequence[Prompt], given: GivenAnswers) -> Answered:
    """Take the answers that are there to the prompts of one file."""
    found = {one.id: given.by_prompt[one.id] for one in prompts if one.id in given.by_prompt}
    missing = len(prompts) - len(found)
    return Answered(found, {}, {"not in the file of answers": missing} if missing else {}, given.n_other)


def _score(
    entrants: Sequence[Entrant],
    asked: Mapping[str, Sequence[InstructionRow]],
    answered: Mapping[str, Mapping[str, Answered]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Give everything that was found as plain values, and every answer with what it follows."""
    from charter.evaluation.instructions import score_answer

    files, lines = [], []
    for file, rows in asked.items():
        outcomes: dict[str, dict[str, Outcome]] = {}
        for one in entrants:
            texts = answered[one.name][file].by_prompt
            outcomes[one.name] = {
                row.prompt.id: score_answer(row.instructions, texts[row.prompt.id])
                for row in rows
                if row.prompt.id in texts
            }
            lines += [
                _line(file, row, one.name, answered[one.name][file], outcomes[one.name][row.prompt.id])
                for row in rows
                if row.prompt.id in texts
            ]
        missing = {one.name: dict(answered[one.name][file].missing) for one in entrants}
        cut = {one.name: sum(end == "length" for end in answered[one.name][file].finish.values()) for one in entrants}
        files.append({"file": file, **describe(rows, outcomes, base=entrants[0].name), "cut": cut, "missing": missing})
    others = {one.name: max(found.n_other for found in answered[one.name].values()) for one in entrants}
    return {"models": [one.told() for one in entrants], "files": files, "other_answers": others}, lines


def _line(file: str, row: InstructionRow, model: str, answered: Answered, outcome: Outcome) -> dict[str, Any]:
    return {
        "file": file,
        "key": row.key,
        "model": model,
        "prompt": row.prompt.text,
        "response": answered.by_prompt[row.prompt.id],
        "finish": answered.finish.get(row.prompt.id),
        "instruction_id_list": [one.name for one in row.instructions],
        "strict": list(outcome.strict),
        "loose": list(outcome.loose),
    }


def _keep(folder: Path, told: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the figures, and every answer with what it follows."""
    from charter.files.tables import write_json, write_json_lines

    write_json_lines(folder / _ANSWERS, rows)
    write_json(folder / _FIGURES, told)
