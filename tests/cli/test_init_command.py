from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from charter.constitution import load_constitution
from charter.recipe import load_recipe
from cli.command import Command

ALL = ("--model", "smollm2-135m", "--constitution", "blank", "--principles", "2", "--size", "smoke", "--name", "mine")


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answers that a person types on a terminal, in turn; after the last the terminal is closed."""
    typed: list[str] = []
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        if not typed:
            raise EOFError
        return typed.pop(0)

    monkeypatch.setattr("charter.cli.console.is_terminal", lambda: True)
    monkeypatch.setattr("charter.cli.console.ask", ask)
    return typed


def files(folder: Path) -> Iterator[str]:
    """Name what is in a folder, in alphabetical order."""
    yield from sorted(path.name for path in folder.iterdir())


def test_with_the_defaults(charter: Command, place: Path) -> None:
    """--yes asks nothing; what was written and what comes next is said, and the recipe passes the check."""
    done = charter("init", "mine", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "written: mine/recipe.schema.json",
        "written: mine/recipe.yaml",
        "next:",
        "  charter check mine/recipe.yaml",
        "  charter run mine/recipe.yaml",
    ]
    assert list(files(place / "mine")) == ["recipe.schema.json", "recipe.yaml"]
    assert charter("check", "mine/recipe.yaml").code == 0
    assert load_recipe(place / "mine/recipe.yaml").name == "mine"


def test_with_every_option(charter: Command, place: Path) -> None:
    """Where options answer everything, there is nothing to ask, and no terminal is needed."""
    (place / "mine.csv").write_text("ask\n" + "\n".join(f"Who painted picture {n}?" for n in range(9)), "utf-8")
    done = charter("init", "out", *ALL, "--prompts", "mine.csv", "--prompt-column", "ask", "--json")
    assert done.code == 0
    assert done.value == {
        "files": [
            *("out/recipe.schema.json", "out/constitution.schema.json", "out/constitution.yaml", "out/recipe.yaml"),
        ],
        "next": [
            *("charter constitution check out/constitution.yaml", "charter check out/recipe.yaml"),
            "charter run out/recipe.yaml",
        ],
    }
    recipe = load_recipe(place / "out/recipe.yaml")
    assert (recipe.name, recipe.prompts.red_team.column, recipe.prompts.benign_twin) == ("mine", "ask", None)
    assert len(load_constitution(place / "out/constitution.yaml").ids) == 2
    assert charter("constitution", "check", "out/constitution.yaml").code == 0
    assert charter("check", "out/recipe.yaml").code == 0


def test_without_a_terminal(charter: Command, place: Path) -> None:
    """Where nobody can be asked, the options that are missing are named, and nothing is written."""
    done = charter("init", "mine", "--model", "smollm2-135m", "--size", "smoke")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: there is no terminal to ask on: give --constitution, --principles, --prompts, --name, or --yes for the "
        "default of whatever is not given\n"
    )
    assert not (place / "mine").exists()


def test_questions_on_a_terminal(charter: Command, place: Path, typing: list[str]) -> None:
    """Each question is asked until its answer is one; an empty line takes the default, an option is not asked for."""
    (place / "mine.jsonl").write_text("".join(f'{{"ask": "Who painted picture {n}?"}}\n' for n in range(9)), "utf-8")
    typing += ["smollm", "", "blank", "0", "1", "mine.jsonl", "aks", "ask", ""]
    done = charter("init", "mine", "--size", "smoke")
    assert done.code == 0
    assert typing == []
    said = done.err.splitlines()
    assert len(said) == 3
    assert said[0].startswith("'smollm' is no model: expected smollm2-135m")
    assert said[1] == "'0' is no number of principles to write; expected 1 to 100"
    assert "aks" in said[2]
    assert load_constitution(place / "mine/constitution.yaml").ids == ("principle-1",)
    assert load_recipe(place / "mine/recipe.yaml").prompts.red_team.column == "ask"


def test_a_column_is_asked_for_of_a_file_alone(charter: Command, place: Path, typing: list[str]) -> None:
    """Built-in prompts have no column to choose."""
    typing += ["", "", "", "", "", ""]
    assert charter("init", "mine").code == 0
    assert typing == []
    assert list(files(place / "mine")) == ["recipe.schema.json", "recipe.yaml"]


def test_a_terminal_that_is_closed(charter: Command, place: Path, typing: list[str]) -> None:
    """Whoever leaves in the middle leaves nothing behind."""
    typing += ["", "honest"]
    done = charter("init", "mine")
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith("error: stopped; nothing was written\n")
    assert not (place / "mine").exists()


def test_nothing_is_written_over(charter: Command, place: Path, typing: list[str]) -> None:
    """A recipe that is there is said to be before anything is asked; --force writes over it."""
    assert charter("init", "mine", "--yes").code == 0
    before = (place / "mine/recipe.yaml").read_text("utf-8")
    done = charter("init", "mine", "--size", "laptop")
    assert done.code == 2
    assert typing == []
    assert done.err == ("error: mine/recipe.yaml: there already; name another folder, or --force to write over them\n")
    assert (place / "mine/recipe.yaml").read_text("utf-8") == before
    assert charter("init", "mine", "--size", "laptop", "--yes", "--force").code == 0
    assert (place / "mine/recipe.yaml").read_text("utf-8") != before


def test_the_folder_here(charter: Command, place: Path) -> None:
    """Without a folder it is the current one, beside what is there."""
    assert charter("init", "--yes", "--name", "here").code == 0
    assert list(files(place)) == ["demo.yaml", "recipe.schema.json", "recipe.yaml"]


def test_names_with_spaces_are_quoted(charter: Command, place: Path) -> None:
    """The commands that come next can be pasted into a shell."""
    done = charter("init", "two words", "--yes")
    assert done.out.splitlines()[-1] == "  charter run 'two words/recipe.yaml'"
    assert load_recipe(place / "two words/recipe.yaml").name == "first"


@pytest.mark.parametrize("more", [(), ("--yes",)], ids=["all given", "--yes"])
def test_a_wrong_option(charter: Command, place: Path, more: tuple[str, ...]) -> None:
    """An option that is no answer is an error, and nothing is written."""
    done = charter("init", "mine", *ALL, "--prompts", "built-in", "--size", "labtop", *more)
    assert done.code == 2
    assert done.err == "error: 'labtop' is no size; expected smoke, laptop, gpu; did you mean \"laptop\"?\n"
    assert not (place / "mine").exists()
