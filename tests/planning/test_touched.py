"""Which rows of a run a change of its constitution touches, held against what a run with the change records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from charter.constitution import Constitution, SystemTexts, load_constitution, write_constitution
from charter.errors import RunError
from charter.files.tables import read_table
from charter.planning.touched import Touched, TouchedTable, find_touched
from charter.records import Preference, Trace
from run_examples import small_run

STAGES = ("prompts", "revise", "sft", "pairs", "label")


def changed(constitution: Constitution, principle: str, **fields: Any) -> Constitution:
    """Change a principle."""
    principles = tuple(one.model_copy(update=fields) if one.id == principle else one for one in constitution.principles)
    return constitution.model_copy(update={"principles": principles})


def make_run(folder: Path, constitution: Constitution) -> Path:
    """Run up to the labels under a constitution."""
    folder.mkdir(parents=True)
    write_constitution(constitution, folder / "mine.yaml")
    return small_run(folder, STAGES, f"constitution={folder / 'mine.yaml'}", "revise.n_samples=3", "pairs.n=48")


@pytest.fixture(scope="module")
def old() -> Constitution:
    """The constitution that the run was begun with."""
    return load_constitution("harmless")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, old: Constitution) -> Path:
    """A run with traces, pairs and labels."""
    return make_run(tmp_path_factory.mktemp("touched") / "old", old)


def ids(table: TouchedTable) -> set[str]:
    """Name the touched rows."""
    return {row.id for row in table.rows}


def test_nothing_is_touched_where_nothing_changed(run: Path, old: Constitution) -> None:
    """Every draw is made once more and found again; also under another version and description."""
    for same in (old, old.model_copy(update={"version": "9.0.0", "description": "other"})):
        found = find_touched(run, old, same)
        assert found.roles == ("constitution",)
        assert not any((found.traces.rows, found.pairs.rows, found.labels.rows, found.prompts_may_change))
    assert found.traces.n == len(read_table(run / "data/traces.parquet", Trace))
    assert found.traces.n_brought == 0
    assert sum(n for n, _ in found.traces.by_principle.values()) >= found.traces.n
    assert sum(n for n, _ in found.labels.by_principle.values()) > 0


def requests(trace: Trace) -> list[tuple[str, str, str]]:
    """What a trace's rounds asked."""
    return [(one.principle, one.critique_request, one.revision_request) for one in trace.rounds]


def votes(label: Preference) -> set[str]:
    """Whose principles a label's votes are."""
    return {verdict.principle for verdict in label.verdicts}


def less(it: Constitution) -> Constitution:
    """Take a principle out, and use another one to judge by alone."""
    shorter = it.model_copy(update={"principles": it.principles[:4] + it.principles[5:]})
    return changed(shorter, "violence", uses=("judge",))


def more(it: Constitution) -> Constitution:
    """Add a principle."""
    return it.model_copy(update={"principles": (*it.principles, it.principles[0].model_copy(update={"id": "new"}))})


def otherwise(it: Constitution) -> Constitution:
    """Weigh one principle and word another one otherwise."""
    heavier = changed(it, "privacy", weight=5.0)
    return changed(heavier, "weapons", critique_request="Other words, or fine?", choice_question="Which?")


CHANGES: Mapping[str, Callable[[Constitution], Constitution]] = {"less": less, "more": more, "otherwise": otherwise}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_touched_is_what_a_run_with_the_change_asks_otherwise(
    name: str, run: Path, old: Constitution, tmp_path: Path
) -> None:
    """A second run under the new constitution differs in just those traces and labels."""
    new = CHANGES[name](old)
    found = find_touched(run, old, new)
    other = make_run(tmp_path / "new", new)
    before, after = (
        {one.id: requests(one) for one in read_table(folder / "data/traces.parquet", Trace)} for folder in (run, other)
    )
    assert before.keys() == after.keys()
    assert ids(found.traces) == {name for name in before if before[name] != after[name]}
    for row in found.traces.rows:
        assert row.before == tuple(one for one, _, _ in before[row.id])
        assert row.after == tuple(one for one, _, _ in after[row.id])
    was, now = (
        {one.id: one for one in read_table(folder / "data/preferences.parquet", Preference)} for folder in (run, other)
    )
    drawn = {row.id for row in found.labels.rows if "principle" in row.why}
    both = was.keys() & now.keys()
    assert both
    assert drawn & both == {name for name in both if votes(was[name]) != votes(now[name])}
    assert all(was[name].prompt.kind == "red_team" for name in drawn & both)


def whys(table: TouchedTable) -> set[str]:
    """Gather the reasons."""
    return {why for row in table.rows for why in row.why}


def test_reworded_requests_touch_the_rows_that_drew_them(run: Path, old: Constitution) -> None:
    """The critique's words matter to traces, the question's to labels; the text alone to guided answers."""
    drawn = read_table(run / "data/traces.parquet", Trace)[0].rounds[0].principle
    found = find_touched(run, old, changed(old, drawn, critique_request="Is anything wrong, or is it fine?"))
    assert whys(found.traces) == {"request"}
    assert ids(found.traces) == {
        one.id
        for one in read_table(run / "data/traces.parquet", Trace)
        if any(each.principle == drawn for each in one.rounds)
    }
    assert found.traces.by_principle[drawn][0] == found.traces.by_principle[drawn][1] == len(found.traces.rows)
    assert whys(found.labels) <= {"responses"}
    voted = next(iter(votes(next(one for one in labels(run) if one.prompt.kind == "red_team"))))
    found = find_touched(run, old, changed(old, voted, choice_question="Which one?"))
    assert found.traces.rows == ()
    assert whys(found.labels) >= {"request"}
    of_voted = {one.id for one in labels(run) if voted in votes(one) and one.prompt.kind == "red_team"}
    assert {row.id for row in found.labels.rows if "request" in row.why} == of_voted


def labels(run: Path) -> list[Preference]:
    """Read the run's labels."""
    return read_table(run / "data/preferences.parquet", Preference)


def test_weights_of_votes(run: Path, old: Constitution) -> None:
    """All weights times two change nothing; one weight changes draws, or how votes count."""
    doubled = tuple(one.model_copy(update={"weight": one.weight * 2}) for one in old.principles)
    found = find_touched(run, old, old.model_copy(update={"principles": doubled}))
    assert (found.traces.rows, found.labels.rows) == ((), ())


def test_what_all_rows_are_shown_touches_all(run: Path, old: Constitution) -> None:
    """Examples and system texts stand before every row of their use."""
    shots = old.few_shots
    fewer = old.model_copy(update={"few_shots": shots.model_copy(update={"revise": shots.revise[1:]})})
    found = find_touched(run, old, fewer)
    assert len(found.traces.rows) == found.traces.n
    assert whys(found.traces) == {"shown"}
    assert "shown" not in whys(found.labels)
    assert found.prompts_may_change
    texts = SystemTexts(**{**old.system.model_dump(), "judge": "Choose."})
    found = find_touched(run, old, old.model_copy(update={"system": texts}))
    assert found.traces.rows == ()
    assert len(found.labels.rows) == sum(one.prompt.kind == "red_team" for one in labels(run))
    assert not found.prompts_may_change


def test_pairs_and_their_labels_follow_their_traces(run: Path, old: Constitution) -> None:
    """A revision that would be another one is another pair, and its label another label."""
    texts = SystemTexts(**{**old.system.model_dump(), "critique": "Other.", "revise": "Other."})
    found = find_touched(run, old, old.model_copy(update={"system": texts}))
    of_traces = {one.pair for one in labels(run) if one.source == "revision_vs_initial"}
    assert of_traces
    assert of_traces <= ids(found.pairs)
    assert ids(found.labels) == {one.id for one in labels(run) if one.pair in ids(found.pairs)}


def test_the_constitution_for_helpfulness_judges_other_labels(run: Path) -> None:
    """It revises nothing, and judges helpful prompts and twins alone."""
    helpful = load_constitution("helpful")
    texts = SystemTexts(**{**helpful.system.model_dump(), "judge": "Choose."})
    found = find_touched(run, helpful, helpful.model_copy(update={"system": texts}))
    assert found.roles == ("helpful constitution",)
    assert (found.traces.rows, found.pairs.rows) == ((), ())
    assert ids(found.labels) == {one.id for one in labels(run) if one.prompt.kind != "red_team"}


def test_the_runs_own_copy_is_what_it_was_begun_with(run: Path) -> None:
    """Whatever became of the file, the change can be told from the copy in the run's folder; of both constitutions."""
    for name, role in (("constitution.yaml", "constitution"), ("constitution.helpful.yaml", "helpful constitution")):
        kept = load_constitution(str(run / name))
        assert find_touched(run, kept, kept).roles == (role,)


def test_another_constitution_than_the_runs_is_refused(run: Path, old: Constitution, tmp_path: Path) -> None:
    """What was drawn then cannot be told from another one."""
    named = r"was begun with another constitution than harmless 1\.0\.0 as it is given .*old/.*/constitution\.yaml$"
    with pytest.raises(RunError, match=named):
        find_touched(run, changed(old, "privacy", weight=2.0), old)
    with pytest.raises(RunError, match="is no run's folder"):
        find_touched(tmp_path, old, old)


def test_a_stage_without_principles_touches_all(run: Path, old: Constitution) -> None:
    """Where none is left to draw, no row stays as it is."""
    judges = old.model_copy(
        update={"principles": tuple(one.model_copy(update={"uses": ("judge",)}) for one in old.principles)}
    )
    found = find_touched(run, old, judges)
    assert len(found.traces.rows) == found.traces.n
    assert {row.after for row in found.traces.rows} == {()}


def test_values_are_plain(run: Path, old: Constitution) -> None:
    """The answer can be written as JSON."""
    found: Touched = find_touched(run, old, less(old))
    told = json.loads(json.dumps(found.to_dict()))
    assert len(told["traces"]["rows"]) == len(found.traces.rows)
