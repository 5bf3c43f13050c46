"""Stage ``evaluate``: base, SFT, DPO and RL, as far as they are trained, on the prompts that were held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from charter.evaluation import evaluate
from charter.evaluation.adherence import Probes
from charter.evaluation.probe_loading import load_probes
from charter.evaluation.suite import EngineSource
from charter.files.tables import write_json, write_table
from charter.recipe.stages import policies_of
from charter.records import Adherence, Comparison, Figures, MeasuredRow, Probed, Prompt, Reading, Response
from charter.runs.folder import Run
from charter.runs.roles import other_specs
from charter.stages.label import judging_of, read_preferences
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise


def do_evaluate(run: Run) -> Summary:
    """Write ``evaluation.json``, and the rows behind its figures."""
    settings = run.recipe.evaluate
    models: dict[str, EngineSource] = {"base": partial(run.pool.lend, "policy")}
    for name in policies_of(run.recipe):
        if run.model(name).exists() or run.recipe.models.policy.engine == "scripted":
            models[name] = partial(run.pool.lend, "policy", run.model(name))
    trained_on = read_prompts(run, "train")
    held_out = read_preferences(run)[1] if run.data("preferences").exists() else []
    probes, not_put = _probes(run, trained_on)
    found = evaluate(
        models,
        read_prompts(run, "evaluation"),
        run.constitution,
        judge=partial(run.pool.lend, "judge"),
        helpful=run.helpful,
        preferences=held_out,
        trained_on=trained_on,
        probes=probes,
        others={name: partial(run.pool.borrow, spec) for name, spec in other_specs(run.recipe).items()},
        near_duplicates=run.recipe.prompts.near_duplicates,
        judging=judging_of(run.recipe),
        seed=run.recipe.seed,
        mapper=run.mapper,
        **settings.model_dump(exclude={"probes", "others"}),
    )
    write_table(run.data("responses"), found.responses, Response)
    write_table(run.data("comparisons"), found.comparisons, Comparison)
    write_table(run.data("readings"), found.readings, Reading)
    write_table(run.data("probes"), found.probed, Probed)
    write_table(run.data("adherence"), found.adherence, Adherence)
    measured = (row for one in found.measurements for row in one.measured)
    write_table(run.data("measured"), measured, MeasuredRow)
    figures = Figures(models=tuple(models), measurements=found.measurements)
    write_json(run.folder / "evaluation.json", figures.model_dump(mode="json"))
    return summarise(
        found.n_in + sum(not_put.values()),
        found.n_done,
        filtered=Counter(found.filtered) + not_put,
        failed=found.failed,
        counts={"measurements": len(figures.measurements)},
    )


def _probes(run: Run, trained_on: Sequence[Prompt]) -> tuple[list[Probes], Counter[str]]:
    """Read the probes of every constitution that is asked about, and count those left out by reason."""
    probes, left_out = [], Counter[str]()
    for one in run.recipe.evaluate.probes:
        loaded = load_probes(
            one.constitution,
            one.source,
            n=one.n,
            trained_on=trained_on,
            near_duplicates=run.recipe.prompts.near_duplicates,
        )
        probes.append(loaded.probes)
        left_out.update({f"probes of {loaded.probes.name}: {reason}": n for reason, n in loaded.left_out.items()})
    return probes, left_out
