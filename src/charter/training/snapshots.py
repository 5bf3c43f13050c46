"""Models as they were on the way through a training, evenly spaced: for curves over it (CAI Figures 3, 8, 10).

They lie in the result's own folder, ``snapshots/STEP``, each a whole adapter or model; while the training goes on,
where the result is put together. A training that goes on from a checkpoint finds those that are there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from charter.training import ranks
from charter.training.adapters import Trainee, save_trained
from charter.training.checkpoints import Workplace, publish
from charter.training.pace import rounded_up
from charter.training.trained_weights import gather_trained

_FOLDER = "snapshots"


def snapshots_of(model: Path) -> list[tuple[int, Path]]:
    """Name the steps of a trained model's snapshots and their folders, in order; nothing where it has none."""
    folder = model / _FOLDER
    named = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(one.name), one) for one in named if one.name.isdecimal() and one.is_dir())


def snapshot_steps(n: int, n_steps: int, between: int = 1) -> list[int]:
    """Space ``n`` snapshots evenly between the first step and the last, which is the result itself.

    Args:
        n: how many are wanted; of a short training there are fewer.
        n_steps: of the training.
        between: steps of which they fall on multiples.
    """
    wanted = (rounded_up(number * n_steps // (n + 1), between) for number in range(1, n + 1))
    return [step for step in dict.fromkeys(wanted) if 0 < step < n_steps]


class Snapshots(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Writes the model at some steps of a training.

    Args:
        trainer: that trains.
        trainee: what it trains.
        workplace: where the result is put together.
        n: how many.
    """

    def __init__(self, trainer: Any, trainee: Trainee, workplace: Workplace, n: int) -> None:
        self._trainer = trainer
        self._trainee = trainee
        self._workplace = workplace
        self._n = n

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Write the model where one is due that is not there yet."""
        if state.global_step not in snapshot_steps(self._n, state.max_steps, self._trainer.steps_between_checkpoints):
            return
        place = self._workplace.staged / _FOLDER / str(state.global_step)
        if ranks.by_first(place.exists):
            return
        weights = gather_trained(self._trainer)  # by all processes, each of which may hold a part
        ranks.by_first(lambda: self._write(place, weights))

    def _write(self, place: Path, weights: Any) -> None:
        begun = self._workplace.folder / "snapshot"
        shutil.rmtree(begun, ignore_errors=True)  # of a sitting that was killed at it
        save_trained(self._trainer.model, self._trainee.tokenizer, begun, self._trainee.base, weights)
        publish(begun, place)
