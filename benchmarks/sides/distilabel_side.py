"""distilabel's TransformersLLM, in an environment that has it (``scripts/install-distilabel.sh``) and no Charter.

Started with a model's folder and a number format; asked with ``chats``, ``max_tokens`` and ``temperature``, it answers
with ``texts`` and the ``seconds`` that drawing them took.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from typing import Any

from answering import Answer, answer_all


def begin() -> tuple[dict[str, Any], Answer]:
    """Load the model."""
    import torch
    from distilabel.models.llms import TransformersLLM

    folder, dtype = sys.argv[1:]
    llm = TransformersLLM(model=folder, torch_dtype=dtype, device="cuda" if torch.cuda.is_available() else "cpu")
    llm.load()

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        is_greedy = asked["temperature"] == 0.0
        # Its defaults are a temperature of 0.1 and a penalty of repetitions.
        settings = {"do_sample": False} if is_greedy else {"do_sample": True, "temperature": asked["temperature"]}
        began = time.perf_counter()
        drawn = llm.generate_outputs(
            inputs=asked["chats"],
            max_new_tokens=asked["max_tokens"],
            repetition_penalty=1.0,
            top_k=0,
            top_p=1.0,
            **settings,
        )
        seconds = time.perf_counter() - began
        return {"texts": [one["generations"][0] for one in drawn], "seconds": seconds}

    told = {"distilabel": importlib.metadata.version("distilabel"), "dtype": str(llm._pipeline.model.dtype)}  # noqa: SLF001
    return told, answer


if __name__ == "__main__":
    answer_all(begin)
