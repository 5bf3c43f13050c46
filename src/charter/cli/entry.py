"""Where the command begins and ends: the verbs, and what an error looks like to the person."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, NoReturn

import typer

from charter.cli import (
    audit,
    card,
    chat,
    check,
    compare,
    console,
    constitutions,
    country,
    diff_labels,
    evaluating,
    export,
    import_country,
    init,
    merge,
    plan,
    prompting,
    publish,
    rate,
    report,
    reproduce,
    run,
    schema,
    serve,
    show,
    stages,
    status,
)
from charter.cli.usage import plain
from charter.errors import CharterError, Interrupted, UserError
from charter.files.env_file import use_env_file

_DEBUG_VARIABLE = "CHARTER_DEBUG"

app = typer.Typer(
    name="charter",
    help="Train a language model to follow a written constitution, with AI feedback, and measure whether it worked.",
    epilog="""\b
A first run, with a model of 135 million parameters:
  charter check recipes/smoke.yaml
  charter run recipes/smoke.yaml
  charter show runs/smoke rt-privacy-06""",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    init,
    import_country,
    run,
    merge,
    check,
    schema,
    plan,
    status,
    show,
    report,
    export,
    card,
    publish,
    audit,
    diff_labels,
    compare,
    reproduce,
    rate,
    chat,
    serve,
    stages,
):
    verb.add_to(app)
app.add_typer(constitutions.app, name="constitution")
app.add_typer(prompting.app, name="prompts")
app.add_typer(country.app, name="country")
app.add_typer(evaluating.make_app(*stages.evaluate_verb()), name="evaluate")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.write(f"charter {version('charter')}")
        raise typer.Exit


@app.callback()
def _begin(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show where an error comes from (also: {_DEBUG_VARIABLE}=1).")
    ] = False,
) -> None:
    del version  # its callback has spoken
    if debug:
        os.environ[_DEBUG_VARIABLE] = "1"
    _use_env_file()


def _use_env_file() -> None:
    """Take the hub's token and folders from a file beside the work; one that cannot be read stops nobody."""
    try:
        use_env_file()
    except UserError as error:
        console.note(f"{error}; nothing of it is used")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 done, 1 failed, 2 the person's to mend, 130 or 143 stopped.

    Args:
        arguments: in place of the process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        console.require_output()
        console.expect_any_text()
        with _without_library_warnings():
            code = _invoke(given or ["--help"])
        console.flush()
    except CharterError as error:
        code = _explain(error)
    except OSError as error:
        lost = console.find_lost_output()
        code = _report(error) if lost is None else _explain(lost)
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, one line and no traceback
        code = _report(error)
    sys.exit(code)


@contextlib.contextmanager
def _without_library_warnings() -> Iterator[None]:
    """Keep libraries' advice to programmers from the person, who cannot follow it."""
    with warnings.catch_warnings():
        if not (sys.warnoptions or os.environ.get(_DEBUG_VARIABLE)):
            for category in (UserWarning, FutureWarning, DeprecationWarning):
                warnings.simplefilter("ignore", category)
        yield


def _invoke(arguments: list[str]) -> int:
    try:
        code = app(arguments, prog_name="charter", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "charter"
        console.fail(f"{plain(error.format_message())}\nSee '{command} --help'.")
        return error.exit_code
    except typer.Abort:
        return Interrupted.exit_code
    return code if isinstance(code, int) else 0


def _explain(error: CharterError) -> int:
    if os.environ.get(_DEBUG_VARIABLE):
        console.note(traceback.format_exc())
    console.fail(str(error))
    return error.exit_code


def _report(error: Exception) -> int:
    name = type(error).__name__
    if os.environ.get(_DEBUG_VARIABLE):
        console.note(traceback.format_exc())
        console.fail(f"unexpected {name}; please report this with the lines above")
    else:
        first = next(iter(str(error).splitlines()), "")
        console.fail(
            f"unexpected {name}: {first} (this is a fault of Charter: please report it, with what {_DEBUG_VARIABLE}=1 "
            "shows when the same command runs again)"
        )
    return 1
