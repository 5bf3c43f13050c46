from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from charter.engines.devices import computes_in_bfloat16

pytestmark = [pytest.mark.model, pytest.mark.thorough]

PROGRAM = """
import asyncio, re, sys
from pathlib import Path
from charter.engines.base import CompletionRequest, Sampling
from charter.engines.transformers import TransformersEngine
from charter.records import Message

engine = TransformersEngine(sys.argv[1])
rules = Message(role="system", content="Say what you think is right, and why, in plain words. " * 100)

async def draw():
    return await asyncio.gather(*(engine.complete(CompletionRequest(
        messages=(rules, Message(role="user", content=f"Question {number}: " + "why is that so? " * (number % 16))),
        n_shared=1, sampling=Sampling(seed=number, max_tokens=96))) for number in range(96)))

answers = asyncio.run(draw())
assert max(answer.n_prompt_tokens for answer in answers) > 1200
# Not ru_maxrss: that also counts the process that started this one, up to the moment of exec.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
engine.close()
"""


def test_memory_of_64_rows_behind_a_long_prefix(smollm2: Path) -> None:
    """The whole process stays under 2.5 GB with the embedded model, 64 rows, and a prefix of 1,200 tokens.

    In float32, which a processor without products in bfloat16 computes in, under 3.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(smollm2)], check=True, capture_output=True, text=True, timeout=500
    )
    n_kilobytes = int(done.stdout.split()[-1])
    most = 2_500_000 if computes_in_bfloat16(torch.device("cpu")) else 3_000_000
    assert 300_000 < n_kilobytes < most
    assert "terminate called" not in done.stderr
