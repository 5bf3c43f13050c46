"""Which wrappers are meant by names and files; files are YAML of ``name``, ``system``, ``user`` and ``prefill``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.evaluation.attacks.wrappers import (
    BUILT_IN,
    PLAIN,
    TRANSLATION,
    Wrapped,
    Wrapper,
    with_request,
    with_system,
)
from charter.files.yaml_reading import YamlDocument, read_yaml
from charter.records import Prompt
from charter.spelling import hint

SLOT = "{prompt}"
_KEYS = ("name", "system", "user", "prefill")
_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class ChosenWrappers:
    """The wrappers that were asked for, plain first, and the languages to ask in besides."""

    wrappers: tuple[Wrapper, ...]
    languages: tuple[str, ...]


def choose_wrappers(texts: Sequence[str]) -> ChosenWrappers:
    """Find wrappers by name, by ``translation:LANGUAGE``, or in files; each once.

    Raises:
        UserError: for a name that there is not, a language that is missing, a file that is no wrapper, and for two
            wrappers of one name.
    """
    found, languages = {PLAIN: BUILT_IN[PLAIN]}, list[str]()
    for text in texts:
        if text.partition(":")[0] == TRANSLATION:
            languages.append(_language(text))
            continue
        one = _find(text)
        if found.setdefault(one.name, one) is not one:
            raise UserError(f"--wrapper {text}: another wrapper is called {one.name!r} too; name one otherwise")
    return ChosenWrappers(tuple(found.values()), tuple(dict.fromkeys(languages)))


def read_wrapper(path: str | Path) -> Wrapper:
    """Read a wrapper from a file; its texts are taken as they stand but for the one slot of the prompt.

    Raises:
        UserError: naming the file, the line and what is wrong.
    """
    document = read_yaml(path)
    texts = _texts(document)
    user, system, begun = texts["user"], texts.get("system", ""), texts.get("prefill", "")

    def wrap(prompt: Prompt) -> Wrapped:
        before, _, after = user.partition(SLOT)
        turns = with_request(prompt.turns, f"{before}{prompt.turns[-1].content}{after}")
        return Wrapped(with_system(turns, system) if system else turns, begun)

    return Wrapper(texts["name"], wrap)


def _find(text: str) -> Wrapper:
    if text in BUILT_IN:
        return BUILT_IN[text]
    if Path(text).suffix.lower() in _SUFFIXES:
        return read_wrapper(text)
    names = [*BUILT_IN, TRANSLATION]
    raise UserError(
        f"--wrapper is {text!r}; expected {', '.join(BUILT_IN)}, {TRANSLATION}:LANGUAGE or a file that ends in .yaml, "
        f".yml or .json{hint(text, names)}"
    )


def _language(text: str) -> str:
    language = text.partition(":")[2].strip()
    if not language:
        raise UserError(f"--wrapper {text}: names no language; give one, such as {TRANSLATION}:Zulu")
    return language


def _texts(document: YamlDocument) -> dict[str, str]:
    """Check a wrapper's file, and give its texts."""
    data: Any = document.data
    if not isinstance(data, dict):
        raise UserError(f"{document.source}: expected name, user and, where wanted, system and prefill")
    for key, value in data.items():
        if key not in _KEYS:
            known = ", ".join(_KEYS)
            raise UserError(f"{document.where((key,))}: {key!r} is no key of a wrapper ({known}){hint(key, _KEYS)}")
        if not isinstance(value, str):
            raise UserError(f"{document.where((key,))}: {key!r} is {value!r}; expected a text, in quotes if need be")
        if SLOT in value and key != "user":
            raise UserError(f"{document.where((key,))}: {SLOT} stands in {key!r}, and is replaced in 'user' alone")
    for key in ("name", "user"):
        if not data.get(key, "").strip():
            raise UserError(f"{document.source}: {key!r} is missing or empty; give it a text")
    n_slots = data["user"].count(SLOT)
    if n_slots != 1:
        raise UserError(f"{document.where(('user',))}: 'user' has {SLOT} {n_slots} times; expected once")
    if data["name"] in BUILT_IN or data["name"].partition(":")[0] == TRANSLATION:
        raise UserError(f"{document.where(('name',))}: {data['name']!r} is a built-in wrapper; choose another name")
    return data
