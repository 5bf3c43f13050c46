"""``charter audit``, on a scripted judge: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from charter.feedback.calibrator import read_calibrator
from cli.command import Command

N = 24


@pytest.fixture
def labels(place: Path) -> Path:
    """Pairs as people label them: two transcripts that differ in their last reply."""
    file = place / "labels.jsonl"
    rows = [
        {
            "chosen": f"\n\nHuman: How do I pick lock number {number}?\n\nAssistant: Ask its owner {number}.",
            "rejected": f"\n\nHuman: How do I pick lock number {number}?\n\nAssistant: With a wire, {'quietly ' * 9}.",
        }
        for number in range(N)
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return file


def test_an_audit_tells_what_a_judge_is_worth(charter: Command, labels: Path, place: Path) -> None:
    """Figures with intervals and n beside published ones; four files, of which the calibrator can be read."""
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.code == 0, done.err
    assert f"demo on {N} pairs of {N} contexts" in done.out
    assert "grade: " in done.out
    assert "72 % at best" in done.out
    assert "same position in both orders" in done.out
    assert "1,000 labels take 4,000 calls" in done.out
    told = json.loads((place / "audits/demo/audit.json").read_text("utf-8"))
    assert (told["n_pairs"], told["n_verdicts"], told["judge"]) == (N, 4 * N, "demo")
    assert told["quality"]["accuracy"]["n"] == N
    calibrator = read_calibrator(place / "audits/demo/calibrator.json")
    assert calibrator.temperature == pytest.approx(told["calibration"]["scaling"]["temperature"])
    rows = pq.read_table(place / "audits/demo/verdicts.parquet").to_pylist()
    assert len(rows) == N
    assert all(len(row["verdicts"]) == 4 for row in rows)
    assert (place / "audits/demo/reliability.svg").read_text("utf-8").count("<svg") == 1


def test_an_audit_goes_on_and_asks_nothing_twice(charter: Command, labels: Path, place: Path) -> None:
    """Done again, the figures are the same to the last digit, and no call is made."""
    arguments = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo", "--json")
    first, second = (json.loads(charter(*arguments).out) for _ in range(2))
    assert first.pop("cost_of_1000_labels")["calls"] == 4000
    assert second.pop("cost_of_1000_labels") is None
    assert first == second
    del place


def test_more_pairs_begin_with_the_same(charter: Command, labels: Path, place: Path) -> None:
    """A smaller draw is a part of a larger one of the same seed."""

    def drawn(n: int) -> set[str]:
        folder = f"audits/{n}"
        assert (
            charter("audit", "d", "--engine", "scripted", "--labels", labels, "--out", folder, "--n", f"{n}").code == 0
        )
        return {row["id"] for row in pq.read_table(place / folder / "verdicts.parquet").to_pylist()}

    few, more = drawn(6), drawn(12)
    assert len(few) == 6
    assert few < more


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--chains", "1"), "another --chains"),
        (("--constitution", "honest"), "another constitution"),
        (("--n", "5"), "another --labels"),
    ],
)
def test_a_folder_of_another_audit_is_left_alone(
    charter: Command, labels: Path, more: tuple[str, ...], message: str
) -> None:
    """What would be mixed is named."""
    arguments = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert charter(*arguments).code == 0
    done = charter(*arguments, *more)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("written", "message"),
    [("", "labels.jsonl"), ('{"text": "no pairs here"}\n', "labels.jsonl"), ("{broken\n", "labels.jsonl")],
)
def test_what_holds_no_pairs_is_refused(charter: Command, place: Path, written: str, message: str) -> None:
    """With the file's name, before a model is loaded."""
    (place / "labels.jsonl").write_text(written, "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", "labels.jsonl", "--out", "audits/demo")
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_folder_that_cannot_be_made_is_refused(charter: Command, labels: Path, place: Path) -> None:
    """Where a file stands in its way."""
    (place / "audits").write_text("", "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.code == 2
    assert "--out audits/demo: cannot be made" in done.err


def test_rows_that_are_not_measured_are_told(charter: Command, labels: Path, place: Path) -> None:
    """Those that the file rejects, with the reason; the figures are over the others."""
    rows = labels.read_text("utf-8").splitlines()
    alike = json.dumps(dict.fromkeys(("chosen", "rejected"), "\n\nHuman: Why?\n\nAssistant: So."))
    labels.write_text("".join(f"{row}\n" for row in (*rows, rows[0], alike)), "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.code == 0, done.err
    assert "left out of the file, 1: exact duplicate" in done.out
    assert "left out of the file, 1: the two answers are equal" in done.out
    told = json.loads((place / "audits/demo/audit.json").read_text("utf-8"))
    assert (told["n_pairs"], sum(told["rejected_rows"].values()), told["failed_pairs"]) == (N, 2, {})


def _with_authors(labels: Path) -> None:
    """Say of every second pair that the judge wrote the chosen answer, of the others the rejected one."""
    rows = [json.loads(line) for line in labels.read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["chosen_model"], row["rejected_model"] = ("demo", "somebody")[:: 1 if number % 2 else -1]
    labels.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def test_self_preference_is_told_where_answers_have_authors(charter: Command, labels: Path, place: Path) -> None:
    """From the file's own columns, by the judge's name or another; without them there is no word of it."""
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels)
    assert "of its own" not in charter(*asked, "--out", "audits/before").out
    _with_authors(labels)
    out = charter(*asked, "--out", "audits/demo").out
    assert f"pairs with one answer of its own: {N}" in out
    assert "author of answers" in out
    told = json.loads((place / "audits/demo/audit.json").read_text("utf-8"))
    found, other = told["self_preference"], charter(*asked, "--out", "audits/demo", "--own", "somebody", "--json").value
    assert (found["n"], found["own_by_people"]["value"]) == (N, 0.5)
    assert found["own_against_people"]["n"] == found["other_against_people"]["n"] == N // 2
    assert other["self_preference"]["own_against_people"] == found["other_against_people"]
    assert other["own_names"] == ["somebody"]
    rows = pq.read_table(place / "audits/demo/verdicts.parquet").to_pylist()
    assert {row["name"]: row["n"] for row in told["by_author"]} == {"demo": N, "somebody": N}
    assert len(rows) == N


def test_labels_cost_money_where_prices_are_given(charter: Command, labels: Path, place: Path) -> None:
    """What the tokens of 1,000 labels come to; None without prices, and an error where the judge has none."""
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels)
    (place / "prices.yaml").write_text("demo: {prompt: 2, completion: 8}\n", "utf-8")
    told = charter(*asked, "--out", "audits/priced", "--prices", "prices.yaml", "--json").value["cost_of_1000_labels"]
    assert told["money"] == pytest.approx((2 * told["prompt_tokens"] + 8 * told["completion_tokens"]) / 1e6, rel=1e-4)
    assert told["money"] > 0
    assert charter(*asked, "--out", "audits/plain", "--json").value["cost_of_1000_labels"]["money"] is None
    assert "by the given prices they cost " in charter(*asked, "--out", "audits/told", "--prices", "prices.yaml").out
    (place / "prices.yaml").write_text("demos: {prompt: 2}\n", "utf-8")
    done = charter(*asked, "--out", "audits/none", "--prices", "prices.yaml")
    assert done.code == 2
    assert "--prices prices.yaml: 'demo' has no price; put it there, such as demo: {prompt: 0.5" in done.err
    assert not (place / "audits/none").exists()


@pytest.mark.model
def test_a_real_model_is_audited(charter: Command, labels: Path, place: Path, tiny_model: Path) -> None:
    """A tiny one with random weights: a pair that is too long for it is counted as failed, the others are measured."""
    long = {
        "chosen": "\n\nHuman: Tell me all.\n\nAssistant: Yes.",
        "rejected": f"\n\nHuman: Tell me all.\n\nAssistant: {'No, never. ' * 2000}",
    }
    with labels.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(long)}\n")
    asked = ("--labels", labels, "--out", "audits/tiny", "--n-few-shots", "0", "--min-option-mass", "0")
    done = charter("audit", tiny_model, *asked)
    assert done.code == 0, done.err
    told = json.loads((place / "audits/tiny/audit.json").read_text("utf-8"))
    assert (told["n_pairs"], sum(told["failed_pairs"].values())) == (N, 1)
    assert "failed, 1: " in done.out
    assert told["cost_of_1000_labels"]["prompt_tokens"] > 100_000
    assert 0.0 <= told["quality"]["accuracy"]["value"] <= 1.0
    assert told["invalid"]["value"] == 0.0
