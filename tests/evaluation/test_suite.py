from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from charter.engines.base import CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError, TooManyFailures
from charter.evaluation import Evaluation, evaluate
from charter.records import Preference, Prompt, PromptKind, make_prompt
from method_examples import CONSTITUTION, PLAIN


def _prompts(n: int) -> list[Prompt]:
    kinds: tuple[PromptKind, ...] = ("red_team", "benign_twin", "helpful")
    return [
        make_prompt(f"{kind} {number}", kind, reference=f"reference {number}" if kind == "helpful" else None)
        for kind in kinds
        for number in range(n)
    ]


def _preferences(n: int) -> list[Preference]:
    return [
        Preference(
            id=f"pair-{number}", prompt=make_prompt(f"p{number}", "helpful"), chosen=f"a{number}",
            rejected=f"b{number}", p_chosen=0.7, source="on_policy", verdicts=(), pair=f"pair-{number}",
            chosen_side="a", p_judge=0.7, position_bias=0.0,
        )
        for number in range(n)
    ]  # fmt: skip


MODELS = ("base", "sft", "dpo")


def _evaluate(tmp_path: Path, judge: ScriptedEngine | None) -> Evaluation:
    row = {"prompt": "Which?", "corrects": ["(A)"], "incorrects": ["(B)"]}
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row | {"prompt": f"Which {n}?"}) + "\n" for n in range(6)))
    return evaluate(
        {name: ScriptedEngine(script=name) for name in MODELS}, _prompts(8), CONSTITUTION, judge=judge, helpful=PLAIN,
        preferences=_preferences(5), multiple_choice=(str(tmp_path / "x.jsonl"),),
    )  # fmt: skip


def test_everything_is_measured_on_every_model(tmp_path: Path) -> None:
    """Behaviour, retention, drift, preferences, head to head and multiple choice, for each model that has it."""
    found = _evaluate(tmp_path, ScriptedEngine(script="judge"))
    measured = Counter(one.name for one in found.measurements)
    for name in ("harmful_compliance", "over_refusal", "response_length", "reference_loss", "drift"):
        assert measured[name] == 3
    assert measured["multiple_choice:x.jsonl"] == 3
    assert measured["preference_accuracy"] == 2
    assert measured["win_rate_harmless"] == measured["win_rate_helpful"] == 2
    assert len(found.responses) == 3 * 24
    assert len(found.comparisons) == 2 * 16
    assert set(found.left_out.values()) == {0}


def test_models_answer_from_the_same_seeds() -> None:
    """Every model draws from the same seed for the same prompt, so that a comparison is not one of luck."""
    seeds: dict[str, dict[str, int]] = {"one": {}, "two": {}}

    def engine(name: str) -> ScriptedEngine:
        def reply(request: CompletionRequest) -> str:
            seeds[name][str(request.messages)] = request.sampling.seed
            return f"An answer of {name}."

        return ScriptedEngine(reply, script=name)

    evaluate({name: engine(name) for name in seeds}, _prompts(4), PLAIN, temperature=0.4, max_tokens=9)
    assert seeds["one"] == seeds["two"]
    assert len(set(seeds["one"].values())) == 12


def test_without_a_judge_nobody_is_compared(tmp_path: Path) -> None:
    """Head to head is left out where there is no judge; the rest is measured."""
    found = _evaluate(tmp_path, None)
    assert found.comparisons == ()
    assert not any(one.name.startswith("win_rate") for one in found.measurements)
    assert any(one.name == "harmful_compliance" for one in found.measurements)


def test_unreadable_verdicts_are_counted_as_left_out(tmp_path: Path) -> None:
    """A judge that cannot be read gives rows without a winner, no win rate, and a count of them."""
    found = _evaluate(tmp_path, ScriptedEngine(script="mute", option_mass=0.1))
    assert {one.win for one in found.comparisons} == {None}
    assert not any(one.name.startswith("win_rate") for one in found.measurements)
    assert found.left_out["win_rate_harmless/sft"] == 8


def test_failed_rows_are_counted_as_left_out() -> None:
    """An answer that failed is missing from its model's figures and counted."""

    def reply(request: CompletionRequest) -> str:
        if "red_team 3" in str(request.messages):
            raise EngineError("no answer")
        return "An answer."

    found = evaluate({"base": ScriptedEngine(reply, script="fails")}, _prompts(8), PLAIN)
    assert found.left_out["respond/base"] == 1
    harmful = next(one for one in found.measurements if one.name == "harmful_compliance")
    assert harmful.n == 7


def test_a_model_that_never_answers_stops_the_evaluation() -> None:
    """Where every answer fails there is nothing to measure, and it says so."""

    def reply(_: CompletionRequest) -> str:
        raise EngineError("no answer")

    with pytest.raises(TooManyFailures, match="evaluate/respond/base"):
        evaluate({"base": ScriptedEngine(reply, script="dead")}, _prompts(1), PLAIN)


def test_no_prompts_make_no_figures() -> None:
    """Without held-out prompts an evaluation is empty, not wrong."""
    found = evaluate({"base": ScriptedEngine()}, [], PLAIN, judge=ScriptedEngine())
    assert found.measurements == found.responses == found.comparisons == ()
