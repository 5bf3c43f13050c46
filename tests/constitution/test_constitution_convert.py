"""``charter constitution convert``: what is read, written, derived, kept and lost is said; nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.cli import main
from charter.cli.constitutions.convert import Written
from charter.constitution import load_constitution
from charter.constitution.formats import WRITABLE
from cli.command import Done
from constitution.layout_examples import COMPARISONS, EXAMPLES, INSTRUCTIONS, TITLED, TRANSCRIPTS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARTER_DEBUG", raising=False)
    return tmp_path


def convert(capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """Run the command inside this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["constitution", "convert", *arguments])
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Done(ended.value.code, printed.out, printed.err)


def put(folder: Path, name: str, value: Any) -> None:
    """Write a JSON file."""
    (folder / name).write_text(json.dumps(value), "utf-8")


def test_every_writable_layout_can_be_asked_for() -> None:
    """The command's choices are those of the library."""
    assert tuple(Written) == WRITABLE


def test_one_file_becomes_ours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was read, how much was written and what a rule made is said."""
    put(folder, "rules.json", TITLED)
    done = convert(capsys, "rules.json", "rules.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "read rules.json (principle-list)",
        "wrote rules.yaml (native): 2 principles, few-shot examples: 0 of revision, 0 of judging",
        "derived by rule: critique_request of 2 of 2 principles",
        "derived by rule: revision_request of 2 of 2 principles",
        "derived by rule: choice_question of 2 of 2 principles",
    ]
    assert load_constitution("rules.yaml") == load_constitution("rules.json")


def test_several_files_become_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parts are put together, and the result can be named."""
    put(folder, "a.json", INSTRUCTIONS)
    put(folder, "b.json", TRANSCRIPTS)
    put(folder, "c.json", COMPARISONS)
    done = convert(capsys, "a.json", "b.json", "c.json", "all.yaml", "--name", "harbour", "--json")
    summary = done.value
    assert [one["layout"] for one in summary["read"]] == ["paper-instructions", "paper-few-shots", "paper-comparisons"]
    assert (summary["principles"], summary["revise_examples"], summary["judge_examples"]) == (4, 2, 0)
    assert summary["name"] == load_constitution("all.yaml").name == "harbour"
    assert summary["derived"] == {"text": 4, "critique_request": 2, "revision_request": 2, "choice_question": 2}
    assert summary["lost"] == []


def test_what_is_lost_and_kept_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Remarks, metadata and losses each have their line."""
    (folder / "rules.md").write_text(EXAMPLES["markdown"][2], "utf-8")
    put(folder, "shots.json", json.loads(EXAMPLES["answer-improvement"][2]))
    done = convert(capsys, "shots.json", "rules.md", "out.json", "--to", "principle-list")
    assert "note: shots.json:1: example 2 of revision has no" in done.out
    assert "read as metadata: prose\n" in done.out
    assert "not held by principle-list: metadata (prose)\n" in done.out
    assert "not held by principle-list: system.respond\n" in done.out
    assert "not held by principle-list: 2 examples of revision\n" in done.out
    assert "not held by principle-list: uses of 3 principles (" in done.out


def test_a_built_in_can_be_converted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name stands for its file, and a suffix for its layout."""
    del folder
    assert convert(capsys, "harmless", "harmless.md").code == 0
    ours, back = load_constitution("harmless"), load_constitution("harmless.md")
    assert [one.text for one in back.principles] == [one.text for one in ours.principles]
    assert [one.category for one in back.principles] == [one.category for one in ours.principles]


def test_a_file_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only ``--force`` does that."""
    put(folder, "rules.json", TITLED)
    (folder / "rules.yaml").write_text("mine", "utf-8")
    done = convert(capsys, "rules.json", "rules.yaml")
    assert done.code == 2
    assert "rules.yaml: is there already; take another name, or give --force to write over it" in done.err
    assert (folder / "rules.yaml").read_text("utf-8") == "mine"
    assert convert(capsys, "rules.json", "rules.yaml", "--force").code == 0
    assert load_constitution("rules.yaml").ids == ("care", "cafe-manners")


@pytest.mark.parametrize("option", ["--from", "--format"])
def test_an_ambiguous_file_needs_a_format(folder: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """The error names the option, and the option works."""
    put(folder, "a.json", {"criteria": ["Prefer the kinder response."], "comparison_principles": ["Which is kinder?"]})
    done = convert(capsys, "a.json", "a.yaml")
    assert done.code == 2
    assert "--format" in done.err
    assert convert(capsys, "a.json", "a.yaml", option, "registry").code == 0
    assert load_constitution("a.yaml").principles[0].text == "Prefer the kinder response."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rules.json",), "rules.json: only one path is given; name what to read, and last the file to write"),
        (("rules.json", "out.txt"), "out.txt: its suffix says no layout; end it in .yaml, .json or .md, or name one"),
        (("rules.json", "."), ".: is a folder; name a file to write"),
        (("rules.json", "rules.json", "--force"), "rules.json: is what is read; name another file"),
        (("nowhere.json", "out.yaml"), "there is no constitution 'nowhere.json'"),
        (("rules.json", "out.yaml", "--from", "trait"), 'no layout is called "trait"; did you mean "traits"?'),
        (("rules.json", "none/out.yaml"), "none/out.yaml: cannot be written (No such file or directory)"),
    ],
)
def test_mistakes_are_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """Each says what is wrong and what to do, and writes nothing."""
    put(folder, "rules.json", TITLED)
    done = convert(capsys, *arguments)
    assert done.code == 2
    assert message in done.err
    assert [path.name for path in folder.iterdir()] == ["rules.json"]


def test_hostile_text_comes_through(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in a text is run, filled in or changed on the way from JSON to YAML, and none moves the cursor."""
    texts = ["{0.__class__} %s {{ 7 * 7 }} ${HOME}", "a\x00b\x1b[2J", "\u202eabc", "key: value\r\n- x", "  x  "]
    put(folder, "a.json", [{"id": f"p{n}", "description": text} for n, text in enumerate(texts)])
    done = convert(capsys, "a.json", "a.yaml")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert [one.text for one in load_constitution("a.yaml").principles] == texts
