"""The recipe that is begun: YAML with the meaning of each key beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from charter.beginning.answers import Answers
from charter.beginning.sizes import SIZES, Settings, is_tuned, reasons_of, settings_of
from charter.recipe import Recipe
from charter.recipe.meanings import meaning_of, without_links
from charter.recipe.paths import move_paths, place_paths
from charter.recipe.settings.section import sections_in
from charter.recipe.writing import write_value

_WIDTH = 120
_COMMENT_AT = 40  # the column at which comments stand beside values
_INDENT = "  "


@dataclass(frozen=True)
class Besides:
    """What a recipe has besides what was answered.

    ``settings`` take the place of others, by section, and join mappings; their paths hold from where the process
    stands. ``reasons`` say why some of them are as they are, by section and key. ``said`` are paragraphs of the head.
    """

    settings: Settings = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()


def recipe_text(
    answers: Answers, folder: Path, *, file: str, constitution: str | None, schema: str, besides: Besides | None = None
) -> str:
    """Write the recipe that is begun.

    Args:
        answers: what it is begun from.
        folder: where it is to lie; its paths hold from there.
        file: its own name.
        constitution: the name of the file beside it that it takes its principles from; None where there is none.
        schema: the name of the file beside it that has its schema.
        besides: what it has besides.

    Raises:
        UserError: where the prompts are too few, or cannot be read.
    """
    besides = besides or Besides()
    values = _values(answers, folder, besides.settings)
    if constitution is not None:
        values["constitution"] = f"./{constitution}"
    lines = [*_head(answers, file, schema, besides.said)]
    told: set[tuple[str, ...]] = set()
    for *above, line in _entries(values, answers, besides.reasons):
        lines += [line] if tuple(above) in told else [*above, line]
        if any(above):  # a meaning that takes lines of its own is said once
            told.add(tuple(above))
    return "\n".join(lines) + "\n"


def _values(answers: Answers, folder: Path, settings: Settings) -> dict[str, Any]:
    """Give a recipe's values, with paths that hold from a folder."""
    values: dict[str, Any] = {
        "name": answers.name,
        "seed": 0,
        "constitution": answers.constitution,
        "models": {"policy": answers.model},
        **settings_of(answers),
    }
    for section, changed in settings.items():
        own = values.setdefault(section, {})
        for key, value in changed.items():
            own[key] = {**own[key], **value} if isinstance(value, dict) and isinstance(own.get(key), dict) else value
    place_paths(values, Path())
    move_paths(values, folder)
    return values


def _entries(values: dict[str, Any], answers: Answers, more: Mapping[str, str]) -> Iterator[list[str]]:
    """Write each key's lines: its value, and above it what has no room beside it."""
    ideas, reasons = _ideas(answers), {**reasons_of(answers), **more}
    for key, value in values.items():
        model = next(iter(sections_in(Recipe.model_fields[key].annotation)), None)
        if model is None or not isinstance(value, dict):
            yield _line(Recipe, key, value)
            continue
        yield ["", *_beside(f"{key}:", _meaning(Recipe, key))]
        for inner, one in value.items():
            yield _line(model, inner, one, reason=reasons.get(f"{key}.{inner}", ""))
        for inner, one in ideas.get(key, {}).items():
            yield _line(model, inner, one, mark="# ")


def _head(answers: Answers, file: str, schema: str, said: tuple[str, ...]) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={schema}"
    yield "#"
    for paragraph in said:
        yield from comment_lines(paragraph)
        yield "#"
    yield from comment_lines(f"{SIZES[answers.size].said} {_basis(answers)}")
    yield "#"
    yield from comment_lines(
        "What is not here has its default. The documentation (Recipes) tells every key, and so does an editor that "
        "knows the schema of the first line."
    )
    yield "#"
    yield f"#   charter check {file}                  # what is wrong with it, and what a run takes"
    yield f"#   charter run {file} revise.rounds=1    # with another value for one run"


def _basis(answers: Answers) -> str:
    """Say what the settings are worth."""
    if is_tuned(answers):
        return f"The settings are those of the recipe {answers.model}, whose results are published."
    return "The settings are a place to begin from: nobody has tuned them for this model and these principles."


def _ideas(answers: Answers) -> dict[str, dict[str, Any]]:
    """Give what many will want to set, by section: it stands there as a comment."""
    ideas: dict[str, dict[str, Any]] = {"models": {"judge": "Qwen/Qwen2.5-7B-Instruct"}}
    if answers.has_own_prompts:
        ideas["evaluate"] = {"harm": False}
    return ideas


def _line(model: type[BaseModel], key: str, value: Any, *, reason: str = "", mark: str = "") -> list[str]:
    """Write a key with its value, and what it means; ``mark`` makes a comment of it."""
    indent = "" if model is Recipe else _INDENT
    said = _meaning(model, key).partition(". ")[0] + (f". {reason}" if reason else "")
    return [f"{indent}{line}" for line in _beside(f"{mark}{key}: {write_value(value)}", said, len(indent))]


def _beside(line: str, comment: str, indented: int = 0) -> list[str]:
    """Put a comment beside a line, or above it where there is no room."""
    at = _COMMENT_AT - indented
    if len(line) < at - 1 and at + 2 + len(comment) + indented <= _WIDTH:
        return [f"{line.ljust(at)}# {comment}"]
    return [*comment_lines(comment, _WIDTH - indented), line]


def comment_lines(text: str, width: int = _WIDTH) -> list[str]:
    """Write a paragraph as a comment."""
    return [f"# {line}" for line in textwrap.wrap(text, width - 2, break_long_words=False, break_on_hyphens=False)]


def _meaning(model: type[BaseModel], key: str) -> str:
    return without_links(meaning_of(model, key))
