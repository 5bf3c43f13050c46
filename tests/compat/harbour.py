"""Files and a scripted model for those who come from the answer-improvement library."""

from __future__ import annotations

import json
from pathlib import Path

from charter.engines.base import ChoiceRequest, CompletionRequest
from charter.engines.scripted import ScriptedEngine
from constitution.layout_examples import ANSWER_IMPROVEMENT

QUESTIONS = "subject,grade,prompt,n\nsailing,5,Why does the tide turn?,a7\nsailing,6,When is it high?,b2\n"


def write_principles(folder: Path) -> Path:
    """Write a file of principles, with whole worked examples of both kinds."""
    path = folder / "principles.json"
    shots = [{"critique": "They are not.", **one} for one in ANSWER_IMPROVEMENT["critique_revision_few_shots"]]
    path.write_text(json.dumps({**ANSWER_IMPROVEMENT, "critique_revision_few_shots": shots}), "utf-8")
    return path


def write_prompts(folder: Path, text: str = QUESTIONS) -> Path:
    """Write a CSV of prompts."""
    path = folder / "prompts.csv"
    path.write_text(text, "utf-8", newline="")
    return path


def reply(request: CompletionRequest) -> str:
    """Answer, criticise, revise or reason, as the last turn asks; say what was put before an answer."""
    assert request.messages is not None
    asked = request.messages[-1].content
    if asked.startswith("Say whether"):
        return "It is not."
    if asked.startswith("Name the"):
        return f"=Revised: {asked}\nAnd mind it."
    if "Options:" in asked:
        return "The longer one says more."
    system = request.messages[0].content if request.messages[0].role == "system" else "nobody"
    return f"As {system}: {asked} Draw {request.sampling.seed % 97}."


def likes_first(_: ChoiceRequest) -> tuple[float, float]:
    """Prefer whatever stands first."""
    return 0.9, 0.05


def likes_longer(request: ChoiceRequest) -> tuple[float, float]:
    """Prefer the longer answer, wherever it stands."""
    assert request.messages is not None
    asked = request.messages[-1].content
    first, second = asked.split("\n\nOptions:\n(A) ")[1].split("\n\n(B) ")
    return (0.8, 0.1) if (len(first), first) > (len(second), second) else (0.1, 0.8)


def harbour_engine() -> ScriptedEngine:
    """Give a model that answers as ``reply`` does, and judges by length."""
    return ScriptedEngine(reply, preference=likes_longer, script="harbour")
