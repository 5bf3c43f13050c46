"""The layouts that we read, and which of them a file has: by what it holds, never by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from charter.constitution.faults import shown
from charter.constitution.formats import (
    answer_improvement,
    country,
    paper,
    plain_text,
    principle_list,
    recipe_style,
    registry,
    traits,
)
from charter.constitution.formats.country import is_rows
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.errors import ConstitutionError
from charter.spelling import hint

NATIVE = "native"
_NATIVE_NEEDS = "a mapping with name and a list of principles"
_NATIVE_KEYS = frozenset({"name", "principles", "few_shots", "extends", "system"})

__all__ = ["LAYOUTS", "NATIVE", "Layout", "find_layout", "is_rows"]


@dataclass(frozen=True)
class Layout:
    """A foreign layout: what a file of it needs and may hold at all, what recognises one, and what reads it."""

    name: str
    needs: str
    recognise: Callable[[SourceFile], bool]
    read: Callable[[SourceFile], Part]
    takes: tuple[type, ...]
    takes_text: bool = False


_MAPPING, _LIST = (dict,), (list,)

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "answer-improvement",
        answer_improvement.NEEDS,
        answer_improvement.recognise,
        answer_improvement.read,
        _MAPPING,
    ),
    Layout("principle-list", principle_list.NEEDS, principle_list.recognise, principle_list.read, _LIST),
    Layout("country-config", country.NEEDS_CONFIG, country.recognise_config, country.read_config, _MAPPING),
    Layout("country-few-shots", country.NEEDS_FEW_SHOTS, country.recognise_few_shots, country.read_few_shots, _MAPPING),
    Layout(
        "paper-instructions",
        paper.NEEDS_INSTRUCTIONS,
        paper.recognise_instructions,
        paper.read_instructions,
        _MAPPING,
    ),
    Layout("paper-few-shots", paper.NEEDS_FEW_SHOTS, paper.recognise_few_shots, paper.read_few_shots, _LIST + _MAPPING),
    Layout("paper-comparisons", paper.NEEDS_COMPARISONS, paper.recognise_comparisons, paper.read_comparisons, _LIST),
    Layout(
        "paper-comparison-few-shots",
        paper.NEEDS_COMPARISON_SHOTS,
        paper.recognise_comparison_shots,
        paper.read_comparison_shots,
        _LIST,
    ),
    Layout("paper-chain-of-thought", paper.NEEDS_REASONED, paper.recognise_reasoned, paper.read_reasoned_shots, _LIST),
    Layout("recipe-style", recipe_style.NEEDS, recipe_style.recognise, recipe_style.read, _MAPPING),
    Layout("markdown", plain_text.NEEDS, plain_text.recognise, plain_text.read, _LIST, takes_text=True),
    Layout("registry", registry.NEEDS, registry.recognise, registry.read, _MAPPING),
    Layout("traits", traits.NEEDS, traits.recognise, traits.read, _LIST),
)
_BY_NAME = {layout.name: layout for layout in LAYOUTS}


def find_layout(source: SourceFile, name: str | None = None) -> Layout | None:
    """Find a file's layout, or take the named one; None stands for our own.

    Raises:
        ConstitutionError: where no layout fits, several do, none has the name, or the file cannot be of the named one.
    """
    if name is not None:
        layout = _named(name)
        _require_possible(layout, source)
        return layout
    if source.data is None and source.text is None:
        return None  # an empty file, which our own reader has the words for
    found = [layout for layout in LAYOUTS if layout.recognise(source) and not _gives_way(layout, source)]
    names = [layout.name for layout in found]
    if _is_native(source.data, alone=not found):
        names.insert(0, NATIVE)
    place = source.document.where(())
    if len(names) > 1:
        raise ConstitutionError(
            f"{place}: the file can be read in several ways ({', '.join(names)}); say which is meant: "
            f"charter constitution convert --format {names[-1]}, or layout={names[-1]!r} in Python"
        )
    if not names:
        raise ConstitutionError(_unknown(source, place))
    return found[0] if found else None


def _named(name: str) -> Layout | None:
    if name == NATIVE:
        return None
    if name not in _BY_NAME:
        known = (NATIVE, *_BY_NAME)
        raise ConstitutionError(f'no layout is called "{name}"{hint(name, known)} (there are {", ".join(known)})')
    return _BY_NAME[name]


def _require_possible(layout: Layout | None, source: SourceFile) -> None:
    """Refuse a layout that was named for a file which holds something else from the ground up."""
    is_text = source.text is not None
    if layout is None:  # of data our own reader says itself what is wrong with it
        is_possible = not is_text
    else:
        is_possible = layout.takes_text if is_text else isinstance(source.data, layout.takes)
    if not is_possible:
        name, needs = (layout.name, layout.needs) if layout else (NATIVE, _NATIVE_NEEDS)
        held = "plain text" if is_text else shown(source.data)
        raise ConstitutionError(
            f"{source.document.where(())}: the file holds {held}, and {name} needs {needs}; name the layout that it "
            "has, or none"
        )


def _gives_way(layout: Layout, source: SourceFile) -> bool:
    """Tell whether a layout that needs little of a file leaves it to one that needs more."""
    if layout.name == "markdown" and source.text is None:
        return paper.recognise_few_shots(source) or paper.recognise_comparisons(source)
    return layout.name == "country-few-shots" and answer_improvement.recognise(source)


def _is_native(data: Any, *, alone: bool) -> bool:
    if not isinstance(data, dict):
        return False
    return isinstance(data.get("principles"), list) or (alone and bool(data.keys() & _NATIVE_KEYS))


def _near_miss(data: Any) -> tuple[tuple[str | int, ...], str]:
    """Say what keeps a file from the one layout that it nearly has, and where; nothing where it is near none."""
    if data in ([], {}):
        return (), "the file holds nothing; write principles into it, or name another file"
    if isinstance(data, list) and 2 * sum(isinstance(one, str) for one in data) > len(data):
        place, other = next((place, one) for place, one in enumerate(data) if not isinstance(one, str))
        return (place,), f"item {place + 1} is {shown(other)}, no text as the others are: put it in quotes, or out"
    if isinstance(data, dict) and all(isinstance(one, dict) and "prompt" in one for one in data.values()):
        for name in (name for name, one in data.items() if "edit_request" not in one):
            return (name,), f'"{name}" has no "edit_request"; give it the request to revise'
    return (), ""


def _unknown(source: SourceFile, place: str) -> str:
    if is_rows(source):
        return (
            f"{place}: the file holds rows by principle (red team, revisions or preferences), which are no "
            "constitution; give the file with the principles"
        )
    where, near = _near_miss(source.data)
    if near:
        return f"{source.document.where(where)}: {near}"
    known = [(NATIVE, _NATIVE_NEEDS), *((one.name, one.needs) for one in LAYOUTS)]
    needs = "".join(f"\n  {name}: {what}" for name, what in known)
    return (
        f"{place}: the file holds {shown(source.data)}, and fits no layout of a constitution. Expected one of:{needs}"
    )
