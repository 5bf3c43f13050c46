"""The weights that a training came to: put together where they are sharded, or those of a checkpoint before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from charter.training import ranks


def go_back(trainer: Any, checkpoint: Path) -> None:
    """Take the weights of a checkpoint, and what is told of the steps up to it."""
    trainer.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    trainer.state.best_model_checkpoint = str(checkpoint)
    trainer._load_best_model()  # noqa: SLF001 - what the library does at the end of a training that is to keep its best


def gather_trained(trainer: Any) -> dict[str, Any] | None:
    """Put sharded weights together, those that are trained, in the first process; None where every process has all."""
    if not ranks.shards_weights():
        return None
    if trainer.is_deepspeed_enabled:
        return trainer.accelerator.get_state_dict(trainer.model_wrapped)  # type: ignore[no-any-return]
    return {
        name: (weight.full_tensor() if hasattr(weight, "full_tensor") else weight).detach().cpu()
        for name, weight in trainer.model.named_parameters()
        if weight.requires_grad
    }
