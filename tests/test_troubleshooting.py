"""What the page of symptoms quotes is what the code says, and the keys that it names are a recipe's."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from charter.recipe import Recipe, load_recipe
from pages import DOCS, ROOT, blocks, read

PAGE = DOCS / "troubleshooting.md"
SYMPTOMS = ("collapses", "refuses", "chance", "invalid", "memory", "slow", "killed", "costs")
MINIMAL = {"name": "minimal", "constitution": "harmless", "models": {"policy": "smollm2-135m"}}
SEEN = [block.text.strip() for block in blocks(PAGE) if block.title == "seen"]
_SECTION = "|".join(Recipe.model_fields)
_SETTING = re.compile(rf"`((?:{_SECTION})\.[\w.]+)(?:: |=)([^`]+)`")
_KEY = re.compile(rf"`((?:{_SECTION})(?:\.\w+)+)`")


def texts_of_the_code() -> list[str]:
    """Read every piece of text in the code, implicit concatenation joined; what is put in parts pieces."""
    trees = (ast.parse(read(path)) for path in (ROOT / "src" / "charter").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in nodes if isinstance(node.value, str)]


CODE = "\n".join(texts_of_the_code())


def pieces(message: str) -> list[str]:
    """Part a message at what differs from case to case, and where code may put parts together."""
    parts = re.split(r"…|[.;:)] | \(", message)
    return [piece for part in parts if len(piece := part.strip(" .,;:()")) > 3]


@pytest.mark.parametrize("message", SEEN, ids=lambda message: message[:40])
def test_messages_are_those_of_the_code(message: str) -> None:
    """Each piece between what differs stands in the code, word by word."""
    assert pieces(message)
    assert [piece for piece in pieces(message) if piece not in CODE] == []


def test_a_message_of_nobody_is_noticed() -> None:
    """The comparison can fail."""
    assert [piece for piece in pieces("the judge … is fond of cheese") if piece not in CODE] == ["is fond of cheese"]


def test_every_symptom_has_its_section() -> None:
    """Each has a heading, a message or figure, why, and what to change."""
    parts = re.split(r"^## ", read(PAGE), flags=re.MULTILINE)[1:]
    assert len(parts) == len(SYMPTOMS)
    for symptom, part in zip(SYMPTOMS, parts, strict=True):
        assert symptom in part.partition("\n")[0]
        assert 'title="seen"' in part
        assert re.search(r"what to change|\| do \|", part, re.IGNORECASE), symptom


def test_settings_are_those_of_a_recipe(tmp_path: Path) -> None:
    """Each key with a value can be set so, and each that is named by itself is a recipe's."""
    file = tmp_path / "minimal.yaml"
    file.write_text(json.dumps(MINIMAL), "utf-8")
    settings = _SETTING.findall(read(PAGE))
    assert len(settings) >= 8
    for key, value in settings:
        load_recipe(file, [f"{key}={value}"])
    keys = set(_KEY.findall(read(PAGE)))
    assert len(keys) >= 12
    meant = read(DOCS / "recipes.md")
    for key in keys - {"models.judge", "models.policy.max_rows", "models.judge.max_at_once"}:
        assert f"| `{key}` |" in meant, key
    assert all(f"| `{key}` |" in meant for key in ("max_rows", "max_at_once"))
