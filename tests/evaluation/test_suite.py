from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from charter.engines.base import ChoiceRequest, CompletionRequest, Engine
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError, TooManyFailures
from charter.evaluation import Evaluation, evaluate
from charter.feedback.judge import Judging
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
    n_scores, n_questions = 3 * (8 + 8 + 2 * 5), 3 * 6  # references, drift and both sides of pairs; questions
    assert found.n_in == found.n_done == 3 * 24 + 2 * 16 + n_scores + n_questions
    assert found.filtered == found.failed == {}


def test_prompts_that_ask_the_same_are_one_observation() -> None:
    """Where held-out prompts differ in writing alone, no interval over them pretends to more."""
    prompts = [
        make_prompt(text, "helpful", reference=f"reference {number}")
        for number, text in enumerate(("Why so?", "why so", "WHY SO!"))
    ]
    found = evaluate({name: ScriptedEngine(script=name) for name in MODELS}, prompts, PLAIN)
    over_prompts = [one for one in found.measurements if one.name in {"reference_loss", "drift", "response_length"}]
    assert len(over_prompts) == 9
    assert all((one.n, one.n_groups, one.low, one.high) == (3, 1, None, None) for one in over_prompts)


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
    assert found.filtered["win_rate_harmless/sft: no valid verdict"] == 8
    assert sum(found.filtered.values()) == len(found.comparisons) == found.n_in - found.n_done
    assert found.failed == {}


def test_failed_rows_are_counted_as_failed() -> None:
    """An answer that failed is missing from its model's figures, and counted with its reason and nowhere else."""

    def reply(request: CompletionRequest) -> str:
        if "red_team 3" in str(request.messages):
            raise EngineError("no answer")
        return "An answer."

    found = evaluate({"base": ScriptedEngine(reply, script="fails")}, _prompts(8), PLAIN)
    assert found.failed == {"respond/base: no answer": 1}
    assert found.filtered == {}
    n_scores = 2 * 8  # references, and the base's own answers
    assert (found.n_in, found.n_done) == (24 + n_scores, 23 + n_scores)
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


class Shelf:
    """Lends scripted engines, and counts those that are out."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.most = 0
        self.lent: list[str] = []

    @contextmanager
    def lend(self, name: str) -> Iterator[Engine]:
        """Open an engine, and close it."""
        engine = ScriptedEngine(script=name)
        self.out.append(name)
        self.lent.append(name)
        self.most = max(self.most, len(self.out))
        yield engine
        engine.close()
        self.out.remove(name)


def test_one_model_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """Each engine is opened once, when the one before it was given back; what is found is the same."""
    row = {"corrects": ["(A)"], "incorrects": ["(B)"]}
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"prompt": f"Which {n}?", **row}) + "\n" for n in range(6)))
    shelf = Shelf()
    settings = {"preferences": _preferences(5), "multiple_choice": (str(tmp_path / "x.jsonl"),), "judge_reading": True}
    lent = evaluate(
        {name: partial(shelf.lend, name) for name in MODELS}, _prompts(8), CONSTITUTION,
        judge=partial(shelf.lend, "judge"), **settings,
    )  # fmt: skip
    assert shelf.lent == [*MODELS, "judge"]
    assert (shelf.most, shelf.out) == (1, [])
    given = evaluate(
        {name: ScriptedEngine(script=name) for name in MODELS}, _prompts(8), CONSTITUTION,
        judge=ScriptedEngine(script="judge"), **settings,
    )  # fmt: skip
    assert lent == given


def test_no_judge_is_opened_for_nothing() -> None:
    """Where nothing is judged, the judge is not opened."""
    shelf = Shelf()
    evaluate({"base": ScriptedEngine()}, _prompts(2), PLAIN, judge=partial(shelf.lend, "judge"), head_to_head=())
    assert shelf.lent == []


def test_contests_are_held_on_the_named_prompts_alone() -> None:
    """The judge compares answers to helpful prompts and is asked nothing of the others."""
    models = {name: ScriptedEngine(script=name) for name in MODELS}
    found = evaluate(models, _prompts(8), CONSTITUTION, judge=ScriptedEngine(script="judge"), head_to_head=["helpful"])
    assert {one.prompt.kind for one in found.comparisons} == {"helpful"}
    assert {one.name for one in found.measurements if one.name.startswith("win_rate")} == {"win_rate_helpful"}


def test_the_judge_is_asked_as_it_is_told() -> None:
    """Examples, chains, clamp and the least option mass reach head to head and readings; readings show no examples."""
    asked: list[ChoiceRequest] = []

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        asked.append(request)
        return (0.89, 0.01)

    judge = ScriptedEngine(preference=preference, script="sure of the first")
    models = {name: ScriptedEngine(script=name) for name in ("base", "sft")}
    judging = Judging(n_few_shots=1, chains=2, clamp=(0.45, 0.55), max_chain_tokens=7, min_option_mass=0.1)
    found = evaluate(models, _prompts(3), CONSTITUTION, judge=judge, judging=judging, judge_reading=True)
    verdicts = [verdict for one in (*found.comparisons, *found.readings) for verdict in one.verdicts]
    assert {round(verdict.p_a or 0, 6) for verdict in verdicts} == {0.45, 0.55}
    assert all(len(verdict.chains) == 2 for verdict in verdicts)
    assert {max(len(chain.split()) for chain in verdict.chains) for verdict in verdicts} == {7}
    # A system text, one example's question and answer, and the question itself; a reading is the question alone.
    assert {len(request.messages or ()) for request in asked} == {4, 1}
    strict = evaluate(models, _prompts(3), CONSTITUTION, judge=judge, judging=Judging(min_option_mass=0.95))
    assert {one.win for one in strict.comparisons} == {None}


def test_questions_of_the_training_are_filtered_and_counted(tmp_path: Path) -> None:
    """What a training prompt or an example of the constitutions asks is put to no model, and counted once."""
    shown = next(one for one in CONSTITUTION.few_shots.revise[0].messages if one.role == "user").content
    rows = [
        {"prompt": f"{text}\n(A) one\n(B) two\nAnswer:", "corrects": ["(A)"], "incorrects": ["(B)"]}
        for text in ("Which, TRAINED?", shown, "Which 0?", "Which 1?")
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    models = {name: ScriptedEngine(script=name) for name in MODELS}
    trained = [make_prompt("which trained", "helpful")]
    found = evaluate(models, _prompts(2), CONSTITUTION, multiple_choice=(str(path),), trained_on=trained)
    assert found.filtered == {
        f"multiple choice {path}: shares its context with a training prompt": 1,
        f"multiple choice {path}: shares its context with a few-shot example": 1,
    }
    assert {one.n for one in found.measurements if one.name == "multiple_choice:x.jsonl"} == {2}
    assert found.n_in == found.n_done + 2
    path.write_text(json.dumps(rows[0]) + "\n", "utf-8")
    none = evaluate(models, _prompts(2), CONSTITUTION, multiple_choice=(str(path),), trained_on=trained)
    assert not [one for one in none.measurements if one.name.startswith("multiple_choice")]
