"""A training process whose weights are sharded by FSDP2 on the CPU, which accelerate itself does on GPUs alone.

What differs is where accelerate looks for devices; sharding, gathering and the training are the real ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"

import torch.distributed
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from charter.training import trainer
from charter.training.launch.worker import work


def main(folder: Path) -> int:
    """Do a process's part of the training, and say how many of its weights are sharded at the end."""
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)  # type: ignore[method-assign]
    gather = trainer.gather_trained

    def gather_counted(trained: object) -> object:
        n = sum(hasattr(weight, "full_tensor") for weight in trained.model.parameters())  # type: ignore[attr-defined]
        (folder.parent / f"sharded-{os.environ['RANK']}").write_text(str(n))
        return gather(trained)

    trainer.gather_trained = gather_counted  # type: ignore[assignment]
    return work(folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
