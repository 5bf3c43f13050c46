"""Tasks of lm-eval on any model of ours: lm-eval asks, an engine answers, and the figures are measured as all are."""

from charter.evaluation.lm_eval_tasks.figures import (
    SAMPLES,
    TaskFigure,
    measure_tasks,
    metrics_without_value,
    read_figures,
)
from charter.evaluation.lm_eval_tasks.lending import Lent, as_lm
from charter.evaluation.lm_eval_tasks.running import Tasks, installed_version, load_tasks, run_tasks

__all__ = [
    "SAMPLES",
    "Lent",
    "TaskFigure",
    "Tasks",
    "as_lm",
    "installed_version",
    "load_tasks",
    "measure_tasks",
    "metrics_without_value",
    "read_figures",
    "run_tasks",
]
