"""Stage ``evaluate``: base, SFT and DPO on the prompts that were held out."""

from __future__ import annotations

from functools import partial

from charter.evaluation import evaluate
from charter.evaluation.suite import EngineSource
from charter.feedback.judge import Judging
from charter.files.tables import write_json, write_table
from charter.recipe.settings import LabelSettings
from charter.records import Comparison, Figures, Reading, Response
from charter.runs.folder import Run
from charter.stages.label import read_preferences
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise


def do_evaluate(run: Run) -> Summary:
    """Write ``data/responses.parquet``, ``comparisons.parquet``, ``readings.parquet`` and ``evaluation.json``."""
    settings = run.recipe.evaluate
    models: dict[str, EngineSource] = {"base": partial(run.pool.lend, "policy")}
    for name in ("sft", "dpo"):
        if run.model(name).exists() or run.recipe.models.policy.engine == "scripted":
            models[name] = partial(run.pool.lend, "policy", run.model(name))
    held_out = read_preferences(run)[1] if run.data("preferences").exists() else []
    found = evaluate(
        models,
        read_prompts(run, "evaluation"),
        run.constitution,
        judge=partial(run.pool.lend, "judge"),
        helpful=run.helpful,
        preferences=held_out,
        trained_on=read_prompts(run, "train"),
        judging=judging(run.recipe.label),
        seed=run.recipe.seed,
        mapper=run.mapper,
        **settings.model_dump(),
    )
    write_table(run.data("responses"), found.responses, Response)
    write_table(run.data("comparisons"), found.comparisons, Comparison)
    write_table(run.data("readings"), found.readings, Reading)
    figures = Figures(models=tuple(models), measurements=found.measurements)
    write_json(run.folder / "evaluation.json", figures.model_dump(mode="json"))
    return summarise(
        found.n_in,
        found.n_done,
        filtered=found.filtered,
        failed=found.failed,
        counts={"measurements": len(figures.measurements)},
    )


def judging(settings: LabelSettings) -> Judging:
    """Say how the run's judge is asked: evaluation asks it as the label stage does."""
    return Judging(
        n_few_shots=settings.n_few_shots,
        min_option_mass=settings.min_option_mass,
        chains=settings.chains,
        clamp=settings.clamp,
        max_chain_tokens=settings.max_chain_tokens,
    )
