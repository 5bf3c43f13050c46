"""Prompts that a run writes itself, where a recipe says ``generated``: red-team with their twins, and helpful ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.authoring.coverage import Axes, read_axes
from charter.authoring.few_shots import read_examples
from charter.authoring.given_texts import read_given_texts
from charter.authoring.helpful import FIELDS as HELPFUL_FIELDS
from charter.authoring.helpful import helpful_subjects, write_helpful
from charter.authoring.red_team import FIELDS as RED_TEAM_FIELDS
from charter.authoring.red_team import red_team_subjects, write_red_team
from charter.authoring.written import WrittenPrompt, WrittenSet, settle_written, write_rows
from charter.prompts import LoadedPrompts
from charter.recipe.data_folder import GENERATED
from charter.records import Prompt, PromptKind
from charter.runs.folder import Run


@dataclass(frozen=True)
class Generated:
    """The prompts that were written, by kind, and what the summary says of each."""

    loaded: dict[PromptKind, LoadedPrompts] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)


def generate_prompts(run: Run) -> Generated:
    """Write the prompts whose source is ``generated``, and ``data/written.jsonl`` with what was written beside them."""
    kinds = [kind for kind, source in run.recipe.prompts.sources().items() if source.source == GENERATED]
    found = Generated()
    written: list[WrittenPrompt] = []
    if "red_team" in kinds or "benign_twin" in kinds:
        made = _write_red_team(run, twins="benign_twin" in kinds)
        written += made.written
        for kind, prompts in (("red_team", made.prompts), ("benign_twin", made.twins)):
            if kind in kinds:
                found.loaded[kind] = _loaded(prompts, made if kind == "red_team" else None)
        found.counts["generated red-team prompts"] = made.summary
    if "helpful" in kinds:
        made = _write_helpful(run)
        written += made.written
        found.loaded["helpful"] = _loaded(made.prompts, made)
        found.counts["generated helpful prompts"] = made.summary
    if written:
        write_rows(written_file(run), written)
    return found


def written_file(run: Run) -> Path:
    """Name the file of what the run wrote: prompts, and the aligned and the misaligned answers that came with them."""
    return run.folder / "data" / "written.jsonl"


def _write_red_team(run: Run, *, twins: bool) -> WrittenSet:
    settings, axes = run.recipe.prompts.generate, _axes(run)
    few_shots = None if settings.few_shots is None else read_examples(Path(settings.few_shots), RED_TEAM_FIELDS)
    mapped = write_red_team(
        run.constitution,
        run.pool.engine("red_team"),
        n_per_principle=settings.n_per_principle,
        few_shots=few_shots,
        texts=None if settings.texts is None else read_given_texts(Path(settings.texts)),
        twins=twins,
        stage="prompts/red_team",
        **_shared(run, axes),
    )
    subjects = red_team_subjects(run.constitution, axes)
    return settle_written(mapped, subjects, axes.settings, threshold=settings.near_duplicates)


def _write_helpful(run: Run) -> WrittenSet:
    settings, axes = run.recipe.prompts.generate, _axes(run)
    few_shots = None if settings.few_shots is None else read_examples(Path(settings.few_shots), HELPFUL_FIELDS)
    mapped = write_helpful(
        run.constitution,
        run.pool.engine("red_team"),
        n=settings.n_helpful,
        few_shots=few_shots,
        stage="prompts/helpful",
        **_shared(run, axes),
    )
    return settle_written(mapped, helpful_subjects(axes), axes.settings, threshold=settings.near_duplicates)


def _axes(run: Run) -> Axes:
    file = run.recipe.prompts.generate.axes
    return Axes() if file is None else read_axes(Path(file))


def _shared(run: Run, axes: Axes) -> dict[str, Any]:
    settings = run.recipe.prompts.generate
    return {
        "per_call": settings.per_call,
        "axes": axes,
        "form": settings.form,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_tokens,
        "seed": run.recipe.seed,
        "source": GENERATED,
        "mapper": run.mapper,
    }


def _loaded(prompts: tuple[Prompt, ...], written: WrittenSet | None) -> LoadedPrompts:
    """Give written prompts as a source is given; rows that were lost are counted once, with the prompts."""
    rejected = dict(written.summary["lost_rows"]) if written else {}
    n_alike = len(written.duplicates.dropped) if written else 0
    rejected |= {"near-duplicate": n_alike} if n_alike else {}
    return LoadedPrompts(prompts, rejected, GENERATED, given_ids=frozenset(prompt.id for prompt in prompts))
