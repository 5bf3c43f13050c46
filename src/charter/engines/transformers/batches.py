"""Which jobs share a pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from charter.engines.transformers.jobs import Drawing, Job

AnyJob = TypeVar("AnyJob", bound=Job)


def alike(jobs: Sequence[AnyJob], max_jobs: int, max_tokens: int, *, pads: bool) -> list[AnyJob]:
    """Choose the oldest job, and of those with its prefix the ones that are nearest to it in length.

    Args:
        jobs: what waits, the oldest first; at least one.
        max_jobs: how many are taken at most.
        max_tokens: how many tokens of their own they have at most; the oldest is taken whatever its length.
        pads: whether jobs of different lengths may share a pass.
    """
    oldest = jobs[0]
    near = [job for job in jobs if job.prefix_key == oldest.prefix_key and (pads or job.n_suffix == oldest.n_suffix)]
    near.sort(key=lambda job: (abs(job.n_suffix - oldest.n_suffix), job is not oldest))
    taken, n_tokens = [oldest], oldest.n_suffix
    for job in near[1:max_jobs]:
        n_tokens += job.n_suffix
        if n_tokens > max_tokens:
            break
        taken.append(job)
    return taken


def distinct(jobs: Sequence[AnyJob]) -> list[AnyJob]:
    """Leave out jobs of the same tokens as an earlier one: at the next turn they start from what that one computed."""
    return list({job.key: job for job in reversed(jobs)}.values())[::-1]


def within_memory(jobs: Sequence[Drawing], running: Sequence[Drawing], max_tokens: int | None) -> list[Drawing]:
    """Keep as many jobs as there is room for beside those that run; one job always may run alone.

    Every row may come to need as many cells as the longest, whose number of tokens is known before it is drawn.
    ``max_tokens`` is of all rows together; None knows no end.
    """
    longest = max((job.n_cells for job in running), default=0)
    n_rows, kept = len(running), []
    for job in jobs:
        longest = max(longest, job.n_cells)
        if max_tokens is not None and n_rows and (n_rows + 1) * longest > max_tokens:
            break
        n_rows += 1
        kept.append(job)
    return kept


def without(jobs: Sequence[AnyJob], taken: Sequence[AnyJob]) -> list[AnyJob]:
    """Leave out the jobs that were taken."""
    gone = {id(job) for job in taken}
    return [job for job in jobs if id(job) not in gone]
