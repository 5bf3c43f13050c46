"""Values of a foreign file, taken out by key: what is not as expected becomes a fault with its line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.constitution.faults import Fault, report, shown
from charter.errors import ConstitutionError
from charter.files.yaml_reading import ValuePath, YamlDocument


@dataclass
class Fields:
    """Takes values out of a document, and gathers what is wrong with them until ``finish``."""

    document: YamlDocument
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: ValuePath, message: str) -> None:
        """Note what is wrong at a place."""
        self.faults.append((self.document.line_of(path), message))

    def finish(self) -> None:
        """Raise what was noted.

        Raises:
            ConstitutionError: with each fault's line.
        """
        if self.faults:
            raise ConstitutionError(report(self.document.source, self.faults))

    def text(self, values: Mapping[str, Any], key: str, path: ValuePath, *, default: str | None = None) -> str:
        """Take a text out of the mapping at ``path``; without a default it must be there and not blank."""
        value = values.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str):
            if default is None and not value.strip():
                self.fault((*path, key), f'"{key}" is empty; write its text')
            return value
        if key not in values:
            self.fault(path, f'"{key}" is missing; add it')
        else:
            self.fault((*path, key), f'"{key}" is {shown(value)}; expected text')
        return ""

    def name(self, values: Mapping[str, Any], key: str, path: ValuePath) -> str:
        """Take a source's own id out: a text or a number; empty where there is none."""
        value = values.get(key)
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            self.fault((*path, key), f'"{key}" is {shown(value)}; expected text or a number')
            return ""
        return "" if value is None else str(value)

    def items(self, values: Mapping[str, Any], key: str, path: ValuePath = ()) -> Iterator[tuple[ValuePath, Any]]:
        """Take a list out, each item with its place; nothing where the key is missing or has no value."""
        found = values.get(key)
        if found is None:
            return
        if not isinstance(found, list):
            self.fault((*path, key), f'"{key}" is {shown(found)}; expected a list')
            return
        for number, item in enumerate(found):
            yield (*path, key, number), item

    def texts(self, values: Mapping[str, Any], key: str, path: ValuePath = ()) -> Iterator[tuple[ValuePath, str]]:
        """Take a list of texts out, each with its place; nothing where the key is missing or has no value."""
        for place, item in self.items(values, key, path):
            if isinstance(item, str) and item.strip():
                yield place, item
            else:
                said = "is empty; write its text" if isinstance(item, str) else f"is {shown(item)}; expected text"
                self.fault(place, f"{_step(place)} {said}")

    def mappings(
        self, values: Mapping[str, Any], key: str, path: ValuePath = ()
    ) -> Iterator[tuple[ValuePath, dict[str, Any]]]:
        """Take a list of mappings out, each with its place; nothing where the key is missing or has no value."""
        yield from self._mappings(self.items(values, key, path))

    def listed(self, data: list[Any]) -> Iterator[tuple[ValuePath, dict[str, Any]]]:
        """Give the mappings of a document that is a list."""
        yield from self._mappings(((number,), item) for number, item in enumerate(data))

    def rest(self, values: Mapping[str, Any], known: tuple[str, ...], path: ValuePath = ()) -> dict[str, Any]:
        """Give what stands under other keys than those known, to be kept as metadata."""
        kept = {key: value for key, value in values.items() if key not in known}
        for key, value in kept.items():
            self._require_finite(value, (*path, key))
        return kept

    def _mappings(self, items: Iterator[tuple[ValuePath, Any]]) -> Iterator[tuple[ValuePath, dict[str, Any]]]:
        for place, item in items:
            if isinstance(item, dict):
                yield place, item
            else:
                self.fault(place, f"{_step(place)} is {shown(item)}; expected a mapping of keys to values")

    def _require_finite(self, value: Any, path: ValuePath) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            self.fault(path, f"{_step(path)} is {shown(value)}, which no JSON file can hold; expected a finite number")
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in children:
            self._require_finite(item, (*path, key))


def _step(path: ValuePath) -> str:
    last = path[-1]
    if isinstance(last, str):
        return f'"{last}"'
    around = f"{path[-2]}: " if len(path) > 1 and isinstance(path[-2], str) else ""
    return f"{around}item {last + 1}"
