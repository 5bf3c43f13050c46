"""``charter publish``: a finished run, sent to the Hugging Face Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, Licence, RunFolder, examples
from charter.errors import UserError
from charter.spelling import hint

if TYPE_CHECKING:
    from charter.release import Published, What

_To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="OWNER/NAME",
        help="The dataset's name at the hub; a model's is OWNER/NAME-STAGE, merged OWNER/NAME-STAGE-merged.",
        show_default=False,
    ),
]
_What = Annotated[
    list[str] | None,
    typer.Option(
        "--what",
        metavar="WHAT",
        help="dataset, adapter, merged, cards: several with commas, or the option several times; "
        "dataset,adapter,cards if not given.",
        show_default=False,
    ),
]
_Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="STAGE",
        help="A model to send, such as sft or preference_model; may be given several times. The last policy if not.",
        show_default=False,
    ),
]
_Public = Annotated[
    bool, typer.Option("--public", help="Let everybody read it. Repositories are private if not given.")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show every file with its size, search them, and send nothing.")
]
_AllowPaths = Annotated[
    bool, typer.Option("--allow-paths", help="Let paths of this machine be in what is sent. Secrets never are.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    shown = examples(
        "charter publish runs/smoke --to acme/smoke --dry-run",
        "charter publish runs/smoke --to acme/smoke --licence apache-2.0",
        "charter publish runs/smoke --to acme/smoke --what merged,cards --model dpo --public",
    )
    app.command("publish", epilog=shown)(publish)


def publish(  # noqa: PLR0917 - the command line names them
    folder: RunFolder,
    to: _To,
    what: _What = None,
    model: _Models = None,
    public: _Public = False,
    licence: Licence = None,
    dry_run: _DryRun = False,
    allow_paths: _AllowPaths = False,
    as_json: AsJson = False,
) -> None:
    """Send a run's tables, models and cards to the Hugging Face Hub, private if not told otherwise.

    Every file is searched first: keys and passwords stop it, and so do paths of this machine. The token is HF_TOKEN's,
    or that of 'hf auth login'. The same command again sends what is not there yet.
    """
    from charter.release import publish_run, refusal

    done = publish_run(
        folder,
        to,
        what=_read_what(what),
        models=model or (),
        public=public,
        licence=licence,
        dry_run=dry_run,
        allow_paths=allow_paths,
        say=console.note,
    )
    for note in done.notes:
        console.note(note)
    if as_json:
        console.write_json(done.to_dict())
    else:
        _show(done)
    if done.findings:
        raise UserError(refusal(done.findings))


def _read_what(given: list[str] | None) -> tuple[What, ...]:
    from charter.release import USUAL, WHATS

    names = [name.strip() for text in given or () for name in text.split(",")]
    for name in names:
        if name not in WHATS:
            raise UserError(f"--what {name!r}: expected {', '.join(WHATS)}, or several with commas{hint(name, WHATS)}")
    return tuple(one for one in WHATS if one in names) or USUAL


def _show(done: Published) -> None:
    rows = [(one.kind, one.name, file, f"{size:,}") for one in done.repositories for file, size in one.files.items()]
    total = sum(size for one in done.repositories for size in one.files.values())
    console.write_columns(("kind", "repository", "file", "bytes"), [*rows, ("", "", "all", f"{total:,}")], right=(3,))
    if not done.sent:
        console.write("nothing was sent")
    for one in done.sent:
        seen = "private" if one.is_private else "public"
        what = f"commit {one.commit}" if one.is_new else f"nothing new, at commit {one.commit}"
        console.write(f"{one.url}  {seen}, {what}")
