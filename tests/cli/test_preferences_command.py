"""``charter evaluate preferences``: what it prints and keeps of files and of runs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.command import Command

FILE = "pairs.jsonl"
ALIKE = ("--near-duplicates", "1")  # the rows below differ by a number alone
WORDS = "the lamps of the harbour are lit through the night so that the boats find home"


@pytest.fixture
def pairs(place: Path) -> Path:
    """Thirty pairs whose chosen answer is the longer one, and one that contradicts the last of them."""
    rows = [{"prompt": f"Question {n}?", "chosen": f"{WORDS} {n}.", "rejected": f"No, {n}."} for n in range(30)]
    rows.append({"prompt": "Question 29?", "chosen": "No, 29.", "rejected": f"{WORDS} 29."})
    (place / FILE).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return place / FILE


def ask(charter: Command, *arguments: object) -> Any:
    """Run the command with --json, and read its one object."""
    done = charter("evaluate", "preferences", *arguments, "--json")  # type: ignore[arg-type]
    assert done.code == 0, done.err
    return done.value


def test_one_object(charter: Command, pairs: Path) -> None:
    """Every figure has n and its interval; the pairs that are worth a look are named by their line."""
    found = ask(charter, pairs, *ALIKE)
    assert (found["source"], found["layout"], found["coverage"]["n"]) == (str(pairs), "chosen and rejected", 31)
    assert any("more characters" in one for one in found["warnings"])
    longer = found["lengths"][0]["longer_is_better"]
    assert longer["value"] == pytest.approx(30 / 31)
    assert longer["low"] < longer["value"] < longer["high"]
    assert (longer["n"], longer["n_groups"]) == (31, 30)
    assert len(found["styles"]) == 12
    assert found["guesses"]["length"]["accuracy"]["n"] == 31
    assert found["repeats"]["contradiction"]["count"] == 2
    assert found["n_flagged"] == 2
    contradiction = {"flag": "contradiction", "other": found["flagged"][1]["id"], "other_place": f"{pairs}:31"}
    assert found["flagged"][0]["place"] == f"{pairs}:30"
    assert found["flagged"][0]["flags"][0] == contradiction


def test_text_says_what_spoils_first(charter: Command, pairs: Path) -> None:
    """Warnings stand above the figures."""
    done = charter("evaluate", "preferences", pairs)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == (f"{pairs} (chosen and rejected): 31 pairs of 30 prompts in 30 groups, 2 at most of one prompt")
    assert lines[2].startswith("warning: the answer with more ")
    assert "longer is better (characters)" in done.out
    assert "guessed from words alone" in done.out
    assert "contradiction" in done.out
    assert "every label is certain" in done.out


def test_figures_and_flagged_pairs_are_kept(charter: Command, pairs: Path, place: Path) -> None:
    """With --out both files are there, and the same again writes them anew; those of others are left alone."""
    for _ in range(2):
        found = ask(charter, pairs, *ALIKE, "--out", "checked")
    assert json.loads((place / "checked/preferences.json").read_text("utf-8")) == found
    rows = [json.loads(line) for line in (place / "checked/flagged.jsonl").read_text("utf-8").splitlines()]
    assert [row["chosen"] for row in rows] == [f"{WORDS} 29.", "No, 29."]
    assert sorted(one.name for one in (place / "checked").iterdir()) == ["flagged.jsonl", "preferences.json"]
    (place / "mine").mkdir()
    (place / "mine/flagged.jsonl").write_text("mine")
    done = charter("evaluate", "preferences", pairs, "--out", "mine")
    assert done.code == 2
    assert "--out mine: holds flagged.jsonl" in done.err


def test_a_run_is_checked(charter: Command, finished: Path) -> None:
    """A run's preferences are checked with their votes, sources and intentions; its table gives the same lengths."""
    found = ask(charter, finished)
    assert found["layout"] == "run"
    assert found["labels"]["principles"]
    assert found["labels"]["intended"]["n"] > 0
    assert set(found["coverage"]["parts"]["pair source"]) <= {
        "on_policy", "revision_vs_initial", "guided_vs_plain", "contrast",
    }  # fmt: skip
    done = charter("evaluate", "preferences", finished)
    assert "judge prefers the intended side" in done.out
    assert "sides with the label" in done.out
    table = ask(charter, finished / "data/preferences.parquet")
    assert table["lengths"][0]["longer_is_better"]["value"] == found["lengths"][0]["longer_is_better"]["value"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.json",), "nothing.json"),
        ((FILE, "--near-duplicates", "2"), "the threshold of near-duplicates is 2"),
        ((FILE, "--iteration", "2"), "--iteration 2: pairs.jsonl is no run"),
        (("RUN", "--split", "train"), "is a run, which knows it itself"),
        (("RUN", "--iteration", "2"), "has no iteration 2"),
    ],
)
def test_what_cannot_be_is_named(
    charter: Command, pairs: Path, finished: Path, arguments: tuple[str, ...], message: str
) -> None:
    """A file, a threshold or an option that cannot be is an error of one line."""
    del pairs
    done = charter("evaluate", "preferences", *(str(finished) if one == "RUN" else one for one in arguments))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
