"""``charter chat``: a conversation with any model."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.model_options import IN_PROCESS, Engine, model_spec
from charter.cli.options import AsJson, examples
from charter.errors import EngineError, ModelError, UserError

if TYPE_CHECKING:
    from charter.engines.conversation import Conversation
    from charter.records import Message

_YOU = "> "


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "chat",
        epilog=examples(
            "charter chat runs/smoke/models/dpo",
            "charter chat smollm2-135m --constitution harmless",
            "echo 'How do I pick a ripe melon?' | charter chat smollm2-135m --temperature 0",
        ),
    )(chat)


def chat(  # noqa: PLR0917 - the command line names them
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="An embedded name, a model's or adapter's folder, or a hub id.", show_default=False
        ),
    ],
    system: Annotated[str, typer.Option("--system", metavar="TEXT", help="A system text.")] = "",
    constitution: Annotated[
        str, typer.Option("--constitution", metavar="NAME", help="A constitution to answer by, put before the talk.")
    ] = "",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token every time.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="What the answers are drawn from.")] = 0,
    engine: Engine = IN_PROCESS,
    as_json: AsJson = False,
) -> int:
    """Talk to a model, before or after training.

    /reset begins anew, /quit (or the end of the input) ends. Lines are read from stdin, so that a talk can be scripted;
    then only the answers are printed, with --json one object each. A question that cannot be answered, such as one too
    long for the model, is reported, and the talk goes on without it; the command then ends with code 1.
    """
    from charter.cli.progress import make_progress
    from charter.engines.base import Sampling
    from charter.engines.cache import DictMemory
    from charter.engines.conversation import Conversation
    from charter.engines.pool import Pool

    _refuse_run(Path(model))
    if not _is_unicode(system):
        raise UserError("--system is not UTF-8")
    opening = _opening(system, constitution)
    spec = model_spec(model, engine)
    with make_progress() as progress:
        pool = Pool({"policy": spec}, DictMemory(), progress.download)
        pool.on_load = None if as_json else lambda name: console.note(f"loading {name}")
        pool.on_meet = None if as_json else console.note
        pool.on_retry = console.note
        policy = pool.engine("policy")
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    try:
        n_failed = _talk(Conversation(policy, opening, sampling), as_json=as_json)
    finally:
        pool.close()
    return EngineError.exit_code if n_failed else 0


def _refuse_run(folder: Path) -> None:
    """Name the model to talk to where a run was named."""
    from charter.recipe import load_recipe
    from charter.recipe.stages import policies_of
    from charter.runs.place import RESOLVED

    if not (folder / RESOLVED).exists():
        return
    policies = (folder / "models" / name for name in reversed(policies_of(load_recipe(folder / RESOLVED))))
    trained = [place for place in policies if place.is_dir()]
    if trained:
        raise ModelError(f"{folder} is a run: name {' or '.join(map(str, trained))}")
    raise ModelError(f"{folder} is a run, and has no trained model; see 'charter status {folder}'")


def _opening(system: str, constitution: str) -> tuple[Message, ...]:
    """Put a constitution, with its examples, and a system text before the conversation."""
    from charter.records import Message

    if not constitution:
        return (Message(role="system", content=system),) if system else ()
    from charter.constitution import load_constitution
    from charter.feedback.pairs import guidance_messages

    first, *rest = guidance_messages(load_constitution(constitution))
    if system:
        first = Message(role="system", content=f"{system}\n\n{first.content}")
    return (first, *rest)


def _talk(conversation: Conversation, *, as_json: bool) -> int:
    """Ask line by line, and count the questions that could not be answered."""
    n_failed = 0
    with asyncio.Runner() as runner:
        for number, line in enumerate(_lines(), start=1):
            said = line.strip()
            if not _is_unicode(said):
                console.fail(f"line {number} is not UTF-8\n(not said: go on)")
                n_failed += 1
            elif said == "/quit":
                break
            elif said == "/reset":
                conversation.reset()
                console.note("begun anew")
            elif said:
                try:
                    completion = runner.run(conversation.say(said))
                except EngineError as error:
                    console.fail(f"{error}\n(not said: go on, or begin anew with /reset)")
                    n_failed += 1
                    continue
                if as_json:
                    console.write_json(completion.model_dump(mode="json"))
                else:
                    console.write(completion.text.strip())
                if completion.finish == "length":
                    console.note("(cut at the longest answer: --max-tokens)")
    return n_failed


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _lines() -> Iterator[str]:
    """Read lines, with a prompt and the keys of an editor where a person types them."""
    if sys.stdin is None:  # closed: a talk of no lines
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import gives input() history and editing
    while True:
        try:
            yield console.ask(_YOU)
        except EOFError:
            console.note("")
            return
