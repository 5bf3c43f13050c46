"""What came of a training and what determined it: both lie in the trained model's folder, and none is done twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from charter.engines.weights import model_fingerprint, resolve_model
from charter.records import Preference
from charter.seeds import digest
from charter.training.adapters import LoraSettings
from charter.training.checkpoints import publish_again
from charter.training.data import RejectedRow
from charter.training.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A finished training.

    Attributes:
        folder: the trained adapter or model.
        n_rows: rows trained on.
        n_steps: optimiser steps.
        n_tokens: tokens of all rows over all epochs, padding left out; of a pair those of prompt and responses.
        n_loss_tokens: those of them that bear loss.
        seconds: time spent on steps and, in DPO, on the reference; in this and in earlier sittings.
        steps: each step's figures: ``step``, ``loss``, ``learning_rate``, ``grad_norm``, and the trainer's own.
        rejected: rows that were not trained on, each with its reason.
        notes: what a person should know: a checkpoint gone on from, or passed over.
        looks: what the training's guard saw (see ``collapse.measure_answers``), each with its ``step`` and how many
            ``seconds`` it took.
    """

    folder: Path
    n_rows: int
    n_steps: int
    n_tokens: int
    n_loss_tokens: int
    seconds: float
    steps: tuple[Mapping[str, float], ...]
    rejected: tuple[RejectedRow, ...]
    notes: tuple[str, ...]
    looks: tuple[Mapping[str, float], ...] = ()

    @property
    def losses(self) -> tuple[float, ...]:
        """Each step's loss."""
        return tuple(step["loss"] for step in self.steps)

    @property
    def tokens_per_second(self) -> float:
        """Tokens read per second of training."""
        return self.n_tokens / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Give plain values, without the folder; a figure that is not a finite number is null, as JSON has none."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "folder"}
        listed = {"rejected": [list(row) for row in self.rejected], "notes": list(self.notes)}
        return plain | listed | {"steps": _plain(self.steps), "looks": _plain(self.looks)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], folder: Path) -> TrainingResult:
        """Read what ``to_json`` gave."""
        rejected = tuple(RejectedRow(*row) for row in value["rejected"])
        listed = {"rejected": rejected, "notes": tuple(value["notes"])}
        figures = {name: tuple(map(as_numbers, value.get(name, ()))) for name in ("steps", "looks")}
        return cls(**{**value, "folder": folder, **listed, **figures})


def training_identity(
    stage: str,
    model: str | Path,
    rows: str,
    *,
    pace: Pace,
    lora: LoraSettings | None,
    trust_remote_code: bool,
    **settings: Any,
) -> dict[str, Any]:
    """Say what determines a training, as JSON values: a training goes on from its own checkpoints alone.

    Args:
        stage: which kind of training it is.
        model: what is trained; it counts by its content, not by its name or place.
        rows: a hash of what of each row is trained on.
        pace: how it goes about them.
        lora: the new adapter.
        trust_remote_code: whether the code that the model brings counts.
        settings: all else that determines the result. A device does not.

    Raises:
        ModelError: if there is no such model.
    """
    content = model_fingerprint(resolve_model(str(model), trust_remote_code=trust_remote_code))
    about = {"stage": stage, "model": content, "rows": rows, "pace": pace.identity}
    return {**about, "lora": asdict(lora) if lora else None, **settings}


def preferences_digest(preferences: Sequence[Preference]) -> str:
    """Hash what of each preference is trained on."""
    return digest(
        [
            [
                *(row.id, [turn.model_dump() for turn in row.prompt.turns]),
                *(row.chosen, row.whole_chosen, row.rejected, row.whole_rejected, row.p_chosen),
                *([row.weight] if row.weight != 1.0 else []),
            ]
            for row in preferences
        ]
    )


def earlier_result(out: Path, identity: Mapping[str, Any]) -> TrainingResult | None:
    """Give the result of the same training, where it was finished and is not in use yet.

    So it is after a process was killed just before the result was in its place, or before anything was told of it
    (see ``checkpoints.take_back``).
    """
    found = publish_again(out, identity)
    if found is None:
        return None
    result = TrainingResult.from_json(found, out)
    return replace(result, notes=(*result.notes, "was finished in an earlier sitting"))


def as_numbers(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Give figures of which those that nobody could tell, which TRL writes as None, are no numbers."""
    return {name: math.nan if value is None else value for name, value in figures.items()}


def _plain(lines: Sequence[Mapping[str, float | None]]) -> list[dict[str, float | None]]:
    return [
        {name: value if value is not None and math.isfinite(value) else None for name, value in line.items()}
        for line in lines
    ]
