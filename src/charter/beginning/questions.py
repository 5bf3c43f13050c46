"""What is asked of somebody who begins a recipe, in order, and what holds each answer to what there is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from charter.beginning.answers import BLANK, Answers
from charter.beginning.sizes import SIZES
from charter.constitution import list_constitutions, load_constitution
from charter.engines.embedded import EMBEDDED
from charter.errors import ModelError, PromptError, UserError
from charter.files.hub_ids import is_model_id
from charter.prompts import load_prompts
from charter.prompts.reading import read_rows
from charter.prompts.row_prompts import column_names
from charter.recipe.paths import is_path
from charter.recipe.settings import RUN_NAME, RUN_NAME_IN_WORDS
from charter.records import BUILT_IN
from charter.spelling import hint, nearest

MOST_PRINCIPLES = 100
LEAST_PROMPTS = 4
_MOST_SHOWN = 20  # columns
_FIRST = "first"  # a name, where the folder's is none
_MODEL_FILES = ("config.json", "adapter_config.json")

Given = Mapping[str, str]
"""The answers to the questions before, by key."""


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        key: by which its answer is known.
        text: what is asked, with what can be answered.
        default: the answer of somebody who gives none.
        check: raises a ``UserError`` for what is no answer.
        is_asked: whether there is something to ask, after the answers before; if not, the default is the answer.
    """

    key: str
    text: Callable[[Given], str]
    default: Callable[[Given], str]
    check: Callable[[str, Given], None]
    is_asked: Callable[[Given], bool] = lambda _: True

    @property
    def option(self) -> str:
        """The option of the command that answers it."""
        return f"--{self.key.replace('_', '-')}"


def questions(folder: Path) -> tuple[Question, ...]:
    """Give the questions about a recipe that is to lie in a folder, in the order in which they are asked."""
    return (
        Question("model", _text_of_model, lambda _: next(iter(EMBEDDED)), _check_model),
        Question("constitution", _text_of_constitution, lambda _: "harmless", _check_constitution),
        Question("principles", _text_of_principles, _default_principles, _check_principles),
        Question("prompts", _text_of_prompts, lambda _: BUILT_IN, _check_prompts),
        Question(
            "prompt_column", _text_of_column, lambda _: "", _check_column, lambda given: _is_file(given["prompts"])
        ),
        Question("size", _text_of_size, lambda _: next(iter(SIZES)), _check_size),
        Question("name", lambda _: "What is the run called?", lambda _: _name_of(folder), _check_name),
    )


def _text_of_model(_: Given) -> str:
    return (
        f"Which model is trained? {', '.join(EMBEDDED)} (embedded: runs anywhere), a folder, or a hub id such as "
        "Qwen/Qwen2.5-0.5B-Instruct"
    )


def _check_model(text: str, _: Given) -> None:
    folder = os.path.expanduser(text)  # noqa: PTH111 - Path's raises for what is no path at all
    if text in EMBEDDED:
        return
    if text and os.path.exists(folder):  # noqa: PTH110 - as above
        if not any(os.path.isfile(f"{folder}/{name}") for name in _MODEL_FILES):  # noqa: PTH113 - as above
            raise ModelError(f"{text}: holds no model; expected a folder with {' or '.join(_MODEL_FILES)}")
        return
    near = nearest(text, EMBEDDED)
    if is_path(text) or not is_model_id(text) or (near and "/" not in text):
        meant = f"; did you mean {near!r}?" if near else ""
        raise ModelError(
            f"{text!r} is no model: expected {', '.join(EMBEDDED)}, a folder that is there, or a hub id (owner/name)"
            f"{meant}"
        )


def _text_of_constitution(_: Given) -> str:
    built_in = ", ".join(list_constitutions())
    return f"Whose principles? {built_in} (built in), a file, or {BLANK} for your own alone"


def _check_constitution(text: str, _: Given) -> None:
    if text != BLANK:
        load_constitution(text)


def _text_of_principles(given: Given) -> str:
    besides = "" if given["constitution"] == BLANK else f", beside those of {given['constitution']}"
    return f"How many principles of your own will you write{besides}?"


def _default_principles(given: Given) -> str:
    return "3" if given["constitution"] == BLANK else "0"


def _check_principles(text: str, given: Given) -> None:
    least = 1 if given["constitution"] == BLANK else 0
    if not re.fullmatch("[0-9]{1,3}", text) or not least <= int(text) <= MOST_PRINCIPLES:
        raise UserError(f"{text!r} is no number of principles to write; expected {least} to {MOST_PRINCIPLES}")


def _text_of_prompts(_: Given) -> str:
    return f"Which prompts press on the principles? {BUILT_IN}, or a file: CSV, TSV, JSON lines, JSON or Parquet"


def _check_prompts(text: str, _: Given) -> None:
    if text == BUILT_IN:
        return
    if not _is_file(text):
        raise PromptError(
            f"{text!r} is no file; expected {BUILT_IN}, or a file with a prompt a row{hint(text, [BUILT_IN])} (a "
            "dataset of the hub can be named in the recipe: prompts.red_team)"
        )
    read_rows(text)


def _is_file(text: str) -> bool:
    return text != BUILT_IN and os.path.isfile(text)  # noqa: PTH113 - as above


def _text_of_column(given: Given) -> str:
    names = column_names(read_rows(given["prompts"]))
    more = ", ..." if len(names) > _MOST_SHOWN else ""
    return f"Which column has the prompt? {', '.join(names[:_MOST_SHOWN])}{more}; nothing if it is to be recognised"


def _check_column(text: str, given: Given) -> None:
    source = given["prompts"]
    if _is_file(source):
        loaded = load_prompts(source, "red_team", column=text or None)
        if len(loaded.prompts) < LEAST_PROMPTS:
            raise PromptError(
                f"{source}: holds {len(loaded.prompts)} distinct prompts, of which some are held out; give at least "
                f"{LEAST_PROMPTS}"
            )
    elif text:
        raise PromptError(f"a column {text!r} is named, and {BUILT_IN} prompts have none to choose; leave it out")


def _text_of_size(_: Given) -> str:
    return f"How large? {', '.join(f'{name} ({size.about})' for name, size in SIZES.items())}"


def _check_size(text: str, _: Given) -> None:
    if text not in SIZES:
        raise UserError(f"{text!r} is no size; expected {', '.join(SIZES)}{hint(text, SIZES)}")


def _name_of(folder: Path) -> str:
    name = folder.resolve().name
    return name if re.fullmatch(RUN_NAME, name) else _FIRST


def _check_name(text: str, _: Given) -> None:
    if not re.fullmatch(RUN_NAME, text):
        raise UserError(f"{text!r} is no name of a run; expected {RUN_NAME_IN_WORDS}")


def settle(folder: Path, texts: Given) -> Answers:
    """Make answers of the texts that were given; what was not has its default.

    Raises:
        UserError: for the first that is none, with what was expected.
    """
    settled: dict[str, str] = {}
    for question in questions(folder):
        text = texts.get(question.key)
        settled[question.key] = question.default(settled) if text is None else text
        question.check(settled[question.key], settled)
    return Answers.of(settled)
