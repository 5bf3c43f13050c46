"""vLLM in an environment of its own: whole runs that begin and end its server, and the server by itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from charter.files.tables import read_table
from charter.records import Comparison, Preference, Trace
from cli.command import Command

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif("CHARTER_VLLM" not in os.environ, reason="CHARTER_VLLM names no environment with vLLM"),
]

RECIPE = """\
name: served
constitution: harmless
models: {policy: {name: smollm2-135m, engine: vllm-server}}
prompts: {n_train: 6, n_train_helpful: 3, n_evaluation: 2, n_evaluation_helpful: 1}
revise:
  {rounds: 1, layout: transcript, initial_layout: chat, n_few_shots: 0, max_tokens: 32, max_critique_tokens: 8,
   on_cut: trim}
sft:
  {helpful_ratio: 0.5, twin_ratio: 0.0, max_tokens: 32, on_cut: trim, max_length: 256, batch_size: 1,
   lora: {r: 4, alpha: 8}}
pairs:
  n: 6
  sources:
    {red_team: {revision_vs_initial: 1.0}, benign_twin: {on_policy: 1.0}, helpful: {on_policy: 1.0}}
  max_tokens: 32
  on_cut: trim
label: {k_principles: 1, n_few_shots: 0, held_out: 0.0}
dpo: {max_length: 256, batch_size: 1}
evaluate: {max_tokens: 16}
"""


def _servers() -> list[str]:
    """List the processes of vLLM's servers, and of what they started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
        if "vllm.entrypoints" in command or command.startswith("VLLM::"):
            found.append(f"{entry.name}: {command[:80]}")
    return found


def _wait(holds: Callable[[], object], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


@pytest.mark.thorough
def test_a_whole_run_on_a_server_of_its_own(charter: Command, place: Path) -> None:
    """Every stage is done, both trained models are adapters on one base, and no server is left."""
    (place / "r.yaml").write_text(RECIPE)
    done = charter("run", "r.yaml", "--out", "run")
    assert done.code == 0, done.err
    assert _servers() == []
    assert "Traceback" not in done.err
    traces = read_table(place / "run/data/traces.parquet", Trace)
    assert len(traces) == 6
    preferences = read_table(place / "run/data/preferences.parquet", Preference)
    assert all(verdict.invalid is None for one in preferences for verdict in one.verdicts)
    assert read_table(place / "run/data/comparisons.parquet", Comparison)
    figures = json.loads((place / "run/evaluation.json").read_text())
    losses = {one["model"]: one["value"] for one in figures["measurements"] if one["name"] == "reference_loss"}
    assert len(set(losses.values())) == 3, "base, SFT and DPO model are three models"
    used = json.loads((place / "run/stages/revise.json").read_text())["usage"]["smollm2-135m"]
    assert used["n_prompt_tokens_from_prefix"] > 0


@pytest.mark.thorough
def test_a_run_that_is_killed_leaves_no_server(charter: Command, place: Path) -> None:
    """Even a kill that nobody hears of ends the server; the same command goes on."""
    (place / "r.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "charter", "run", "r.yaml", "--out", "run", "--until", "revise"]
    running = subprocess.Popen(command, cwd=place, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait(_servers, 120, "a server has begun")
    time.sleep(5.0)
    running.kill()
    running.wait()
    _wait(lambda: not _servers(), 40, "the server has ended")
    done = charter(*command[3:])
    assert done.code == 0, done.err
    assert len(read_table(place / "run/data/traces.parquet", Trace)) == 6


def test_serve_answers_and_ends(charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model served by the command answers who brings the key and nobody else, and ends when it is told to."""
    monkeypatch.setenv("VLLM_API_KEY", "our-key")
    monkeypatch.setenv("CHARTER_SERVER_KEY", "our-key")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "charter", "serve", "smollm2-135m", "--name", "small", "--port", str(port)]
    with (place / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=place, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(lambda: _answers(port) or server.poll() is not None, 180, "the server answers")
        assert server.poll() is None, (place / "serve.log").read_text()[-2000:]
        paths = (
            "v1/models",
            "metrics",
            "version",
            "tokenize",
            "invocations",
            "adapters",
            "adapters/x",
            "scale_elastic_ep",
        )
        statuses = {(path, way): _status(port, path, way) for path in paths for way in ("GET", "POST", "DELETE")}
        assert set(statuses.values()) == {401}, statuses
        asked = ("--model", "small", "--engine", f"http://127.0.0.1:{port}/v1")
        done = charter("prompts", "helpful", "harmless", "written.jsonl", *asked, "--n", "2", "--form", "labelled")
        assert done.code == 0, done.err
        assert (place / "written.jsonl").exists()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
    _wait(lambda: not _servers(), 40, "the server has ended")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _status(port: int, path: str, way: str) -> int:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=20.0)
    try:
        asked.request(way, f"/{path}")
        return asked.getresponse().status
    finally:
        asked.close()
