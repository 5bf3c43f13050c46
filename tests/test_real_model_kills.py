"""Runs of the embedded model that are killed or told to stop in the middle of a stage, and go on to the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from charter.engines.quiet import quiet_libraries
from charter.stages import STAGES
from run_examples import SMALL_STAGES, journal_rows, summaries

pytestmark = [pytest.mark.model, pytest.mark.thorough]

RECIPE = """\
name: tiny
constitution: harmless
models: {policy: {name: smollm2-135m, dtype: float32}}
prompts: {n_train: 5, n_train_helpful: 3, n_evaluation: 1, n_evaluation_helpful: 1}
revise:
  {rounds: 1, layout: transcript, initial_layout: chat, n_few_shots: 0, max_tokens: 32, max_critique_tokens: 8,
   on_cut: trim}
sft:
  {helpful_ratio: 0.5, twin_ratio: 0.0, max_tokens: 32, on_cut: trim, max_length: 256, batch_size: 1,
   lora: {r: 4, alpha: 8}, guard: {n_prompts: 2, max_tokens: 8}}
pairs:
  n: 4
  sources:
    {red_team: {revision_vs_initial: 1.0}, benign_twin: {on_policy: 1.0}, helpful: {on_policy: 1.0}}
  max_tokens: 32
  on_cut: trim
label: {k_principles: 1, n_few_shots: 0, held_out: 0.0}
dpo: {max_length: 256, batch_size: 1, guard: {n_prompts: 2, max_tokens: 8}}
evaluate: {max_tokens: 16}
"""

# Strikes itself with a signal at the n-th row, forward pass or training step of a stage, or before its summary.
STRUCK = """
import os, sys, time
from pathlib import Path

from charter import pipeline
from charter.journal import store
from charter.cli import main
from charter.engines.transformers.decoding import SharedPrefixDecoder
from charter.training.pace import Pace

stage, moment, at, number = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
at_work, n_moments = "", 0

def pass_by(name):
    global n_moments
    if (at_work, name) != (stage, moment):
        return
    n_moments += 1
    if n_moments == at:
        Path("struck").write_text(str(time.monotonic()))
        os.kill(os.getpid(), number)

def before(owner, name, moment):
    inner = getattr(owner, name)
    def does(*arguments, **named):
        pass_by(moment)
        return inner(*arguments, **named)
    setattr(owner, name, does)

do, record = pipeline._do, store.Journal.record

def does(run, name):
    global at_work
    at_work = name
    do(run, name)

def records(journal, *row):
    record(journal, *row)
    journal.flush()
    pass_by("row")

pipeline._do, store.Journal.record = does, records
before(SharedPrefixDecoder, "step", "pass")
if moment == "step":
    from charter.training.sft import SftTrainer
    before(SftTrainer, "compute_loss", "step")
before(pipeline, "write_json", "summary")
Pace.__init__.__kwdefaults__["save_steps"] = 2
main(sys.argv[5:])
"""
GO_ON = "import sys; from charter.cli import main; main(sys.argv[1:])"


def run_tiny(place: Path, *program: str) -> subprocess.CompletedProcess[str]:
    """Run the recipe in ``place/run`` in a process of its own; ``program`` is what goes before the command's words."""
    (place / "tiny.yaml").write_text(RECIPE, "utf-8")
    (place / "struck").unlink(missing_ok=True)
    return subprocess.run(
        [sys.executable, "-c", *(program or (GO_ON,)), "run", "tiny.yaml", "--out", "run"],
        cwd=place,
        # One thread loses little on so small a model, and does not wait for another that got no processor.
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def strike(place: Path, stage: str, moment: str, at: int, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Run it until a moment at which a signal comes."""
    return run_tiny(place, STRUCK, stage, moment, str(at), str(int(number)))


@pytest.fixture(scope="module")
def finished(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that nothing interrupted."""
    del smollm2  # it is on this machine once the fixture is there
    place = tmp_path_factory.mktemp("uninterrupted")
    done = run_tiny(place)
    assert done.returncode == 0, done.stderr
    return place / "run"


def told(value: Any) -> Any:
    """Leave out what an interruption may change: times, and notes on earlier sittings."""
    if isinstance(value, dict):
        return {key: told(one) for key, one in value.items() if key not in {"seconds", "notes"}}
    return [told(one) for one in value] if isinstance(value, list) else value


def close(value: Any) -> Any:
    """Let figures differ by rounding: it depends on which rows share a pass, and that on the moment."""
    if isinstance(value, dict):
        return {key: close(one) for key, one in value.items()}
    if isinstance(value, list):
        return [close(one) for one in value]
    return pytest.approx(value, abs=1e-3) if isinstance(value, float) else value


def assert_same(run: Path, finished: Path) -> None:
    """Hold a run that was interrupted against one that was not: every row once, the same texts, the same training."""
    import pyarrow.parquet as pq

    names = sorted(path.name for path in (finished / "data").iterdir())
    for name in names:
        rows, wanted = (pq.read_table(folder / "data" / name).to_pylist() for folder in (run, finished))
        assert rows == close(wanted), name
        assert len({row["id"] for row in rows}) == len(rows), name
    exact = ("data/prompts.parquet", "data/traces.parquet", "data/sft.parquet", "models/sft/adapter_model.safetensors")
    for name in exact:
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
    assert [row[:3] for row in journal_rows(run)] == [row[:3] for row in journal_rows(finished)]
    assert told(summaries(run)) == close(told(summaries(finished)))
    figures, wanted = (json.loads((folder / "evaluation.json").read_text("utf-8")) for folder in (run, finished))
    assert figures == close(wanted)
    # TensorBoard begins a file in each sitting, and names it after the moment.
    names, expected = (
        sorted(path.name for path in folder.rglob("*") if not path.name.startswith("events.out."))
        for folder in (run, finished)
    )
    assert names == expected


def assert_adapters_load(run: Path, base: Path) -> None:
    """Load the run's adapters with PEFT alone: they are whole, and DPO went on from SFT's."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with quiet_libraries():  # PEFT's own deprecated call
        model = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), run / "models/sft", adapter_name="sft"
        )
        model.load_adapter(run / "models/dpo", adapter_name="dpo")
    trained = {name: value for name, value in model.named_parameters() if ".lora_B." in name}
    sft = {name: value for name, value in trained.items() if name.endswith(".sft.weight")}
    assert sft
    assert all(value.any() for value in sft.values())
    assert not all(value.equal(trained[name.replace(".sft.", ".dpo.")]) for name, value in sft.items())


def stages_done(run: Path) -> tuple[str, ...]:
    """Name the stages that have ended."""
    return tuple(name for name in STAGES if (run / "stages" / f"{name}.json").exists())


def test_a_run_killed_three_times_ends_as_if_it_never_was(tmp_path: Path, finished: Path, smollm2: Path) -> None:
    """Killed among the rows of revise, after a checkpoint of SFT, and between DPO's model and its summary."""
    run = tmp_path / "run"
    killed = strike(tmp_path, "revise", "row", 2, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert stages_done(run) == ("prompts",)
    assert [stage for stage, *_ in journal_rows(run)] == ["revise", "revise"]

    killed = strike(tmp_path, "sft", "step", 3, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "revise: 5/5, 2 of them before" in killed.stderr
    assert stages_done(run) == ("prompts", "revise")
    assert (run / "models/sft.training/checkpoint-2/complete.json").exists()

    killed = strike(tmp_path, "dpo", "summary", 1, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert stages_done(run)[-1] == "label"
    assert (run / "models/dpo").exists()
    assert "went on from checkpoint-2" in summaries(run)["sft"]["training"]["notes"]

    done = run_tiny(tmp_path)
    assert done.returncode == 0, done.stderr
    assert summaries(run)["dpo"]["training"]["notes"][-1] == "was finished in an earlier sitting"
    assert_same(run, finished)
    assert_adapters_load(run, smollm2)


def test_a_run_told_to_stop_three_times_ends_as_if_it_never_was(tmp_path: Path, finished: Path) -> None:
    """Ctrl-C or SIGTERM in the middle of a forward pass or a training step ends it within ten seconds, cleanly."""
    for stage, moment, at, number in (
        ("revise", "pass", 20, signal.SIGINT),
        ("sft", "step", 2, signal.SIGTERM),
        ("evaluate", "pass", 5, signal.SIGINT),
    ):
        stopped = strike(tmp_path, stage, moment, at, number)
        ended = time.monotonic()
        assert stopped.returncode == 128 + number, stopped.stderr
        assert ended - float((tmp_path / "struck").read_text()) < 10
        assert stages_done(tmp_path / "run")[-1:] == (SMALL_STAGES[SMALL_STAGES.index(stage) - 1],)
        assert stopped.stdout == ""
        assert "the same command continues the run" in stopped.stderr
        for sign in ("Traceback", "terminate called", "Error"):
            assert sign not in stopped.stderr
    done = run_tiny(tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "run", finished)
