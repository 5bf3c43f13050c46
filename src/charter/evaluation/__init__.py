"""Evaluation: what training changed, measured on held-out prompts, with intervals."""

from charter.evaluation.responding import respond_one
from charter.evaluation.suite import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate", "respond_one"]
