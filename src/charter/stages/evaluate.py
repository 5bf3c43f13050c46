"""Stage ``evaluate``: base, SFT and DPO on the prompts that were held out."""

from __future__ import annotations

from charter.engines.base import Engine
from charter.evaluation import evaluate
from charter.files.tables import write_json, write_table
from charter.records import Comparison, Response
from charter.runs.folder import Run
from charter.stages.label import read_preferences
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise


def do_evaluate(run: Run) -> Summary:
    """Write ``data/responses.parquet``, ``data/comparisons.parquet`` and ``evaluation.json``."""
    settings = run.recipe.evaluate
    models: dict[str, Engine] = {"base": run.pool.engine("policy")}
    for name in ("sft", "dpo"):
        if run.model(name).exists() or run.recipe.models.policy.engine == "scripted":
            models[name] = run.pool.trained("policy", run.model(name))
    held_out = read_preferences(run)[1] if run.data("preferences").exists() else []
    found = evaluate(
        models,
        read_prompts(run, "evaluation"),
        run.constitution,
        judge=run.pool.engine("judge") if settings.head_to_head else None,
        helpful=run.helpful,
        preferences=held_out,
        multiple_choice=settings.multiple_choice,
        k_principles=settings.k_principles,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=run.recipe.seed,
        mapper=run.mapper,
    )
    write_table(run.data("responses"), found.responses, Response)
    write_table(run.data("comparisons"), found.comparisons, Comparison)
    measurements = [one.model_dump(mode="json") for one in found.measurements]
    write_json(run.folder / "evaluation.json", {"models": list(models), "measurements": measurements})
    n_out = sum(found.left_out.values())
    # A comparison without a readable verdict is a row of the table, and counted among those left out.
    n_done = len(found.responses) + sum(one.win is not None for one in found.comparisons)
    return summarise(n_done + n_out, n_done, filtered=found.left_out, counts={"measurements": len(measurements)})
