"""``charter evaluate harm``: how harmful replies are, from 0 to 4, by a regressor on hidden states or by a judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charter.cli import console
from charter.cli.evaluating.entrants import Entrant, read_models
from charter.cli.evaluating.harm_scoring import FIGURES, FILES, Instrument, SourceOfReplies, score_replies
from charter.cli.evaluating.harm_view import describe, keep, rows_of, write_harm
from charter.cli.evaluating.options import JudgeEngine, KeptIn
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine, model_spec
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

_File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="Replies that are there already: a CSV, JSON lines or any other form that prompts are read in.",
        show_default=False,
    ),
]
_PromptColumn = Annotated[
    str | None,
    typer.Option(
        "--prompt-column", metavar="P", help="Of FILE: what was asked, or a whole transcript.", show_default=False
    ),
]
_ResponseColumn = Annotated[
    str | None, typer.Option("--response-column", metavar="R", help="Of FILE: the reply.", show_default=False)
]
_LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="L",
        help="Of FILE: people's grades, 0 to 4. Rows without one are not compared.",
        show_default=False,
    ),
]
_GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        metavar="G",
        help="Of FILE: what rows share that hang together; the prompt if not given.",
        show_default=False,
    ),
]
_Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="[NAME=]M[@ENGINE], whose replies are drawn and scored: an embedded name, a model's or adapter's folder, "
        "or a hub id; several times to compare others with the first.",
        show_default=False,
    ),
]
_Prompts = Annotated[
    str | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="What models are asked, in any layout; built-in prompts if not given.",
        show_default=False,
    ),
]
_Kind = Annotated[Literal["red_team", "helpful"], typer.Option("--kind", help="Which prompts models are asked.")]
_Number = Annotated[
    int | None,
    typer.Option("--n", min=1, help="Prompts, drawn by the seed; all if not given.", show_default=False),
]
_JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge", "-j", metavar="J", help="A model that grades, in place of a regressor.", show_default=False
    ),
]
_Reader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="M",
        help="The model whose hidden states the regressor reads; smollm2-135m if not given.",
        show_default=False,
    ),
]
_Layer = Annotated[
    int | None,
    typer.Option("--layer", min=0, help="Whose states are read; the middle one if not given.", show_default=False),
]
_Graded = Annotated[
    str | None,
    typer.Option(
        "--graded",
        metavar="FILE",
        help="What a regressor is fitted to: rows of {id, kind, prompt, response, harm}; those that come with Charter "
        "if not given.",
        show_default=False,
    ),
]
_Regressor = Annotated[
    Path | None,
    typer.Option(
        "--regressor", metavar="FOLDER", help="One that --keep wrote, in place of fitting.", show_default=False
    ),
]
_Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="FOLDER", help="Where the regressor that is fitted is kept.", show_default=False),
]
_Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of the models' replies.")]
_Tokens = Annotated[int, typer.Option("--max-tokens", min=1, help="At most, of each reply.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the prompts and replies drawn, and of the folds.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "harm",
        epilog=examples(
            "charter evaluate harm replies.csv --prompt-column prompt --response-column response",
            "charter evaluate harm labelled.csv --prompt-column prompt --response-column response --label-column harm "
            "--judge Qwen/Qwen2.5-7B-Instruct --out graded",
            "charter evaluate harm -m base=smollm2-135m -m dpo=runs/one/models/dpo --keep regressors/small",
            "charter evaluate harm -m gpt-4o-mini@openai --prompts mine.jsonl --regressor regressors/small --json",
        ),
    )(harm)


def harm(  # noqa: PLR0917 - the command line names them
    file: _File = None,
    prompt_column: _PromptColumn = None,
    response_column: _ResponseColumn = None,
    label_column: _LabelColumn = None,
    group_column: _GroupColumn = None,
    models: _Models = None,
    engine: Engine = IN_PROCESS,
    prompts: _Prompts = None,
    kind: _Kind = "red_team",
    n: _Number = None,
    judge: _JudgeOption = None,
    judge_engine: JudgeEngine = IN_PROCESS,
    reader: _Reader = None,
    layer: _Layer = None,
    graded: _Graded = None,
    regressor: _Regressor = None,
    keep_in: _Keep = None,
    temperature: _Temperature = 0.7,
    max_tokens: _Tokens = 256,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Score how harmful replies are, from 0 (harmless) to 4 (the worst).

    A regressor on the hidden states of a small model scores each reply, and what it is worth on prompts that it has not
    seen is told first, beside words and length alone; or, with --judge, a model grades it. Scored are the rows of a
    file, or the replies that models give now; of several models the others are compared with the first, prompt by
    prompt.
    """
    of_file = {
        "--prompt-column": prompt_column,
        "--response-column": response_column,
        "--label-column": label_column,
        "--group-column": group_column,
    }
    of_regressor = {"--reader": reader, "--layer": layer, "--graded": graded, "--regressor": regressor}
    _require_one_source(file, models, of_file, {"--prompts": prompts, "--n": n})
    _require_one_instrument(judge, {**of_regressor, "--keep": keep_in})
    source = SourceOfReplies(
        file,
        of_file,
        () if models is None else read_models(models, engine),
        prompts,
        kind,
        n,
        temperature,
        max_tokens,
        seed,
    )
    instrument = Instrument(
        judge=None if judge is None else Entrant(judge, judge, judge_engine, model_spec(judge, judge_engine)),
        reader=reader,
        layer=layer,
        graded=graded,
        regressor=regressor,
        keep=keep_in,
        seed=seed,
    )
    with keeping_folder(out, FILES, FIGURES) as folder, hold_file(folder / FIGURES, kept=out is not None) as held:
        found = score_replies(held, source, instrument)
        told = describe(source, instrument, found)
        rows = rows_of(found)
        if out is not None:
            keep(folder, told, rows)
    if as_json:
        console.write_json(told if out is not None else {**told, "rows": rows})
        return
    write_harm(told)
    if out is not None:
        console.write(str(out))


def _require_one_source(
    file: str | None, models: Sequence[str] | None, of_file: dict[str, Any], of_models: dict[str, Any]
) -> None:
    """See that either a file with its columns or models are named.

    Raises:
        UserError: naming the option that is missing, or has nothing to do.
    """
    from charter.errors import UserError

    if (file is None) == (models is None):
        raise UserError(
            f"{'nothing' if file is None else 'a FILE and a --model'} to score; give either a FILE of replies or "
            "models that are to reply (--model)"
        )
    idle = [name for name, value in (of_models if models is None else of_file).items() if value is not None]
    if idle:
        raise UserError(
            f"{', '.join(idle)}: {'only models are asked' if models is None else 'there is no FILE'}; leave it out"
        )
    missing = [name for name in ("--prompt-column", "--response-column") if of_file[name] is None]
    if models is None and missing:
        raise UserError(f"{file}: give {' and '.join(missing)}, which say where prompts and replies are")


def _require_one_instrument(judge: str | None, of_regressor: dict[str, Any]) -> None:
    """See that nothing is asked of a regressor that there is not, or that is fitted already.

    Raises:
        UserError: naming the options that have nothing to do.
    """
    from charter.errors import UserError

    given = [name for name, value in of_regressor.items() if value is not None]
    if judge is not None and given:
        raise UserError(f"{', '.join(given)}: --judge {judge} grades, and no regressor; leave one of them out")
    fitting = [name for name in ("--layer", "--graded", "--keep") if name in given]
    if "--regressor" in given and fitting:
        raise UserError(f"{', '.join(fitting)}: the regressor of --regressor is fitted already; leave it out")
