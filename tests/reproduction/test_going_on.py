"""A folder that goes on: nothing is recalled of another judge, of models trained again, or of other right answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from charter.constitution import load_constitution, write_constitution
from charter.engines.base import ChoiceRequest, Engine
from charter.engines.scripted import ScriptedEngine
from charter.engines.specs import ModelSpec
from charter.evaluation.head_to_head import rate
from charter.evaluation.multiple_choice import load_choices
from charter.files.tables import write_json, write_table
from charter.journal.store import Journal
from charter.recipe import load_recipe
from charter.records import Prompt, Trace, make_prompt
from charter.reproduction import meetings, revisions
from charter.reproduction.desk import Desk, NamedModel
from charter.reproduction.figure import Made
from charter.reproduction.meetings import ratings_by_stage
from charter.reproduction.questions import accuracy_by_chains, claim_calibrated
from charter.reproduction.revisions import BY_PRINCIPLES, scores_by_principles
from charter.reproduction.scoring import Score
from charter.reproduction.subsets import write_subset
from charter.rows import map_rows

RECIPE = """\
name: demo
constitution: harmless
models: {policy: {name: demo, engine: scripted}}
prompts: {n_train: 6, n_train_helpful: 6, n_evaluation: 4, n_evaluation_helpful: 4}
label: {n_few_shots: 0}
"""


def _trained(main: Path, stage: str, weights: str) -> None:
    folder = main / "models" / stage
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "adapter_config.json", {"words": weights})


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meetings, "rate", partial(rate, n_resamples=20))


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A run's folder with held-out prompts of both kinds and two models."""
    prompts = [
        make_prompt(f"Ask {kind} {number}", kind, split="evaluation")
        for kind in ("red_team", "helpful")
        for number in range(4)
    ]
    folder = tmp_path / "runs" / "main"
    write_table(folder / "data" / "prompts.parquet", prompts, Prompt)
    for stage in ("sft", "dpo"):
        _trained(folder, stage, stage)
    return folder


@pytest.fixture
def desk(tmp_path: Path, main: Path) -> Iterator[Desk]:
    """A desk whose models say what their folder holds, and whose judges prefer the option that their name is."""
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")

    @contextlib.contextmanager
    def lend(spec: ModelSpec, *, known_as: str) -> Iterator[Engine]:
        assert known_as
        said = "base" if spec.adapter is None else (spec.adapter / "adapter_config.json").read_text("utf-8")

        def preference(request: ChoiceRequest) -> Sequence[float]:
            likes_first = (spec.name == "first") != ("(A) two" in (request.text or ""))
            return (0.9, 0.1) if likes_first else (0.1, 0.9)

        yield ScriptedEngine(lambda _: said, preference=preference, script=f"{spec.name} {said}")

    with Journal(tmp_path / "journal.sqlite") as journal:
        yield Desk(
            folder=tmp_path / "figure",
            recipe=load_recipe(tmp_path / "recipe.yaml", []),
            runs={"main": main},
            models=[_named("first")],
            judge=_named("first"),
            data={},
            n=4,
            lend=lend,
            mapper=partial(map_rows, journal=journal),
            on_step=lambda _: lambda *_: None,
            stop=lambda: False,
        )


def _named(name: str) -> NamedModel:
    return NamedModel(name, ModelSpec(name=name, engine="scripted"))


def _wins(made: Made) -> list[float]:
    return [one.value for one in made.values if one.x]


def test_another_judge_is_asked_anew(desk: Desk) -> None:
    """Verdicts of one judge are not shown as another's, and those of the first are still there."""
    asked: list[str] = []
    lend = desk.lend

    @contextlib.contextmanager
    def counting(spec: ModelSpec, *, known_as: str) -> Iterator[Engine]:
        with lend(spec, known_as=known_as) as engine:
            yield engine
            if getattr(engine, "n_calls", {}).get("choose"):
                asked.append(spec.name)

    seen = replace(desk, lend=counting)
    for judge in ("first", "second", "first"):
        ratings_by_stage(replace(seen, judge=_named(judge)))
    assert set(asked) == {"first", "second"}
    assert asked.index("second") > asked.index("first")
    assert asked.count("first") == asked.count("second")


def test_a_model_that_was_trained_again_answers_anew(desk: Desk, main: Path) -> None:
    """A run whose failed rows were done after all trains again: the answers of its earlier models are not taken."""
    before = ratings_by_stage(desk)
    _trained(main, "dpo", "other words")
    told: list[str] = []
    lend = desk.lend

    @contextlib.contextmanager
    def telling(spec: ModelSpec, *, known_as: str) -> Iterator[Engine]:
        with lend(spec, known_as=known_as) as engine:
            yield engine
            if engine.n_calls["complete"]:  # type: ignore[attr-defined]
                told.append(str(spec.adapter and spec.adapter.name))

    after = ratings_by_stage(replace(desk, lend=telling))
    assert set(told) == {"dpo"}
    assert len(_wins(before)) == len(_wins(after))


def test_a_right_answer_that_is_mended_counts(desk: Desk, tmp_path: Path) -> None:
    """Questions of the same text under another key are other questions."""
    file = tmp_path / "choices.jsonl"
    row = '{"prompt": "Which?\\n\\nOptions:\\n(A) one\\n(B) two", "corrects": [" (A)"], "incorrects": [" (B)"]}\n'
    found = []
    for text in (
        row,
        row.replace('"corrects": [" (A)"], "incorrects": [" (B)"]', '"corrects": [" (B)"], "incorrects": [" (A)"]'),
    ):
        file.write_text(text, "utf-8")
        assert len(load_choices(str(file))) == 1
        made = accuracy_by_chains(replace(desk, data={"choices": str(file)}))
        found.append({one.value for one in made.values})
    assert found == [{1.0}, {0.0}]


@pytest.mark.parametrize(("error", "most", "shows"), [(0.2, 0.05, "no"), (0.04, 0.05, "yes"), (0.04, 0.3, "undecided")])
def test_few_rows_do_not_show_calibration(error: float, most: float, shows: str) -> None:
    """That no error is found says nothing where rows are too few to find one."""
    assert claim_calibrated(error, most, 20).shows == shows


@pytest.mark.parametrize(("n", "places"), [(18, {1, 4, 16}), (3, {1, 3}), (1, {1})])
def test_principles_are_counted_where_there_are_few(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, places: set[int]
) -> None:
    """A figure over 1, 4 and 16 principles stands at those that a constitution has."""
    score = Score("length", "characters", "higher", is_share=False, alike=1.0, of=lambda all_: [0.0] * len(all_))
    monkeypatch.setattr(revisions, "harmlessness_scores", lambda _: [score])
    monkeypatch.setattr(revisions, "scoring_notes", lambda _: [])
    whole = load_constitution("harmless")
    whole = load_constitution(str(write_subset(tmp_path / "whole", "harmless", whole, n, 0)))
    runs = {}
    for trial in BY_PRINCIPLES.values():
        runs[trial.name] = tmp_path / trial.name
        (runs[trial.name] / "data").mkdir(parents=True)
        drawn = whole.used_for("revise")[: trial.n_principles]
        write_constitution(whole.model_copy(update={"principles": drawn}), runs[trial.name] / "constitution.yaml")
        prompt = make_prompt("Ask", "red_team")
        trace = Trace(id="trace-1", prompt=prompt, sample=0, initial="x", initial_flags=(), rounds=(), flags=())
        write_table(runs[trial.name] / "data" / "traces.parquet", [trace], Trace)
    made = scores_by_principles(replace(desk, runs=runs))
    assert {one.x for one in made.points} == places
    (claim,) = made.claims
    assert f"1 to {max(places)}" in claim.statement
    assert claim.told.startswith("the constitution has one") == (n == 1)
    assert bool(made.notes) == (n < 16)
