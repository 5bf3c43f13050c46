"""``charter export``: a run's rows in a layout that others read, or its model whole."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, RunFolder, examples
from charter.errors import UserError

if TYPE_CHECKING:
    from charter.publishing import Exported
    from charter.release import ExportedModel


class Format(StrEnum):
    """The layouts of rows, and the forms of a model."""

    native = "native"
    cai_conversation = "cai-conversation"
    country = "country"
    answer_improvement = "answer-improvement"
    trl = "trl"
    trl_standard = "trl-standard"
    alignment_handbook = "alignment-handbook"
    axolotl = "axolotl"
    llama_factory = "llama-factory"
    merged = "merged"
    gguf = "gguf"


_MODELS = (Format.merged, Format.gguf)


class Rows(StrEnum):
    """What can be exported."""

    prompts = "prompts"
    traces = "traces"
    sft = "sft"
    preferences = "preferences"


class Dtype(StrEnum):
    """The formats of a GGUF file's numbers."""

    f32 = "f32"
    f16 = "f16"
    bf16 = "bf16"
    q8_0 = "q8_0"


_Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="The folder to make, new or empty; of gguf the file, which is new.", show_default=False
    ),
]
_Format = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar="NAME",
        help=f"Rows: {', '.join(one for one in Format if one not in _MODELS)}. The model: {', '.join(_MODELS)}.",
        show_default=False,
    ),
]
_What = Annotated[
    Rows | None,
    typer.Option("--what", metavar="ROWS", help=f"{', '.join(Rows)}; all that the layout holds if not given."),
]
_Raw = Annotated[
    bool,
    typer.Option(
        "--raw", help="Leave cells of a CSV as they are, for training tools. A spreadsheet may run such cells."
    ),
]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="STAGE", help="The model, such as sft; the last policy if not given.", show_default=False
    ),
]
_Dtype = Annotated[
    Dtype | None,
    typer.Option("--dtype", metavar="NAME", help=f"Of gguf: {', '.join(Dtype)}; the model's own if not given."),
]
_Check = Annotated[
    bool,
    typer.Option("--check", help="Of gguf: load the file in llama.cpp, and hold its tokens, chats and answers to it."),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "export",
        epilog=examples(
            "charter export runs/smoke exported --format trl",
            "charter export runs/smoke for-spreadsheets --format answer-improvement --what preferences",
            "charter export runs/smoke smoke.gguf --format gguf --dtype q8_0 --check",
        ),
    )(export)


def export(  # noqa: PLR0917 - the command line, in the order of its help
    folder: RunFolder,
    out: _Out,
    layout: _Format,
    what: _What = None,
    raw: _Raw = False,
    model: _Model = None,
    dtype: _Dtype = None,
    check: _Check = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's prompts, traces, SFT rows and preferences for other tools, or its model as a whole.

    What is written appears whole or not at all. What a layout has no place for is named, and so is every row that it
    cannot hold. An adapter is merged into its base, and a GGUF file has the tokenizer and the chat template in it.
    """
    _require_fitting(layout, {"--what": what is not None, "--raw": raw}, are_of=tuple(set(Format) - set(_MODELS)))
    _require_fitting(layout, {"--model": model is not None}, are_of=_MODELS)
    _require_fitting(layout, {"--dtype": dtype is not None, "--check": check}, are_of=(Format.gguf,))
    if layout in _MODELS:
        _export_model(folder, out, layout, model, dtype, check=check, as_json=as_json)
        return
    from charter.publishing import export_run

    done = export_run(folder, out, layout.value, what=what.value if what else None, raw=raw)  # type: ignore[arg-type]
    if as_json:
        console.write_json(done.to_dict())
    else:
        _show(done)


def _require_fitting(layout: Format, given: dict[str, bool], *, are_of: tuple[Format, ...]) -> None:
    for option, is_given in given.items():
        if is_given and layout not in are_of:
            about = " and ".join(are_of) if set(are_of) <= set(_MODELS) else "layouts of rows"
            raise UserError(f"{option} belongs to {about}, and --format is {layout}; leave it out")


def _export_model(
    folder: Path, out: Path, form: Format, model: str | None, dtype: Dtype | None, *, check: bool, as_json: bool
) -> None:
    from charter.release import export_model

    done = export_model(
        folder,
        out,
        "gguf" if form is Format.gguf else "merged",
        model=model,
        numbers=dtype.value if dtype else None,
        check=check,
        say=console.note,
    )
    for note in done.notes:
        console.note(note)
    if as_json:
        console.write_json(done.to_dict())
    else:
        _show_model(done)


def _show_model(done: ExportedModel) -> None:
    console.write_columns(("file", "bytes"), [(name, f"{n:,}") for name, n in done.files.items()], right=(1,))
    console.write(f"the model of {done.stage}, its numbers in {done.numbers}")
    if done.agreement is not None:
        found = done.agreement
        console.write(
            f"llama.cpp agrees: {found.n_chats} conversations are rendered the same, {found.n_texts} texts are the "
            f"same tokens, and log-probabilities of next tokens differ by {found.mean_gap:.4f} nats on average, at "
            f"most by {found.largest_gap:.4f} (n {found.n_tokens})"
        )
    console.write(done.out)


def _show(done: Exported) -> None:
    console.write_columns(("file", "rows"), [(name, str(n)) for name, n in done.files.items()], right=(1,))
    for kind, names in done.lost.items():
        console.write(f"{kind}: no place for {', '.join(names)}")
    for kind, reasons in done.left_out.items():
        for reason, n in reasons.items():
            console.write(f"{kind}: {n} left out: {reason}")
    if done.missing:
        console.write(f"the run has no {', '.join(done.missing)} yet")
    if done.template:
        console.write(f"conversations are written in the chat template of {done.template}")
    console.write(done.out)
