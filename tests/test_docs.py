"""What the pages show works: examples run, recipes load, commands parse, the README's tree is there."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from charter.cli.entry import app
from charter.constitution import load_constitution
from charter.errors import RecipeError
from charter.planning.preflight import check_recipe
from charter.recipe import Recipe, load_recipe
from pages import (
    DOCS,
    PAGES,
    ROOT,
    ROOT_PAGES,
    Block,
    Command,
    blocks,
    commands_in_prose,
    parsed,
    read,
    shown_commands,
    tree_paths,
)

MINIMAL = {"name": "minimal", "constitution": "harmless", "models": {"policy": {"name": "demo", "engine": "scripted"}}}
OUTPUT = "output"  # the title of a block that shows what the Python block before it prints
COMMANDS = tuple(shown_commands())

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_examples_run_and_print_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's files, recipes and Python blocks work in their order, in one folder and one namespace."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__example__"}
    printed = ""
    for block in blocks(page):
        if block.title == OUTPUT:
            assert printed.rstrip() == block.text.rstrip(), block
        elif Path(block.title).suffix:
            Path(block.title).write_text(block.text, "utf-8")
        if block.language in {"yaml", "yml"}:
            check_yaml(block)
        if block.runs:
            printed = run_example(block, names)


def run_example(block: Block, names: dict[str, Any]) -> str:
    """Run a Python block, and give what it prints."""
    # Empty lines before it put a traceback's lines where the page has them.
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, names)  # noqa: S102 - our own pages
    return output.getvalue()


def check_yaml(block: Block) -> None:
    """Hold a YAML block to what it is: a constitution, a whole recipe, or a part of one."""
    data = yaml.safe_load(block.text)
    file = Path(block.title or "untitled.yaml")
    file.write_text(block.text, "utf-8")
    if "principles" in data:
        load_constitution(file)
    elif set(MINIMAL) <= set(data):
        errors = check_recipe(load_recipe(file), Path("runs/example")).errors
        assert not errors, f"{block}: {errors}"
    else:
        assert set(data) <= set(Recipe.model_fields), f"{block}: neither a constitution nor a recipe, nor part of one"
        Path("part.yaml").write_text(json.dumps(MINIMAL | data), "utf-8")
        load_recipe(Path("part.yaml"))


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.words[0] == "charter"], ids=str)
def test_shown_commands_parse(command: Command, tmp_path: Path) -> None:
    """Each command exists with its options, a recipe of ours is there, and settings are those of a recipe."""
    given = parsed(command.words[1:])
    recipe = str(given.get("recipe", ""))
    assert not recipe.startswith("recipes/") or (ROOT / recipe).exists()
    file = tmp_path / "minimal.yaml"
    file.write_text(json.dumps(MINIMAL), "utf-8")
    if command.error:
        with pytest.raises(RecipeError, match=f"^{re.escape(command.error)}$"):
            load_recipe(file, given["overrides"])
    else:
        load_recipe(file, given.get("overrides") or ())


@pytest.mark.parametrize("words", [("rum", "x.yaml"), ("run", "x.yaml", "--untill", "label"), ("run",), ("show", "x")])
def test_wrong_commands_do_not_parse(words: tuple[str, ...]) -> None:
    """The parsing that the pages are held to notices a wrong command, option or number of arguments."""
    with pytest.raises(typer.TyperException):
        parsed(words)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.words[0] == "make"], ids=str)
def test_shown_make_targets_exist(command: Command) -> None:
    """Each target is in the Makefile."""
    targets = re.findall(r"^(\w+):", read(ROOT / "Makefile"), re.MULTILINE)
    assert {word for word in command.words[1:] if "=" not in word} <= set(targets)


@every_page
def test_commands_in_prose_exist(page: Path) -> None:
    """What stands in the text as ``charter ...`` names a command, and options that it has."""
    for words in commands_in_prose(page):
        command: Any = typer.main.get_command(app)
        for word in words[1:]:
            if word.startswith("-"):
                assert word in {name for one in command.params for name in one.opts}, words
            elif hasattr(command, "commands"):
                assert word in command.commands, words
                command = command.commands[word]


@pytest.mark.parametrize("page", ROOT_PAGES, ids=lambda page: page.name)
def test_links_of_pages_outside_the_site_resolve(page: Path) -> None:
    """A relative link of a page that mkdocs does not build leads to a file."""
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", read(page))
    assert [link for link in links if not (page.parent / link).exists()] == []


@every_page
def test_named_modules_exist(page: Path) -> None:
    """A Python file that a page names is there, by the end of its path."""
    folders = ("src", "tests", "docs", "benchmarks", "examples")
    there = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    named = re.findall(r"`([\w./-]+\.py)`", read(page))
    missing = [name for name in named if not any(path.as_posix().endswith(f"/{name}") for path in there)]
    assert [name for name in missing if "NAME" not in name] == []


def test_security_page_names_tests_that_are_there() -> None:
    """What is said to hold is held by a test of that name in that file, and every line of a table names one."""
    text = read(DOCS / "security.md").partition("## What holds where")[2].partition("## What is not defended")[0]
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) == len(re.findall(r"^\| (?!what holds)", text, re.MULTILINE)) > 20
    assert [f"{path}::{test}" for path, test in named if f"def {test}(" not in read(ROOT / path)] == []


def test_citation_is_of_this_project() -> None:
    """What is to be cited has the package's version and licence."""
    cited = yaml.safe_load(read(ROOT / "CITATION.cff"))
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["authors"] == [{"name": one["name"]} for one in project["authors"]]
    assert sorted(cited["keywords"]) == sorted(project["keywords"])


def test_tree_of_the_readme_exists() -> None:
    """Each path in the README's tree is there."""
    paths = tree_paths(read(ROOT / "README.md"))
    if paths is None:
        pytest.skip("the README has no heading with the word tree")
    assert paths
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []


def test_tree_is_read_with_its_folders() -> None:
    """Indented paths belong to the folder above them, drawn branches or not."""
    tree = "src/\n├── a.py   first\n└── b/\n    └── c.py\ndocs/x.md  second\n"
    assert tree_paths(f"# X\n\n## The tree\n\nIts files:\n\n```text\n{tree}```\n") == [
        "src/",
        "src/a.py",
        "src/b/",
        "src/b/c.py",
        "docs/x.md",
    ]
    assert tree_paths("## Files\n\n```text\nsrc/\n```\n") is None


@pytest.mark.slow
def test_site_builds_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    """The strict build passes, and no page asks another server for a font, a script, a style or a picture."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > len(list(DOCS.glob("*.md")))
    for page in pages:
        loading = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"?([^\"> ]+)", page.read_text("utf-8")
        )
        assert loading or page.parent.name == "reports", "a report holds all that it shows"
        assert [address for address in loading if re.match(r"(?:https?:)?//", address)] == []
