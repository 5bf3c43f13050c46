"""``charter evaluate lm-eval``: tasks of lm-eval, run by lm-eval itself on models of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating.entrants import Entrant, hold_to_models, read_models
from charter.cli.evaluating.figure_table import write_figures
from charter.cli.evaluating.options import KeptIn, Models
from charter.cli.held_file import hold_file, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.cli.held_file import Held
    from charter.evaluation.lm_eval_tasks import TaskFigure, Tasks

_FIGURES, _SAMPLES = "lm-eval.json", "samples.jsonl"

_Tasks = Annotated[
    list[str],
    typer.Argument(metavar="TASK...", help="Names of lm-eval's tasks, groups and tags.", show_default=False),
]
_Include = Annotated[
    Path | None,
    typer.Option(
        "--include",
        metavar="FOLDER",
        help="Where tasks of your own are, a YAML file each; such a file can name Python code, which then runs.",
        show_default=False,
    ),
]
_Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Documents of each task, the first ones; all if not given.", show_default=False
    ),
]
_FewShots = Annotated[
    int | None,
    typer.Option(
        "--few-shots", min=0, help="Worked examples before each question; as the task says if not given.",
        show_default=False,
    ),
]  # fmt: skip
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of texts that a task has drawn.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "lm-eval",
        epilog=examples(
            "charter evaluate lm-eval arc_easy hellaswag -m base=smollm2-135m -m dpo=runs/one/models/dpo",
            "charter evaluate lm-eval mine --include tasks -m smollm2-135m --limit 50 --json",
            "charter evaluate lm-eval gsm8k -m Qwen/Qwen2.5-7B-Instruct@vllm --few-shots 5 --out kept",
        ),
    )(lm_eval)


def lm_eval(  # noqa: PLR0917 - the command line names them
    tasks: _Tasks,
    models: Models,
    include: _Include = None,
    limit: _Limit = None,
    few_shots: _FewShots = None,
    engine: Engine = IN_PROCESS,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: AsJson = False,
) -> None:
    """Run tasks of lm-eval on models, by lm-eval itself (the extra charter[lm-eval]).

    lm-eval reads the tasks, asks and scores; Charter's engines answer. Beside lm-eval's value and standard error stands
    the 95 % interval of the documents' values. Of several models the others are compared with the first, document by
    document.
    """
    from charter.evaluation.lm_eval_tasks import load_tasks, measure_tasks, metrics_without_value, read_figures

    entrants = read_models(models, engine)
    loaded = load_tasks(tasks, include=include, limit=limit, few_shots=few_shots)
    with (
        keeping_folder(out, (_FIGURES, _SAMPLES), _FIGURES) as folder,
        hold_file(folder / _FIGURES, kept=out is not None) as held,
    ):
        held.require_setup({"--seed": seed})
        hold_to_models(held, entrants)
        found = {one.name: _run(held, one, loaded, seed) for one in entrants}
        figures = {name: read_figures(results) for name, results in found.items()}
        measured = measure_tasks(figures, base=entrants[0].name)
        told = {
            "tasks": tasks,
            "include": None if include is None else str(include),
            "limit": limit,
            "few_shots": few_shots,
            "lm_eval": loaded.version,
            "models": [one.told() for one in entrants],
            "n_few_shots": {name: results["n-shot"] for name, results in found.items()}[entrants[0].name],
            "measurements": [one.model_dump(mode="json") for one in measured],
            "by_lm_eval": [_plain(name, one) for name, several in figures.items() for one in several],
            "without_value": [
                {"model": name, "task": task, "metric": metric}
                for name, results in found.items()
                for task, metric in metrics_without_value(results)
            ],
        }
        if out is not None:
            _keep(folder, told, found)
    if as_json:
        console.write_json(told)
        return
    _tell(told)
    if out is not None:
        console.write(str(out))


def _run(held: Held, one: Entrant, tasks: Tasks, seed: int) -> dict[str, Any]:
    """Run the tasks on one model.

    Raises:
        UserError: where the model cannot be asked what a task asks.
    """
    from charter.errors import UserError
    from charter.evaluation.lm_eval_tasks import Lent, run_tasks

    with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
        for name, task in tasks.found.items():
            wanted = "complete" if task.OUTPUT_TYPE == "generate_until" else "score"
            if wanted not in engine.capabilities:
                raise UserError(
                    f"--model {one.source}: cannot be asked to {wanted} ({one.engine}), as the task {name} does; take "
                    "another --engine, or leave the task out"
                )
        return run_tasks(tasks, Lent(one.name, engine, held.mapper, seed, tasks.greedy))


def _plain(model: str, figure: TaskFigure) -> dict[str, Any]:
    """Give a figure as lm-eval gave it."""
    return {
        "model": model,
        "task": figure.task,
        "metric": figure.metric,
        "value": figure.value,
        "stderr": figure.stderr,
        "n": figure.n,
    }


def _keep(folder: Path, told: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the figures, and every document with what was asked, answered and scored."""
    import json

    from charter.files.tables import write_json, write_text

    lines = (
        json.dumps({"model": name, "task": task, **sample}, ensure_ascii=False, default=str)
        for name, results in found.items()
        for task, samples in results["samples"].items()
        for sample in samples
    )
    write_text(folder / _SAMPLES, "".join(f"{line}\n" for line in lines))
    write_json(folder / _FIGURES, told)


def _tell(told: Mapping[str, Any]) -> None:
    """Print the figures as text."""
    console.write(f"lm-eval {told['lm_eval']}: {' '.join(told['tasks'])}")
    console.write()
    write_figures(told["measurements"], heading="task and metric", name=lambda one: str(one["name"]))
    console.write()
    _tell_errors(told["by_lm_eval"])
    for one in told["without_value"]:
        console.write(f"{one['model']}: lm-eval gives no finite value of {one['task']}: {one['metric']}")


def _tell_errors(figures: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            f"{one['task']}: {one['metric']}",
            one["model"],
            f"{one['value']:.4f}",
            "" if one["stderr"] is None else f"{one['stderr']:.4f}",
            f"{one['n']:,}",
        )
        for one in figures
    ]
    console.write_columns(("as lm-eval has it", "model", "value", "standard error", "n"), rows, right=(2, 3, 4))
