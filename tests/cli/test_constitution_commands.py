from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charter.cli.constitutions.diff_view import view_diff
from charter.constitution import diff_constitutions, load_constitution, write_constitution
from charter.constitution.lint import RULES
from cli.command import Command

MINE = """\
name: mine
principles:
  - {id: kind, text: The assistant is kind to everyone.}
"""


def test_rules_are_listed(charter: Command) -> None:
    """Each with its severity, what it needs, its reason and what to do."""
    told = charter("constitution", "check", "--rules")
    assert told.code == 0
    for rule in RULES:
        assert f"{rule.name} ({rule.severity}" in told.out
        assert rule.reason in told.out
        assert rule.fix in told.out
    assert "no-prompts (note, with --prompts)" in told.out
    assert [one["name"] for one in charter("constitution", "check", "--rules", "--json").value] == [
        rule.name for rule in RULES
    ]


def test_warnings_fail_where_that_is_asked(charter: Command, place: Path) -> None:
    """Findings that are ignored fail nothing."""
    (place / "mine.yaml").write_text(MINE, "utf-8")
    assert charter("constitution", "check", "mine.yaml").code == 0
    assert charter("constitution", "check", "mine.yaml", "--strict").code == 2
    strict = ["constitution", "check", "mine.yaml", "--strict", "--ignore", "missing-few-shots", "--json"]
    done = charter(*strict)
    assert (done.code, done.value["ok"]) == (0, True)
    assert [one["rule"] for one in done.value["findings"]] == ["empty-category"]
    assert charter(*strict, "--ignore", "no-such").code == 2


def test_prompts_and_the_context_are_looked_at_where_given(charter: Command, place: Path) -> None:
    """Rules that need them are passed over without."""
    (place / "mine.yaml").write_text(MINE.replace("kind,", "kind, category: weather,"), "utf-8")
    check = ["constitution", "check", "mine.yaml", "--ignore", "missing-few-shots"]
    assert "0 findings" in charter(*check).out
    told = charter(*check, "--prompts", "built-in", "--context", "200").out
    assert "[no-prompts]" in told
    assert "of the model's 200 tokens" in told
    assert charter(*check, "--context", "0").code == 2


def test_contradictions_are_looked_for_where_that_is_asked(charter: Command) -> None:
    """The model's findings stand among the others, by their rule; a script's are made up."""
    check = ["constitution", "check", "harmless", "--contradictions", "demo", "--engine", "scripted", "--json"]
    done = charter(*check)
    assert done.code == 0
    assert {one["rule"] for one in done.value["findings"]} == {"contradiction"}
    assert charter(*check, "--ignore", "contradiction").value["findings"] == []


@pytest.mark.model
def test_the_context_is_a_models_own(charter: Command, tiny_model: Path) -> None:
    """Its tokenizer counts."""
    assert "tokens" in charter("constitution", "check", "harmless", "--model", tiny_model).out
    done = charter("constitution", "check", "harmless", "--model", "./nowhere")
    assert done.code == 2


def test_a_constitution_is_asked_for(charter: Command) -> None:
    """Nothing to check is an error with what to do."""
    done = charter("constitution", "check")
    assert done.code == 2
    assert "no constitution is named; give a built-in name or a file, or --rules" in done.err


def test_what_changed_is_shown_word_by_word(charter: Command, place: Path) -> None:
    """Removed and added words carry marks, and the version is judged."""
    (place / "old.yaml").write_text(MINE, "utf-8")
    (place / "new.yaml").write_text(
        MINE.replace("kind to everyone", "kind to children") + "  - {id: brief, text: It is brief.}\n", "utf-8"
    )
    done = charter("constitution", "diff", "old.yaml", "new.yaml")
    assert done.code == 0
    assert "The assistant is kind to [-everyone.-]{+children.+}" in done.out
    assert "added: brief" in done.out
    assert "0.1.0 -> 0.1.0 is too little for a major change: at least 0.2.0 (kind reworded)" in done.out
    value = charter("constitution", "diff", "old.yaml", "new.yaml", "--json").value
    assert [one["id"] for one in value["added"]] == ["brief"]
    assert "touched" not in value
    (place / "next.yaml").write_text((place / "new.yaml").read_text("utf-8") + "version: 0.2.0\n", "utf-8")
    assert "0.1.0 -> 0.2.0 is enough for a major" in charter("constitution", "diff", "old.yaml", "next.yaml").out
    same = charter("constitution", "diff", "old.yaml", "old.yaml").out
    assert "nothing changed that asks for another one" in same


def test_every_part_of_a_change_is_shown() -> None:
    """Names, weights, places of examples, system texts, order, and what is said of the whole."""
    old = load_constitution("harmless")
    first, second, *rest = old.principles
    new = old.model_copy(
        update={
            "name": "mine",
            "bases": ("harmless 1.0.0",),
            "principles": (second, first.model_copy(update={"id": "peace", "weight": 2.5}), *rest[:-1]),
            "few_shots": old.few_shots.model_copy(update={"revise": old.few_shots.revise[:0:-1]}),
            "system": old.system.model_copy(update={"judge": "Choose."}),
            "version": "2.0.0",
        }
    )
    told = view_diff(diff_constitutions(old, new), colours=False).plain
    for words in (
        f"removed: {rest[-1].id}",
        "violence -> peace: renamed (the text is the same), reweighted",
        "weight: 1 -> 2.5",
        "order: the principles stand in another one",
        "removed (places before): 1; added (places after): none",
        "those that stay stand in another order",
        "about: bases",
        "bases: none -> harmless 1.0.0",
        "[-harmless-]{+mine+}",
        "1.0.0 -> 2.0.0, of another name: no step is asked for",
    ):
        assert words in told


def test_one_note_on_many_principles_is_shown_once() -> None:
    """A licence that all of them get is one change; a principle of which more changed stands alone."""
    old = load_constitution("helpful")
    noted = [one.model_copy(update={"licence": "CC0-1.0"}) for one in old.principles]
    noted[0] = noted[0].model_copy(update={"weight": 2.0})
    told = view_diff(diff_constitutions(old, old.model_copy(update={"principles": tuple(noted)})), colours=False).plain
    assert told.count("{+CC0-1.0+}") == 2
    assert f"{', '.join(old.ids[1:])}: other notes" in told
    assert f"{old.ids[0]}: reweighted, other notes" in told


def test_a_runs_touched_rows_are_counted(charter: Command, place: Path, finished: Path) -> None:
    """With a run, how many rows the change touches, why, and by which principle; their ids as JSON."""
    run = place / "run"
    shutil.copytree(finished, run)
    old = load_constitution("harmless")
    write_constitution(old.model_copy(update={"principles": old.principles[1:]}), place / "new.yaml")
    told = charter("constitution", "diff", "harmless", "new.yaml", "--run", run).out
    assert "OLD is the run's constitution" in told
    assert "of 6 traces are touched" in told
    assert "another principle is drawn" in told
    assert "recorded principle" in told
    value = charter("constitution", "diff", "harmless", "new.yaml", "--run", run, "--json").value["touched"]
    assert value["traces"]["n"] == 6
    assert all(row["id"].startswith("trace-") for row in value["traces"]["rows"])
    refused = charter("constitution", "diff", "new.yaml", "harmless", "--run", run)
    assert refused.code == 2
    assert "was begun with another constitution" in refused.err
