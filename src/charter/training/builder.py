"""How all trainers are built: TRL's arguments, with everything switched off that writes or reports, and one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from datasets import Dataset

from charter.engines.quiet import quiet_libraries
from charter.training import ranks
from charter.training.adapters import Trainee, base_of
from charter.training.pace import Pace
from charter.training.passes import Division, division_of, rows_at_once

Trainer = TypeVar("Trainer")

_LIBRARY_SEED = 2**32  # numpy's seeds are smaller than this


def trainer_arguments(pace: Pace, division: Division, trainee: Trainee, folder: Path, seed: int) -> dict[str, Any]:
    """Write a ``Pace`` as TRL's configuration wants it, with everything switched off that writes or reports.

    Of several processes each makes its part of a step, in the passes of ``division``.
    """
    return {
        "output_dir": str(folder),
        "num_train_epochs": pace.epochs,
        "learning_rate": pace.learning_rate,
        "per_device_train_batch_size": division.rows,
        "gradient_accumulation_steps": division.passes,
        "max_grad_norm": pace.max_grad_norm,
        "gradient_checkpointing": pace.gradient_checkpointing,
        "bf16": trainee.autocast == "bfloat16",
        "fp16": trainee.autocast == "float16",
        "use_cpu": trainee.device.type == "cpu",  # unsaid, a GPU is taken, and bfloat16 is refused on a CPU
        "seed": seed % _LIBRARY_SEED,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not a number is to be seen
        "save_strategy": "no",  # when to save is decided by the steps' watch
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": trainee.device.type == "cuda",
        "ddp_find_unused_parameters": False,  # every pass uses all that is trained
    }


def build_trainer(
    kind: tuple[Callable[..., Trainer], type[Any]],
    arguments: Mapping[str, Any],
    columns: Mapping[str, Any],
    trainee: Trainee,
    folder: Path,
    *,
    pace: Pace,
    seed: int,
    lengths: Sequence[int] | None = None,
    even: bool = False,
    **parts: Any,
) -> Trainer:
    """Build one of TRL's trainers, not settled yet.

    Args:
        kind: the trainer's class, or a function of the same arguments, and the class of its arguments.
        arguments: those of its own; the shared ones are ``trainer_arguments``'.
        columns: of the rows.
        trainee: what it trains.
        folder: receives its checkpoints.
        pace: how it goes about the rows.
        seed: the training's own.
        lengths: each row's number of tokens, if its passes may have fewer rows than its batches (see ``passes``).
        even: whether all passes of a step have as many rows.
        parts: what it is given besides.
    """
    build, configuration = kind
    division = division_of(pace, ranks.n_ranks(), _at_once(lengths, trainee), even=even)
    with quiet_libraries(), _kept_precise(trainee.model):
        settings = configuration(**trainer_arguments(pace, division, trainee, folder, seed), **arguments)
        trainer: Any = build(
            model=trainee.model,
            args=use_one_device(settings, trainee.device),
            train_dataset=Dataset.from_dict(columns),
            processing_class=trainee.tokenizer,
            **parts,
        )
    trainer.division = division
    return trainer  # type: ignore[no-any-return]  # whatever was asked for


@contextmanager
def _kept_precise(model: Any) -> Iterator[None]:
    """Keep what is trained as it is: TRL rounds an adapter behind quantised weights to bfloat16."""
    before = [(weight, weight.data) for weight in model.parameters() if weight.requires_grad]
    yield
    for weight, data in before:
        if weight.dtype != data.dtype:
            weight.data = data


def _at_once(lengths: Sequence[int] | None, trainee: Trainee) -> int | None:
    if lengths is None or ranks.shards_weights():  # these are gathered for every pass: the fewer the better
        return None
    dtype = getattr(torch, trainee.autocast) if trainee.autocast else base_of(trainee.model).dtype
    return rows_at_once(lengths, trainee.device, dtype)


def use_one_device(arguments: Any, device: torch.device) -> Any:
    """Train on this device alone, each process of several on its own.

    Left to themselves the libraries take every GPU, from the first on, and TRL refuses to spread over several without
    a launcher.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001 - there is no other way to say it
    if device.type == "cuda":
        arguments._setup_devices = device  # noqa: SLF001 - as above: the answer that ``arguments.device`` remembers
    return arguments
