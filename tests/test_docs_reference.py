"""What the pages list is what the code has: recipe keys, commands, columns, flags, checks, prompts."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
import typer

from charter.cli.entry import app
from charter.constitution import lint, list_constitutions, load_constitution
from charter.files.tables import _arrow, _schema
from charter.planning import rates
from charter.prompts import load_prompts
from charter.recipe import Recipe, meanings
from charter.records import (
    Adherence,
    Comparison,
    Message,
    Pair,
    Preference,
    Probed,
    Prompt,
    Reading,
    Response,
    Round,
    SftRow,
    Trace,
    Verdict,
)
from charter.text_quality.flags import BLOCKING
from pages import DOCS, code_in, read, sections, table_rows


def load_hooks() -> ModuleType:
    """Load what writes the recipe reference, by its path as mkdocs does."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


HOOKS = load_hooks()


def test_recipe_page_has_a_table_for_every_section() -> None:
    """Each section of a recipe, and each that several keys share, has its place on the page."""
    marked = re.findall(r"^<!-- recipe keys: (.*) -->$", read(DOCS / "recipes.md"), re.MULTILINE)
    assert set(marked) == {"recipe", *Recipe.model_fields, *HOOKS.SHARED.values()} - {
        *("name", "seed", "data_dir", "scale", "iterations")
    }


def test_recipe_page_holds_fresh_tables() -> None:
    """The file says what the site says: whoever reads it in the repository finds every key."""
    page = read(DOCS / "recipes.md")
    assert page == HOOKS.on_page_markdown(page), "docs/recipes.md is stale: run 'python docs/hooks.py' and commit it"
    assert HOOKS.on_page_markdown(re.sub(r"^\|.*\n", "", page, flags=re.MULTILINE)).count("|---|---|") >= 10


def test_recipe_page_tells_every_key() -> None:
    """The tables name each key of a whole recipe, with type, default and meaning."""
    written = HOOKS.on_page_markdown(read(DOCS / "recipes.md"))
    told = {code_in(cells[0])[0]: cells[1:] for cells in table_rows(written)}
    whole = Recipe(name="x", constitution="harmless", models={"policy": "y"})
    for section, value in whole.model_dump().items():
        for key in value if isinstance(value, dict) else ():
            assert any(name == f"{section}.{key}" or name.startswith(f"{section}.{key}.") for name in told), key
    assert told["revise.rounds"] == ["integer, 1 to 8", "`2`", "Critiques and revisions per chain"]
    assert told["label.clamp"][:2] == ["list of 2: number, 0 to 1", "`[0.4, 0.6]`"]
    assert told["sft.lora.r"][:2] == ["integer, at least 1", "`16`"]
    assert told["sft.batch_size"][2].startswith("Rows per forward pass")
    assert told["rl.batch_size"][2].startswith("Answers per forward pass"), "what is nearest to the key holds"
    assert told["models.judge"][0] == "a model, or `null`"


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"rouns": "x"}, "rouns"), ({"rounds": ""}, "neither"), ({"n_samples": "x"}, "there and by the model")],
    ids=["unknown", "missing", "twice"],
)
def test_recipe_page_is_held_to_the_models(
    change: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that no recipe has, one without a meaning, and one with two stop the build."""
    written = meanings._written()
    changed = written | {"ReviseSettings": written["ReviseSettings"] | change}
    monkeypatch.setattr(meanings, "_written", lambda: changed)
    with pytest.raises(ValueError, match=problem):
        list(HOOKS.section_keys("revise"))


def test_command_page_tells_every_command() -> None:
    """Each command has its section, with every option and an example."""
    told = sections("commands.md")
    group: Any = typer.main.get_command(app)
    assert {f"charter {name}" for name in group.commands} == set(told) - {"Commands"}
    for name, command in group.commands.items():
        text = told[f"charter {name}"]
        inner = getattr(command, "commands", {})
        options = {option for one in inner.values() or [command] for option in long_options(one)}
        assert {option for option in options if option not in text} == set(), name
        for words in [f"{name} {verb}" for verb, one in inner.items() if not one.hidden] or [name]:
            assert re.search(rf"^\$ (?:.*\| )?charter {words}\b", text, re.MULTILINE), words


def long_options(command: Any) -> set[str]:
    """Name a command's options, but for help, which all have."""
    return {name for one in command.params for name in one.opts if name.startswith("--")} - {"--help"}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("The prompt's columns", Prompt),
        ("traces", Trace),
        ("sft", SftRow),
        ("pairs", Pair),
        ("preferences", Preference),
        ("responses", Response),
        ("comparisons", Comparison),
        ("readings", Reading),
        ("probes", Probed),
        ("adherence", Adherence),
    ],
)
def test_run_folder_page_tells_every_column(heading: str, kind: Any) -> None:
    """A table's columns and types are those of the file."""
    shared = set() if kind is Prompt else set(_schema(Prompt).names)
    expected = {column.name: shown_type(column.type) for column in _schema(kind) if column.name not in shared}
    assert told_types(sections("run-folder.md")[heading]) == expected


def test_run_folder_page_tells_every_field_of_the_structs() -> None:
    """The structs inside tables have the fields that the page says."""
    told = re.split(r"A `(?:turn|round|verdict)`:", sections("run-folder.md")["Structs"])[1:]
    for text, kind in zip(told, (Message, Round, Verdict), strict=True):
        assert told_types(text) == {column.name: shown_type(column.type) for column in _arrow(kind)}


def told_types(text: str) -> dict[str, str]:
    """Read columns and their types from a table; what may be null the file does not say."""
    return {name: code_in(cells[1])[0].rstrip("?") for cells in table_rows(text) for name in code_in(cells[0])}


def shown_type(kind: Any) -> str:
    """Name an Arrow type as the page does."""
    structs = {_arrow(Message): "turn", _arrow(Round): "round", _arrow(Verdict): "verdict"}
    inner = getattr(kind, "value_type", None)
    return f"list<{structs.get(inner, inner)}>" if inner is not None else str(kind)


def test_run_folder_page_tells_which_flags_keep_a_text_out() -> None:
    """The flags that the page says to keep a text out of training are those that do."""
    flags = {code_in(cells[0])[0]: cells[-1] for cells in table_rows(sections("run-folder.md")["Flags"])}
    assert {name for name, kept_out in flags.items() if kept_out == "yes"} == BLOCKING


def test_constitution_page_tells_every_check() -> None:
    """The table of checks has each rule, with its severity, its reason and what to do, in the linter's own words."""
    told = table_rows(sections("constitutions.md")["The checks"])
    rules = [[f"`{rule.name}`", rule.severity, rule.finds, rule.reason, rule.fix] for rule in lint.RULES]
    assert told == rules


def test_constitution_page_tells_what_is_built_in() -> None:
    """Each built-in constitution is there, with its numbers and its categories."""
    told = {code_in(cells[0])[0]: cells for cells in table_rows(sections("constitutions.md")["The built-in ones"])}
    assert set(told) == set(list_constitutions())
    for name, cells in told.items():
        constitution = load_constitution(name)
        assert cells[1].startswith(f"{len(constitution.principles)}")
        assert all(one.category in cells[1] for one in constitution.principles)
        shots = constitution.few_shots
        for n, use in ((len(shots.revise), "of revision"), (len(shots.judge), "of judging")):
            assert (f"{n} {use}" in cells[2]) == bool(n)


def test_engine_page_tells_what_estimates_start_from() -> None:
    """The figures on the page are those that a plan is made with."""
    text = sections("engines.md")["transformers"]
    for device in ("cpu", "cpu in float32"):
        own = rates.estimate_rates(135e6, device)
        for figure in (own.prefill, own.training, own.decode_alone, own.decode):
            assert re.search(rf"\b{figure:,.0f}\b", text)


def test_prompts_page_counts_the_built_in_prompts() -> None:
    """Kinds, categories and numbers are those of the built-in set."""
    text = sections("prompts.md")["The built-in set"]
    counted = {
        kind: Counter(prompt.category for prompt in load_prompts("built-in", kind).prompts)
        for kind in ("red_team", "benign_twin", "helpful")
    }
    rows = {code_in(cells[0])[0]: cells[1:] for cells in table_rows(text)}
    for kind, categories in counted.items():
        assert int(re.findall(r"\d+", rows[kind][0])[0]) == sum(categories.values())
        assert int(re.findall(r"\d+", rows[kind][1])[0]) == len(categories)
    told = {name: tuple(map(int, cells)) for name, cells in rows.items() if name not in counted}
    assert told == {name: (n, counted["benign_twin"][name]) for name, n in counted["red_team"].items()}
    helpful = re.search(r"there are (\d+) in each of ([^.]*)\.", text)
    assert helpful
    assert dict.fromkeys(code_in(helpful[2]), int(helpful[1])) == counted["helpful"]
