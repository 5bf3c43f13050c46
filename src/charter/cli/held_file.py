"""A file that a model writes: held while it is written, with the journal beside it, and the model that is asked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from charter.cli import console
from charter.cli.model_options import SCRIPTED, model_spec
from charter.cli.progress import make_progress
from charter.cli.stopping import Stopping
from charter.errors import CharterError, EngineError, Interrupted, ModelError, RunError

if TYPE_CHECKING:
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
    from charter.engines.pool import Counted
    from charter.engines.usage import Usage
    from charter.rows import RowMapper

_SETUP = "setup"


@dataclass(frozen=True)
class Writing:
    """A model to ask, what maps rows with a journal, progress and the stop flag, and what was asked so far."""

    engine: Engine
    mapper: RowMapper
    usage: Callable[[], Usage]


@contextlib.contextmanager
def hold(target: Path, model: str, engine: str, setup: Mapping[str, Any]) -> Iterator[Writing]:
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
    from charter.journal.store import Journal

    model_spec(model, engine)  # what is wrong with it is not to be written down
    beside = journal_of(target)
    with _held(target), Stopping() as stopping:
        try:
            with Journal(beside) as journal, make_progress() as progress:
                _check_setup(journal, target, {"model": model, "engine": engine, **setup})
                late = _LateEngine(lambda: _load(model, engine, journal, progress.download))
                try:
                    yield Writing(late, _mapper(journal, progress, stopping), late.usage)
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


def _mapper(journal: Any, progress: Any, stopping: Stopping) -> RowMapper:
    from charter.rows import map_rows

    return cast("RowMapper", partial(map_rows, journal=journal, progress=progress, stop=stopping.event))


def _load(model: str, engine: str, journal: Any, on_download: Any) -> Counted:
    if engine == SCRIPTED:
        from charter.authoring.dry_run import dry_answer
        from charter.engines.cache import CachedEngine
        from charter.engines.scripted import ScriptedEngine

        return CachedEngine(ScriptedEngine(dry_answer, script=model), journal)
    from charter.engines.pool import Pool

    pool = Pool({"writer": model_spec(model, engine)}, journal, on_download)
    pool.on_load = lambda name: console.note(f"loading {name}")
    pool.on_meet = pool.on_retry = console.note
    return pool.open(model_spec(model, engine))


class _LateEngine:
    """An engine that is made when it is first asked something."""

    def __init__(self, make: Callable[[], Counted]) -> None:
        self._make = make
        self._made: Counted | None = None

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            try:
                self._made = self._make()
            except EngineError as error:  # of a row it would be one failure of many, and the next row would try again
                raise ModelError(str(error)) from error
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

    def usage(self) -> Usage:
        """Tell what was asked so far."""
        from charter.engines.usage import Usage

        return Usage() if self._made is None else self._made.usage

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
