"""A run: its folder, lock and inputs. ``pipeline`` does the stages in it.

```
RUN/
  recipe.yaml            as it was given
  recipe.resolved.yaml   with overrides and every default
  constitution.yaml      what is trained for, and constitution.helpful.yaml beside it: copies, with what they extend
  inputs.json            fingerprints of constitution, prompt files and models: a resumed run must find the same
  environment.json       versions and machine
  journal.sqlite         completions and the fate of every row
  stages/STAGE.json      what a finished stage counted; it is written last, and marks the stage as done
  data/*.parquet         prompts, traces, sft, pairs, preferences, responses, comparisons, readings
  models/sft models/dpo  adapters; of iterations after the first models/dpo-2, data/pairs-2.parquet, stages/dpo-2.json
  evaluation.json  report.html
```
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from charter.constitution import Constitution, load_constitution
from charter.engines.cache import BorrowingMemory
from charter.engines.downloads import Progress as DownloadProgress
from charter.engines.pool import Pool
from charter.engines.weights import ModelFolder, resolve_model
from charter.errors import Interrupted
from charter.files.tables import write_json, write_text
from charter.journal.reading import RecordedAnswers
from charter.journal.store import Journal
from charter.progress import NoProgress, Progress
from charter.recipe import Recipe, dump_recipe
from charter.recipe.stages import ITERATED, in_iteration, policy_before
from charter.rows import RowMapper, map_rows
from charter.runs.environment import describe_environment
from charter.runs.inputs import (
    INPUTS,
    check_unchanged,
    copy_constitutions,
    fingerprint_files,
    fingerprint_models,
    read_inputs,
)
from charter.runs.place import RESOLVED, Place, check_contents, held, require_no_shards
from charter.runs.recorded_recipe import keep_what_may_change, require_same_recipe
from charter.runs.roles import model_specs, role_specs
from charter.runs.spent import SpendingProgress, spending_so_far, tallies_of
from charter.runs.unmerged import read_shard_tallies
from charter.runs.workers import take_in_workers
from charter.seeds import derive_seed

# Rows at once: enough for any batch. Where models take turns in memory, each turn serves as many rows as are under way.
_ROWS_AT_ONCE, _ROWS_AT_ONCE_IN_TURNS = 256, 4096

#: The tables that each iteration has of its own.
ITERATED_TABLES = frozenset({"pairs", "preferences", "unlabelled", "rewards"})


class Run:
    """An open run folder. Use ``open_run``, which locks it.

    Attributes:
        folder: where everything is.
        recipe: what is run.
        journal: completions, and the fate of every row.
        constitution: the constitution that is trained for.
        helpful: the one that judges helpfulness.
        memory: what models answered, here or in the runs that answers are taken over from.
        spending: what calls to servers came to.
        pool: the engines by role.
        mapper: ``map_rows`` with this run's journal, progress and stop flag.
        progress: where training shows its steps.
        stop: set when the run is to stop.
        stage: that is at work; empty where none is.
        iteration: whose tables and models are meant where several have them.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        journal: Journal,
        progress: Progress,
        stop: threading.Event,
        *,
        others: Sequence[RecordedAnswers] = (),
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.journal = journal
        self.constitution: Constitution = load_constitution(recipe.constitution.source)
        self.helpful: Constitution = load_constitution(recipe.constitution.helpful)
        self.progress = progress
        self.stop = stop
        self.stage = ""
        self.iteration = 1
        self.memory = BorrowingMemory(journal, others)
        shards = read_shard_tallies(folder) if recipe.budget.is_set else []
        self.spending = spending_so_far(recipe, model_specs(recipe).values(), tallies_of(journal, shards))
        most = recipe.memory.models_at_once
        self.pool = Pool(role_specs(recipe), self.memory, spending=self.spending, most=most, stop=stop)
        shown = SpendingProgress(progress, self.spending)
        mapper = partial(map_rows, journal=journal, progress=shown, stop=stop, n_in_flight=self._rows_at_once)
        self.mapper = cast("RowMapper", mapper)

    def at(self, iteration: int) -> Run:
        """Give the run as an iteration sees it: the same, but for its own tables, models, seed and records of rows."""
        if iteration == self.iteration:
            return self
        seen = copy.copy(self)
        seen.iteration, seen.mapper = iteration, _recorded_in(self.mapper, iteration)
        return seen

    @property
    def seed(self) -> int:
        """What an iteration draws from: the recipe's seed, and another one in each that follows."""
        own = self.recipe.seed
        return own if self.iteration == 1 else derive_seed(own, str(self.iteration), "iteration")

    @property
    def policy_before(self) -> Path:
        """Name the model that this iteration begins from."""
        return self.folder / "models" / policy_before(self.recipe, self.iteration)

    def data(self, name: str) -> Path:
        """Name a table of the run."""
        own = in_iteration(name, self.iteration) if name in ITERATED_TABLES else name
        return self.folder / "data" / f"{own}.parquet"

    def model(self, name: str) -> Path:
        """Name a trained model of the run."""
        own = in_iteration(name, self.iteration) if name in ITERATED else name
        return self.folder / "models" / own

    def summary(self, stage: str) -> Path:
        """Name a stage's summary; it exists once the stage is done."""
        return self.folder / "stages" / f"{stage}.json"

    def _rows_at_once(self) -> int:
        return _ROWS_AT_ONCE_IN_TURNS if self.pool.takes_turns else _ROWS_AT_ONCE

    def check_stop(self) -> None:
        """Raise Interrupted where the run is to stop."""
        if self.stop.is_set():
            raise Interrupted("stopped between stages")


def _recorded_in(mapper: RowMapper, iteration: int) -> RowMapper:
    """Have rows recorded as those of a stage of an iteration."""

    def map_in(fn: Any, rows: Any, stage: str, **options: Any) -> Any:
        name, part, more = stage.partition("/")
        return mapper(fn, rows, f"{in_iteration(name, iteration)}{part}{more}", **options)

    return cast("RowMapper", map_in)


@contextlib.contextmanager
def open_run(
    recipe: Recipe,
    folder: Path,
    *,
    recipe_text: str,
    answers_of: Sequence[Path] = (),
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    on_download: DownloadProgress | None = None,
) -> Iterator[Run]:
    """Open a run folder for this recipe, new or to be continued, and hold its lock.

    Models that are not on this machine are fetched once the folder is known to be free and to belong to the recipe.

    Args:
        recipe: what is run.
        folder: where.
        recipe_text: the recipe as it was given.
        answers_of: folders of other runs, from which answers to the same questions are taken over.
        progress: where rows and steps are shown.
        stop: set when the run is to stop.
        on_download: told how far a model's files are.

    Raises:
        Busy: where another process runs on the folder, or on a shard of it.
        RunError: where it belongs to another recipe or other inputs, or the disk is full.
        JournalError: where another run's answers cannot be read.
        ModelError: where a model does not exist, cannot be fetched or must not be loaded.
    """
    with held(folder) as place:
        require_no_shards(folder)
        with contextlib.ExitStack() as opened:
            others = [opened.enter_context(RecordedAnswers(other / "journal.sqlite")) for other in answers_of]
            yield opened.enter_context(
                begun(
                    recipe,
                    folder,
                    place,
                    recipe_text=recipe_text,
                    others=others,
                    progress=progress,
                    stop=stop,
                    on_download=on_download,
                )
            )


@contextlib.contextmanager
def begun(
    recipe: Recipe,
    folder: Path,
    place: Place,
    *,
    recipe_text: str,
    others: Sequence[RecordedAnswers] = (),
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    on_download: DownloadProgress | None = None,
) -> Iterator[Run]:
    """Begin a run, or go on with one, in a folder that is held; arguments and errors are those of ``open_run``."""
    _claim(recipe, folder, recipe_text, on_download)
    place.is_taken = True
    with opened_again(recipe, folder, others=others, progress=progress, stop=stop) as run:
        yield run


@contextlib.contextmanager
def opened_again(
    recipe: Recipe,
    folder: Path,
    *,
    others: Sequence[RecordedAnswers] = (),
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Run]:
    """Open a run in a folder that is held and belongs to the recipe: its models are not looked for."""
    with Journal(folder / "journal.sqlite") as journal:
        take_in_workers(journal, folder)
        run = Run(folder, recipe, journal, progress or NoProgress(), stop or threading.Event(), others=others)
        try:
            yield run
        finally:
            run.pool.close()


def check_place(recipe: Recipe, folder: Path) -> None:
    """Check that a folder is free for a recipe, or holds a run of that recipe; nothing is changed.

    Raises:
        RunError: for a file, a folder with other files, or one of another recipe.
    """
    check_contents(folder)
    if (folder / RESOLVED).exists():
        require_same_recipe(recipe, folder)


def check_files(recipe: Recipe, folder: Path) -> None:
    """Check that a run in a folder would find the files that it began with; its models are not looked at.

    Raises:
        UserError: where a file changed, is missing or is malformed.
    """
    if (folder / INPUTS).exists():
        check_unchanged(read_inputs(folder), fingerprint_files(recipe), folder, recipe, {})


def _claim(recipe: Recipe, folder: Path, recipe_text: str, on_download: DownloadProgress | None) -> None:
    """Write what the run is, or check that a run that is continued is the same."""
    check_place(recipe, folder)
    folders = _model_folders(recipe, on_download)
    names = {role: spec.name for role, spec in model_specs(recipe).items()}
    inputs = fingerprint_files(recipe) | fingerprint_models(folders, names)
    if (folder / INPUTS).exists():
        check_unchanged(read_inputs(folder), inputs, folder, recipe, names)
        keep_what_may_change(recipe, folder)
        return
    # The resolved recipe marks the folder as a run's: first, so that a run killed in between can be continued.
    write_text(folder / RESOLVED, dump_recipe(recipe, folder))
    write_text(folder / "recipe.yaml", recipe_text)
    write_json(folder / "environment.json", describe_environment(folders, inputs))
    copy_constitutions(recipe, folder)
    write_json(folder / INPUTS, inputs)


def _model_folders(recipe: Recipe, on_download: DownloadProgress | None) -> dict[str, ModelFolder | None]:
    """Find every role's model on this machine, fetching what is missing; scripted and served ones have no files."""
    return {
        role: None
        if not spec.has_weights
        else resolve_model(spec.name, trust_remote_code=spec.trust_remote_code, progress=on_download)
        for role, spec in model_specs(recipe).items()
    }
