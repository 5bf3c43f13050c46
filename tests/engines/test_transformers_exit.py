from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.model, pytest.mark.slow]

# A step that takes its time inside torch, and asks nothing about being stopped: what a large model's is on a busy CPU.
PROGRAM = """
import asyncio, sys, threading, time
import torch
from charter.engines.base import CompletionRequest, Sampling
from charter.engines.transformers import TransformersEngine

engine = TransformersEngine(sys.argv[1], device="cpu")
busy = threading.Event()
matrix = torch.eye(1000)

def step(tokens):
    busy.set()
    end = time.monotonic() + 8
    while time.monotonic() < end:
        matrix @ matrix
    return torch.zeros(len(tokens), 512)

engine._scheduler._decoder.step = step

async def ask_and_leave():
    asyncio.create_task(engine.complete(CompletionRequest(text="Once", sampling=Sampling(max_tokens=9))))
    await asyncio.to_thread(busy.wait)

asyncio.run(ask_and_leave())
{end}
"""


@pytest.mark.parametrize("end", ["engine.close()", "pass"])
def test_program_ends_only_after_the_engines_thread(tiny_model: Path, end: str) -> None:
    """However long a step takes, the program waits for it: ending before it would be an abort, with a message."""
    program = PROGRAM.replace("{end}", end)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_model)], check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
