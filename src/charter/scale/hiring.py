"""How actors are called for: what a crew stands on, what each is told, and what is said where there are too few."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from charter.engines.spending import Budget, Spending
from charter.errors import ClusterError
from charter.journal.store import Journal
from charter.recipe.settings import RaySettings
from charter.runs.place import WORKERS
from charter.scale.member import Member
from charter.scale.worker import Orders


@dataclass(frozen=True)
class Ground:
    """What a crew stands on.

    Args:
        folder: of the run; every actor sees it under this path.
        journal: of the run.
        settings: how many actors, and of what.
        spending: what calls to servers came to in the run.
        stop: set when the run is to stop.
        note: told what the person should know.
        stage: names the stage that is at work.
        others: journals of other runs, in which answers are looked for.
        on_retry: told of each try of an actor's call that failed.
        n_models: models in an actor's memory at once, at most; None takes as many as fit.
    """

    folder: Path
    journal: Journal
    settings: RaySettings
    spending: Spending
    stop: Event
    note: Callable[[str], None]
    stage: Callable[[], str]
    others: tuple[Path, ...] = ()
    on_retry: Callable[[str], None] | None = None
    n_models: int | None = None

    @property
    def rows_ahead(self) -> int:
        """Rows that an actor is given at once: some more than it does at once, so that no place is idle."""
        return self.settings.rows_per_actor + max(self.settings.rows_per_actor // 4, 4)

    def divide(self, n: int) -> Budget:
        """Give one of so many equal parts of what is left of the run's budget."""
        part = f" (an actor's part of it, one of {n})"
        return self.spending.budget.divide(self.spending, Spending(), n, part)

    def hire(self, part: Budget, *, before: Sequence[Path] = (), at_rest: Sequence[Path] = ()) -> Member:
        """Call for an actor.

        Args:
            part: of the budget, as it was divided.
            before: journals of those who had this part before, and were lost.
            at_rest: journals of lost ones that nobody writes any more.
        """
        folder = (self.folder / WORKERS).resolve()
        folder.mkdir(exist_ok=True)
        orders = Orders(
            journal=folder / f"{uuid.uuid4().hex[:12]}.sqlite",
            whole=self.journal.path.resolve(),
            others=tuple(path.resolve() for path in self.others),
            at_rest=tuple(at_rest),
            n_rows=self.settings.rows_per_actor,
            n_models=self.n_models,
            prices=self.spending.prices,
            budget=part,
            stage=self.stage(),
        )
        return Member(orders, self.settings, ahead=self.rows_ahead, before=before)

    def too_few(self, n_wanted: int, n_there: int, why: str) -> ClusterError:
        """Say that actors are missing, what each takes, what the cluster has, and why the last was lost, if one was."""
        import ray

        cpus, gpus = self.settings.cpus_per_actor, self.settings.gpus_per_actor
        has = " and ".join(f"{ray.cluster_resources().get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
        lost = f" The last that was lost: {why}." if why else ""
        return ClusterError(
            f"{n_wanted} Ray actors are needed, and after {self.settings.deadline_seconds:g} s (ray.deadline_seconds) "
            f"{n_there} are there. Each takes {cpus:g} CPUs and {gpus:g} GPUs, and the cluster has {has} in "
            f"all.{lost} Add nodes, ask for fewer or smaller actors (ray.n_actors, "
            "ray.cpus_per_actor, ray.gpus_per_actor), or wait for longer; then run the same command again: what was "
            "recorded is kept"
        )
