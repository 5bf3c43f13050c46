"""``charter rate``: from a run's answers to ratings, figures and labels that audit a judge, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from charter.cli.rate_view import write_results
from charter.given.pairs import load_pairs
from charter.rating import RatingStore, Sitting, file_items, gold_items, read_ratings, run_items
from cli.command import Command
from rating.rated import say

PAIRS = [{"prompt": f"Ask {n}", "chosen": f"A long good answer {n}", "rejected": f"Bad {n}"} for n in range(8)]


@pytest.fixture
def pairs(place: Path) -> Path:
    """Eight pairs whose better answer is known."""
    (place / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in PAIRS), "utf-8")
    return place / "pairs.jsonl"


@pytest.fixture
def run(finished: Path, place: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(finished, place / "run")
    return place / "run"


def rate_all(sitting: Sitting, rater: str, n_ties: int = 0) -> None:
    """Rate everything: the longer answer is better, after some ties."""
    while (item := sitting.state(rater)["item"]) is not None:
        longer = "left" if len(item["left"]) >= len(item["right"]) else "right"
        say(sitting, rater, "tie" if sitting.state(rater)["n_done"] < n_ties else longer)


def test_results_of_a_run(charter: Command, run: Path, pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ratings lie in the run; figures by kind, raters, agreement with each other and the judge, as JSON and as text."""
    items = run_items(run).items
    sitting = Sitting([*items, *gold_items(str(pairs)).items], RatingStore(run / "ratings.jsonl"))
    rate_all(sitting, "Ann")
    rate_all(sitting, "Bob", n_ties=3)
    done = charter("rate", run, "--results", "--json")
    assert done.code == 0, done.err
    found = done.value
    assert found["ratings"] == str(run / "ratings.jsonl")
    assert (found["anchor"], found["names"][0], found["names"][-1]) == ("base", "base", "dpo")
    assert set(found["sides"]) > {"all", "red_team"}
    everything = found["sides"]["all"]
    assert everything["ratings"] == []
    assert {one["name"] for one in found["sides"]["red_team"]["ratings"]} == {"base", "dpo"}
    assert everything["n"] == 2 * len(items)
    both = everything["win_rates"]["dpo"]["base"]["value"], everything["win_rates"]["base"]["dpo"]["value"]
    assert sum(both) == pytest.approx(1.0)
    assert [one["name"] for one in found["raters"]] == ["Ann", "Bob"]
    assert found["raters"][0]["gold"]["value"] == 1.0, "the better answers are the longer ones"
    assert found["raters"][0]["gold"]["n"] == 8
    assert found["agreement"][0]["same"]["n"] == len(items)
    assert found["alpha"]["n"] == len(items)
    assert found["judge"]["other"] == "judge"
    assert found["questions"] == ["Which answer is better?"]
    capsys.readouterr()
    write_results(found)
    text = capsys.readouterr().out
    for told in (
        "points above base",
        "red-team prompts",
        "right of known answers",
        "  dpo beats base  ",
        "p, adjusted",
        "Cohen's kappa",
        "people and judge",
    ):
        assert told in text


def test_labels_say_what_their_prompts_are_for(charter: Command, run: Path, place: Path) -> None:
    """Kind and category of each prompt go with the labels, and come back with them."""
    items = run_items(run).items
    rate_all(Sitting(items, RatingStore(run / "ratings.jsonl")), "Ann")
    assert charter("rate", run, "--export", "labels.jsonl").code == 0
    told = {one.match.prompt.text: (one.match.prompt.kind, one.match.prompt.category) for one in items}
    loaded = load_pairs(place / "labels.jsonl")
    assert {pair.prompt.text: (pair.prompt.kind, pair.prompt.category) for pair in loaded.pairs} == told
    assert {kind for kind, _ in told.values()} == {"red_team", "benign_twin", "helpful"}
    assert loaded.unused == ()
    some = charter("rate", "labels.jsonl", "--kind", "helpful", "--out", "kept.jsonl", "--results")
    assert "holds no ratings yet" in some.err, "the labels are pairs that people may rate again"
    n_helpful = sum(kind == "helpful" for kind, _ in told.values())
    assert len(file_items(str(place / "labels.jsonl"), kind="helpful").items) == n_helpful


@pytest.mark.model
def test_labels_audit_a_judge(charter: Command, run: Path, place: Path, tiny_model: Path) -> None:
    """What raters prefer is read as people's labels, and a real model is held against it."""
    sitting = Sitting(run_items(run).items, RatingStore(run / "ratings.jsonl"))
    rate_all(sitting, "Ann", n_ties=2)
    done = charter("rate", run, "--export", "labels.jsonl", "--json")
    assert done.value == {"labels": "labels.jsonl", "n": len(sitting.items) - 2, "n_ties": 2}
    loaded = load_pairs(place / "labels.jsonl")
    assert (loaded.labels_by, len(loaded.sided)) == ("people", len(sitting.items) - 2)
    assert all(len(pair.a) != len(pair.b) for pair in loaded.pairs)
    audit = charter("audit", tiny_model, "--labels", "labels.jsonl", "--out", "audit", "--n", "4", "--json")
    assert audit.code == 0, audit.err
    assert charter("rate", run, "--export", "labels.jsonl").code == 2, "what is there is not written over"


def test_a_file_of_pairs(charter: Command, pairs: Path, place: Path) -> None:
    """How often people agree with a file's own choice."""
    sitting = Sitting(file_items(str(pairs)).items, RatingStore(place / "kept.jsonl"))
    rate_all(sitting, "Ann", n_ties=2)
    found = charter("rate", pairs, "--out", "kept.jsonl", "--results", "--json").value
    rate = found["sides"]["all"]["win_rates"]["chosen"]["rejected"]
    assert (rate["value"], rate["n"], rate["n_ties"]) == (7 / 8, 8, 2)
    assert rate["p_value"] == rate["p_adjusted"] == pytest.approx(2 / 2**6), "six wins and no loss"
    assert found["judge"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such run or file"),
        (["pairs.jsonl"], "name a file for them with --out"),
        (["pairs.jsonl", "--out", "."], "expected a file in a folder that is there"),
        (["pairs.jsonl", "--out", "no/kept.jsonl"], "expected a file in a folder that is there"),
        (["pairs.jsonl", "--out", "demo.yaml"], "is no file of ratings"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--results"], "holds no ratings yet"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--export", "l.jsonl"], "no preference for an answer yet"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--export", "l.csv"], "expected .jsonl"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--rater", " "], "a name of 1 to 64 letters"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--models", "a,b"], "holds pairs, and all of them are rated"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--host", "203.0.113.9"], "cannot be listened at"),
        (["pairs.jsonl", "--out", "kept.jsonl", "--gold", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_is_refused(charter: Command, pairs: Path, arguments: list[str], said: str) -> None:
    """Each with what to do, and nothing is left behind."""
    del pairs
    done = charter("rate", *arguments, "--no-browser")
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_models_of_a_run_are_chosen(charter: Command, run: Path) -> None:
    """Who is not there is said, with who is."""
    done = charter("rate", run, "--models", "base,dpoo", "--no-browser")
    assert done.code == 2
    assert "has no answers of 'dpoo'" in done.err
    assert 'did you mean "dpo"?' in done.err
    assert len(run_items(run, ["base", "sft", "dpo"]).items) > len(run_items(run).items)


@pytest.fixture
def served(pairs: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The command in a process of its own, and what it printed first."""
    words = ["rate", pairs.name, "--out", "kept.jsonl", "--port", "0", "--rater", "Ann", "--no-browser", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "charter", *words],
        cwd=pairs.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISPLAY": ""},
    )
    assert process.stdout is not None
    yield process, json.loads(process.stdout.readline())
    process.kill()
    process.communicate()


def ask(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask a server as the page does."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    told: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return told


def test_ctrl_c_ends_it_and_says_how_far_it_is(
    served: tuple[subprocess.Popen[str], dict[str, Any]], charter: Command, place: Path
) -> None:
    """One rating is kept; another process may not write there meanwhile; Ctrl-C is the usual end."""
    process, told = served
    assert told["n"] == 8
    state = ask(told["address"], "/state", {})
    ask(told["address"], "/rate", {"number": 1, "pressed": "left", "item": state["item"]["id"], "seconds": 3})
    other = charter("rate", "pairs.jsonl", "--out", "kept.jsonl", "--no-browser")
    assert other.code == 2
    assert "another process is writing this file" in other.err
    assert charter("rate", "pairs.jsonl", "--out", "kept.jsonl", "--results").code == 0, "reading is no disturbance"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Ann: 1 of 8" in err
    assert "Traceback" not in err
    assert len(read_ratings(place / "kept.jsonl")[0]["Ann"]) == 1
