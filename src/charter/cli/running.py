"""What ``run`` and the single stages share: from a recipe to an open run, stoppable, with progress."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charter.cli import console
from charter.cli.progress import Bars, Lines, make_progress
from charter.cli.stopping import Stopping
from charter.errors import CharterError, Interrupted

if TYPE_CHECKING:
    from charter.recipe import Recipe
    from charter.release.placing import Place
    from charter.runs.folder import Run

#: The end of what one process does before shards can go on, in the place of a stage.
UNTIL_SHARDS = "shards"
_WITHOUT_A_MODEL = frozenset({"prompts", "report"})
_SECONDS_BETWEEN_RETRIES = 5.0
_HOW_TO_RETRY = "which 'charter run' tries again, and --again with the whole stage; either undoes the later stages"


class Done(NamedTuple):
    """The folder of a run, and the stages that were asked for."""

    folder: Path
    stages: tuple[str, ...]


def run_folder(name: str, out: Path | None) -> Path:
    """Say where a recipe of this name runs."""
    return Path("runs") / name if out is None else out


def do_stages(
    recipe_file: Path,
    overrides: Sequence[str],
    out: Path | None,
    last: str,
    *,
    alone: bool = False,
    again: bool = False,
    retry: bool = True,
    answers_of: Sequence[Path] = (),
    quiet: bool = False,
    on: str | None = None,
    putting: bool = True,
) -> Done:
    """Check the inputs, open the run, which fetches its models, and do stages in it.

    Args:
        recipe_file: the recipe.
        overrides: ``key=value`` settings.
        out: the run's folder; None takes the recipe's name.
        last: the last stage to do, or ``UNTIL_SHARDS``.
        alone: whether it is the only one, but for the prompts, where they are not chosen yet.
        again: whether it is forgotten first (see ``pipeline.run_stages``).
        retry: see ``pipeline.run_stages``.
        answers_of: other runs, from which answers are taken over.
        quiet: whether to leave unsaid which model is loaded.
        on: ``ray`` where actors of a Ray cluster do the rows; None where this process does.
        putting: whether models are put where the environment says, too (see ``release.placing``).

    Raises:
        RecipeError: where the recipe does not do the last of the stages.
    """
    from charter.planning.preflight import check_inputs
    from charter.planning.served import check_served
    from charter.recipe import find_recipe, load_recipe
    from charter.release.placing import put_models

    if on is not None:
        from charter.scale.cluster import require_ray

        require_ray()
    recipe_file = find_recipe(recipe_file)
    recipe = load_recipe(recipe_file, overrides)
    folder = run_folder(recipe.name, out)
    names = _named(recipe, folder, last, alone=alone)
    forgotten = last if again else None
    places = _places(recipe, folder, names, forgotten) if putting else []
    check_inputs(recipe, names)
    say_retry = saying_retries()
    known = check_served(recipe, folder, _left(folder, names, forgotten), say_retry, None if quiet else console.note)
    with stoppable() as (stop, progress):
        say_loading = saying_loading(quiet=quiet)
        if on is None and _loads_first(recipe, folder, names, forgotten):
            say_loading(recipe.models.policy.name)  # libraries, seconds of them, come before the model does
        from charter.runs.folder import open_run

        options: dict[str, Any] = {
            "progress": progress,
            "stop": stop,
            "on_download": progress.download,
            "answers_of": answers_of,
        }
        with open_run(recipe, folder, recipe_text=recipe_file.read_text("utf-8"), **options) as run:
            run.pool.met = known
            run.pool.on_load, run.pool.on_retry = say_loading, say_retry
            run.pool.on_meet = None if quiet else console.note
            with _rows_done(run, on, answers_of):
                _do_noting(run, names, again=forgotten, retry=retry)
            if answers_of and on is None:
                console.note(f"answers taken over from other runs: {run.memory.n_borrowed}")
    for place in put_models(places, folder):
        console.note(f"the model of {place.stage} is in {place.folder} too, as {place.variable} says")
    return Done(folder, tuple(names))


def _places(recipe: Recipe, folder: Path, names: Sequence[str], again: str | None) -> list[Place]:
    """Find where the models of stages that are asked for are to be put too, and see that nothing is in their way."""
    from charter.release.placing import find_places, require_free

    places = [place for place in find_places(recipe) if place.stage in names]
    require_free(places, folder, again=again)
    return places


def _named(recipe: Recipe, folder: Path, last: str, *, alone: bool) -> list[str]:
    """Name the stages that a command asks for, those that are done among them."""
    from charter.recipe.stages import stages_to_do, stages_until

    if last == UNTIL_SHARDS:
        from charter.sharding.phases import stages_until_shards

        return stages_until_shards(recipe, folder)
    return stages_to_do(recipe, ("prompts", last)) if alone else stages_until(recipe, last)


@contextlib.contextmanager
def _rows_done(run: Run, on: str | None, answers_of: Sequence[Path]) -> Iterator[None]:
    """Have rows done where they are to be done, for as long as the context lasts."""
    if on is None:
        yield
        return
    from charter.scale.mapper import on_ray

    with on_ray(run, note=console.note, answers_of=answers_of):
        yield


@contextlib.contextmanager
def stoppable() -> Iterator[tuple[threading.Event, Bars | Lines]]:
    """Give the flag that Ctrl-C and SIGTERM set, and where progress is shown; end the process where it was stopped."""
    with Stopping() as stopping:
        try:
            with make_progress() as progress:
                yield stopping.event, progress
        except CharterError as error:
            if stopping.received is None:
                raise
            console.note(str(error) if isinstance(error, Interrupted) else f"stopped: {error}")
            stopping.end()


def _do_noting(run: Run, names: Sequence[str], *, again: str | None, retry: bool) -> None:
    """Do stages in an open run, and say what was done before, what failed, and what it undid."""
    from charter.pipeline import run_stages

    done = [name for name in names if run.summary(name).exists() and name != again]
    if done:
        console.note(f"done before: {', '.join(done)}")
    if retry:
        _note_failures(run, done, "which are tried again")
    with _noting_undone(run):
        run_stages(run, names, again=again, retry=retry)
    _note_failures(run, names, "which the same command tries again" if retry else _HOW_TO_RETRY)
    _note_notes(run, [name for name in names if name not in done])


def _note_notes(run: Run, names: Sequence[str]) -> None:
    """Say what stages that were done now have to say of themselves."""
    from charter.damage import read_summary

    for name in names:
        told = read_summary(run.summary(name)) if run.summary(name).exists() else {}
        for note in (*told.get("notes", ()), *(told.get("training") or {}).get("notes", ())):
            console.note(f"{name}: {note}")


def saying_loading(*, quiet: bool) -> Callable[[str], None]:
    """Make what says of each model, once, that it is loaded."""
    said: set[str] = set()

    def say(name: str) -> None:
        if name not in said and not quiet:
            console.note(f"loading {name}")
        said.add(name)

    return say


def saying_retries(
    say: Callable[[str], None] = console.note, clock: Callable[[], float] = time.monotonic
) -> Callable[[str], None]:
    """Make what says of calls to servers that they are tried again: a line every few seconds at most, above the bars.

    The next line says how many tries it was silent about.
    """
    lock = threading.Lock()  # engines call from threads of their own
    last, n_silent = -_SECONDS_BETWEEN_RETRIES, 0

    def say_seldom(text: str) -> None:
        nonlocal last, n_silent
        with lock:
            now = clock()
            if now - last < _SECONDS_BETWEEN_RETRIES:
                n_silent += 1
                return
            say(f"{text} ({n_silent} more tries failed since the last such line)" if n_silent else text)
            last, n_silent = now, 0

    return say_seldom


def _left(folder: Path, names: Sequence[str], again: str | None) -> list[str]:
    """Name the stages that are still to be done."""
    return [name for name in names if name == again or not (folder / "stages" / f"{name}.json").exists()]


def _loads_first(recipe: Recipe, folder: Path, names: Sequence[str], again: str | None) -> bool:
    """Tell whether the policy is what the first stage that is left will load."""
    from charter.recipe.stages import parted

    first = next((name for name in _left(folder, names, again) if name not in _WITHOUT_A_MODEL), None)
    return first is not None and parted(first).stage != "label" and recipe.models.policy.engine != "scripted"


@contextlib.contextmanager
def _noting_undone(run: Run) -> Iterator[None]:
    """Name the stages that were done before and are not afterwards, also where what was done between was stopped."""
    from charter.recipe.stages import stages_of

    before = [name for name in stages_of(run.recipe) if run.summary(name).exists()]
    try:
        yield
    finally:
        undone = [name for name in before if not run.summary(name).exists()]
        if undone:
            console.note(f"undone: {', '.join(undone)}; 'charter run' does them anew")


def _note_failures(run: Run, names: Sequence[str], what_then: str) -> None:
    from charter.pipeline import failures_before

    for name in names:
        n_failed = len(failures_before(run, name))
        if n_failed:
            console.note(f"{name}: done but for failed rows ({n_failed}), {what_then}")
