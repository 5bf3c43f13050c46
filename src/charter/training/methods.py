"""The functions that train, by the stage that they do; each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from charter.training.results import TrainingResult

StageName = Literal["sft", "preference_model", "dpo"]


def method_of(stage: StageName) -> Callable[..., TrainingResult]:
    """Give the function that does a stage's training."""
    if stage == "sft":
        from charter.training.sft import sft

        return sft
    if stage == "preference_model":
        from charter.training.preference_model import preference_model

        return preference_model
    from charter.training.dpo import dpo

    return dpo
