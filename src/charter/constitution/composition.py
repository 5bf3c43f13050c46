"""Constitutions that build on others: the key ``extends``, read, resolved and merged into one flat constitution.

Bases come first, in their order, then the file's own principles. A principle of the file's own goes before a base's of
the same id: with a ``text`` it stands in its place, without one it changes only the fields that it gives. Where two
bases disagree and the file says nothing, that is an error: nobody has decided.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charter.constitution.derivation import with_derived_requests
from charter.constitution.extension import Extension
from charter.constitution.faults import Fault, report, schema_fault, shown
from charter.constitution.model import Constitution, FewShots, Principle, SystemTexts
from charter.constitution.versions import in_range
from charter.errors import ConstitutionError
from charter.files.yaml_reading import ValuePath, YamlDocument, read_yaml
from charter.spelling import hint

MAX_DEPTH = 10
MAX_BASES = 32

_DEFAULT_LANGUAGE: str = Constitution.model_fields["language"].default


@dataclass(frozen=True)
class Lineage:
    """For whom a file is read: the files that extend it, outermost first, and what was read already."""

    files: tuple[Path, ...] = ()
    known: dict[Path, Constitution] = field(default_factory=dict)

    def read(self, path: Path, reader: Callable[[Path, Lineage], Constitution]) -> Constitution:
        """Read a file once.

        Raises:
            ConstitutionError: where the file extends itself, directly or not, or stands too deep.
        """
        place = path.resolve()
        above = [file.resolve() for file in self.files]
        if place in above:
            circle = " -> ".join(str(file) for file in (*self.files[above.index(place) :], path))
            raise ConstitutionError(f"it extends itself: {circle}; take one of these steps out")
        if len(above) > MAX_DEPTH:
            raise ConstitutionError(f"bases stand more than {MAX_DEPTH} deep on each other; write some of them as one")
        if place not in self.known:
            self.known[place] = reader(path, Lineage((*self.files, path), self.known))
        return self.known[place]


Load = Callable[[str, Lineage, Path], Constitution]
"""Reads a constitution by its name, or by its path from a folder."""


@dataclass(frozen=True)
class Base:
    """A constitution that is extended, and the principles that are taken over of it, as they are taken over."""

    entry: Extension
    position: int
    constitution: Constitution
    given: tuple[Principle, ...]

    @property
    def label(self) -> str:
        """Its name and version."""
        return f"{self.constitution.name} {self.constitution.version}"


def read_bases(document: YamlDocument, folder: Path, lineage: Lineage, load: Load) -> tuple[Base, ...]:
    """Read what a file extends; nothing where it extends nothing.

    Raises:
        ConstitutionError: for entries that are malformed, missing, circular, or of another version than is asked for.
    """
    entries, faults = _entries(document)
    bases = []
    for position, entry in entries:
        where = document.where(("extends", position, "source"))
        try:
            constitution = load(entry.source, lineage, folder)
        except ConstitutionError as problem:
            says = f"\n{problem}" if "\n" in str(problem) else f" {problem}"
            raise ConstitutionError(f'{where}: the base "{entry.source}" cannot be used:{says}') from problem
        faults += _misfits(document, position, entry, constitution)
        bases.append(Base(entry, position, constitution, tuple(_given(entry, constitution))))
    if faults:
        raise ConstitutionError(report(document.source, faults))
    return tuple(bases)


def _entries(document: YamlDocument) -> tuple[list[tuple[int, Extension]], list[Fault]]:
    given = document.data.get("extends", [])
    line = document.line_of(("extends",))
    if not isinstance(given, list):
        message = f'"extends" is {shown(given)}; expected a list of names and paths, such as extends: [harmless]'
        return [], [(line, message)]
    if len(given) > MAX_BASES:
        return [], [(line, f'"extends" lists {len(given)} bases; at most {MAX_BASES} are read: write some as one')]
    entries: list[tuple[int, Extension]] = []
    faults: list[Fault] = []
    for position, item in enumerate(given):
        data = {"source": item} if isinstance(item, str) else item
        path: ValuePath = ("extends", position)
        if not isinstance(data, dict):
            message = f'is {shown(item)}; expected a name, a path, or a mapping with the key "source"'
            faults.append((document.line_of(path), f"extends: item {position + 1} {message}"))
            continue
        try:
            entry = Extension.model_validate_json(json.dumps(data), strict=True)
        except ValidationError as problem:
            faults += [schema_fault(document, detail, path) for detail in problem.errors()]
            continue
        if entry.source in [other.source for _, other in entries]:
            faults.append((document.line_of(path), f'extends: "{entry.source}" is listed twice; keep one of the two'))
        entries.append((position, entry))
    return entries, faults


def _misfits(document: YamlDocument, position: int, entry: Extension, base: Constitution) -> Iterator[Fault]:
    """Name what an entry asks of its base and the base does not have."""
    path: ValuePath = ("extends", position)
    try:
        fits = not entry.version or in_range(base.version, entry.version)
    except ValueError as problem:
        yield document.line_of((*path, "version")), f"extends[{position + 1}].version: {problem}"
    else:
        if not fits:
            message = f'version {base.version} of "{base.name}" is not in the range "{entry.version}"; widen the range'
            yield document.line_of((*path, "version")), f"{message}, or look at what changed and take another version"
    for key, place, message in entry.unknown(base.principles):
        yield document.line_of((*path, key, place)), f"extends[{position + 1}].{key}: {message}"
    for principle in base.principles:
        weight = principle.weight * entry.weight
        if not (math.isfinite(weight) and weight > 0):
            message = f'weight {entry.weight:g} makes the weight of "{principle.id}" {weight:g}; expected above 0'
            yield document.line_of((*path, "weight")), f"extends[{position + 1}]: {message} and finite"
            return


def _given(entry: Extension, base: Constitution) -> Iterator[Principle]:
    """Give what is taken over, with where it is from; its language and licence are said even where the base's."""
    for principle in base.principles:
        if entry.selects(principle):
            yield principle.model_copy(
                update={
                    "weight": principle.weight * entry.weight,
                    "base": principle.base or f"{base.name} {base.version}",
                    "language": principle.language or base.language,
                    "licence": principle.licence or base.licence,
                }
            )


def on_bases(document: YamlDocument, folder: Path, bases: Sequence[Base]) -> dict[str, Any]:
    """Give a file's values with each of its own principles complete: by its base's, or by rule from its text.

    A file with no principles of its own has those that it inherits.

    Raises:
        ConstitutionError: where bases disagree on a principle that the file does not give itself, where one without a
            text has an id that no base gives, and where there is no principle at all.
    """
    data = {key: value for key, value in document.data.items() if key != "extends"}
    items = data.get("principles", [] if bases else None)
    if not isinstance(items, list):
        return data
    rewritten = {item["id"] for item in items if _names(item) and "text" in item}
    inherited, faults = _inherited(document, folder, bases, rewritten)
    for position, item in enumerate(items):
        if bases and _names(item) and "text" not in item and item["id"] not in inherited:
            message = f'principle "{item["id"]}" has no text, and no base gives one of that id'
            remedy = f"; write its text, or take an id that is inherited{hint(item['id'], inherited)}"
            faults.append((document.line_of(("principles", position)), message + remedy))
    if bases and not items and not inherited:
        message = "what is taken over holds no principle, and the file has none; take more over, or write some"
        faults.append((document.line_of(("extends",)), message))
    if faults:
        raise ConstitutionError(report(document.source, faults))
    completed = [_completed(item, inherited) for item in items]
    data["principles"] = completed or [one.model_dump(mode="json") for one in inherited.values()]
    return data


def _names(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("id"), str)


def _completed(item: Any, inherited: Mapping[str, Principle]) -> Any:
    if not isinstance(item, dict):
        return item
    if _names(item) and "text" not in item and item["id"] in inherited:
        return {**inherited[item["id"]].model_dump(mode="json"), **item}
    return with_derived_requests(item)


def _inherited(
    document: YamlDocument, folder: Path, bases: Sequence[Base], decided: set[str]
) -> tuple[dict[str, Principle], list[Fault]]:
    """Gather the bases' principles by id, the first of those that agree, and name those that do not."""
    found: dict[str, tuple[Base, Principle]] = {}
    faults: list[Fault] = []
    for base in bases:
        for principle in base.given:
            first, other = found.setdefault(principle.id, (base, principle))
            differing = _differing(other, principle)
            if differing and principle.id not in decided:
                places = f"{_place(folder, first, principle.id)} and {_place(folder, base, principle.id)}"
                message = (
                    f'two bases give principle "{principle.id}" differently ({", ".join(differing)}): {places}; leave '
                    f"one out with without: [{principle.id}] at its base, or write the principle here with a text"
                )
                faults.append((document.line_of(("extends", base.position)), message))
    return {name: principle for name, (_, principle) in found.items()}, faults


def _differing(first: Principle, second: Principle) -> list[str]:
    """Name the fields in which two principles differ; from which base they are is none of them."""
    fields = (name for name in Principle.model_fields if name != "base")
    return [name for name in fields if getattr(first, name) != getattr(second, name)]


def _place(folder: Path, base: Base, principle_id: str) -> str:
    """Write where a base has a principle: its line, or the file alone where that holds it in another layout."""
    path = folder / base.entry.source
    try:
        document = read_yaml(path, error=ConstitutionError)
        items = document.data["principles"]
        position = next(number for number, item in enumerate(items) if item["id"] == principle_id)
    except (ConstitutionError, LookupError, TypeError, StopIteration):
        return f"{base.entry.source} ({base.label})"
    return document.where(("principles", position, "id"))


def compose(document: YamlDocument, own: Constitution, bases: Sequence[Base]) -> Constitution:
    """Merge a file's own constitution, whose principles are complete, with its bases.

    Raises:
        ConstitutionError: where bases differ in a system text that the file does not give itself.
    """
    if not bases:
        return own
    language = own.language if "language" in document.data else _common_language(bases)
    principles = {one.id: one for base in reversed(bases) for one in base.given}
    order = dict.fromkeys((*(one.id for base in bases for one in base.given), *own.ids))
    principles |= {one.id: one for one in own.principles}
    shots = [own.few_shots, *(base.constitution.few_shots for base in bases)]
    return own.model_copy(
        update={
            "language": language,
            "bases": tuple(dict.fromkeys((*own.bases, *_labels(bases)))),
            "system": _system(document, own.system, bases),
            "principles": tuple(_own_terms(principles[name], language, own.licence) for name in order),
            "few_shots": FewShots(
                revise=tuple(dict.fromkeys(one for some in shots for one in some.revise)),
                judge=tuple(dict.fromkeys(one for some in shots for one in some.judge)),
            ),
        }
    )


def _common_language(bases: Sequence[Base]) -> str:
    languages = {base.constitution.language for base in bases}
    return languages.pop() if len(languages) == 1 else _DEFAULT_LANGUAGE


def _labels(bases: Sequence[Base]) -> Iterator[str]:
    for base in bases:
        yield from (*base.constitution.bases, base.label)


def _own_terms(principle: Principle, language: str, licence: str) -> Principle:
    """Leave a principle's language and licence unsaid where they are the constitution's."""
    same = {"language": language, "licence": licence}
    return principle.model_copy(update={key: "" for key, value in same.items() if getattr(principle, key) == value})


def _system(document: YamlDocument, own: SystemTexts, bases: Sequence[Base]) -> SystemTexts:
    given = document.data.get("system", {})
    faults: list[Fault] = []
    texts = {}
    for name in SystemTexts.model_fields:
        found = {text: base for base in reversed(bases) if (text := getattr(base.constitution.system, name))}
        if name not in given and len(found) > 1:
            labels = " and ".join(base.label for base in reversed(found.values()))
            message = f"system.{name} differs between the bases {labels}; write the one that is meant under system"
            faults.append((document.line_of(("extends",)), message))
        texts[name] = getattr(own, name) if name in given or not found else next(iter(found))
    if faults:
        raise ConstitutionError(report(document.source, faults))
    return SystemTexts(**texts)
