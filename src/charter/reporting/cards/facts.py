"""What both kinds of cards tell of a run: its base model, its constitution, its judge and where its prompts are from.

Only what is named here goes into a card. Paths in the recipe are hidden before anything is read off it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from charter.constitution import Constitution, load_constitution
from charter.engines.embedded import EMBEDDED
from charter.errors import RunError, UserError
from charter.files.hub_ids import is_dataset_id, is_model_id
from charter.files.tables import read_json
from charter.recipe.paths import hide_paths, is_path
from charter.records import BUILT_IN, GENERATED, Prompt
from charter.reporting.cards.markdown import plain
from charter.reporting.reading import RunData

_LANGUAGE = re.compile(r"(?P<code>[a-z]{2,3})(?:[-_].*)?", re.IGNORECASE)
_LICENCE_OF_OURS = "Apache-2.0"
_LONGEST_NAME = 96


@dataclass(frozen=True)
class ModelName:
    """A model as a stranger knows it.

    ``told`` says it in words. ``hub_id`` and ``revision`` are where the hub has it, empty where it does not;
    ``licence`` is its own, empty where it is not known; ``note`` is what to know of it.
    """

    told: str
    hub_id: str = ""
    revision: str = ""
    licence: str = ""
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """A run as its cards tell it. ``recipe`` has no paths; ``constitution`` is None where it cannot be read.

    ``fingerprint`` is the constitution's as the run recorded it, ``fingerprints`` are the models' by role.
    """

    data: RunData
    name: str
    recipe: Mapping[str, Any]
    base: ModelName
    constitution: Constitution | None
    fingerprint: str
    fingerprints: Mapping[str, str]

    @property
    def language(self) -> str | None:
        """The constitution's language as the hub codes it; None where it has no such code."""
        found = _LANGUAGE.fullmatch(self.constitution.language) if self.constitution else None
        return found["code"].lower() if found else None

    def section(self, name: str) -> Mapping[str, Any]:
        """Give a section of the recipe; empty where there is none."""
        return part_of(self.recipe, name)

    def model(self, role: str) -> ModelName:
        """Name the model that plays a role: the policy's base, where the recipe names none."""
        settings = self.section("models").get(role)
        return self.base if settings is None else name_model(settings)


def gather_facts(data: RunData) -> Facts:
    """Take from a run what its cards tell."""
    recipe = hide_paths(data.recipe)
    environment = data.environment.models if data.environment else {}
    return Facts(
        data=data,
        name=label(data.name),
        recipe=recipe,
        base=name_model(part_of(recipe, "models").get("policy")),
        constitution=_constitution(data),
        fingerprint=_fingerprint(data),
        fingerprints={role: model.fingerprint for role, model in environment.items() if _is_hash(model.fingerprint)},
    )


def label(text: str) -> str:
    """Make a name of a text from outside: one line, of a length that a name has."""
    return plain(text).strip()[:_LONGEST_NAME] or "a run"


def part_of(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Give a section of some values; empty where there is none."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def name_model(settings: Any) -> ModelName:
    """Name a model by its settings in a recipe whose paths are hidden."""
    values = settings if isinstance(settings, dict) else {"name": settings}
    name, engine = str(values.get("name") or ""), values.get("engine", "transformers")
    if engine == "scripted":
        return ModelName("a script: no model at all")
    if engine == "http":
        return ModelName(f"{label(name)}, behind a server")
    embedded = EMBEDDED.get(name)
    if embedded is not None:
        note = f"Its weights come from {embedded.origin}, turned back from a file of four bits: they are not the same."
        return ModelName(f"{name} (embedded)", embedded.origin, "", embedded.licence, note)
    if is_model_id(name) and not is_path(name) and "/" in name:
        hub_id, _, revision = name.partition("@")
        return ModelName(name, hub_id, revision)
    return ModelName("a model in a folder of its maker's")


def prompt_sources(prompts: Iterable[Prompt], facts: Facts) -> list[tuple[str, str, int]]:
    """Give where prompts are from, with the licence as far as it is known, and their number."""
    counted = Counter(_source(prompt.source, facts) for prompt in prompts)
    return [(*source, n) for source, n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]


def given_source(values: Any) -> str:
    """Say where rows that a user brought are from, by their part of a recipe whose paths are hidden."""
    source = str(values.get("source") or "" if isinstance(values, dict) else values or "")
    return f"{source}, a dataset of the hub" if is_dataset_id(source) else "a file of the maker's"


def is_of_this_machine(source: str) -> bool:
    """Tell whether a prompt's source is a file's path."""
    return source not in {BUILT_IN, GENERATED, ""} and not is_dataset_id(source)


def _source(source: str, facts: Facts) -> tuple[str, str]:
    if source == BUILT_IN:
        return "built-in: written for Charter", _LICENCE_OF_OURS
    if source == GENERATED:
        return f"written in the run by {facts.model('red_team').told}", "that of the model's output: not known here"
    if not source:
        return "not recorded", "not known here"
    if is_dataset_id(source):
        return f"{source}, a dataset of the hub", "its own: see its card"
    return "a file of the maker's", "not known here"


def _constitution(data: RunData) -> Constitution | None:
    path = data.path / "constitution.yaml"
    try:
        return load_constitution(str(path)) if path.is_file() else None
    except UserError:
        return None


def _fingerprint(data: RunData) -> str:
    path = data.path / "inputs.json"
    try:
        found = read_json(path) if path.is_file() else None
    except RunError:
        return ""
    fingerprint = str(found.get("constitution", "")) if isinstance(found, dict) else ""
    return fingerprint if _is_hash(fingerprint) else ""


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"(?:sha256:)?[0-9a-f]{32,64}", text) is not None
