"""How far a run is: read from its folder, whether a process is at work in it or not."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from charter.damage import Damage, find_damage, read_summary
from charter.errors import RunError
from charter.journal.reading import Counted, count_journal
from charter.journal.records import FORGOTTEN
from charter.recipe import Recipe, load_recipe
from charter.recipe.stages import stages_of
from charter.runs.place import holder_of
from charter.runs.sittings import was_begun
from charter.runs.tally import Tally
from charter.sharding.overview import ShardStatus, read_shards, what_is_next

State = Literal["done", "done with failures", "damaged", "running", "interrupted", "waiting"]


@dataclass(frozen=True)
class StageStatus:
    """One stage: its state, and what became of its rows so far.

    A stage ``done with failures`` ended without some of its rows, which the next run tries again; a ``damaged`` one was
    done, and what it made is gone or cannot be read. Of a stage that is done the figures are its summary's; of another
    one, the journal's. ``filtered`` and ``failed`` count rows by reason. ``seconds`` is None before the stage is done,
    ``money`` where no price is known of what it asked. ``stopped`` says why it stopped at the budget, if it did.
    """

    stage: str
    state: State
    n_done: int = 0
    filtered: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    money: float | None = None
    stopped: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the stage has ended, with or without failures."""
        return self.state in {"done", "done with failures"}


@dataclass(frozen=True)
class RunStatus:
    """A run: its stages in order, who is at work in it (empty: nobody), what is damaged, and what to do next.

    ``shards`` are those that are at it (see ``sharding.overview``).

    ``n_damaged`` counts records of the journal, ``damage`` says of finished stages what is wrong and what to do.
    """

    folder: Path
    name: str
    holder: str
    stages: tuple[StageStatus, ...]
    n_damaged: int
    damage: tuple[Damage, ...]
    next_step: str
    shards: tuple[ShardStatus, ...] = ()

    @property
    def money(self) -> float | None:
        """What servers were paid so far; None where no price is known of what was asked."""
        return add_money(stage.money for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        shards = [one.to_dict() for one in self.shards]
        return {**asdict(self), "money": self.money, "folder": str(self.folder), "shards": shards}


def read_status(folder: Path) -> RunStatus:
    """Read how far a run is; a run under way is not disturbed.

    Raises:
        RunError: where the folder is none of a run.
    """
    recipe = read_run_recipe(folder)
    holder = holder_of(folder)
    recorded = count_journal(folder / "journal.sqlite")
    ends = _ends(recorded)
    # While somebody is at work what a stage made may be half taken back, to be made anew.
    names = stages_of(recipe)
    damage = () if holder else tuple(find_damage(folder, names))
    damaged = {one.stage for one in damage}
    stages: list[StageStatus] = []
    for name in names:
        path = folder / "stages" / f"{name}.json"
        if path.exists() and name not in damaged:
            stages.append(_ended(name, read_summary(path)))
            continue
        state: State = "damaged" if name in damaged else "waiting"
        if state == "waiting" and (not stages or stages[-1].is_done):
            counted = ends.get(name) or was_begun(recorded.tallies.get(name))
            state = "running" if holder else "interrupted" if counted else "waiting"
        stages.append(_unfinished(name, state, ends.get(name, Counter()), recorded))
    shards = tuple(read_shards(folder))
    by_shards = "" if holder or damage else what_is_next(folder, shards)
    next_step = by_shards or _next_step(folder, holder, stages, damage)
    return RunStatus(folder, recipe.name, holder, tuple(stages), recorded.n_damaged, damage, next_step, shards)


def read_run_recipe(folder: Path) -> Recipe:
    """Read the recipe that a run folder belongs to.

    Raises:
        RunError: where the folder is none of a run.
    """
    resolved = folder / "recipe.resolved.yaml"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise RunError(f"{folder}: {what}; name the folder of a run, which 'charter run' prints last")
    if not resolved.exists():
        raise RunError(f"{folder}: is no run's folder (it has no {resolved.name}); name one that 'charter run' made")
    return load_recipe(resolved)


def money_of(summary: Mapping[str, Any]) -> float | None:
    """Read from a stage's summary what servers were paid; None where no price was known of what it asked."""
    return add_money(used.get("money") for used in summary["usage"].values())


def add_money(several: Iterable[float | None]) -> float | None:
    """Add up money, as far as it is known; None where none is."""
    known = [money for money in several if money is not None]
    return sum(known) if known else None


def read_summaries(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read the summaries of those of the named stages that are done, in order."""
    paths = {name: folder / "stages" / f"{name}.json" for name in names}
    return {name: read_summary(path) for name, path in paths.items() if path.exists()}


def _ended(name: str, summary: Mapping[str, Any]) -> StageStatus:
    state: State = "done with failures" if summary["failed"] else "done"
    counts = (summary["n_done"], summary["filtered"], summary["failed"])
    return StageStatus(name, state, *counts, seconds=summary["seconds"], money=money_of(summary))


def _unfinished(name: str, state: State, ends: Counter[tuple[str, str]], recorded: Counted) -> StageStatus:
    kept = recorded.tallies.get(name)
    tally = Tally() if kept is None else Tally.from_json(kept)
    everywhere = sum(map(Tally.from_json, recorded.taken.get(name, ())), tally)
    return StageStatus(
        name,
        state,
        n_done=sum(n for (status, _), n in ends.items() if status == "done"),
        filtered=_reasons(ends, "filtered"),
        failed=_reasons(ends, "failed"),
        money=add_money(everywhere.money.values()),
        stopped=tally.stopped if state == "interrupted" else "",
    )


def _reasons(ends: Counter[tuple[str, str]], wanted: str) -> dict[str, int]:
    return {reason: n for (status, reason), n in sorted(ends.items()) if status == wanted}


def _ends(recorded: Counted) -> Mapping[str, Counter[tuple[str, str]]]:
    """Count the journal's rows by stage, end and reason, parts of a stage together."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for stage, ends in recorded.ends.items():
        counted = found.setdefault(stage.partition("/")[0], Counter())
        counted.update({end: n for end, n in ends.items() if end[1] != FORGOTTEN})
    return found


def _next_step(folder: Path, holder: str, stages: Sequence[StageStatus], damage: Sequence[Damage]) -> str:
    if holder:
        return f"{holder} is at work here; wait for it"
    if damage:
        return damage[0].remedy
    command = shlex.join(["charter", "run", str(folder / "recipe.resolved.yaml"), "--out", str(folder)])
    left = [stage for stage in stages if not stage.is_done]
    if left:
        key = left[0].stopped.partition(" ")[0]  # a stop at the budget begins with what sets it
        first, last = (f"raise {key} and ", f" {key}=MORE") if key else ("", "")
        return f"{first}go on with {left[0].stage!r}: {command}{last}"
    n_failed = sum(sum(stage.failed.values()) for stage in stages)
    if n_failed:
        return f"try the {n_failed} failed rows again: {command}"
    return f"read {folder / 'report.html'}"
