from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from charter.cli import main
from charter.constitution import load_constitution
from charter.engines.embedded import EMBEDDED
from charter.planning.preflight import check_recipe
from charter.prompts import load_prompts
from charter.prompts.selection import select_prompts
from charter.recipe import find_recipe, load_recipe
from pages import DOCS, ROOT, Command, help_commands, parsed, shown_commands

HELP = tuple(one for one in help_commands() if one.words[0] == "charter")
SHOWN = (*HELP, *(one for one in shown_commands() if one.words[0] == "charter"))
COMMANDS = (*HELP, *(one for one in SHOWN if one.place.startswith("commands.md")))
_FILE = re.compile(r"[^=]*\.(?:csv|jsonl?|md|txt|ya?ml)(?:\.gz)?|[^=]+/")


def test_every_help_is_read() -> None:
    """Examples are found in the help of every command, those of groups included."""
    places = {one.place for one in HELP}
    assert {"charter --help", "charter show --help", "charter chat --help", "charter prompts show --help"} <= places
    assert len(places) >= 18
    assert DOCS.joinpath("commands.md").exists()


def own_files(command: Command) -> set[str]:
    """Name the files and folders of a command that are the reader's own: they are not in the checkout."""
    named = {word.rpartition("=")[2] for word in command.words[2:]}
    return {word for word in named if _FILE.fullmatch(word) and not (ROOT / word).exists()}


def without_a_model(command: Command) -> bool:
    """Tell whether a command can be run here and now: it needs neither a model, nor a run, nor a reader's own file."""
    verb = command.words[1]
    if verb in {"constitution", "prompts"}:
        return not own_files(command) and not {"--model", "--contradictions", "--run"} & set(command.words)
    return (verb == "plan" and not own_files(command)) or (verb == "chat" and "scripted" in command.words)


@pytest.mark.parametrize("command", [one for one in COMMANDS if without_a_model(one)], ids=str)
def test_examples_without_a_model_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that needs nothing ends well, and prints something unless nothing was said to it."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SystemExit) as ended:
        main(list(command.words[1:]))
    assert ended.value.code == 0
    assert capsys.readouterr().out or command.words[1] == "chat"


@pytest.mark.parametrize("command", [one for one in COMMANDS if not without_a_model(one)], ids=str)
def test_other_examples_name_what_is_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are there and pass the check with the settings; models, constitutions and rows are there."""
    monkeypatch.chdir(ROOT)
    given = parsed(command.words[1:])
    if own_files(command):
        return  # that its words are understood is all that can be seen here
    if given.get("recipe"):
        words = given.get("overrides", given.get("figures"))  # whose settings stand among them
        assert errors_of(str(given["recipe"]), tuple(word for word in words or () if "=" in word)) == []
    if "folder" in given:
        assert given["folder"] == Path("mine" if command.words[1] == "init" else "runs/smoke")
    if command.words[1] == "chat":
        assert str(given["model"]) in {*EMBEDDED, "runs/smoke/models/sft", "runs/smoke/models/dpo"}
        assert not given["constitution"] or load_constitution(given["constitution"])


@functools.cache
def errors_of(recipe: str, overrides: tuple[str, ...]) -> list[str]:
    """Check a recipe with overrides, where a run of it would have a place."""
    found = load_recipe(find_recipe(Path(recipe)), overrides)
    report = check_recipe(found, ROOT / "runs" / "an-example-that-is-not-there")
    return [finding.message for finding in report.errors]


def test_the_check_of_examples_can_fail() -> None:
    """Settings for which a recipe has too few rows are noticed."""
    assert errors_of(str(ROOT / "recipes/smoke.yaml"), ("pairs.n=1000",))


def test_shown_rows_are_of_the_smoke_run() -> None:
    """A row that the help or a page looks up in ``runs/smoke`` is one of its prompts."""
    recipe = load_recipe(ROOT / "recipes" / "smoke.yaml")
    loaded = {kind: load_prompts("built-in", kind).prompts for kind in ("red_team", "benign_twin", "helpful")}
    constitutions = (load_constitution("harmless"), load_constitution("helpful"))
    prompts = select_prompts(loaded, constitutions, **recipe.prompts.numbers()).prompts
    looked_up = {one.words[3] for one in SHOWN if one.words[:3] == ("charter", "show", "runs/smoke")}
    assert looked_up
    assert looked_up <= {prompt.id for prompt in prompts}
