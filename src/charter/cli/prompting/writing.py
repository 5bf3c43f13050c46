"""What the verbs share that have a model write: the model, a journal beside the output, progress, and how it ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from charter.cli import console
from charter.cli.chat import EngineName
from charter.cli.progress import make_progress
from charter.cli.stopping import Stopping
from charter.errors import CharterError, EngineError, Interrupted, PromptError, RunError

if TYPE_CHECKING:
    from charter.authoring.coverage import Axes
    from charter.authoring.few_shots import Values
    from charter.authoring.written import WrittenSet
    from charter.engines.base import (
        Capability,
        Choice,
        ChoiceRequest,
        Completion,
        CompletionRequest,
        Engine,
        Score,
        ScoreRequest,
    )
    from charter.records import Prompt, PromptKind
    from charter.rows import RowMapper

Constitution = Annotated[
    str, typer.Argument(metavar="CONSTITUTION", help="A built-in name, or a file.", show_default=False)
]
Target = Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Where the prompts go.", show_default=False)]
Model = Annotated[
    str,
    typer.Option("--model", metavar="M", help="An embedded name, a model's or adapter's folder, or a hub id."),
]
EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="'scripted' writes made-up prose without a model, to try the command.")
]
PerCall = Annotated[
    int | None, typer.Option("--per-call", min=1, help="Asked for in one call, at most: 5, labelled 1.")
]
FewShots = Annotated[
    Path | None, typer.Option("--few-shots", metavar="FILE", help="Worked examples instead of our own.")
]
NFewShots = Annotated[int, typer.Option("--n-few-shots", min=0, help="Worked examples shown, the first.")]
Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="Prompts that no new one may resemble; their holes go first."),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="FILE", help="Your own settings, registers, lengths, languages, categories: YAML lists."
    ),
]
Languages = Annotated[str, typer.Option("--languages", metavar="L,L", help="Such as en,ro.")]
Form = Annotated[str, typer.Option("--form", help="json, or labelled: lines that a small model can follow.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Of every answer.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="For each prompt that is asked for.")]
Threshold = Annotated[
    float, typer.Option("--threshold", help="The least similarity (0.1 to 1) of prompts that count as one.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="What the plan and the answers are drawn from.")]

_SETUP = "setup"


@dataclass(frozen=True)
class Writing:
    """A model to ask, and what maps rows with a journal, progress and the stop flag."""

    engine: Engine
    mapper: RowMapper


@contextlib.contextmanager
def writing(target: Path, model: str, engine: EngineName, setup: Mapping[str, Any]) -> Iterator[Writing]:
    """Hold a file that is to be written, with the journal beside it.

    The model is loaded when it is first asked, so that a file which is done is made anew without it.

    Args:
        target: the file; its journal has the same name with ``.journal`` behind.
        model: who writes.
        engine: how it is reached.
        setup: what determines the answers, by names that a person knows; a journal of another setup is refused.

    Raises:
        RunError: where the journal is of another setup, or is held by another process.
    """
    from charter.store import Journal

    beside = journal_of(target)
    with _held(target), Stopping() as stopping:
        try:
            with Journal(beside) as journal, make_progress() as progress:
                _check_setup(journal, target, {"model": model, "engine": engine.value, **setup})
                late = _LateEngine(lambda: _load(model, engine, journal, progress.download))
                try:
                    yield Writing(late, _mapper(journal, progress, stopping))
                finally:
                    late.close()
        except CharterError as error:
            if stopping.received is None:
                raise
            console.note(str(error) if isinstance(error, Interrupted) else f"stopped: {error}")
            stopping.end()


def journal_of(target: Path) -> Path:
    """Name the journal beside a file."""
    return target.with_name(f"{target.name}.journal")


def check_target(target: Path, suffixes: Sequence[str] = (".jsonl",)) -> None:
    """Refuse a file that cannot be written, or that was not written by such a command.

    Raises:
        RunError: naming the file and what to do.
    """
    if target.suffix.lower() not in suffixes:
        raise RunError(f"{target}: its name ends in {target.suffix!r}; expected {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise RunError(f"{target}: there is no folder {target.parent}; make it first")
    if target.exists() and not journal_of(target).exists():
        raise RunError(
            f"{target}: is there, and no journal ({journal_of(target).name}) says that this command wrote it; name "
            "another file, or remove it"
        )


def choose_form(form: str) -> str:
    """Check a form's name.

    Raises:
        PromptError: where there is no such form.
    """
    if form not in {"json", "labelled"}:
        raise PromptError(f"--form is {form!r}; expected json, or labelled for small models")
    return form


def read_axes_given(settings: Path | None, languages: str) -> Axes:
    """Read what prompts vary by: the file's lists, and the languages that the option names."""
    from dataclasses import replace

    from charter.authoring.coverage import Axes, read_axes

    named = tuple(dict.fromkeys(one.strip() for one in languages.split(",") if one.strip()))
    axes = Axes() if settings is None else read_axes(settings)
    return replace(axes, languages=named) if named else axes


def read_given(path: Path | None, kind: PromptKind) -> tuple[Prompt, ...]:
    """Read the prompts that new ones are held against."""
    from charter.prompts import load_prompts

    return () if path is None else load_prompts(str(path), kind).prompts


def file_digest(path: Path | None) -> str:
    """Give what stands for a file's content in a setup; nothing for what is no file."""
    return "" if path is None or not path.is_file() else text_digest(path.read_bytes().decode("latin-1"))


def text_digest(text: str) -> str:
    """Give what stands for a text in a setup."""
    from charter.seeds import digest_text

    return digest_text(text)


def conclude(target: Path, result: WrittenSet, asked: int, *, as_json: bool) -> None:
    """Save what was written, and say what became of everything that was asked for.

    Raises:
        EngineError: where there is nothing to save.
    """
    from charter.authoring.written import write_rows

    if not result.written:
        raise EngineError(f"nothing usable was written: {_account(result.summary)}; {_remedy(result.summary)}")
    write_rows(target, result.written)
    if as_json:
        console.write_json({"file": str(target), "asked": asked, **result.summary})
        return
    console.write(f"{target}: {result.summary['kept']} of {asked} prompts asked for{_and_twins(result.summary)}")
    console.write(_account(result.summary))
    for example in result.summary["near_duplicates"]["examples"]:
        console.write(f'  left out ({example["similarity"]:.2f}): "{_short(example["dropped"])}"')
        console.write(f'    it is near to: "{_short(example["for"])}"')
    _write_grid(result)


def _write_grid(result: WrittenSet) -> None:
    from charter.authoring.coverage import grid_lines

    grid = result.grid
    header, *rows = grid_lines(grid)
    console.write(f"coverage: {len(grid.cells) - len(grid.holes)} of {len(grid.cells)} cells, a dot is a hole")
    console.write_columns(header, rows, right=range(2, len(header)))
    for number, setting in enumerate(grid.settings, start=1):
        console.write(f"  {number:>2} {setting}")


def _account(summary: Mapping[str, Any]) -> str:
    """Tell in one line what became of calls and rows."""
    duplicates = summary["near_duplicates"]
    parts = [
        f"{summary['calls']} calls ({summary['repaired']} repaired)",
        _reasons("malformed answers", summary["malformed"]),
        _reasons("failed calls", summary["failed"]),
        _reasons("lost rows", summary["lost_rows"]),
        f"{duplicates['within'] + duplicates['against']} near-duplicates left out at {duplicates['threshold']:g}",
    ]
    return ", ".join(part for part in parts if part)


def _reasons(what: str, counts: Mapping[str, int]) -> str:
    told = "; ".join(f"{n} {reason}" for reason, n in counts.items())
    return f"{sum(counts.values())} {what} ({told})" if counts else ""


def _remedy(summary: Mapping[str, Any]) -> str:
    if summary["near_duplicates"]["against"]:
        return "ask for more (--n), or draw anew (--seed) into another file"
    return "take a larger model, or --form labelled, which small ones can follow"


def _and_twins(summary: Mapping[str, Any]) -> str:
    return f", with {summary['twins']} benign twins" if summary["twins"] else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."


def _mapper(journal: Any, progress: Any, stopping: Stopping) -> RowMapper:
    from charter.rows import map_rows

    return cast("RowMapper", partial(map_rows, journal=journal, progress=progress, stop=stopping.event))


def _load(model: str, engine: EngineName, journal: Any, on_download: Any) -> Engine:
    if engine is EngineName.scripted:
        from charter.authoring.dry_run import dry_answer
        from charter.engines.cache import CachedEngine
        from charter.engines.scripted import ScriptedEngine

        return CachedEngine(ScriptedEngine(dry_answer, script=model), journal)
    from charter.engines.pool import ModelSpec, Pool

    pool = Pool({"writer": ModelSpec(name=model, engine=cast("Any", engine.value))}, journal, on_download)
    pool.on_load = lambda name: console.note(f"loading {name}")
    return pool.engine("writer")


class _LateEngine:
    """An engine that is made when it is first asked something."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._made: Engine | None = None

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def identity(self) -> str:
        return self._engine.identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._engine.capabilities

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self._engine.complete(request)

    async def choose(self, request: ChoiceRequest) -> Choice:
        return await self._engine.choose(request)

    async def score(self, request: ScoreRequest) -> Score:
        return await self._engine.score(request)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


@contextlib.contextmanager
def _held(target: Path) -> Iterator[None]:
    import filelock

    path = target.with_name(f".{target.name}.lock")
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise RunError(f"{target}: another process is writing this file; wait for it, or name another") from error
    except OSError as error:
        raise RunError(f"{target}: cannot be written ({error.strerror}); name a file in another folder") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _check_setup(journal: Any, target: Path, setup: Mapping[str, Any]) -> None:
    """Refuse to go on with rows that other settings gave."""
    kept = journal.tally(_SETUP)
    if kept is None:
        journal.keep_tally(_SETUP, json.dumps(setup, sort_keys=True))
        return
    before = json.loads(kept)
    changed = sorted(name for name in {*before, *setup} if before.get(name) != setup.get(name))
    if changed:
        raise RunError(
            f"{target}: was begun with another {' and another '.join(changed)}; name another file, give the same "
            f"again, or remove {journal_of(target).name} to begin anew"
        )


def read_shots(path: Path | None, fields: Any) -> tuple[Values, ...] | None:
    """Read worked examples; None takes our own."""
    from charter.authoring.few_shots import read_examples

    return None if path is None else read_examples(path, fields)
