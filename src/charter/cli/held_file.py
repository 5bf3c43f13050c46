"""A file that models write: held while it is written, with the journal beside it, and the models that are asked."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from charter.cli import console
from charter.cli.late_engine import Known, LateEngine
from charter.cli.model_options import SCRIPTED, model_spec
from charter.cli.progress import make_progress
from charter.cli.stopping import BEGINS_ANEW, Stopping
from charter.errors import CharterError, Interrupted, RunError

if TYPE_CHECKING:
    from charter.engines.base import Engine
    from charter.engines.pool import Pool, Reply
    from charter.engines.specs import ModelSpec
    from charter.engines.usage import Usage
    from charter.journal.store import Journal
    from charter.rows import RowMapper

_SETUP, _ENGINE = "setup", "engine"
_NOT_KEPT = f"{BEGINS_ANEW}: with --out FOLDER it would go on"


@dataclass(frozen=True)
class Writing:
    """A model to ask, what maps rows with a journal, progress and the stop flag, and what was asked so far.

    ``seconds`` are those since the model was there; 0 where it was not asked.
    """

    engine: Engine
    mapper: RowMapper
    usage: Callable[[], Usage]
    seconds: Callable[[], float]


@dataclass(frozen=True)
class Held:
    """A file that is held, with its journal: what maps rows there, and what lends models, one in memory at a time."""

    target: Path
    journal: Journal
    mapper: RowMapper
    progress: Any
    stop: Callable[[], bool]

    @property
    def on_download(self) -> Any:
        """What shows how far a download is."""
        return self.progress.download

    def require_setup(self, setup: Mapping[str, Any], *, kept_as: str = _SETUP) -> None:
        """Refuse to go on with rows that other settings gave, and keep the first.

        Args:
            setup: what determines the answers, by names that a person knows.
            kept_as: under which name the journal keeps it.

        Raises:
            RunError: naming what is another one.
        """
        if self.journal.tally(kept_as) is None:
            self.journal.keep_tally(kept_as, json.dumps(setup, sort_keys=True))
        self.check_setup(setup, kept_as=kept_as)

    def check_setup(self, setup: Mapping[str, Any], *, kept_as: str = _SETUP) -> None:
        """Refuse settings that are others than those kept, as far as any are; see ``require_setup``."""
        kept = self.journal.tally(kept_as)
        if kept is None:
            return
        before = json.loads(kept)
        changed = sorted(name for name in {*before, *setup} if before.get(name) != setup.get(name))
        if changed:
            raise RunError(
                f"{self.target}: was begun with another {' and another '.join(changed)}; name another place, give the "
                f"same again, or remove {self.journal.path.name} to begin anew"
            )

    def require_same_rows(self, rows: Mapping[str, Any], *, what: str) -> None:
        """Refuse to go on where rows that are recalled by an id say something else by now; further rows may come.

        Args:
            rows: what each row says, by its id.
            what: the rows are, as a person knows them; the journal keeps a digest of each under this name.

        Raises:
            RunError: naming a row that was changed.
        """
        from charter.seeds import digest

        kept = self.journal.tally(what)
        before: dict[str, str] = {} if kept is None else json.loads(kept)
        now = {row: digest(said) for row, said in rows.items()}
        changed = [row for row, said in now.items() if before.get(row, said) != said]
        if changed:
            raise RunError(
                f"{self.target}: was begun with {what} of which {len(changed):,} say something else now "
                f"({changed[0]!r} first); name another place, give the same again, or remove "
                f"{self.journal.path.name} to begin anew"
            )
        if not now.keys() <= before.keys():
            self.journal.keep_tally(what, json.dumps(before | now, sort_keys=True))

    def weights(self, spec: ModelSpec) -> dict[str, str]:
        """Fingerprint a model's files, which are fetched where they are not here; of one without, nothing."""
        if not spec.has_weights:
            return {}
        from charter.engines.weights import model_fingerprint, resolve_model

        return {"model's files": model_fingerprint(resolve_model(spec.name, progress=self.on_download))}

    @contextlib.contextmanager
    def lend(self, spec: ModelSpec, *, known_as: str | None = None, reply: Reply | None = None) -> Iterator[LateEngine]:
        """Lend a model, which is loaded when it is first asked, and closed when the context ends.

        Args:
            spec: the model.
            known_as: under which name the journal remembers what it is and can do; None has it remember nothing.
            reply: writes what a scripted model answers, in place of made-up prose.
        """
        known = None if known_as is None else Known(self.journal, known_as, self.target)
        late = LateEngine(lambda: self._pool.open(spec, reply if spec.engine == SCRIPTED else None), self._shut, known)
        try:
            yield late
        finally:
            late.close()

    def close(self) -> None:
        """Give back the memory of every model."""
        if "_pool" in self.__dict__:
            self._pool.close()

    def _shut(self, engine: Engine) -> None:
        self._pool.shut(engine)

    @cached_property
    def _pool(self) -> Pool:
        from charter.engines.pool import Pool

        pool = Pool({}, self.journal, self.on_download, most=1)
        pool.on_load = lambda name: console.note(f"loading {name}")
        pool.on_meet = pool.on_retry = console.note
        return pool


@contextlib.contextmanager
def hold_file(target: Path, *, kept: bool = True) -> Iterator[Held]:
    """Hold a file that models are to write, with the journal beside it.

    Args:
        target: the file; its journal has the same name with ``.journal`` behind.
        kept: whether both are there afterwards; where not, their folder is a passing one, and who stops the command is
            told so.

    Raises:
        RunError: where the journal is held by another process.
    """
    from charter.journal.store import Journal

    with locked(target), Stopping() if kept else Stopping(_NOT_KEPT) as stopping:
        try:
            with Journal(journal_of(target)) as journal, make_progress() as progress:
                held = Held(target, journal, _mapper(journal, progress, stopping), progress, stopping.event.is_set)
                try:
                    yield held
                finally:
                    held.close()
        except CharterError as error:
            if stopping.received is None:
                raise
            if not kept:
                console.note("stopped; nothing was kept")
                shutil.rmtree(target.parent, ignore_errors=True)
            else:
                console.note(str(error) if isinstance(error, Interrupted) else f"stopped: {error}")
            stopping.end()


@contextlib.contextmanager
def hold(
    target: Path,
    model: str,
    engine: str,
    setup: Mapping[str, Any],
    *,
    same_model: bool = False,
    rows: Mapping[str, Any] | None = None,
    kept: bool = True,
) -> Iterator[Writing]:
    """Hold a file that one model is to write, with the journal beside it.

    The model is loaded when it is first asked, so that a file which is done is made anew without it.

    Args:
        target: the file; its journal has the same name with ``.journal`` behind.
        model: who writes.
        engine: how it is reached.
        setup: what determines the answers, by names that a person knows; a journal of another setup is refused.
        same_model: whether rows of another model, though it has the same name, are refused too: of other weights, or
            of another identity by the time it is loaded. What it is and can do is then remembered, so that a file which
            is done asks nobody.
        rows: what each row says that the journal may recall, by its id (see ``Held.require_same_rows``).
        kept: see ``hold_file``.

    Raises:
        RunError: where the journal is of another setup, model or row, or is held by another process.
    """
    from charter.authoring.dry_run import dry_answer

    spec = model_spec(model, engine)  # what is wrong with it is not to be written down
    with hold_file(target, kept=kept) as held:
        whose = {"model": model, "engine": engine, **(held.weights(spec) if same_model else {})}
        held.require_setup({**whose, **setup})
        if rows:
            held.require_same_rows(rows, what="rows")
        with held.lend(spec, known_as=_ENGINE if same_model else None, reply=dry_answer) as late:
            yield Writing(late, held.mapper, late.usage, late.seconds)


@contextlib.contextmanager
def keeping_folder(
    out: Path | None, names: Sequence[str], held: str, *, is_ours: Callable[[Path], bool] = lambda _: False
) -> Iterator[Path]:
    """Give the folder that files are kept in (see ``make_folder``); one that is gone afterwards where none is named."""
    if out is not None:
        make_folder(out, names, held, is_ours=is_ours)
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


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


def has_keys(figures: Path, *, keys: Collection[str]) -> bool:
    """Tell whether a file is of a command's figures, by keys that no other's have."""
    from charter.files.tables import read_json

    try:
        found = read_json(figures)
    except RunError:
        return False
    return isinstance(found, dict) and set(keys) <= found.keys()


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


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold a file that this process alone may write.

    Raises:
        RunError: where another process does, or it cannot be written.
    """
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
