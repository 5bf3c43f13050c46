"""Paths that a recipe names: relative to the recipe's file, whoever runs it and from where.

A recipe's values are rewritten when it is read, so that its paths hold from where the process stands. Overrides are
typed in a shell, and their paths are relative to where that stands. Paths share their places with names (of built-in
constitutions, embedded models, models and datasets of the hub), and are told apart by form: a path begins with a dot
or a slash, has more than one slash, or ends as a file does. What has the form of a name and lies there is a path too.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.constitution import list_constitutions
from charter.engines.embedded import EMBEDDED
from charter.files.hub_ids import is_model_id
from charter.recipe.launches import launch_files
from charter.records import BUILT_IN, GENERATED

_NO_FILES = (BUILT_IN, GENERATED)
#: The keys of rows that a user brings.
_GIVEN = (("revise", "given"), ("pairs", "given"), ("preference_model", "helpfulness"), ("dpo", "helpfulness"))
_FILE_ENDINGS = frozenset({".csv", ".gz", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".yaml", ".yml"})


@dataclass(frozen=True)
class Slot:
    """A text in a recipe's values that is a path or a name.

    ``holder[key]`` is the text, ``place`` its key in full, and ``names`` are those that no path comes before.
    """

    holder: Any
    key: str | int
    place: str
    names: Collection[str]

    @property
    def text(self) -> str:
        """The path or name."""
        return str(self.holder[self.key])

    @property
    def is_path(self) -> bool:
        """Whether the text has the form of a path."""
        return self.text not in self.names and is_path(self.text)

    def put(self, text: str) -> None:
        """Write another text in its place."""
        self.holder[self.key] = text


def is_path(text: str) -> bool:
    """Tell by its form whether a text is a path, and not a name."""
    return bool(text) and (not is_model_id(text) or Path(text).suffix.lower() in _FILE_ENDINGS)


def place_paths(data: Any, folder: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the paths in a recipe's values, which are relative to ``folder``, hold from where the process stands.

    Args:
        data: the values, as the file has them; they are changed.
        folder: what the paths are relative to.
        known: texts by place that are as they should be.

    Returns:
        Every path and name by its place.
    """
    for slot in slots(data):
        if known is None or known.get(slot.place) != slot.text:
            slot.put(_placed(slot, folder))
    return {slot.place: slot.text for slot in slots(data)}


def move_paths(data: Any, folder: Path) -> None:
    """Write the paths in a recipe's values relative to the folder that its file will lie in; absolute ones stay."""
    for slot in slots(data):
        if slot.is_path and not slot.text.startswith(("/", "~")):
            slot.put(relative_path(Path(slot.text), folder))


def relative_path(path: Path, folder: Path) -> str:
    """Write a path relative to a folder, in the form of one."""
    moved = os.path.relpath(path.resolve(), folder.resolve())
    return moved if moved.startswith(".") else f"./{moved}"


def hide_paths(data: Any) -> Any:
    """Copy a recipe's values with every path blotted out."""
    copy = deepcopy(data)
    for slot in slots(copy):
        if slot.is_path:
            slot.put("a path")
    return copy


def slots(data: Any) -> Iterator[Slot]:
    """Find the texts in a recipe's values that are paths or names, in sections and in the short forms for them."""
    yield from _section(data, "constitution", ("source", "helpful"), list_constitutions())
    models, prompts = _inner(data, "models"), _inner(data, "prompts")
    for role in models:
        if _names_weights(_inner(models, role)):
            yield from _section(models, role, ("name",), EMBEDDED, "models.")
    for kind in prompts:
        yield from _section(prompts, kind, ("source",), _NO_FILES, "prompts.")
        if isinstance(prompts[kind], dict):
            yield from _section(prompts, kind, ("principles",), list_constitutions(), "prompts.")
    for section, key in _GIVEN:
        yield from _section(_inner(data, section), key, ("source",), _NO_FILES, f"{section}.")
    generate = _inner(prompts, "generate")
    for holder, key, place in (
        (data, "data_dir", "data_dir"),
        (_inner(data, "label"), "calibrator", "label.calibrator"),
        (_inner(data, "budget"), "prices", "budget.prices"),
        (_inner(data, "training"), "launch", "training.launch"),
        *((generate, key, f"prompts.generate.{key}") for key in ("axes", "few_shots", "texts")),
    ):
        if isinstance(holder, dict) and isinstance(holder.get(key), str):
            yield Slot(holder, key, place, launch_files() if key == "launch" else _NO_FILES)
    yield from _judges(_inner(_inner(data, "label"), "judges"))
    yield from _evaluated(_inner(data, "evaluate"))


def _judges(judges: dict[str, Any]) -> Iterator[Slot]:
    for name, judge in judges.items():
        place = f"label.judges.{name}."
        if isinstance(judge, str):
            yield Slot(judges, name, f"{place}model.name", EMBEDDED)
        elif isinstance(judge, dict):
            if _names_weights(_inner(judge, "model")):
                yield from _section(judge, "model", ("name",), EMBEDDED, place)
            if isinstance(judge.get("calibrator"), str):
                yield Slot(judge, "calibrator", f"{place}calibrator", _NO_FILES)


def _evaluated(settings: dict[str, Any]) -> Iterator[Slot]:
    files = settings.get("multiple_choice")
    for number, file in enumerate(files if isinstance(files, list) else ()):
        if isinstance(file, str):
            yield Slot(files, number, f"evaluate.multiple_choice.{number}", ())
    probes = settings.get("probes")
    for number, probe in enumerate(probes if isinstance(probes, list) else ()):
        place = f"evaluate.probes.{number}"
        if isinstance(probe, str):
            yield Slot(probes, number, f"{place}.constitution", list_constitutions())
        elif isinstance(probe, dict):
            yield from _section(probe, "constitution", ("constitution",), list_constitutions(), f"{place}.")
            yield from _section(probe, "source", ("source",), _NO_FILES, f"{place}.")
    others = _inner(settings, "others")
    for name in others:
        if _names_weights(_inner(others, name)):
            yield from _section(others, name, ("name",), EMBEDDED, "evaluate.others.")


def _names_weights(model: dict[str, Any]) -> bool:
    """Whether a model's name is one of weights, and not a script's, or what a server calls it."""
    return model.get("engine") not in {"http", "scripted"}


def _section(
    holder: dict[str, Any], key: str, inner: tuple[str, ...], names: Collection[str], prefix: str = ""
) -> Iterator[Slot]:
    value = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(value, str):
        yield Slot(holder, key, f"{prefix}{key}.{inner[0]}", names)
    for one in inner:
        if isinstance(value, dict) and isinstance(value.get(one), str):
            yield Slot(value, one, f"{prefix}{key}.{one}", names)


def _inner(data: Any, key: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _placed(slot: Slot, folder: Path) -> str:
    text = slot.text
    if not text or text in slot.names or not (is_path(text) or _exists(folder / text)):
        return text
    if folder != Path() and not text.startswith("~"):
        text = str(folder / text)
    return text if is_path(text) else f"./{text}"  # marked, so that nobody takes it for a name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no path at all, such as a text with a null in it
        return False
