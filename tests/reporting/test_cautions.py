"""What takes away from a run's figures: each caution has its threshold, its figure and what to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from run_folder import build, measure, measurements

from charter.records import Figures, Preference, Verdict
from charter.reporting import RunData, read_run, report
from charter.reporting.cautions import cautions, cut_sentence, cut_shares, scripted_roles
from charter.reporting.told import Training


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A complete run with nothing amiss but that."""
    return read_run(build(tmp_path_factory.mktemp("run")))


def _only(data: RunData, **parts: Any) -> tuple[str, ...]:
    bare = RunData(path=data.path, name="bare")
    return cautions(dataclasses.replace(bare, **parts))


def _apart(*preferences: Preference) -> tuple[Preference, ...]:
    """Give every preference a prompt of its own."""
    return tuple(
        one.model_copy(update={"prompt": one.prompt.model_copy(update={"id": f"prompt-{number}"})})
        for number, one in enumerate(preferences)
    )


def _preference(data: RunData, p_a_shown_first: float, p_a_shown_second: float) -> Preference:
    verdicts = tuple(
        Verdict(
            principle="x", order=order, logprob_first=-0.5, logprob_second=-1.0, option_mass=0.9, p_a=p, invalid=None
        )
        for order, p in (("ab", p_a_shown_first), ("ba", p_a_shown_second))
    )
    p_a = (p_a_shown_first + p_a_shown_second) / 2
    changed = {"verdicts": verdicts, "p_judge": max(p_a, 1 - p_a)}
    return data.preferences[0].model_copy(update=changed)


def test_a_sound_run_has_no_cautions(data: RunData) -> None:
    """A judge that reads, whole answers and enough rows need no warning."""
    sound = _apart(*(_preference(data, 0.9, 0.8) for _ in range(4)))
    whole = tuple(one.model_copy(update={"finish": "stop"}) for one in data.responses)
    evaluation = Figures(models=("base", "sft", "dpo"), measurements=tuple(measurements()))
    assert _only(data, preferences=sound, responses=whole, evaluation=evaluation) == ()
    assert _only(data) == ()


def test_a_training_that_a_guard_ended_is_said_first(data: RunData) -> None:
    """With the step that it saw and the step that the model is of; one that came to its end is not."""
    looks = tuple({"step": step} for step in (0, 3, 6))
    stages = {
        name: data.stages["dpo"].model_copy(update={"stage": name, "training": Training(n_steps=n, looks=looks)})
        for name, n in (("dpo", 6), ("dpo-2", 3))
    }
    (line,) = _only(data, stages=stages)
    assert "ended DPO at step 6, and the model is that of step 3" in line


@pytest.mark.parametrize(
    ("models", "roles", "said"),
    [
        ({"policy": {"engine": "scripted", "name": "x"}, "judge": None}, ("policy",), "say nothing about a model"),
        (
            {"policy": {"engine": "transformers"}, "judge": {"engine": "scripted"}},
            ("judge",),
            "whatever the judge said, and what was learnt from it, was written beforehand",
        ),
    ],
)
def test_a_scripted_model_is_told(data: RunData, models: dict[str, Any], roles: tuple[str, ...], said: str) -> None:
    """Which role a script played, and what that makes of the figures."""
    run = dataclasses.replace(RunData(path=data.path, name="bare"), recipe={"models": models})
    assert scripted_roles(run.recipe) == roles
    (line,) = cautions(run)
    assert f"models.{roles[0]}" in line
    assert said in line


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"models": None},
        {"models": {"policy": "smollm2-135m"}},
        {"models": {"second_judge": {"engine": "scripted"}}, "rl": None},
    ],
)
def test_a_recipe_without_a_script_is_not_scripted(recipe: dict[str, Any]) -> None:
    """Only what says so is a script, and a second judge that nobody asks plays none."""
    assert scripted_roles(recipe) == ()


def test_a_judge_that_follows_position_is_told(data: RunData) -> None:
    """It follows where Wilson's interval is above one half; where it holds one half, a coin would do the same."""
    follows, reads = _preference(data, 0.99, 0.1), _preference(data, 0.9, 0.8)
    for n_follows, said in (
        (15, "The judge follows position:"),
        (14, "cannot be told from a coin's:"),
        (10, "coin's:"),
    ):
        (line,) = _only(data, preferences=_apart(*[follows] * n_follows, *[reads] * (20 - n_follows)))
        assert said in line
        assert f"{5 * n_follows}.0\u00a0% of 20 pairs of verdicts (95 % interval " in line
        assert "models.judge" in line
    (line,) = _only(data, preferences=_apart(*[follows] * 6, *[reads] * 14))
    assert "30.0\u00a0% of 20 pairs of verdicts (95 % interval 14.5 to 51.9\u00a0%)" in line
    assert _only(data, preferences=_apart(*[follows] * 5, *[reads] * 15)) == ()


def test_many_principles_on_a_pair_are_not_as_many_pairs(data: RunData) -> None:
    """Four principles that all say the same of each pair make nobody surer that the judge follows position."""
    once = _apart(*[_preference(data, 0.99, 0.1)] * 8, *[_preference(data, 0.9, 0.8)] * 2)
    for preferences in (once, [_repeated(one, 4) for one in once]):
        (line,) = _only(data, preferences=tuple(preferences))
        assert "cannot be told from a coin's" in line
    assert "80.0\u00a0% of 40 pairs of verdicts on 10 prompts (95 % interval " in line


def _repeated(preference: Preference, n: int) -> Preference:
    verdicts = [v.model_copy(update={"principle": f"x{k}"}) for k in range(n) for v in preference.verdicts]
    return preference.model_copy(update={"verdicts": tuple(verdicts)})


def test_a_judge_that_cannot_tell_is_told(data: RunData) -> None:
    """The mean probability of the side that it prefers is under 0.55, whatever the label became with a prior."""
    unsure = _preference(data, 0.55, 0.53).model_copy(update={"p_chosen": 0.9})
    (line,) = _only(data, preferences=_apart(*[unsure] * 4))
    assert "prefers is 0.54 (0.5: it cannot) over 4 judged pairs" in line
    against_the_label = unsure.model_copy(update={"p_judge": 0.1})
    assert _only(data, preferences=_apart(*[against_the_label] * 4)) == ()


def test_cut_answers_are_told_per_model(data: RunData) -> None:
    """One model with one answer in five cut is enough, and every model's share is told, in the order of training."""
    answers = tuple(
        data.responses[0].model_copy(update={"model": model, "finish": "length" if n < n_cut else "stop"})
        for model, n_cut in (("dpo", 2), ("base", 0))
        for n in range(10)
    )
    evaluation, recipe = Figures(models=("base", "dpo"), measurements=()), {"evaluate": {"max_tokens": 32}}
    (line,) = _only(data, responses=answers, evaluation=evaluation, recipe=recipe)
    told = "Answers cut at evaluate.max_tokens (32): base 0.0\u00a0% of 10 and dpo 20.0\u00a0% of 10."
    assert line.startswith(told)
    run = dataclasses.replace(data, responses=answers, evaluation=evaluation, recipe=recipe)
    assert cut_sentence(run) == told
    assert cut_shares(run) == {"base": (0.0, 10), "dpo": (0.2, 10)}
    few = tuple(one.model_copy(update={"finish": "stop"}) if n == 0 else one for n, one in enumerate(answers))
    assert _only(data, responses=few, evaluation=evaluation, recipe=recipe) == ()


def test_few_rows_are_told_with_the_key_that_gives_more(data: RunData) -> None:
    """Groups count, not rows, where rows hang together; 30 are enough."""
    found = (
        measure("objection", "dpo", 0.5, n=30),
        measure("over_refusal", "dpo", 0.5, subset="benign_twin", n=29),
        measure("preference_accuracy", "dpo", 0.5, subset="held-out pairs", n=40, n_groups=12),
        measure("repetition", "dpo", 0.5, subset="all", n=9),
        measure("multiple_choice:hhh.jsonl", "dpo", 0.5, subset="hhh.jsonl", n=4),
    )
    (line,) = _only(data, evaluation=Figures(models=("base", "dpo"), measurements=found))
    assert line.startswith("Few rows: 29 benign twins, 40 held-out pairs in 12 groups and 4 hhh.jsonl.")
    assert line.endswith("hold out more (prompts.n_evaluation and label.held_out).")


def test_the_page_says_it_under_the_verdict_and_blames_no_model_for_a_script(tmp_path: Path) -> None:
    """Cautions stand between the headline and the changes; a script's figures raise no alarm."""
    folder = build(tmp_path / "run")
    page = report(folder).read_text("utf-8")
    assert page.index("Harmlessness was bought") < page.index("Read this with care") < page.index("Got worse (")
    resolved = folder / "recipe.resolved.yaml"
    resolved.write_text(f"{resolved.read_text('utf-8')}models: {{policy: {{name: x, engine: scripted}}}}\n", "utf-8")
    page = report(folder).read_text("utf-8")
    assert "Harmlessness was bought" not in page
    assert page.index("A scripted model answered: no figure") < page.index("A scripted model took part")


@pytest.mark.parametrize(
    ("chosen", "rejected", "said"),
    [
        ("long answer " * 9, "short", "it is the longer one in 40 of 40 preferences"),
        ("short", "long answer " * 9, "it is the shorter one in 40 of 40 preferences"),
        ("even", "same", ""),
    ],
)
def test_length_that_tells_the_chosen_answer(data: RunData, chosen: str, rejected: str, said: str) -> None:
    """A model that can learn the choice from length may have learnt nothing else; equal lengths tell nothing."""
    one = _preference(data, 0.9, 0.8).model_copy(update={"chosen": chosen, "rejected": rejected})
    found = [line for line in _only(data, preferences=_apart(*[one] * 40)) if line.startswith("Length tells")]
    assert len(found) == bool(said)
    assert all(said in line and "by length alone one would be right in 100.0" in line for line in found)
    assert not any(line.startswith("Length tells") for line in _only(data, preferences=_apart(*[one] * 20)))
