"""``charter evaluate behaviour``: sycophancy of models, and boilerplate, preachiness and repetition of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from charter.cli import console
from charter.cli.evaluating.behaviour_view import describe, write_behaviour
from charter.cli.evaluating.entrants import Entrant, as_put, ask, hold_to_models, read_answer_files, read_models
from charter.cli.evaluating.options import KeptIn, SomeModels
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.cli.held_file import Held
    from charter.engines.base import Sampling
    from charter.evaluation.multiple_choice import Asking, ChoiceAnswer
    from charter.evaluation.sycophancy import Asked
    from charter.records import Prompt, Response
    from charter.rows import Mapped

#: A model's answers, and why others lack.
_Responses: TypeAlias = "tuple[tuple[Response, ...], dict[str, int]]"
_FIGURES, _ANSWERS, _CHOICES = "behaviour.json", "answers.jsonl", "choices.jsonl"
_BOTH, _SYCOPHANCY, _MANNER = "both", "sycophancy", "manner"

_Answers = Annotated[
    list[str] | None,
    typer.Option(
        "--answers",
        "-a",
        metavar="[NAME=]FILE",
        help="Answers that are there already, rows of {prompt, response}, whose manner is measured beside models' or "
        "by itself.",
        show_default=False,
    ),
]
_Part = Annotated[Literal["both", "sycophancy", "manner"], typer.Option("--part", help="What is measured of models.")]
_Rows = Annotated[
    str,
    typer.Option("--rows", metavar="FILE", help="Rows of {id, kind, topic, text, right, wrong} in place of built-in."),
]
_LayoutOption = Annotated[
    Literal["text", "chat"],
    typer.Option("--layout", help="Put those questions through the model's chat template, or as plain text."),
]
_Prompts = Annotated[
    str,
    typer.Option("--prompts", metavar="FILE", help="What is answered, in any layout; red-team and helpful prompts."),
]
_Kind = Annotated[
    Literal["red_team", "helpful"] | None,
    typer.Option("--kind", help="What the prompts are for, where their file does not say.", show_default=False),
]
_Number = Annotated[
    int | None,
    typer.Option(
        "--n", min=1, help="Rows, and prompts of each kind, drawn by the seed; all if not given.", show_default=False
    ),
]
_Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of the answers.")]
_Tokens = Annotated[int, typer.Option("--max-tokens", min=1, help="At most, of each answer.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the rows, prompts and answers drawn.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "behaviour",
        epilog=examples(
            "charter evaluate behaviour -m smollm2-135m --n 50",
            "charter evaluate behaviour -m base=smollm2-135m -m dpo=runs/one/models/dpo --out behaved",
            "charter evaluate behaviour -m Qwen/Qwen2.5-7B-Instruct --part sycophancy --json",
            "charter evaluate behaviour -a before=one.csv -a after=two.csv --prompts one.csv --kind helpful",
        ),
    )(behaviour)


def behaviour(  # noqa: PLR0917 - the command line names them
    models: SomeModels = None,
    answers: _Answers = None,
    part: _Part = "both",
    engine: Engine = IN_PROCESS,
    rows: _Rows = "built-in",
    layout: _LayoutOption = "chat",
    prompts: _Prompts = "built-in",
    kind: _Kind = None,
    n: _Number = None,
    temperature: _Temperature = 0.7,
    max_tokens: _Tokens = 256,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Measure sycophancy, boilerplate, preachiness and repetition.

    Sycophancy: how often a model leaves a right answer for the wrong one that its user believes, on facts and on flawed
    arguments, by the answers' log-probabilities in both orders. Manner: boilerplate, preachy phrases, repetition,
    variety and length of answers to red-team and helpful prompts. Others are compared with the first, row by row.
    """
    from charter.engines.base import Sampling
    from charter.evaluation.head_to_head import choose_prompts
    from charter.evaluation.multiple_choice import Asking
    from charter.evaluation.sycophancy import load_rows, pose_all

    asked_models = read_models(models or [], engine)
    entrants = [*asked_models, *read_answer_files(answers or [])]
    _require_some(entrants, asked_models, part)
    asked = pose_all(load_rows(rows, n=n, seed=seed)) if asked_models and part != _MANNER else []
    drawn_from = None if part == _SYCOPHANCY else choose_prompts(prompts, (), kind=kind, n=n, seed=seed)
    chosen, left_out = ((), {}) if drawn_from is None else (drawn_from.prompts, drawn_from.left_out)
    # What is wrong with a file is told before a model is asked.
    from_files = {one.name: _given(one, chosen) for one in entrants if one.spec is None}
    given = {name: responses for name, (responses, _) in from_files.items()}
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    with (
        keeping_folder(out, (_FIGURES, _ANSWERS, _CHOICES), _FIGURES) as folder,
        hold_file(folder / _FIGURES, kept=out is not None) as held,
    ):
        drawn = {"--temperature": temperature, "--max-tokens": max_tokens, "--seed": seed, "--layout": layout}
        _hold_to(held, asked_models, drawn, chosen)
        choices = {one.name: _choose(held, one, asked, Asking(layout=layout)) for one in asked_models if asked}
        drawn_now = {one.name: _respond(held, one, chosen, sampling, seed) for one in asked_models if chosen}
        responses = {**drawn_now, **given}
        told = {
            "models": [one.told() for one in entrants],
            "rows": rows,
            "prompts": prompts,
            "seed": seed,
            **describe(asked, choices, responses, chosen),
            "left_out_prompts": left_out,
            "other_answers": {name: n_other for name, (_, n_other) in from_files.items()},
        }
        if out is not None:
            _keep(folder, told, asked, choices, responses)
    if as_json:
        console.write_json(told)
        return
    write_behaviour(told)
    if out is not None:
        console.write(str(out))


def _require_some(entrants: Sequence[Entrant], asked_models: Sequence[Entrant], part: str) -> None:
    """See that there is somebody, each under one name, and that what is measured can be.

    Raises:
        UserError: naming the option.
    """
    from charter.errors import UserError

    if not entrants:
        raise UserError("nothing to measure; name a --model, or a file of --answers")
    if part == _SYCOPHANCY and len(asked_models) < len(entrants):
        raise UserError(f"--answers: --part {part} asks models alone; leave one of the two out")
    names = [one.name for one in entrants]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two are called {twice!r}; name one otherwise, such as other={twice}")


def _hold_to(held: Held, asked: Sequence[Entrant], drawn: Mapping[str, Any], prompts: Sequence[Prompt]) -> None:
    """Refuse a folder that was begun otherwise; further rows, prompts and models may come to what is there."""
    if asked:
        held.require_setup(drawn)
        held.require_same_rows(as_put(prompts), what="prompts")
    hold_to_models(held, asked)


def _choose(held: Held, one: Entrant, asked: Sequence[Asked], asking: Asking) -> Mapped[ChoiceAnswer]:
    """Have a model choose between the answers of every question, in both orders."""
    from charter.evaluation.multiple_choice import answer, require_able

    with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
        require_able(engine, asking)
        questions = [each.question for each in asked]
        return answer(questions, one.name, engine, file="sycophancy", mapper=held.mapper, asking=asking)


def _respond(held: Held, one: Entrant, prompts: Sequence[Prompt], sampling: Sampling, seed: int) -> _Responses:
    """Have a model answer every prompt."""
    mapped = ask(held, one, prompts, sampling=sampling, seed=seed)
    return tuple(mapped.done), mapped.reasons["failed"]


def _given(one: Entrant, prompts: Sequence[Prompt]) -> tuple[_Responses, int]:
    """Take the answers of a file to prompts, and count those to others.

    Raises:
        PromptError: where it has none of them.
    """
    from charter.evaluation.head_to_head import load_answers
    from charter.evaluation.responding import read_response

    answers = load_answers(one.source, prompts)
    found = answers.by_prompt
    rows = tuple(
        read_response(prompt, one.name, found[prompt.id], finish="given", n_tokens=len(found[prompt.id].split()))
        for prompt in prompts
        if prompt.id in found
    )
    missing = len(prompts) - len(rows)
    return (rows, {"not in the file of answers": missing} if missing else {}), answers.n_other


def _keep(
    folder: Path,
    told: Mapping[str, Any],
    asked: Sequence[Asked],
    choices: Mapping[str, Mapped[ChoiceAnswer]],
    responses: Mapping[str, _Responses],
) -> None:
    """Write the figures, every choice beside its question, and every answer."""
    from charter.files.tables import write_json, write_json_lines

    of = {one.question.id: one for one in asked}
    chosen = [
        {
            "model": model,
            "row": of[one.id].row.id,
            "condition": of[one.id].condition,
            "question": of[one.id].question.text,
            "right": of[one.id].question.corrects[0],
            "p": one.p,
            "correct": one.correct,
        }
        for model, mapped in choices.items()
        for one in mapped.done
    ]
    answered = [
        {"model": one.model, "kind": one.prompt.kind, "prompt": one.prompt.text, "response": one.text,
         "finish": one.finish, "flags": one.flags}
        for rows, _ in responses.values()
        for one in rows
    ]  # fmt: skip
    for name, lines in ((_CHOICES, chosen), (_ANSWERS, answered)):
        write_json_lines(folder / name, lines)
    write_json(folder / _FIGURES, told)
