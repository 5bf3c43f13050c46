from __future__ import annotations

from pathlib import Path

import pytest

from charter.feedback.pair_plans import plan_pairs
from charter.planning.findings import Finding
from charter.planning.preflight import check_recipe
from charter.planning.shortages import find_shortages
from charter.prompts.selection import Selection
from charter.recipe import built_in_recipes, load_recipe
from charter.records import Trace, make_prompt
from run_examples import small_recipe


def found(tmp_path: Path, *overrides: str) -> list[Finding]:
    """Check the small recipe, and give errors and warnings about prompts, pairs and mixture."""
    report = check_recipe(small_recipe(tmp_path, *overrides), tmp_path / "run")
    kinds = ("prompts", "pairs", "sft")
    return [one for one in report.findings if one.severity != "note" and one.about.startswith(kinds)]


@pytest.mark.parametrize(
    ("overrides", "about", "said"),
    [
        (("prompts.n_train=900",), "prompts.n_train", "is 900, and there are 2"),
        (("prompts.n_train_helpful=900",), "prompts.n_train_helpful", "is 900, and there are 1"),
        (("prompts.n_evaluation_helpful=900",), "prompts", "of 80 that come marked as held out; lower"),
        (
            ("pairs.n=160",),
            "pairs.sources.red_team.revision_vs_initial",
            "asks for 20 pairs, and there are 6 traces, each of which makes one; lower pairs.n",
        ),
    ],
)
def test_too_little_is_an_error(tmp_path: Path, overrides: tuple[str, ...], about: str, said: str) -> None:
    """More than there is of prompts or traces is told by its key, with both numbers and a remedy."""
    (one,) = found(tmp_path, *overrides)
    assert (one.severity, one.about) == ("error", about)
    assert said in one.message


@pytest.mark.parametrize("n", range(47, 55))
def test_a_shortage_is_what_the_pairs_stage_would_leave_unmade(tmp_path: Path, n: int) -> None:
    """Where its shares do not divide the pairs, the stage's own counting decides: 52 pairs take 7 revisions, not 6."""
    recipe = small_recipe(tmp_path, f"pairs.n={n}")
    prompts = [make_prompt(f"Prompt {number} of {kind}", kind) for kind in recipe.pairs.kinds for number in range(6)]
    traces = [Trace(id=one.id, prompt=one, initial="", rounds=()) for one in prompts if one.kind == "red_team"]
    settings = recipe.pairs
    planned = plan_pairs(prompts, traces, n=n, kinds=settings.kinds, sources=settings.sources)
    short = [about for _, about, _ in find_shortages(recipe, Selection(tuple(prompts), {}))]
    expected = "pairs.sources.red_team.revision_vs_initial"
    assert (expected in short) == (len(planned) < n) == (n > 51)


def test_more_samples_make_more_traces(tmp_path: Path) -> None:
    """What one chain a prompt is too little for, several are enough for."""
    assert found(tmp_path, "pairs.n=160", "revise.n_samples=4") == []


def test_a_kind_whose_prompts_are_all_held_out(tmp_path: Path) -> None:
    """A kind with a share and prompts, none of which is left to train on, makes no pairs."""
    lines = "".join(f'{{"prompt": "Question number {number}?", "split": "x"}}\n' for number in range(4))
    (tmp_path / "few.jsonl").write_text(lines, "utf-8")
    own = (f"prompts.helpful={tmp_path / 'few.jsonl'}", "prompts.n_train_helpful=null")
    assert found(tmp_path, *own, "prompts.n_evaluation_helpful=3") == []
    messages = [one.about for one in found(tmp_path, *own, "prompts.n_evaluation_helpful=4")]
    assert messages  # the split itself refuses to hold out all of them


def test_a_mixture_of_nothing_is_a_warning(tmp_path: Path) -> None:
    """Ratios of prompts that are not there mix nothing in; the run can go on, and a person should know."""
    without = ("prompts.benign_twin=null", "pairs.kinds={red_team: 0.5, helpful: 0.5}")
    (one,) = found(tmp_path, *without)
    assert (one.severity, one.about) == ("warning", "sft.twin_ratio")
    assert "none are mixed in" in one.message
    assert found(tmp_path, *without, "sft.twin_ratio=0") == []


def test_enough_is_not_remarked(tmp_path: Path) -> None:
    """The small recipe and those that come with Charter ask for what there is."""
    assert found(tmp_path) == []
    for path in built_in_recipes().values():
        errors = check_recipe(load_recipe(path), tmp_path / "run").errors
        assert [one for one in errors if one.about != "training.launch"] == []  # of which one needs GPUs
