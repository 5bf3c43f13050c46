"""``charter diff-labels`` on two runs of one recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.feedback.settling import LOW_MARGIN, NO_VERDICT
from charter.files.tables import read_table
from charter.records import Preference, Unlabelled
from cli.command import Command

STAGES = ("--until", "label")


@pytest.fixture
def runs(charter: Command) -> tuple[str, str]:
    """Two runs that differ in what the judge is asked under."""
    for name, more in (("a", ()), ("b", ("label.k_principles=1",))):
        assert charter("run", "demo.yaml", *more, "--out", f"runs/{name}", *STAGES).code == 0
    return "runs/a", "runs/b"


def test_flips_are_shown_with_their_reasons(charter: Command, runs: tuple[str, str]) -> None:
    """All pairs are common; the counts are those of the JSON, row by row."""
    done, told = charter("diff-labels", *runs), charter("diff-labels", *runs, "--json").value
    assert done.code == 0
    n = told["n_common"]
    none = "0 only in the first run, 0 only in the second"
    assert f"{n} pairs have a label both in the first run and in the second, {none}" in done.out
    assert f"flipped: {told['n_flipped']}," in done.out
    assert told["n_flipped"] == sum(one["flipped"] for one in told["changed"]) > 0
    assert all("principles" in one["reasons"] for one in told["changed"])
    assert "other principles were asked" in done.out
    assert charter("diff-labels", *runs, "--rows", "0").out.count("demo") == 0


def test_the_labels_of_a_later_iteration_are_compared(charter: Command) -> None:
    """With --iteration; which one is said where there are several, and one that neither run has is refused."""
    for name, more in (("a", ()), ("b", ("label.k_principles=1",))):
        assert (
            charter("run", "demo.yaml", "iterations=2", *more, "--out", f"runs/{name}", "--until", "label-2").code == 0
        )
    runs = ("runs/a", "runs/b")
    first, second = (charter("diff-labels", *runs, *more, "--json").value for more in ((), ("--iteration", "2")))
    assert (first["iteration"], second["iteration"]) == (1, 2)
    changed = [{one["pair"] for one in told["changed"]} for told in (first, second)]
    assert changed[1]
    assert not changed[0] & changed[1]
    assert charter("diff-labels", *runs).out.startswith("iteration 1 of 2:\n")
    assert charter("diff-labels", *runs, "--iteration", "2").out.startswith("iteration 2 of 2:\n")
    refused = charter("diff-labels", *runs, "--iteration", "3")
    assert refused.code == 2
    assert "has no iteration 3; expected --iteration 1 to 2" in refused.err


def test_a_run_differs_in_nothing_from_itself(charter: Command, runs: tuple[str, str]) -> None:
    """No flip, no shift, no reason."""
    told = charter("diff-labels", runs[0], runs[0], "--json").value
    assert (told["n_flipped"], told["shift"]["value"], told["changed"]) == (0, 0.0, [])


def test_what_is_no_run_with_labels_is_refused(charter: Command, runs: tuple[str, str], place: Path) -> None:
    """With the folder's name, and what to do."""
    (place / "empty").mkdir()
    done = charter("diff-labels", runs[0], "empty")
    assert done.code == 2
    assert "empty" in done.err
    assert charter("run", "demo.yaml", "--out", "runs/c", "--until", "pairs").code == 0
    done = charter("diff-labels", runs[0], "runs/c")
    assert done.code == 2
    assert "preferences.parquet: no such file; run the stage that writes it first" in done.err


def test_labels_are_told_without_a_principle(charter: Command, runs: tuple[str, str], place: Path) -> None:
    """What would flip, what would have no vote left, and what each principle carries; nothing is written."""
    table = place / runs[0] / "data" / "preferences.parquet"
    written = table.stat().st_mtime_ns
    asked = ("label", "demo.yaml", "--out", runs[0])
    voters = [one["principle"] for one in charter(*asked, "--without", "privacy", "--json").value["influence"]]
    assert "privacy" in voters
    told = charter(*asked, "--without", "privacy", "--json").value
    (own,) = [one for one in told["influence"] if one["principle"] == "privacy"]
    assert own["turned"] == told["n_flipped"]
    assert own["emptied"] == len(told["only_before"])
    assert sum(one["carried"] for one in told["influence"]) == pytest.approx(1.0)
    printed = charter(*asked, "--without", "privacy").out
    assert "flips without it" in printed
    assert table.stat().st_mtime_ns == written
    every = charter(*asked, *(part for name in voters for part in ("--without", name)), "--json").value
    assert {one["why"] for one in every["only_before"]} == {NO_VERDICT}
    assert (every["n_common"], len(every["only_before"])) == (0, told["n_common"] + len(told["only_before"]))


def test_a_principle_that_never_voted_is_refused(charter: Command, runs: tuple[str, str]) -> None:
    """With the nearest that did."""
    done = charter("label", "demo.yaml", "--out", runs[0], "--without", "privcy")
    assert done.code == 2
    assert "no such principle voted on a pair of this run" in done.err
    assert 'did you mean "privacy"?' in done.err


@pytest.fixture
def two_judges(charter: Command) -> str:
    """A run that two judges labelled."""
    judges = "label.judges={other: {model: {name: other, engine: scripted}, weight: 3}}"
    assert charter("run", "demo.yaml", judges, "--out", "runs/two", *STAGES).code == 0
    return "runs/two"


def test_every_vote_has_its_judge(two_judges: str, place: Path) -> None:
    """Both are asked the same; the summary counts the verdicts of each."""
    rows = read_table(place / two_judges / "data" / "preferences.parquet", Preference)
    for row in rows:
        own, other = ([one for one in row.verdicts if one.judge == name] for name in ("", "other"))
        assert [(one.principle, one.order) for one in own] == [(one.principle, one.order) for one in other]
        assert [3 * one.weight for one in own] == [one.weight for one in other]
    counts = json.loads((place / two_judges / "stages" / "label.json").read_text("utf-8"))["counts"]
    assert counts["by judge"].keys() == {"judge", "other"}
    assert sum(one["verdicts"] for one in counts["by judge"].values()) == counts["verdicts"] > 0


def test_labels_are_told_without_a_judge(charter: Command, runs: tuple[str, str], two_judges: str) -> None:
    """Without the other one they are those of a run that never had it; what each carries adds up."""
    assert charter("diff-labels", runs[0], two_judges, "--json").value["by_reason"].keys() == {"judges"}
    judges = "label.judges={other: {model: {name: other, engine: scripted}, weight: 3}}"
    asked = ("label", "demo.yaml", judges, "--out", two_judges, "--without-judge")
    told = charter(*asked, "other", "--json").value
    assert told["n_flipped"] == charter("diff-labels", runs[0], two_judges, "--json").value["n_flipped"] > 0
    assert {one["judge"] for one in told["influence_of_judges"]} == {"judge", "other"}
    assert sum(one["carried"] for one in told["influence_of_judges"]) == pytest.approx(1.0)
    assert "judge " in charter(*asked, "judge").out
    done = charter(*asked, "othr")
    assert done.code == 2
    assert "--without-judge 'othr': no such judge voted on a pair of this run; these did: judge, other" in done.err


def test_labels_are_settled_as_the_run_settled_them(charter: Command, runs: tuple[str, str], place: Path) -> None:
    """A recipe that would make labels otherwise is refused, with the key; one that differs elsewhere is not asked."""
    asked = ("label", "demo.yaml", "--out", runs[0], "--without", "privacy", "--json")
    told = charter(*asked).value
    done = charter(*asked, "label.on_disagreement=keep")
    assert done.code == 2
    assert "made its labels otherwise than this recipe would" in done.err
    assert "label.on_disagreement: was 'swap', is 'keep'" in done.err
    assert charter(*asked, "evaluate.max_tokens=17").value == told
    resolved = place / runs[0] / "recipe.resolved.yaml"
    assert charter("label", resolved, *asked[2:]).value == told


def test_again_and_without_are_not_both_given(charter: Command, runs: tuple[str, str], place: Path) -> None:
    """The one writes, and the other does not: nothing is done."""
    table = place / runs[0] / "data" / "preferences.parquet"
    written = table.stat().st_mtime_ns
    done = charter("label", "demo.yaml", "--out", runs[0], "--without", "privacy", "--again")
    assert done.code == 2
    assert "give the one or the other" in done.err
    assert table.stat().st_mtime_ns == written


def test_where_no_pair_has_a_label_in_both_it_is_told_why(charter: Command, runs: tuple[str, str]) -> None:
    """The pairs are the same, and none has a label in the second: nothing is said of wrong runs."""
    more = ("label.min_margin=0.49", "label.on_low_margin=drop")
    assert charter("run", "demo.yaml", *more, "--out", "runs/none", "--until", "label").code == 0
    told = charter("diff-labels", runs[0], "runs/none").out
    assert told.splitlines()[-1] == "no label can be compared"
    assert LOW_MARGIN in told


def test_pairs_that_a_run_dropped_are_settled_again(charter: Command, runs: tuple[str, str], place: Path) -> None:
    """Their votes are there: without a principle that pulls the other way one may have a label; and why is told."""
    more = ("label.min_margin=0.1", "label.on_low_margin=drop")
    assert charter("run", "demo.yaml", *more, "--out", "runs/dropped", *STAGES).code == 0
    dropped = read_table(place / "runs/dropped/data/unlabelled.parquet", Unlabelled)
    assert dropped
    between = charter("diff-labels", runs[0], "runs/dropped", "--json").value
    assert {one["pair"]: one["why"] for one in between["only_before"]} == {one.id: LOW_MARGIN for one in dropped}
    assert f"{len(dropped)} only in the first run: {LOW_MARGIN}" in charter("diff-labels", runs[0], "runs/dropped").out
    assert charter("diff-labels", "runs/dropped", runs[0], "--json").value["only_after"] == between["only_before"]
    names = {verdict.principle for one in dropped for verdict in one.verdicts}
    asked = ("label", "demo.yaml", *more, "--out", "runs/dropped", "--json")
    gained = [one for name in names for one in charter(*asked, "--without", name).value["only_after"]]
    assert gained
    assert {one["pair"] for one in gained} <= {one.id for one in dropped}


def test_a_pair_without_a_label_is_shown_with_its_votes(charter: Command, place: Path) -> None:
    """Among what was left out, with the reason; the verdicts stand under the pair."""
    more = ("label.min_margin=0.1", "label.on_low_margin=drop")
    assert charter("run", "demo.yaml", *more, "--out", "runs/dropped", *STAGES).code == 0
    one = read_table(place / "runs/dropped/data/unlabelled.parquet", Unlabelled)[0]
    shown = charter("show", "runs/dropped", one.id).out
    assert f"left out: {LOW_MARGIN} (the judge: p(a) {one.p_a:.3f}" in shown
    assert all(f"{verdict.principle}, " in shown for verdict in one.verdicts)
    assert f"label {one.id}: {LOW_MARGIN}" in shown
    told = charter("show", "runs/dropped", one.id, "--json").value
    assert [len(row["verdicts"]) for row in told["unlabelled"] if row["id"] == one.id] == [len(one.verdicts)]
