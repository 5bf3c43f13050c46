"""The stage of reinforcement learning: what it trains on, rewards and asks, and what a run does with its model."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.errors import Interrupted, RecipeError, RunError, TooManyFailures
from charter.feedback.calibration import calibrate
from charter.feedback.calibrator import make_calibrator, write_calibrator
from charter.files.tables import read_table, write_table
from charter.pipeline import run_stages
from charter.recipe import load_recipe
from charter.recipe.stages import settings_of
from charter.records import Prompt, Response, make_prompt
from charter.reporting import report
from charter.stages.rl import _rewards, _second_judge
from charter.statistics.scaling import TEMPERATURES
from charter.training.oversight import RlGuard
from charter.training.reward_judge import JudgeReward
from charter.training.rollouts import Rollout
from feedback.test_calibration import biased_judge
from feedback.test_calibrator import SUBJECT
from run_examples import page_words
from stages.rl_example import RECIPE, opened

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def done(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is measured behind its reinforcement learning."""
    folder = tmp_path_factory.mktemp("rl")
    with opened(folder, tiny_model) as run:
        run_stages(run, ["sft", "preference_model", "rl", "evaluate"])
    return folder / "run"


def summary(run: Path) -> Any:
    """Read what the stage told."""
    return json.loads((run / "stages/rl.json").read_text("utf-8"))


def test_every_prompt_is_accounted_for(done: Path) -> None:
    """Those trained on, held out, over the number that is asked for, and of kinds that are not."""
    told = summary(done)
    assert told["n_in"] == 13 == told["n_done"] + sum(told["filtered"].values())
    assert told["n_done"] == 5 == sum(told["counts"]["trained on"].values())
    assert told["filtered"]["of a kind that rl.kinds leaves out"] == 1
    assert told["filtered"]["held out"] == told["counts"]["held out"] > 0


def test_every_part_of_the_reward_is_told_and_overseen(done: Path) -> None:
    """Each by its name at each step; and looks that compare with the answers before the first one."""
    training = summary(done)["training"]
    for step in training["steps"]:
        parts = [step[f"rewards/{name}/mean"] for name in ("preference_model", "judge", "length")]
        assert step["reward"] == pytest.approx(parts[0] + 0.5 * parts[1] + 0.1 * parts[2], abs=1e-5)
        assert 0.0 <= parts[1] <= 1.0
        assert -1.0 <= parts[2] <= 0.0
    looks = training["looks"]
    assert [look["step"] for look in looks] == [0, 2, 3]
    assert looks[0]["second_judge"] == 0.5
    assert {"reward", "reward_gain", "kl", "repetition"} <= looks[-1].keys()


def test_judges_are_asked_and_counted(done: Path) -> None:
    """Every meeting in both orders, of each draw, and of the answers of each look that differ from the first ones.

    One model judges both: the second asks of each pair what the first asked, and is answered from memory.
    """
    told = summary(done)
    (used,) = told["usage"].values()
    n_draws = sum("rewards/judge/mean" in step for step in told["training"]["steps"])
    n_looked_at = sum(round(look["n_asked"]) for look in told["training"]["looks"])
    most = 2 * (n_draws * 4 // 2 + n_looked_at)  # two answers of a group meet once; equal ones are not asked about
    assert 2 * n_draws <= used["kinds"]["choose"]["n_calls"] <= most
    assert n_looked_at > 0
    assert told["counts"].keys() == {"trained on", "held out"}, "no answer was unscored, and no call failed"


def test_the_model_is_measured_beside_the_others(done: Path) -> None:
    """It is an adapter on the base alone, and answers differently than the SFT model."""
    figures = json.loads((done / "evaluation.json").read_text("utf-8"))
    assert figures["models"] == ["base", "sft", "rl"]
    answers = read_table(done / "data/responses.parquet", Response)
    by_model = {name: [one.text for one in answers if one.model == name] for name in ("sft", "rl")}
    assert len(by_model["rl"]) == len(by_model["sft"]) == 2
    page = page_words(report(done, done.parent / "page.html"))
    assert "RL training" in page
    assert "second judge" in page.lower()


def _asked(run: Path) -> int:
    """Count the calls that a model answered, not its memory, in all sittings."""
    return sum(int(used["kinds"]["choose"]["n_calls"]) for used in summary(run)["usage"].values())


def test_a_stopped_run_asks_nothing_twice(tiny_model: Path, tmp_path: Path, done: Path) -> None:
    """Stopped in the middle it goes on from the last draw, and the judge's answers are remembered."""
    with opened(tmp_path, tiny_model) as run:
        run_stages(run, ["sft", "preference_model"])
        steps: list[int] = []
        advance = run.progress.advance

        def stop_at_second(what: str, note: str = "") -> None:
            advance(what, note)
            if what == "rl training":
                steps.append(1)
                if len(steps) == 1:
                    run.stop.set()

        run.progress.advance = stop_at_second  # type: ignore[method-assign]
        with pytest.raises(Interrupted):
            run_stages(run, ["rl"])
        run.stop.clear()
        run_stages(run, ["rl"])
    asked = [_asked(folder) for folder in (tmp_path / "run", done)]
    assert asked[0] == asked[1], "calls that were made before the stop are made again"
    resumed, whole = (summary(folder)["training"] for folder in (tmp_path / "run", done))
    for name in ("loss", "reward", "kl"):
        assert [s[name] for s in resumed["steps"]] == pytest.approx([s[name] for s in whole["steps"]], abs=1e-5)


def test_a_prompt_that_does_not_fit_is_not_counted_as_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    """Wherever it stands among the others."""
    red = [make_prompt(f"Harm {number}?", "red_team") for number in range(4)]
    long = [make_prompt(f"{number} " + "word " * 200, "helpful") for number in range(4)]
    more = (
        "rl.max_length=90",
        "rl.guard=null",
        "models.second_judge=null",
        "rl.rewards={preference_model: 0, length: 1}",
    )
    with opened(tmp_path, tiny_model, *more, "rl.n=null", "label.held_out=0") as run:
        run_stages(run, ["sft"])
        write_table(run.data("prompts"), [*red, *long], Prompt)
        run_stages(run, ["rl"])
    told = summary(tmp_path / "run")
    assert told["counts"]["trained on"] == {"red_team": 4}
    assert told["filtered"] == {"training: too_long": 4}
    assert told["n_in"] == 8 == told["n_done"] + 4


def test_a_policy_that_brings_code_is_rewarded(tiny_model: Path, tmp_path: Path) -> None:
    """Where the recipe trusts it: its preference model stands on the same base."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    configuration = json.loads((model / "config.json").read_text("utf-8"))
    configuration["auto_map"] = {"AutoModelForMaskedLM": "modeling.Odd"}  # code that this task does not run
    (model / "config.json").write_text(json.dumps(configuration))
    more = ("models.policy.trust_remote_code=true", "models.second_judge=null", "rl.guard=null", "rl.rewards.judge=0")
    with opened(tmp_path, model, *more) as run:
        run_stages(run, ["sft", "preference_model", "rl"])
    assert summary(tmp_path / "run")["n_done"] == 5


def test_a_judge_that_never_answers_ends_the_run(tiny_model: Path, tmp_path: Path) -> None:
    """Nothing is learnt from answers without a score: with the reason and the remedy, and without a model."""
    more = ("label.min_option_mass=1", "rl.rewards.preference_model=0", "rl.n=2", "rl.guard.every=1")
    with opened(tmp_path, tiny_model, *more) as run:
        run_stages(run, ["sft"])
        said = (
            r"'judge' said nothing of 4 of the 4 answers .*option mass below the minimum \(4\).*label\.min_option_mass"
        )
        with pytest.raises(TooManyFailures, match=said):
            run_stages(run, ["rl"])
        assert not run.model("rl").exists()


def test_verdicts_that_are_missing_are_told(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a judge that says nothing of one group: in the summary, and in the report by the name of the reward."""

    def of_others(_reward: JudgeReward, rollouts: Sequence[Rollout]) -> list[float | None]:
        return [None, None, *([0.3, 0.7] * len(rollouts))][: len(rollouts)]

    monkeypatch.setattr(JudgeReward, "__call__", of_others)
    more = ("label.min_option_mass=1", "rl.rewards.preference_model=0", "rl.n=2", "rl.guard.every=1")
    with opened(tmp_path, tiny_model, *more) as run:
        run_stages(run, ["sft", "rl"])
    told = summary(tmp_path / "run")
    assert told["counts"]["unscored"] == {"judge": 2}
    assert [step["rewards/judge/mean"] for step in told["training"]["steps"]] == [pytest.approx(0.5)]
    page = page_words(report(tmp_path / "run", tmp_path / "page.html"))
    assert "Not scored, and taken for as good as their groups: 2 answers by judge." in page
    assert any("the second judge gave fewer than 4 valid verdicts" in note for note in told["training"]["notes"]) == (
        told["training"]["looks"][-1]["n_asked"] >= 4
    )


def test_a_second_judge_is_read_as_it_is(tiny_model: Path, tmp_path: Path) -> None:
    """It makes no labels and the calibrator is another's: neither a clamp nor that keeps it from saying no."""
    file = tmp_path / "calibrator.json"
    found = calibrate(biased_judge(200, temperature=2.0, bias=0.5))
    silent = make_calibrator(found, SUBJECT).model_copy(update={"temperature": TEMPERATURES[1]})
    write_calibrator(file, silent)
    more = ("label.chains=2", f"label.calibrator={file}", "rl.rewards={preference_model: 0, judge: 1}")
    scripted = ("models.judge={name: one, engine: scripted}", "models.second_judge={name: other, engine: scripted}")
    asked = [(make_prompt(f"How is {number} done?", "red_team"), "One way.", "Another.") for number in range(12)]
    with opened(tmp_path, tiny_model, *more, *scripted) as run, contextlib.ExitStack() as models:
        settings = settings_of(run.recipe.rl, "rl")
        (rewarded,) = _rewards(run, settings, models)
        second = _second_judge(run, settings, models)
        assert second is not None
        said = [p for p in second.compare_all(asked) if p is not None]
        assert min(said) < 0.5 - RlGuard().second_judge
        assert max(said) > 0.5 + RlGuard().second_judge
        held = [p for p in rewarded.score.comparison.compare_all(asked) if p is not None]  # type: ignore[attr-defined]
        assert max(abs(p - 0.5) for p in held) < 0.1


def test_nothing_to_train_on_is_told(tiny_model: Path, tmp_path: Path) -> None:
    """With the stage to look at, and what to do."""
    more = ("rl.rewards={preference_model: 0, length: 1}", "models.second_judge=null")
    with opened(tmp_path, tiny_model, "rl.kinds=[benign_twin]", "label.held_out=0.999", *more) as run:
        run_stages(run, ["sft"])
        with pytest.raises(RunError, match="holds no prompt to train on"):
            run_stages(run, ["rl"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("preference_model=null", "trains no preference model"),
        ("rl.rewards={preference_model: 0}", "gives no part a weight"),
        ("rl.batch_size=3", "no multiple of 'rl.n_samples'"),
        ("rl.start=dpo", "'dpo' is null"),
        ("prompts.helpful=null", "'prompts.helpful' is null"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_model: Path, tmp_path: Path, override: str, said: str) -> None:
    """Before anything is done, with the key and the remedy."""
    (tmp_path / "tiny.yaml").write_text(RECIPE.format(model=tiny_model))
    more = ["pairs.kinds={red_team: 1}"] if "helpful" in override else []
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        load_recipe(tmp_path / "tiny.yaml", [override, *more])
