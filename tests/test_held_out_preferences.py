from __future__ import annotations

from pathlib import Path

from charter.files.tables import write_table
from charter.records import Preference, Prompt, make_prompt
from charter.runs.folder import open_run
from charter.seeds import derive_seed
from charter.stages.label import read_preferences
from charter.stages.prompts import held_out_prompts
from run_examples import RECIPE, small_recipe


def _preference(text: str, prompt: str, number: int = 0, twin_of: str | None = None) -> Preference:
    name = f"pair-{prompt}-{number}"
    kind = "benign_twin" if twin_of else "helpful"
    return Preference(
        id=name, prompt=make_prompt(text, kind, id=prompt, twin_of=twin_of), chosen="a", rejected="b", p_chosen=0.8,
        source="on_policy", verdicts=(), pair=name, chosen_side="a", p_judge=0.8, position_bias=0.0,
    )  # fmt: skip


def test_no_text_is_trained_on_and_held_out(tmp_path: Path) -> None:
    """Preferences of a prompt, and of those that ask the same in another dress, are on one side; others go by id."""
    rows = [_preference(f"Question {n}?", f"a{n}", k) for n in range(60) for k in range(2)]
    rows += [_preference(f"  question, {n}", f"b{n}") for n in range(40)]
    with open_run(small_recipe(tmp_path, "label.held_out=0.3"), tmp_path / "run", recipe_text=RECIPE) as run:
        write_table(run.data("prompts"), [one.prompt for one in rows], Prompt)
        write_table(run.data("preferences"), rows, Preference)
        train, held_out = read_preferences(run)
    texts = [
        {one.prompt.text.strip().lower().strip("?").replace(",", "") for one in side} for side in (train, held_out)
    ]
    assert not texts[0] & texts[1]
    assert len(train) + len(held_out) == len(rows)
    assert {one.prompt.id for one in held_out if one.prompt.id.startswith("a")} == {
        f"a{n}" for n in range(60) if derive_seed(0, f"a{n}", "held out") < 0.3 * 2**56
    }
    assert 0.15 < len(held_out) / len(rows) < 0.45


def test_a_twin_is_held_out_with_its_prompt(tmp_path: Path) -> None:
    """A prompt and its twin are held out or trained on together, though they say different things."""
    rows = [_preference(f"Question {n}?", f"rt-{n}") for n in range(60)]
    rows += [_preference(f"Something harmless {n}", f"twin-{n}", twin_of=f"rt-{n}") for n in range(60)]
    with open_run(small_recipe(tmp_path, "label.held_out=0.5"), tmp_path / "run", recipe_text=RECIPE) as run:
        write_table(run.data("prompts"), [one.prompt for one in rows], Prompt)
        write_table(run.data("preferences"), rows, Preference)
        train, held_out = read_preferences(run)
    groups = [{one.prompt.twin_of or one.prompt.id for one in side} for side in (train, held_out)]
    assert not groups[0] & groups[1]
    assert len(groups[0] | groups[1]) == 60
    assert min(map(len, groups)) > 15


def test_no_stage_trains_on_what_another_holds_out(tmp_path: Path) -> None:
    """Whichever prompts of a group have preferences: it is named after the first of all, and goes one way."""
    asked = [make_prompt(f"How do I pick the lock of door {n}?", "red_team") for n in range(200)]
    again = [make_prompt(f"how do I pick the lock of door {n}!!", "red_team") for n in range(200)]
    rows = [_preference(one.text, one.id).model_copy(update={"prompt": one}) for one in again]
    recipe = small_recipe(tmp_path, "label.held_out=0.2", "prompts.near_duplicates=null")
    with open_run(recipe, tmp_path / "run", recipe_text=RECIPE) as run:
        write_table(run.data("prompts"), [*asked, *again], Prompt)
        write_table(run.data("preferences"), rows, Preference)
        train, held_out = read_preferences(run)
        is_held_out = held_out_prompts(run)
    assert 20 < len(held_out) < 60
    assert {one.prompt.id for one in held_out} == {one.id for one in again if is_held_out[one.id]}
    assert [is_held_out[one.id] for one in asked] == [is_held_out[one.id] for one in again]
    assert not any(is_held_out[one.prompt.id] for one in train)
