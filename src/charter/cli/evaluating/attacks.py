"""``charter evaluate attacks``: how often red-team prompts succeed, as they stand and in attack wrappers."""

from __future__ import annotations

from typing import Annotated

import typer

from charter.cli import console
from charter.cli.evaluating.attacking import (
    FIGURES,
    FILES,
    Assault,
    ask_models,
    hold_to,
    keep,
    read_by_judge,
    translate,
)
from charter.cli.evaluating.attacks_view import describe, write_attacks
from charter.cli.evaluating.entrants import Entrant, read_models
from charter.cli.evaluating.options import JudgeEngine, KeptIn, Models
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine, model_spec
from charter.cli.options import AsJson, examples

_Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="Red-team prompts in any layout, lines of text among them; the built-in ones if not given.",
        show_default=False,
    ),
]
_Wrappers = Annotated[
    list[str] | None,
    typer.Option(
        "--wrapper",
        "-w",
        metavar="W",
        help="system-prompt, persona, prefill (these if not given), prefix-injection, refusal-suppression, base64, "
        "leetspeak, many-shot, translation:LANGUAGE, or a YAML file of your own; several times for several. The bare "
        "prompts are always asked too.",
        show_default=False,
    ),
]
_Benign = Annotated[
    str | None,
    typer.Option(
        "--benign",
        metavar="FILE",
        help="Prompts that only look harmful; those that FILE itself says are benign if not given.",
        show_default=False,
    ),
]
_PromptColumn = Annotated[
    str | None, typer.Option("--prompt-column", metavar="C", help="Where FILE has the prompt.", show_default=False)
]
_Number = Annotated[
    int | None,
    typer.Option(
        "--n", min=1, help="Red-team prompts, and benign ones, drawn by the seed; all if not given.", show_default=False
    ),
]
_JudgeOption = Annotated[
    str | None,
    typer.Option("--judge", "-j", metavar="J", help="A model that reads the answers too.", show_default=False),
]
_Translator = Annotated[
    str | None,
    typer.Option("--translator", metavar="T", help="A model that translates the prompts.", show_default=False),
]
_TranslatorEngine = Annotated[
    str, typer.Option("--translator-engine", metavar="E", help="The translator's engine, as --engine.")
]
_Translations = Annotated[
    str | None,
    typer.Option(
        "--translations",
        metavar="FILE",
        help="A table of prompt, translation and, of several languages, language.",
        show_default=False,
    ),
]
_Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of the answers.")]
_Tokens = Annotated[int, typer.Option("--max-tokens", min=1, help="At most, of each answer.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the prompts and answers drawn.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "attacks",
        epilog=examples(
            "charter evaluate attacks -m smollm2-135m --n 50",
            "charter evaluate attacks ailuminate.csv -m base=smollm2-135m -m dpo=runs/one/models/dpo "
            "--benign xstest.csv --judge Qwen/Qwen2.5-7B-Instruct --out attacked",
            "charter evaluate attacks behaviours.csv -m gpt-4o-mini --engine openai -w persona -w mine.yaml --json",
            "charter evaluate attacks -m Qwen/Qwen2.5-7B-Instruct -w translation:Zulu --translations zulu.csv",
        ),
    )(attacks)


def attacks(  # noqa: PLR0917 - the command line names them
    models: Models,
    files: _Files = None,
    wrappers: _Wrappers = None,
    benign: _Benign = None,
    prompt_column: _PromptColumn = None,
    n: _Number = None,
    judge: _JudgeOption = None,
    judge_engine: JudgeEngine = IN_PROCESS,
    engine: Engine = IN_PROCESS,
    translator: _Translator = None,
    translator_engine: _TranslatorEngine = IN_PROCESS,
    translations: _Translations = None,
    temperature: _Temperature = 0.7,
    max_tokens: _Tokens = 256,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Attack models with red-team prompts, bare and in wrappers, and count how often they comply.

    Rules read every answer, and a judge where there is one. Success stands by wrapper, category and model, with how far
    each wrapper and each further model changes it on the same prompts; and beside it how often benign look-alikes are
    declined.
    """
    from charter.evaluation.attacks import USUAL, choose_targets, choose_wrappers

    chosen = choose_wrappers(wrappers or USUAL)
    _require_translations(chosen.languages, translator, translations)
    assault = Assault(
        sources=files or [],
        entrants=read_models(models, engine),
        targets=choose_targets(files or [], benign=benign, column=prompt_column, n=n, seed=seed),
        chosen=chosen,
        judge=_other(judge, judge_engine),
        translator=_other(translator, translator_engine),
        translations=translations,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
    )
    with keeping_folder(out, FILES, FIGURES) as folder, hold_file(folder / FIGURES, kept=out is not None) as held:
        hold_to(held, assault)
        translated = translate(held, assault)
        answered = ask_models(held, assault, translated)
        read = read_by_judge(held, assault, answered)
        told = describe(assault, translated, answered, read)
        if out is not None:
            keep(folder, answered, read, told)
    if as_json:
        console.write_json(told)
        return
    write_attacks(told)
    if out is not None:
        console.write(str(out))


def _other(model: str | None, engine: str) -> Entrant | None:
    return None if model is None else Entrant(model, model, engine, model_spec(model, engine))


def _require_translations(languages: tuple[str, ...], translator: str | None, translations: str | None) -> None:
    from charter.errors import UserError

    if languages and translator is None and translations is None:
        raise UserError(
            f"--wrapper translation:{languages[0]}: needs --translations, a file of prompt and translation, or "
            "--translator, a model that translates"
        )
    if not languages and (translator or translations):
        raise UserError("--translator and --translations: no wrapper asks for a language; add translation:LANGUAGE")
