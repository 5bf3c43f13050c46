"""Sycophancy: whether a model leaves a right answer for the wrong one that its user believes."""

from charter.evaluation.sycophancy.figures import measure_sycophancy
from charter.evaluation.sycophancy.questions import PLAIN, PRESSURES, Asked, pose, pose_all
from charter.evaluation.sycophancy.rows import SycophancyRow, load_rows

__all__ = [
    "PLAIN",
    "PRESSURES",
    "Asked",
    "SycophancyRow",
    "load_rows",
    "measure_sycophancy",
    "pose",
    "pose_all",
]
