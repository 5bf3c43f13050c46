"""Recipe, constitution or data changed between two sittings of a run: refused by name or harmless, and never stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from charter.constitution import load_constitution, write_constitution
from charter.errors import UserError
from charter.pipeline import run_stages
from charter.recipe import load_recipe
from charter.runs.folder import open_run
from faults.points import point, some
from run_examples import SMALL_STAGES, table_bytes

pytestmark = [pytest.mark.faults, pytest.mark.slow]

RECIPE = """\
name: small
constitution: mine.yaml
models: {policy: {name: small, engine: scripted}}
prompts:
  {red_team: red_team.jsonl, helpful: helpful.csv, benign_twin: null, n_train: 6, n_train_helpful: 6,
   n_evaluation: 4, n_evaluation_helpful: 4}
pairs: {n: 12, kinds: {red_team: 0.5, helpful: 0.5}}
evaluate: {multiple_choice: [choices.jsonl]}
"""


def write_inputs(place: Path) -> None:
    """Write everything that the run reads."""
    place.mkdir()
    (place / "small.yaml").write_text(RECIPE, "utf-8")
    write_constitution(load_constitution("harmless"), place / "mine.yaml")
    lines = [json.dumps({"prompt": f"How does one do harm of kind {number}?"}) for number in range(14)]
    (place / "red_team.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    cells = [f'"What is the use of thing {number}?"' for number in range(14)]
    (place / "helpful.csv").write_text("\n".join(["prompt", *cells]) + "\n", "utf-8")
    choices = [
        json.dumps({"prompt": f"Which, {number}?", "corrects": [" (A)"], "incorrects": [" (B)"]}) for number in range(4)
    ]
    (place / "choices.jsonl").write_text("\n".join(choices) + "\n", "utf-8")


def do(place: Path, folder: str, *stages: str) -> None:
    """Do stages of a run on what lies in a place."""
    recipe = load_recipe(place / "small.yaml")
    with open_run(recipe, place / folder, recipe_text=(place / "small.yaml").read_text("utf-8")) as run:
        run_stages(run, stages)


def text(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Put a text in the place of the first such one in a file."""

    def change(place: Path) -> None:
        before = (place / file).read_text("utf-8")
        assert old in before
        (place / file).write_text(before.replace(old, new, 1), "utf-8")

    return change


def added(line: str) -> Callable[[Path], None]:
    """Put a line under a recipe."""
    return text("small.yaml", RECIPE, RECIPE + line)


def gone(file: str) -> Callable[[Path], None]:
    """Take a file away."""
    return lambda place: (place / file).unlink()


def lines(file: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Change a file's lines."""

    def changes(place: Path) -> None:
        found = (place / file).read_text("utf-8").splitlines()
        (place / file).write_text("\n".join(change(found)) + "\n", "utf-8")

    return changes


def principles(change: Callable[[list[object]], list[object]]) -> Callable[[Path], None]:
    """Change a constitution's principles."""

    def changes(place: Path) -> None:
        before = load_constitution(place / "mine.yaml")
        after = tuple(change(list(before.principles)))
        write_constitution(before.model_copy(update={"principles": after}), place / "mine.yaml")

    return changes


def _reworded(found: list[object], **fields: object) -> list[object]:
    return [found[0].model_copy(update=fields), *found[1:]]  # type: ignore[attr-defined]


CHANGES: dict[str, Callable[[Path], None]] = {
    "recipe: seed": added("seed: 1\n"),
    "recipe: rounds": added("revise: {rounds: 3}\n"),
    "recipe: layout": added("revise: {layout: transcript}\n"),
    "recipe: critique": added("revise: {critique: false}\n"),
    "recipe: length of answers": added("revise: {max_tokens: 17}\n"),
    "recipe: learning rate": added("sft: {learning_rate: 0.5}\n"),
    "recipe: beta": added("dpo: {beta: 0.7}\n"),
    "recipe: principles a label": added("label: {k_principles: 3}\n"),
    "recipe: number of pairs": text("small.yaml", "n: 12", "n: 10"),
    "recipe: number of prompts": text("small.yaml", "n_train: 6", "n_train: 5"),
    "recipe: shares": text("small.yaml", "red_team: 0.5, helpful: 0.5", "red_team: 0.25, helpful: 0.75"),
    "recipe: model": text("small.yaml", "name: small, engine", "name: other, engine"),
    "recipe: another constitution": text("small.yaml", "mine.yaml", "harmless"),
    "recipe: a comment": text("small.yaml", "name: small\n", "# a word\nname: small\n"),
    "recipe: a default written out": added("seed: 0\n"),
    "constitution: a principle's text": principles(lambda found: _reworded(found, text="Be brief.")),
    "constitution: a critique request": principles(lambda found: _reworded(found, critique_request="Is it kind?")),
    "constitution: a revision request": principles(lambda found: _reworded(found, revision_request="Be kind.")),
    "constitution: a choice question": principles(lambda found: _reworded(found, choice_question="Which is kind?")),
    "constitution: a weight": principles(lambda found: _reworded(found, weight=5.0)),
    "constitution: the order": principles(lambda found: found[::-1]),
    "constitution: one principle fewer": principles(lambda found: found[1:]),
    "constitution: an id": principles(lambda found: _reworded(found, id="renamed")),
    "constitution: a comment": lines("mine.yaml", lambda found: ["# a word", *found]),
    "constitution: gone": gone("mine.yaml"),
    "data: a word": text("red_team.jsonl", "harm of kind 3", "harm of sort 3"),
    "data: one line fewer": lines("red_team.jsonl", lambda found: found[1:]),
    "data: one line more": lines("helpful.csv", lambda found: [*found, '"What else?"']),
    "data: the order": lines("helpful.csv", lambda found: [found[0], *found[:0:-1]]),
    "data: gone": gone("helpful.csv"),
    "data: a choice": text("choices.jsonl", '"corrects": [" (A)"]', '"corrects": [" (C)"]'),
    "data: the same files anew": text("choices.jsonl", "Which, 0", "Which, 0"),
}


@pytest.mark.parametrize("change", some(list(CHANGES), 5))
def test_no_result_is_of_other_inputs_than_there_are(tmp_path: Path, change: str) -> None:
    """The run that is gone on with is refused, and left as it was, or comes to what a new run on these inputs does."""
    place = tmp_path / "place"
    write_inputs(place)
    do(place, "run", "prompts", "revise")
    before = {path: path.read_bytes() for path in (place / "run").rglob("*") if path.is_file()}
    CHANGES[change](place)
    with point("inputs changed between two sittings", change) as tried:
        try:
            do(place, "run", *SMALL_STAGES)
        except UserError as error:
            assert_refused(str(error), change)
            assert {path: path.read_bytes() for path in before} == before
            tried.outcome = "refused by name"
        else:
            do(place, "anew", *SMALL_STAGES)
            assert table_bytes(place / "run") == table_bytes(place / "anew")
            tried.outcome = "without effect, and equal to a new run"


def assert_refused(said: str, change: str) -> None:
    """The refusal names what changed, and where it is."""
    files = {"constitution": ("mine.yaml",), "data": ("red_team.jsonl", "helpful.csv", "choices.jsonl")}
    kind = change.partition(":")[0]
    if kind == "recipe":
        assert "belongs to another recipe. Changed:\n" in said
    else:
        assert any(file in said for file in files[kind]), said
