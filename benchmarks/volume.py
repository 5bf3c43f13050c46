"""What a run takes beside the model: bytes on disk, memory of the process, and seconds, by stage and number of prompts.

    python -m benchmarks.volume [--prompts 1000 10000] [--keep FOLDER]

Each size is a run of its own with the scripted engine, which answers at once: N red-team prompts and N helpful ones,
two rounds of revision, N pairs, labels of one principle, an evaluation of 20 prompts of each kind, and the report. No
stage trains. Every stage is its own process (``charter run --until STAGE``), so that its peak of memory is its own.

One JSON line a size: ``prompts``, ``files`` (bytes by file of the run folder), ``stages`` (by name: rows, calls,
``seconds`` as the stage counted them, ``process_seconds``, ``peak_bytes`` of the process).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from charter.prompts import load_prompts
from charter.records import PromptKind

STAGES = ("prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate", "report")
_HELD_OUT = 20  # prompts of each kind
_KIBIBYTE = 1024


def write_recipe(folder: Path, n: int) -> Path:
    """Write prompts and a recipe that uses all of them."""
    chance = random.Random(0)  # noqa: S311 - not a secret
    for kind in ("red_team", "helpful"):
        texts = _words(kind)
        lines = (
            json.dumps({"prompt": " ".join(chance.choices(texts, k=14)) + f" {number}?"})
            for number in range(n + _HELD_OUT)
        )
        (folder / f"{kind}.jsonl").write_text("\n".join(lines), "utf-8")
    recipe: dict[str, Any] = {
        "name": "volume",
        "constitution": "harmless",
        "models": {"policy": {"name": "demo", "engine": "scripted"}},
        "prompts": {
            "red_team": "red_team.jsonl",
            "helpful": "helpful.jsonl",
            "benign_twin": None,
            "n_train": n,
            "n_train_helpful": n,
            "n_evaluation": _HELD_OUT,
            "n_evaluation_helpful": _HELD_OUT,
        },
        "pairs": {"n": n, "kinds": {"red_team": 0.5, "helpful": 0.5}},
        "label": {"k_principles": 1, "held_out": 0.01},
    }
    path = folder / "volume.yaml"
    path.write_text(json.dumps(recipe), "utf-8")
    return path


def _words(kind: PromptKind) -> list[str]:
    """Gather the words of the built-in prompts: near-duplicates are looked for by words."""
    return sorted({word for prompt in load_prompts("built-in", kind).prompts for word in prompt.text.split()})


def measure(n: int, folder: Path) -> dict[str, Any]:
    """Run all stages at one size, a process each."""
    recipe, run = write_recipe(folder, n), folder / "run"
    stages = {}
    for stage in STAGES:
        command = [sys.executable, "-m", "charter", "run", str(recipe), "--out", str(run), "--until", stage, "--json"]
        began = time.perf_counter()
        peak = _peak_of(command)
        summary = json.loads((run / "stages" / f"{stage}.json").read_text("utf-8"))
        used = summary.get("usage", {}).values()
        stages[stage] = {
            "rows": summary["n_in"],
            "calls": sum(one["n_calls"] + one["n_cached"] for one in used),
            "tokens": sum(one["n_completion_tokens"] for one in used),
            "seconds": summary["seconds"],
            "process_seconds": time.perf_counter() - began,
            "peak_bytes": peak,
        }
        sys.stderr.write(f"{n} prompts, {stage}: {json.dumps(stages[stage])}\n")
    files = {path.relative_to(run).as_posix(): path.stat().st_size for path in sorted(run.rglob("*")) if path.is_file()}
    return {"prompts": n, "stages": stages, "files": files}


def _peak_of(command: list[str]) -> int:
    """Run a command to its end, and say how many bytes it held at the most."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own command
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_maxrss * _KIBIBYTE


def main() -> None:
    """Measure the sizes that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--keep", type=Path, help="where the runs stay; a temporary folder otherwise")
    given = parser.parse_args()
    for n in given.prompts:
        with tempfile.TemporaryDirectory() as passing:
            folder = Path(passing) if given.keep is None else given.keep / str(n)
            folder.mkdir(parents=True, exist_ok=True)
            sys.stdout.write(f"{json.dumps(measure(n, folder))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
