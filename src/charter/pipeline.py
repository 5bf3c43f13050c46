"""The stages of a run done one after another, resumable at any moment, and redone on request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from charter.damage import find_damage, read_summary
from charter.engines.memory import release_memory
from charter.errors import RunError
from charter.files.removal import remove
from charter.files.tables import write_json
from charter.journal.records import FORGOTTEN, Outcome
from charter.recipe.stages import stages_of, stages_to_do, verb_of
from charter.runs.folder import Run
from charter.runs.place import RESOLVED
from charter.runs.sittings import sitting, tally_so_far, undo_tally
from charter.runs.unmerged import require_merged
from charter.stages import do_stage, map_stage, read_by, written_by
from charter.training.checkpoints import take_back


def run_stages(run: Run, names: Sequence[str], *, again: str | None = None, retry: bool = True) -> None:
    """Do the named stages in order.

    A stage that is done is passed over. Of one whose rows failed in part those rows are tried again; where that brought
    any of them to another end, the stage is done anew from what is recorded, and so is every later one that is named:
    what the others wrote is undone, since it rests on rows that have changed. Where it brought none, a report that is
    still there at the end is drawn again, with what the tries took. A report that is missing is drawn anew too.

    Args:
        run: the open run.
        names: of stages, in their order; what the recipe does not do is passed over, but for the last.
        again: a stage to forget first, with every later one (see ``forget``).
        retry: whether failed rows of a stage that is done are tried again; if not, it is passed over.

    Raises:
        RecipeError: where the recipe does not do the last of the stages.
        RunError: where a stage's input is missing, or what a finished stage made; and where shards of the run did rows
            of a stage that is left, which are not merged.
        Interrupted: where the run was stopped; the same call continues it.
    """
    names = stages_to_do(run.recipe, names)
    _require_whole(run, names, again=again)
    require_merged(run.folder, run.journal, names)
    if again is not None:
        forget(run, again)
    in_vain = False  # whether a try brought nothing but time and calls, which the report tells too
    for name in names:
        run.check_stop()
        if name == "report" and find_damage(run.folder, [name]):
            run.summary(name).unlink()
        if not run.summary(name).exists():
            _check_inputs(run, name)
            _forget_later(run, name)
            _do(run, name)
            in_vain = in_vain and name != "report"  # of which this one tells
        elif retry and failures_before(run, name):
            in_vain = not _try_failed(run, name) or in_vain
    if in_vain and (run.folder / "report.html").exists():
        do_stage(run, "report")


def finish_stages(run: Run, names: Sequence[str], take_in: Callable[[], object]) -> None:
    """Do stages whose rows others have done, from what is recorded.

    Args:
        run: the open run, with a mapper that recalls rows.
        names: of stages, in their order; one that is done is passed over.
        take_in: takes in what the others recorded, of all these stages, once what is later than them is undone.

    Raises:
        RunError: where a stage's input is missing, or a row.
        Interrupted: where the run was stopped; the same call continues it.
    """
    _require_whole(run, names)
    left = [name for name in names if not run.summary(name).exists()]
    if left:
        _check_inputs(run, left[0])
        _forget_later(run, left[0])
    take_in()
    for name in left:
        run.check_stop()
        _check_inputs(run, name)
        _do(run, name)


def _require_whole(run: Run, names: Sequence[str], *, again: str | None = None) -> None:
    """Require what the finished stages made, of those up to the last named; one to be done again needs it no more.

    The report is not required: it is drawn from all the rest.

    Raises:
        RunError: where something is missing or damaged, with what to do.
    """
    stages = stages_of(run.recipe)
    end = stages.index(names[-1]) + 1 if names else 0
    done = stages[: end if again is None else min(end, stages.index(again))]
    damage = find_damage(run.folder, [name for name in done if name != "report"])
    if damage:
        raise RunError(str(damage[0]))


def failures_before(run: Run, name: str) -> list[str]:
    """Name the rows that had failed when a stage ended; none of a stage that has not ended."""
    summary = run.summary(name)
    return list(read_summary(summary).get("failed_rows", [])) if summary.exists() else []


def forget(run: Run, first: str) -> None:
    """Undo a stage and every later one: what they wrote, their rows in the journal and their summaries.

    Completions stay in the journal under what determines them, so that a stage which comes to ask the same again gets
    the same answers without a call.
    """
    names = stages_of(run.recipe)
    # Last stage first, so that an interruption leaves no stage done on top of one that is not.
    for name in reversed(names[names.index(first) :]):
        run.summary(name).unlink(missing_ok=True)
        for written in written_by(name):
            remove(run.folder / written)
            remove(run.folder / f"{written}.training")  # checkpoints, where a training was not finished
            remove(run.folder / f"{written}.job")  # what its processes were told, where they were several
        for recorded in _recorded(run, name):
            _forget_rows(run, recorded)
        undo_tally(run, name)


def _forget_later(run: Run, name: str) -> None:
    """Undo stages that were done or begun ahead of this one.

    Such are an evaluation before there was anything trained, and pairs of which half were sampled from an SFT model
    that is now trained anew.
    """
    names = stages_of(run.recipe)
    begun = [later for later in names[names.index(name) + 1 :] if run.summary(later).exists() or _has_rows(run, later)]
    if begun:
        forget(run, begun[0])


def _has_rows(run: Run, name: str) -> bool:
    return any(end.payload != FORGOTTEN for recorded in _recorded(run, name) for _, end in run.journal.walk(recorded))


def _recorded(run: Run, name: str) -> list[str]:
    """Name what a stage's rows are recorded under: the stage, or parts of it."""
    return [one for one in run.journal.stages() if one == name or one.startswith(f"{name}/")]


def _forget_rows(run: Run, stage: str) -> None:
    # A failed row is what the next run of the stage does again.
    for row in [row for row, _ in run.journal.walk(stage)]:
        run.journal.record(stage, row, Outcome("failed", FORGOTTEN))


def _check_inputs(run: Run, name: str) -> None:
    for needed in read_by(run.recipe, name):
        if not (run.folder / needed).exists():
            stages = stages_of(run.recipe)
            before = [one for one in stages[1 : stages.index(name)] if not run.summary(one).exists()]
            target = str(run.folder / RESOLVED), "--out", str(run.folder)
            commands = "\n".join(f"  {shlex.join(['charter', *verb_of(one), *target])}" for one in before)
            raise RunError(f"{run.folder / needed}: is missing; stage {name!r} reads it. Do first:\n{commands}")


def _try_failed(run: Run, name: str) -> bool:
    """Map a stage's rows again, of which the journal gives all but the failed; redo the stage where it has to be.

    Returns:
        Whether it had to be: whether the try brought any of the rows to another end.
    """
    failed = failures_before(run, name)
    with sitting(run, name):
        map_stage(run, name)
    if _failed_rows(run, name) == failed:
        write_json(run.summary(name), read_summary(run.summary(name)) | tally_so_far(run, name).columns())
        return False
    _forget_later(run, name)
    run.summary(name).unlink()
    _do(run, name)
    return True


def _failed_rows(run: Run, name: str) -> list[str]:
    return sorted(
        f"{recorded}: {row}"
        for recorded in _recorded(run, name)
        for row, end in run.journal.walk(recorded)
        if end.status == "failed" and end.payload != FORGOTTEN
    )


def _do(run: Run, name: str) -> None:
    for written in written_by(name):
        # Of a stage that was stopped before its summary: not known to be whole, but for a model that says what made it.
        if not take_back(run.folder / written):
            remove(run.folder / written)
    with sitting(run, name):
        summary = do_stage(run, name)
    release_memory()
    failed = _failed_rows(run, name) if summary["failed"] else []
    took = tally_so_far(run, name).columns()
    told = {"stage": name, "seconds": took["seconds"], **summary, "failed_rows": failed, "usage": took["usage"]}
    write_json(run.summary(name), told)
