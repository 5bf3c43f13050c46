"""What the processes of a training are told, and what they tell: files in a folder beside the model that comes to be.

```
models/sft.job/
  job.json        what is trained, and how
  rows.jsonl      on what
  stop            is there once the training is to stop
  steps.jsonl     each step's figures, as they come
  result.json     what was trained, at the end; or
  error-N.json    why process N could not go on
  log.txt         what the processes and their launcher wrote
```
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import errors
from charter.errors import CharterError, TrainingEnded
from charter.files.tables import write_text
from charter.records import Preference, SftRow
from charter.training.adapters import LoraSettings
from charter.training.collapse import Guard
from charter.training.destinations import Logs
from charter.training.methods import StageName
from charter.training.pace import Pace

#: What to do after a training that ended.
GO_ON = "The same command goes on from the last checkpoint."
_RECORDS: Mapping[str, type[SftRow | Preference]] = {"sft": SftRow, "preference_model": Preference, "dpo": Preference}


@dataclass(frozen=True, slots=True)
class Job:
    """A training, as the processes that do it are told of it.

    Attributes:
        folder: where they are told.
        stage: which function does it (see ``methods``).
        rows: what is trained on.
        model: what is trained.
        out: the folder to write.
        on_cpu: whether to keep off GPUs.
        settings: the function's other arguments.
    """

    folder: Path
    stage: StageName
    rows: Sequence[SftRow | Preference]
    model: str
    out: Path
    on_cpu: bool
    settings: Mapping[str, Any]

    @property
    def log(self) -> Path:
        """What the processes wrote."""
        return self.folder / "log.txt"

    @property
    def steps(self) -> Path:
        """The steps' figures, a JSON array a line: number, of how many, figures."""
        return self.folder / "steps.jsonl"

    @property
    def result(self) -> Path:
        """What came of it."""
        return self.folder / "result.json"

    @property
    def stop(self) -> Path:
        """The file that asks the processes to stop."""
        return self.folder / "stop"

    def write(self) -> None:
        """Write what the processes read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "rows.jsonl", "".join(row.model_dump_json() + "\n" for row in self.rows))
        plain = {
            name: dataclasses.asdict(value)
            if dataclasses.is_dataclass(value) and not isinstance(value, type)
            else value
            for name, value in self.settings.items()
        }
        told = {"stage": self.stage, "model": self.model, "out": str(self.out), "on_cpu": self.on_cpu}
        write_text(self.folder / "job.json", json.dumps({**told, "settings": plain}, indent=1))

    def told_error(self, first: int | None = None) -> CharterError | None:
        """Read why processes could not go on; None where none said.

        Args:
            first: the process that ended first, where that is known; others fail for want of it.
        """
        told = sorted(self.folder.glob("error-*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        said = {int(path.stem.removeprefix("error-")): json.loads(path.read_text("utf-8")) for path in told}
        for one in said.values():
            kind = getattr(errors, one["kind"], None)
            if isinstance(kind, type) and issubclass(kind, CharterError):
                return kind(one["message"])
        rank = next(iter(said), None) if first is None else first
        if rank not in said:
            return None
        what = f"process {rank} of the training failed: {said[rank]['kind']}: {said[rank]['message']}"
        return TrainingEnded(f"{what}; {self.log} has all that they wrote. {GO_ON}")


def tell_error(folder: Path, rank: int, error: Exception) -> None:
    """Say in a job's folder why a process cannot go on."""
    told = {"kind": type(error).__name__, "message": str(error) or repr(error)}
    write_text(folder / f"error-{rank}.json", json.dumps(told))


def _lines(path: Path) -> list[str]:
    # Not splitlines: texts hold other signs, such as U+2028, at which it would cut a row in two.
    return path.read_text("utf-8").split("\n")[:-1]


def read_job(folder: Path) -> Job:
    """Read what ``Job.write`` wrote."""
    told = json.loads((folder / "job.json").read_text("utf-8"))
    record = _RECORDS[told["stage"]]
    rows = [record.model_validate_json(line) for line in _lines(folder / "rows.jsonl")]
    settings = told["settings"]
    settings["pace"] = Pace(**settings["pace"])
    if settings.get("guard"):
        settings["guard"] = Guard(**{**settings["guard"], "length": tuple(settings["guard"]["length"])})
    if settings.get("logs"):
        settings["logs"] = Logs(**{**settings["logs"], "to": tuple(settings["logs"]["to"])})
    if settings.get("lora"):
        targets = settings["lora"]["targets"]
        named = targets if isinstance(targets, str) else tuple(targets)
        settings["lora"] = LoraSettings(**{**settings["lora"], "targets": named})
    return Job(folder, told["stage"], rows, told["model"], Path(told["out"]), told["on_cpu"], settings)
