"""Prompts that a run writes itself, where a recipe says ``generated``: red-team with their twins, and helpful ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.authoring.coverage import Axes, read_axes
from charter.authoring.dry_run import dry_answer
from charter.authoring.few_shots import read_examples
from charter.authoring.given_texts import read_given_texts
from charter.authoring.helpful import FIELDS as HELPFUL_FIELDS
from charter.authoring.helpful import helpful_subjects, write_helpful
from charter.authoring.red_team import FIELDS as RED_TEAM_FIELDS
from charter.authoring.red_team import red_team_subjects, write_red_team
from charter.authoring.structured import Asking
from charter.authoring.written import WrittenBatch, WrittenPrompt, WrittenSet, settle_written, write_rows
from charter.constitution import Constitution
from charter.engines.base import Engine
from charter.prompts import LoadedPrompts
from charter.recipe import Recipe
from charter.records import GENERATED, Prompt, PromptKind
from charter.rows import Mapped, RowMapper
from charter.runs.folder import Run


@dataclass(frozen=True)
class Generated:
    """The prompts that were written, by kind, and what the summary says of each."""

    loaded: dict[PromptKind, LoadedPrompts] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)


def generate_prompts(run: Run) -> Generated:
    """Write the prompts whose source is ``generated``, and ``data/written.jsonl`` with what was written beside them."""
    kinds = generated_kinds(run.recipe)
    found = Generated()
    written: list[WrittenPrompt] = []
    if "red_team" in kinds:
        made = _write_red_team(run)
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


def generated_kinds(recipe: Recipe) -> list[PromptKind]:
    """Name the kinds of prompts that a run writes itself."""
    return [kind for kind, source in recipe.prompts.sources().items() if source.source == GENERATED]


def written_file(run: Run) -> Path:
    """Name the file of what the run wrote: prompts, and the aligned and the misaligned answers that came with them."""
    return run.folder / "data" / "written.jsonl"


def ask_red_team(recipe: Recipe, constitution: Constitution, engine: Engine, mapper: RowMapper) -> Mapped[WrittenBatch]:
    """Have a model write the red-team prompts that a recipe wants, with their twins where those are to be written.

    Raises:
        UserError: where a file that the recipe names for it cannot be read.
    """
    settings = recipe.prompts.generate
    few_shots = None if settings.few_shots is None else read_examples(Path(settings.few_shots), RED_TEAM_FIELDS)
    return write_red_team(
        constitution,
        engine,
        n_per_principle=settings.n_per_principle,
        few_shots=few_shots,
        texts=None if settings.texts is None else read_given_texts(Path(settings.texts)),
        twins="benign_twin" in generated_kinds(recipe),
        stage="prompts/red_team",
        mapper=mapper,
        **_shared(recipe),
    )


def ask_helpful(recipe: Recipe, constitution: Constitution, engine: Engine, mapper: RowMapper) -> Mapped[WrittenBatch]:
    """Have a model write the helpful prompts that a recipe wants; raises as ``ask_red_team`` does."""
    settings = recipe.prompts.generate
    few_shots = None if settings.few_shots is None else read_examples(Path(settings.few_shots), HELPFUL_FIELDS)
    return write_helpful(
        constitution,
        engine,
        n=settings.n_helpful,
        few_shots=few_shots,
        stage="prompts/helpful",
        mapper=mapper,
        **_shared(recipe),
    )


def _write_red_team(run: Run) -> WrittenSet:
    axes, threshold = _axes(run.recipe), run.recipe.prompts.generate.near_duplicates
    mapped = ask_red_team(run.recipe, run.constitution, run.pool.engine("red_team", dry_answer), run.mapper)
    return settle_written(mapped, red_team_subjects(run.constitution, axes), axes.settings, threshold=threshold)


def _write_helpful(run: Run) -> WrittenSet:
    axes, threshold = _axes(run.recipe), run.recipe.prompts.generate.near_duplicates
    mapped = ask_helpful(run.recipe, run.constitution, run.pool.engine("red_team", dry_answer), run.mapper)
    return settle_written(mapped, helpful_subjects(axes), axes.settings, threshold=threshold)


def _axes(recipe: Recipe) -> Axes:
    file = recipe.prompts.generate.axes
    return Axes() if file is None else read_axes(Path(file))


def _shared(recipe: Recipe) -> dict[str, Any]:
    settings = recipe.prompts.generate
    return {
        "per_call": settings.per_call,
        "axes": _axes(recipe),
        "asking": Asking(
            form=settings.form,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            seed=recipe.seed,
        ),
        "source": GENERATED,
    }


def _loaded(prompts: tuple[Prompt, ...], written: WrittenSet | None) -> LoadedPrompts:
    """Give written prompts as a source is given; rows that were lost are counted once, with the prompts."""
    rejected = dict(written.summary["lost_rows"]) if written else {}
    n_alike = len(written.duplicates.dropped) if written else 0
    rejected |= {"near-duplicate": n_alike} if n_alike else {}
    return LoadedPrompts(prompts, rejected, GENERATED, given_ids=frozenset(prompt.id for prompt in prompts))
