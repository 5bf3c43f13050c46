"""A file that a model writes: held while it is written, with the journal beside it, and the model that is asked."""

from __future__ import annotations

import contextlib
import json
import time
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
    from charter.engines.specs import ModelSpec
    from charter.engines.usage import Usage
    from charter.journal.store import Journal
    from charter.rows import RowMapper

_SETUP, _ENGINE = "setup", "engine"


@dataclass(frozen=True)
class Writing:
    """A model to ask, what maps rows with a journal, progress and the stop flag, and what was asked so far.

    ``seconds`` are those since the model was there; 0 where it was not asked.
    """

    engine: Engine
    mapper: RowMapper
    usage: Callable[[], Usage]
    seconds: Callable[[], float]


@contextlib.contextmanager
def hold(
    target: Path, model: str, engine: str, setup: Mapping[str, Any], *, same_model: bool = False
) -> Iterator[Writing]:
    """Hold a file that is to be written, with the journal beside it.

    The model is loaded when it is first asked, so that a file which is done is made anew without it.

    Args:
        target: the file; its journal has the same name with ``.journal`` behind.
        model: who writes.
        engine: how it is reached.
        setup: what determines the answers, by names that a person knows; a journal of another setup is refused.
        same_model: whether rows of another model, though it has the same name, are refused too: of other weights, or
            of another identity by the time it is loaded. What it is and can do is then remembered, so that a file which
            is done asks nobody.

    Raises:
        RunError: where the journal is of another setup or model, or is held by another process.
    """
    from charter.journal.store import Journal

    spec = model_spec(model, engine)  # what is wrong with it is not to be written down
    beside = journal_of(target)
    with _held(target), Stopping() as stopping:
        try:
            with Journal(beside) as journal, make_progress() as progress:
                whose = {"model": model, "engine": engine}
                if same_model:
                    whose |= _weights(spec, progress.download)
                _check_setup(journal, target, {**whose, **setup})
                known = _Known(journal, target) if same_model else None
                late = _LateEngine(lambda: _load(model, engine, journal, progress.download), known)
                try:
                    yield Writing(late, _mapper(journal, progress, stopping), late.usage, late.seconds)
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


def make_folder(
    folder: Path, names: Sequence[str], held: str, *, is_ours: Callable[[Path], bool] = lambda _: False
) -> None:
    """Make the folder that a command writes files into, or see that what is there was written by such a command.

    Args:
        folder: as the option ``--out`` names it.
        names: of the files.
        held: of the file that is held, whose journal says who wrote them.
        is_ours: whether that file itself says so, of a command that needs no journal.

    Raises:
        RunError: where it cannot be made, or holds files of the same names that say nothing of the kind.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {folder}: cannot be made ({error.strerror}); name another folder") from error
    journal = journal_of(folder / held)
    there = [name for name in names if (folder / name).exists()]
    if there and not journal.exists() and not is_ours(folder / held):
        raise RunError(
            f"--out {folder}: holds {', '.join(there)}, and no journal ({journal.name}) says that this command wrote "
            "that; name another folder, or remove it"
        )


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


def _weights(spec: ModelSpec, on_download: Any) -> dict[str, str]:
    """Fingerprint a model's files, which are fetched where they are not here; of one without, nothing."""
    if not spec.has_weights:
        return {}
    from charter.engines.weights import model_fingerprint, resolve_model

    return {"model's files": model_fingerprint(resolve_model(spec.name, progress=on_download))}


class _Known:
    """What a journal knows of the model that was asked: its identity, and what it can do."""

    def __init__(self, journal: Journal, target: Path) -> None:
        self._journal = journal
        self._target = target
        kept = journal.tally(_ENGINE)
        self.told: dict[str, Any] | None = None if kept is None else json.loads(kept)

    def meet(self, engine: Engine) -> None:
        """Remember a model, or hold it against what is remembered.

        Raises:
            RunError: where it is another one.
        """
        if self.told is None:
            self.told = {"identity": engine.identity, "capabilities": sorted(engine.capabilities)}
            self._journal.keep_tally(_ENGINE, json.dumps(self.told))
        elif self.told["identity"] != engine.identity:
            raise RunError(
                f"{self._target}: was begun with another model of this name ({self.told['identity']}, and it is "
                f"{engine.identity} now); name another folder, or remove {journal_of(self._target).name} to begin anew"
            )


class _LateEngine:
    """An engine that is made when it is first asked something; what is known of it needs no asking."""

    def __init__(self, make: Callable[[], Counted], known: _Known | None = None) -> None:
        self._make = make
        self._made: Counted | None = None
        self._known = known
        self._since = 0.0

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            try:
                self._made = self._make()
            except EngineError as error:  # of a row it would be one failure of many, and the next row would try again
                raise ModelError(str(error)) from error
            self._since = time.monotonic()
            if self._known is not None:
                self._known.meet(self._made)
        return self._made

    @property
    def identity(self) -> str:
        told = self._known.told if self._known and self._made is None else None
        return self._engine.identity if told is None else str(told["identity"])

    @property
    def capabilities(self) -> frozenset[Capability]:
        told = self._known.told if self._known and self._made is None else None
        return self._engine.capabilities if told is None else frozenset(told["capabilities"])

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

    def seconds(self) -> float:
        """Tell how long the model is there."""
        return 0.0 if self._made is None else time.monotonic() - self._since

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
