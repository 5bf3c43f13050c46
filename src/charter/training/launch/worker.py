"""One process of a training: ``accelerate launch --config_file FILE -m charter.training.launch.worker JOB``."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from charter.errors import Interrupted
from charter.files.tables import write_text
from charter.training import ranks
from charter.training.launch.job import Job, read_job, tell_error
from charter.training.methods import method_of
from charter.training.results import TrainingResult

_LOOK_SECONDS = 0.5


def work(folder: Path) -> int:
    """Do a process's part of the training that a folder tells of; gives the status to end with."""
    from accelerate import PartialState

    _end_with_parent()
    number = int(os.environ.get("RANK", "0"))
    try:
        job = read_job(folder)
        state = PartialState(cpu=job.on_cpu)  # joins the processes
        result = _train(job)
        if ranks.is_first():
            write_text(job.result, json.dumps(result.to_json()))
        ranks.barrier()
        state.destroy_process_group()
    except Interrupted as error:
        tell_error(folder, number, error)
        return 0
    except Exception as error:  # told to whoever began this, who decides
        tell_error(folder, number, error)
        raise
    return 0


def _train(job: Job) -> TrainingResult:
    with job.steps.open("a", encoding="utf-8") as steps:

        def on_step(step: int, n_steps: int, logs: Mapping[str, float]) -> None:
            steps.write(json.dumps([step, n_steps, dict(logs)]) + "\n")
            steps.flush()

        told = {**job.settings, "device": _device(job), "on_step": on_step, "stop": job.stop.exists}
        return method_of(job.stage)(job.rows, job.model, out=job.out, **told)


def _device(job: Job) -> str:
    """Name the device of this process: a GPU of its own, where they are used."""
    import torch

    if job.on_cpu:
        return "cpu"
    asked = str(job.settings["device"])
    is_any = asked in {"auto", "cuda"}
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if is_any and torch.cuda.is_available() else asked


def _end_with_parent() -> None:
    """End when the launcher is gone, however it ended: nobody would hear of this training any more."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
