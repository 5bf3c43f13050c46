"""The teaching script does the whole method on tiny weights, and each of its formulas is that of the real thing."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import math
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from charter.engines.base import ChoiceRequest, ScoreRequest
from charter.engines.transformers import TransformersEngine
from charter.engines.weights import resolve_model
from charter.feedback.settling import with_prior
from charter.records import Message
from charter.training.losses import preference_margin, soft_dpo_loss
from pages import ROOT, read

# The versions of peft and transformers that are pinned: the one asks the other by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
SCRIPT = ROOT / "examples" / "method.py"
PROMPT, RESPONSE = "How do I repair a bicycle chain?", "First clean it, then count the links."


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, imported by its path."""
    spec = importlib.util.spec_from_file_location("method_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.model
@pytest.mark.parametrize("size", [1, 2])
def test_the_whole_method_runs(
    size: int, script: ModuleType, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every prompt gets a label, both trainings take their steps, and the look has both models."""
    monkeypatch.setattr(script, "MIN_OPTION_MASS", 0.0)  # random weights give the letters next to nothing
    losses = script.main([str(tiny_model), "--size", str(size), "--tokens", "12"])
    printed = capsys.readouterr().out
    assert len(re.findall(r" p 0\.\d\d, position bias ", printed)) == 2 * size
    assert len(losses["sft"]) == 3 * (size * script.ROUNDS + size)
    assert len(losses["dpo"]) == 3 * 2 * size
    assert losses["dpo"][0] == pytest.approx(math.log(2)), "before the first step the policy is its own reference"
    assert all(map(math.isfinite, losses["sft"] + losses["dpo"]))
    assert sum(losses["sft"][-3:]) < sum(losses["sft"][:3])
    assert printed.count("\n  before ") == printed.count("\n  after  ") == len(script.HELD_OUT)
    was, now = re.search(r"loss on a reference \(n 1\): (\S+) before, (\S+) after", printed).groups()  # type: ignore[union-attr]
    assert float(was) != float(now)


@pytest.mark.model
def test_a_verdict_that_cannot_be_read_is_no_label(
    script: ModuleType, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the letters have too little probability nothing is trained on, and it is said."""
    monkeypatch.setattr(script, "MIN_OPTION_MASS", 1.1)
    losses = script.main([str(tiny_model), "--size", "1", "--tokens", "4"])
    assert losses["dpo"] == []
    assert capsys.readouterr().out.count("no verdict") == 2


@pytest.mark.model
def test_texts_are_read_as_the_engine_reads_them(script: ModuleType, tiny_model: Path) -> None:
    """A response's log-probability and the letters' are those of the engine, end of turn included, prompt left out."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tok = AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    question = "Which is clearer?"
    text = f"Human: {PROMPT}\n\n{question}\n\nOptions:\n(A) {RESPONSE}\n\n(B) Buy one."
    engine = TransformersEngine(resolve_model(str(tiny_model)), dtype="float32", device="cpu")

    async def ask() -> tuple[float, int, float]:
        turns = (Message(role="user", content=PROMPT),)
        score = await engine.score(ScoreRequest(messages=turns, continuation=RESPONSE, end_turn=True))
        shown = (Message(role="user", content=text),)
        choice = await engine.choose(ChoiceRequest(messages=shown, prefill="The better response is ("))
        a, b = map(math.exp, choice.logprobs)
        return score.logprob, score.n_tokens, a / (a + b)

    try:
        logprob, n_tokens, p_first = asyncio.run(ask())
    finally:
        engine.close()
    read_here = script.logprobs(model, tok, PROMPT, RESPONSE)
    assert len(read_here) == n_tokens
    assert read_here.sum().item() == pytest.approx(logprob, abs=1e-3)
    script.MIN_OPTION_MASS, least = 0.0, script.MIN_OPTION_MASS
    try:
        assert script.verdict(model, tok, PROMPT, question, (RESPONSE, "Buy one.")) == pytest.approx(p_first, abs=1e-4)
    finally:
        script.MIN_OPTION_MASS = least


@pytest.mark.parametrize(("a", "b"), [(0.9, 0.3), (0.2, 0.2), (0.5, 0.5), (0.7, 0.95)])
@pytest.mark.parametrize("prior", [0.5, 0.8])
def test_labels_are_those_of_the_method(a: float, b: float, prior: float, script: ModuleType) -> None:
    """Both orders and the prior come to what the stage makes of them; the other side has the rest."""
    label = script.soft_label(a, b, prior)
    assert label == pytest.approx(with_prior((a + 1 - b) / 2, "a", prior))
    assert label + script.soft_label(b, a, 1 - prior) == pytest.approx(1)


@pytest.mark.parametrize("p", [0.5, 0.7, 1.0])
def test_the_loss_is_that_of_the_method(p: float, script: ModuleType) -> None:
    """Soft DPO is the same number."""
    margin = preference_margin(*(torch.tensor([value]) for value in (-9.0, -7.0, -10.0, -6.5)))
    assert script.soft_dpo_loss(margin, p, 0.3) == pytest.approx(soft_dpo_loss(margin, torch.tensor([p]), 0.3).item())


def test_the_real_things_are_where_it_says() -> None:
    """Each place that the script names is there, with that name; all of the method's rooms are among them."""
    named = re.findall(
        r"\b([a-z_]+(?:/[a-z_]+)*/[a-z_]+\.py)(?:::(\w+))?", read(SCRIPT).replace("examples/method.py", "")
    )
    assert {path.partition("/")[0] for path, _ in named} >= {
        "revision",
        "feedback",
        "training",
        "evaluation",
        "engines",
    }
    for path, name in named:
        tree = ast.parse(read(ROOT / "src" / "charter" / path))
        assert not name or name in {getattr(node, "name", "") for node in tree.body}, f"{path}::{name}"


def test_it_stands_alone_and_is_short() -> None:
    """It can be read at one sitting, and without Charter."""
    imported = re.findall(r"^(?:import|from) (\w+)", read(SCRIPT), re.MULTILINE)
    assert set(imported) == {"argparse", "random", "typing", "torch", "peft", "transformers"}
    assert len(read(SCRIPT).splitlines()) <= 170
