"""Parts of a constitution put together: lists one after another, texts only where they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from charter.constitution.derivation import with_derived_fields
from charter.constitution.formats.ids import with_ids
from charter.constitution.formats.part import Part
from charter.constitution.model import Constitution, FewShots, Principle, SystemTexts
from charter.errors import ConstitutionError


def merge(parts: Sequence[Part], name: str, *, renamed: bool = False) -> Constitution:
    """Put parts together, in their order.

    Args:
        parts: what each file gives.
        name: what the constitution is called where no part names it.
        renamed: whether it is called so even where a part names it.

    Raises:
        ConstitutionError: where no part has principles, or two contradict each other.
    """
    sources = ", ".join(part.source for part in parts)
    if not any(part.principles for part in parts):
        raise ConstitutionError(f"{sources}: no principles are there{_held(parts)}; add a file that holds them")
    _require_own_ids(parts)
    principles = with_ids([principle for part in parts for principle in part.principles])
    passed_over = {"name"} if renamed else set()
    about = _merged([(part.source, {k: v for k, v in part.about.items() if k not in passed_over}) for part in parts])
    try:
        return Constitution(
            **{"name": name, **about},
            system=SystemTexts(
                **_merged([(part.source, _full(part.system)) for part in parts], what="the system text ")
            ),
            principles=tuple(Principle(**with_derived_fields(principle)) for principle in principles),
            few_shots=FewShots(
                revise=tuple(example for part in parts for example in part.few_shots.revise),
                judge=tuple(example for part in parts for example in part.few_shots.judge),
            ),
            metadata=_merged([(part.source, part.metadata) for part in parts], what="the key "),
        )
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConstitutionError(f"{sources}: {place}: {first['msg']}; mend it in the file") from problem


def part_of(constitution: Constitution, source: str) -> Part:
    """Take a whole constitution as a part."""
    whole = constitution.model_dump()
    about = ("name", "version", "description", "language", "licence", "bases")
    return Part(
        source=source,
        principles=tuple(whole["principles"]),
        few_shots=constitution.few_shots,
        system=whole["system"],
        about={key: whole[key] for key in about if whole[key] != Constitution.model_fields[key].default},
        metadata=whole["metadata"],
    )


def _held(parts: Sequence[Part]) -> str:
    """Name what is there beside principles."""
    held = {
        "examples of revision": any(part.few_shots.revise for part in parts),
        "examples of judging": any(part.few_shots.judge for part in parts),
        "system texts": any(_full(part.system) for part in parts),
    }
    keys = dict.fromkeys(key for part in parts for key in part.metadata)
    names = ", ".join([*(name for name, is_there in held.items() if is_there), *keys])
    return f", only {names}" if names else ""


def _require_own_ids(parts: Sequence[Part]) -> None:
    first: dict[str, str] = {}
    for part in parts:
        for principle in part.principles:
            own = principle.get("id")
            if own in first:
                raise ConstitutionError(
                    f'principle id "{own}" is in {first[own]} and in {part.source}; give one of them another id'
                )
            if own is not None:
                first[own] = part.source


def _full(texts: Mapping[str, str]) -> dict[str, str]:
    return {role: text for role, text in texts.items() if text}


def _merged(given: Sequence[tuple[str, Mapping[str, Any]]], what: str = "the ") -> dict[str, Any]:
    """Merge mappings: equal values once, mappings key by key, lists one after another; anything else clashes."""
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, values in given:
        for key, value in values.items():
            if key not in merged or merged[key] == value:
                merged[key] = value
            elif isinstance(value, dict) and isinstance(merged[key], dict):
                merged[key] = _merged([(origin[key], merged[key]), (source, value)], f"{what}{key}.")
            elif isinstance(value, list) and isinstance(merged[key], list):
                merged[key] = [*merged[key], *value]
            else:
                raise ConstitutionError(
                    f"{what}{key} is one in {origin[key]} and another in {source}; give it in one of the files only"
                )
            origin.setdefault(key, source)
    return merged
