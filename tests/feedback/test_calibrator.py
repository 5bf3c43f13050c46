"""The file of a calibrator: written, read, refused, and what it does to labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from charter.errors import RecipeError
from charter.feedback import label
from charter.feedback.calibration import calibrate
from charter.feedback.calibrator import Asked, make_calibrator, misfits, read_calibrator, scaling_of, write_calibrator
from charter.planning.preflight import check_recipe
from charter.records import Pair, make_prompt
from charter.statistics.scaling import AS_READ, TEMPERATURES, Scaling
from feedback.test_calibration import biased_judge
from method_examples import PLAIN
from run_examples import small_recipe, small_run

SUBJECT: dict[str, Any] = {
    "judge": "tiny judge", "identity": "1a2b", "constitution": "harmless", "chains": 0, "labels": "labels.jsonl",
    "helpful_constitution": "helpful", "kinds": ["benign_twin", "helpful", "red_team"], "n_few_shots": None,
    "min_option_mass": 0.5,
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A calibrator of a judge that is too sure and leans to the first option."""
    found = calibrate(biased_judge(200, temperature=2.0, bias=0.5))
    write_calibrator(tmp_path / "calibrator.json", make_calibrator(found, SUBJECT))
    return tmp_path / "calibrator.json"


def test_what_was_written_is_read(file: Path) -> None:
    """To the last digit; people can read it too."""
    found = read_calibrator(file)
    assert scaling_of(str(file)) == Scaling(found.temperature, found.option_bias)
    assert json.loads(file.read_text("utf-8"))["judge"] == "tiny judge"
    assert found.after.ece < found.before.ece
    assert scaling_of(None) is AS_READ


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told: told | {"temperature": 0}, "temperature: .*it is 0"),
        (lambda told: told | {"format": "other/1"}, "format: "),
        (lambda told: told | {"more": 1}, "more: "),
        (lambda _: [], "the file: "),
    ],
)
def test_what_is_no_calibrator_is_refused(file: Path, change: object, message: str) -> None:
    """With the file, the value and the remedy."""
    assert callable(change)
    file.write_text(json.dumps(change(json.loads(file.read_text("utf-8")))), "utf-8")
    with pytest.raises(RecipeError, match=rf"calibrator\.json: {message}.*charter audit"):
        read_calibrator(file)


def test_a_missing_key_is_named_without_the_whole_file(file: Path) -> None:
    """What is wrong is told in a line, also where a value is long."""
    told = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({key: value for key, value in told.items() if key != "judge"}), "utf-8")
    with pytest.raises(RecipeError, match="judge: Field required; expected") as missing:
        read_calibrator(file)
    file.write_text(json.dumps(told | {"temperature": "hot " * 500}), "utf-8")
    with pytest.raises(RecipeError, match="temperature: ") as long:
        read_calibrator(file)
    assert max(len(str(error.value)) for error in (missing, long)) < 400 + len(str(file))


@pytest.mark.parametrize("written", [None, b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path: Path, written: bytes | None) -> None:
    """Also a file that is not there."""
    path = tmp_path / "calibrator.json"
    if written is not None:
        path.write_bytes(written)
    with pytest.raises(RecipeError, match=r"calibrator\.json: .*; expected a file that 'charter audit' wrote"):
        read_calibrator(path)


def test_labels_are_calibrated() -> None:
    """A judge that is sure in both orders is damped by a temperature; what was read stays on the verdicts."""
    pair = Pair(id="x", prompt=make_prompt("How?", "red_team"), a="one", b="two", source="on_policy")
    sure = ScriptedEngine(
        preference=lambda request: (0.9, 0.1) if "(A) one" in request.messages[-1].content else (0.1, 0.9)
    )
    (plain,) = label([pair], PLAIN, sure, k_principles=1).done
    (damped,) = label([pair], PLAIN, sure, k_principles=1, scaling=Scaling(temperature=2.0)).done
    assert plain.p_chosen == pytest.approx(0.9)
    assert damped.p_chosen == pytest.approx(0.75)  # log-odds log 9, halved: odds 3
    assert [one.p_first for one in damped.verdicts] == [one.p_first for one in plain.verdicts]


def test_a_calibrator_of_another_judge_is_pointed_out(file: Path, tmp_path: Path) -> None:
    """And one that was fitted with other chains; a broken one is an error."""

    def said(*more: str) -> list[tuple[str, str]]:
        report = check_recipe(small_recipe(tmp_path, f"label.calibrator={file}", *more), tmp_path / "run")
        return [(one.severity, one.message) for one in report.findings if one.about == "label.calibrator"]

    ((severity, message),) = said()
    assert severity == "warning"
    assert "was fitted on tiny judge, and the recipe's judge is" in message
    assert any("with 0 chains of thought, and 'label.chains' is 2" in message for _, message in said("label.chains=2"))
    assert any("under the constitution harmless, and" in message for _, message in said("constitution=honest"))
    helpful = said("constitution={source: harmless, helpful: honest}")
    assert any("constitution helpful for helpful prompts, and this judge goes by honest" in text for _, text in helpful)
    assert any("all worked examples shown" in message for _, message in said("label.n_few_shots=1"))
    assert any("option mass of 0.5 at least" in message for _, message in said("label.min_option_mass=0.2"))
    file.write_text("{", "utf-8")
    assert [severity for severity, _ in said()] == ["error"]


def test_what_a_run_finds_of_a_calibrator_is_in_its_summary(tmp_path: Path) -> None:
    """At the stage label the judge is there: a calibrator of other weights under its name is told of."""
    found = calibrate(biased_judge(200, temperature=2.0, bias=0.5))
    stages = ["prompts", "revise", "sft", "pairs", "label"]

    def notes(name: str, **whose: Any) -> list[str]:
        file = tmp_path / f"{name}.json"
        write_calibrator(file, make_calibrator(found, SUBJECT | whose))
        folder = small_run(tmp_path / name, stages, f"label.calibrator={file}")
        return list(json.loads((folder / "stages/label.json").read_text("utf-8")).get("notes", []))

    (other,) = notes("other")
    assert "was fitted on tiny judge" in other
    (changed,) = notes("changed", judge="small")
    assert "was fitted on another small than this one" in changed
    same = {"judge": "small", "identity": ScriptedEngine(script="small").identity}
    assert notes("same", **same) == []
    (unseen,) = notes("unseen", **same, kinds=["red_team"])
    assert "on answers to red_team prompts, and those to benign_twin, helpful prompts are read through it" in unseen
    assert notes("shown", **same, n_few_shots=1) != []


def test_misfits_are_told_one_by_one(file: Path) -> None:
    """Nothing is said of what fits, nor of what is not known."""
    found = read_calibrator(file)
    fitting = {"judge": "tiny judge", "chains": 0}
    assert list(misfits(found, **fitting)) == []  # type: ignore[arg-type]
    assert list(misfits(found, **fitting, constitution="harmless", identity="1a2b")) == []  # type: ignore[arg-type]
    (changed,) = misfits(found, **fitting, identity="3c4d")  # type: ignore[arg-type]
    silent = found.model_copy(update={"temperature": TEMPERATURES[1]})
    (noise,) = misfits(silent, **fitting)  # type: ignore[arg-type]
    assert "has the highest temperature" in noise
    assert "audit the judge again" in changed


ASKED = Asked(helpful_constitution="helpful", kinds=("helpful", "red_team"), n_few_shots=2, min_option_mass=0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kinds": ("red_team",)}, []),
        ({"kinds": ("red_team",), "helpful_constitution": "honest"}, []),  # by which nothing is judged then
        ({"helpful_constitution": None}, []),
        ({"helpful_constitution": "honest"}, ["under the constitution helpful for helpful prompts"]),
        ({"kinds": ("benign_twin", "red_team")}, ["those to benign_twin prompts are read through it too"]),
        ({"n_few_shots": None}, ["with 2 worked examples shown, and 'label.n_few_shots' shows all"]),
        ({"min_option_mass": 0.1, "n_few_shots": 0}, ["shows 0", "mass of 0.5 at least, and 'label.min_option_mass'"]),
    ],
)
def test_a_judge_that_is_asked_otherwise_is_pointed_out(file: Path, change: dict[str, Any], said: list[str]) -> None:
    """Each difference by itself; what is asked less than was audited is no difference."""
    found = read_calibrator(file).model_copy(update={"asked": ASKED})
    asked = ASKED.model_copy(update=change)
    told = list(misfits(found, judge="tiny judge", chains=0, asked=asked))
    assert len(told) == len(said)
    assert all(part in whole for part, whole in zip(said, told, strict=True))


def test_files_of_earlier_versions_are_read(file: Path) -> None:
    """They do not say how the judge was asked, and nothing is said of it."""
    told = json.loads(file.read_text("utf-8"))
    assert told["asked"]["kinds"] == SUBJECT["kinds"]
    file.write_text(json.dumps({key: value for key, value in told.items() if key != "asked"}), "utf-8")
    found = read_calibrator(file)
    assert found.asked is None
    assert list(misfits(found, judge="tiny judge", chains=0, asked=ASKED)) == []
