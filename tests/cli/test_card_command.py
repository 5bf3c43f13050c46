"""``charter card``: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

from cli.command import Command


def test_cards_of_all_are_named(charter: Command, finished: Path, tmp_path: Path) -> None:
    """A line for each; what to see to is said beside them, and the run is as it was."""
    before = sorted(finished.rglob("*"))
    done = charter("card", finished, "--out", tmp_path / "cards")
    assert done.code == 0
    names = ["models/sft", "models/dpo", *(f"datasets/{one}" for one in ("prompts", "traces", "sft", "preferences"))]
    assert done.out.splitlines() == [str(tmp_path / "cards" / name / "README.md") for name in names]
    assert all(Path(line).is_file() for line in done.out.splitlines())
    assert "no licence is named" in done.err
    assert sorted(finished.rglob("*")) == before


def test_one_model_as_json(charter: Command, finished: Path, tmp_path: Path) -> None:
    """Only what was asked for, and one value that says where it is."""
    done = charter("card", finished, "--model", "dpo", "--out", tmp_path, "--licence", "mit", "--json")
    assert done.value == {
        "out": str(tmp_path),
        "cards": [{"kind": "model", "name": "dpo", "path": str(tmp_path / "models/dpo/README.md")}],
        "notes": [],
    }
    assert "license: mit" in (tmp_path / "models/dpo/README.md").read_text("utf-8")


def test_datasets_alone(charter: Command, finished: Path, tmp_path: Path) -> None:
    """No model's card is among them."""
    done = charter("card", finished, "--dataset", "--out", tmp_path, "--json")
    assert [one["kind"] for one in done.value["cards"]] == ["dataset"] * 4


def test_refusals_are_one_line(charter: Command, finished: Path, place: Path) -> None:
    """What is wrong, what there is, and no traceback."""
    wrong = charter("card", finished, "--model", "sftt")
    assert (wrong.code, wrong.out) == (2, "")
    assert 'it trained sft, dpo; did you mean "sft"?' in wrong.err
    missing = charter("card", place / "nowhere")
    assert missing.code == 2
    assert "Traceback" not in wrong.err + missing.err
