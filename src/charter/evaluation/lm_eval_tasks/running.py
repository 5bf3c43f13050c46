"""Tasks of lm-eval, found and run by lm-eval itself on models of ours."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.evaluation.lm_eval_tasks.lending import Lent, as_lm
from charter.spelling import hint

_DRAWS = 1_000  # of lm-eval's bootstrap, of figures that are no means; its own default takes minutes
_WITHOUT_PROCESSES = "DISABLE_MULTIPROC"  # lm-eval's switch: its bootstrap otherwise forks this process


@dataclass(frozen=True)
class Tasks:
    """Tasks of lm-eval by name, as it has loaded them.

    Attributes:
        names: as they were asked for; a group's or tag's name stands for its tasks.
        found: lm-eval's task objects by name.
        few_shots: examples before each question; None leaves that to the tasks.
        limit: documents of each task, the first ones; None takes all.
        version: lm-eval's own.
    """

    names: tuple[str, ...]
    found: Mapping[str, Any]
    manager: Any
    few_shots: int | None
    limit: int | None
    version: str

    @property
    def greedy(self) -> frozenset[str]:
        """The tasks that ask whether a text is what the model itself would say."""
        return frozenset(
            name
            for name, task in self.found.items()
            if task.OUTPUT_TYPE == "loglikelihood"
            or (task.OUTPUT_TYPE == "multiple_choice" and "exact_match" in getattr(task, "_metric_fn_list", ()))
        )


def load_tasks(
    names: Sequence[str], *, include: Path | None = None, limit: int | None = None, few_shots: int | None = None
) -> Tasks:
    """Load tasks, their data included.

    Args:
        names: of tasks, groups and tags.
        include: a folder with tasks of one's own, each a YAML file.
        limit: documents of each task; None takes all.
        few_shots: examples before each question; None leaves that to the tasks.

    Raises:
        UserError: where lm-eval is not installed, for a name that it does not know, and data that cannot be had.
    """
    found = installed_version()
    if include is not None and not include.is_dir():
        raise UserError(f"--include {include}: no such folder; expected one that holds tasks as YAML files")
    with _quiet():
        manager = _index(names, include)
        known = manager.all_tasks
        for name in names:
            if name not in known:
                raise UserError(
                    f"TASK is {name!r}; expected one of lm-eval's {len(known):,} tasks and groups, or of --include"
                    f"{hint(name, known)}"
                )
        try:
            loaded = manager.load(list(names))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"TASK {' '.join(names)}: cannot be loaded ({type(error).__name__}: {error}); tasks fetch their data "
                "from the hub unless their YAML names files"
            ) from error
    return Tasks(tuple(names), loaded["tasks"], manager, few_shots, limit, found)


def _index(names: Sequence[str], include: Path | None) -> Any:
    """Find tasks: in one's own folder alone where all of them are there, for lm-eval's thousands take long to read."""
    from lm_eval.tasks import TaskManager

    if include is None:
        return TaskManager()
    own = TaskManager(include_path=str(include), include_defaults=False)
    if set(names) <= set(own.all_subtasks):
        return own
    return TaskManager(include_path=str(include))


def installed_version() -> str:
    """Give lm-eval's version.

    Raises:
        UserError: where it is not installed.
    """
    try:
        return version("lm_eval")
    except PackageNotFoundError as error:
        raise UserError(
            "lm-eval is not installed; pip install 'charter[lm-eval]', in an environment of its own where it asks for "
            "other versions"
        ) from error


def run_tasks(tasks: Tasks, lent: Lent) -> dict[str, Any]:
    """Have lm-eval run tasks on one model, and give its results, samples included.

    Raises:
        UserError: for tasks that lm-eval refuses to run, such as those that run code.
        RunError: where requests failed.
    """
    from lm_eval import simple_evaluate

    with _quiet():
        try:
            found: dict[str, Any] = simple_evaluate(
                as_lm(lent),
                tasks=list(tasks.names),
                task_manager=tasks.manager,
                num_fewshot=tasks.few_shots,
                limit=tasks.limit,
                bootstrap_iters=_DRAWS,
                log_samples=True,
            )
        except ValueError as error:
            raise UserError(f"TASK {' '.join(tasks.names)}: lm-eval refuses to run this ({error})") from error
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep lm-eval's messages below warnings, what it prints off stdout, and its bootstrap in this process."""
    logger = logging.getLogger("lm_eval")
    level, kept = logger.level, os.environ.get(_WITHOUT_PROCESSES)
    logger.setLevel(logging.ERROR)
    os.environ[_WITHOUT_PROCESSES] = "1"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)
        if kept is None:
            del os.environ[_WITHOUT_PROCESSES]
        else:
            os.environ[_WITHOUT_PROCESSES] = kept
