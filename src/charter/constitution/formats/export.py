"""Constitutions written in other layouts, and what of them such a layout cannot hold.

What is lost is found by reading what was written and comparing, so that it holds for texts that nobody thought of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.constitution.formats import answer_improvement, plain_text, principle_list
from charter.constitution.formats.layouts import NATIVE, find_layout
from charter.constitution.formats.merging import merge
from charter.constitution.formats.source import parse_source
from charter.constitution.model import Constitution, Principle, Use
from charter.constitution.writing import native_text, save_text
from charter.errors import ConstitutionError

Uses = Sequence[tuple[int, tuple[Use, ...]]]

_WRITERS: dict[str, Callable[[Constitution], tuple[Any, Uses]]] = {
    "answer-improvement": answer_improvement.write,
    "principle-list": principle_list.write,
    "markdown": plain_text.write,
}
WRITABLE = (NATIVE, *_WRITERS)
_SUFFIXES = {NATIVE: ".yaml or .json", "answer-improvement": ".json", "principle-list": ".json", "markdown": ".md"}

_MAX_NAMED = 3
_ABOUT = ("name", "version", "description", "language", "licence", "bases")
_FOR_USE = {"critique_request": "revise", "revision_request": "revise", "choice_question": "judge"}


def export_constitution(constitution: Constitution, path: str | Path, *, layout: str = NATIVE) -> tuple[str, ...]:
    """Write a constitution in a layout, and name what of it the layout cannot hold.

    Args:
        constitution: what is written.
        path: the file; in the native layout it is JSON where the name ends in ``.json``, else YAML.
        layout: one of ``WRITABLE``.

    Returns:
        what is lost, such as ``weight of 2 principles (a, b)``; nothing for the native layout.

    Raises:
        ConstitutionError: where the file cannot be written, the layout cannot hold the principles at all, or a file of
            this name would be read as another layout.
    """
    target = Path(path)
    if layout == NATIVE:
        text = native_text(constitution, target)
        _require_recognised(text, target, layout)
        save_text(text, target)
        return ()
    if layout not in _WRITERS:
        raise ConstitutionError(f'no layout that can be written is called "{layout}" (there are {", ".join(WRITABLE)})')
    data, uses = _WRITERS[layout](constitution)
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    back = _read_back(text, target, layout, len(uses))
    _require_recognised(text, target, layout)
    save_text(text, target)
    return tuple(_lost(constitution, back, uses))


def _require_recognised(text: str, target: Path, layout: str) -> None:
    """Refuse a file that would be taken for another layout, for its name's end or for keys that it was given."""
    try:
        found = find_layout(parse_source(text, target))
        taken = f"it would be read as {found.name if found else NATIVE}"
        is_told = (found.name if found else NATIVE) == layout
    except ConstitutionError as problem:
        taken, is_told = str(problem), False
    if not is_told:
        raise ConstitutionError(
            f"{target}: no file of this name can hold {layout}, nothing is written: {taken}; end its name in "
            f"{_SUFFIXES[layout]}, or write another layout"
        )


def _read_back(text: str, target: Path, layout: str, n_principles: int) -> Constitution:
    is_text = layout == "markdown"
    try:
        source = parse_source(text, Path(f"{target.stem}{'.md' if is_text else '.json'}"))
        found = find_layout(source, layout)
        assert found is not None  # noqa: S101 - a foreign layout was named
        back = merge([found.read(source)], target.stem)
    except ConstitutionError as problem:
        raise ConstitutionError(
            f"{target}: {layout} cannot hold this constitution, nothing is written: {problem} (in what would have been "
            "written); write it in the native layout"
        ) from problem
    if len(back.principles) != n_principles:
        raise ConstitutionError(
            f"{target}: {layout} cannot hold this constitution, nothing is written: of {n_principles} principles "
            f"{len(back.principles)} would be read back, for blank texts or texts that look like the layout's own "
            "marks; write it in the native layout"
        )
    return back


def _lost(constitution: Constitution, back: Constitution, uses: Uses) -> Iterator[str]:
    yield from _lost_about(constitution, back)
    yield from _lost_of_principles(constitution, back, uses)
    order = [number for number, _ in uses]
    first = list(dict.fromkeys(order))
    if first != sorted(first):
        yield "the order of the principles"
    yield from _lost_examples(constitution, back)


def _lost_about(constitution: Constitution, back: Constitution) -> Iterator[str]:
    whole, read = constitution.model_dump(mode="json"), back.model_dump(mode="json")
    yield from (key for key in _ABOUT if whole[key] != read[key])
    yield from (f"system.{role}" for role, text in whole["system"].items() if read["system"][role] != text)
    gone = [key for key in whole["metadata"] | read["metadata"] if not _same(whole["metadata"], read["metadata"], key)]
    if gone:
        yield f"metadata ({_some(gone)})"


def _lost_of_principles(constitution: Constitution, back: Constitution, uses: Uses) -> Iterator[str]:
    lost: dict[str, dict[str, None]] = {}
    used: dict[int, set[Use]] = {}
    for (number, use), read in zip(uses, back.principles, strict=True):
        used.setdefault(number, set()).update(read.uses)
        original = constitution.principles[number]
        for key in _differences(original, read, use):
            lost.setdefault(key, {})[original.id] = None
    for number, principle in enumerate(constitution.principles):
        if used[number] != set(principle.uses):
            lost.setdefault("uses", {})[principle.id] = None
    split = len(uses) - len(constitution.principles)
    if split:
        yield f"that the two halves of {_count(split, 'principle')} are one, for revising and for judging"
    for key in Principle.model_fields:
        if key in lost:
            names = [name for name in constitution.ids if name in lost[key]]
            yield f"{key} of {_count(len(names), 'principle')} ({_some(names)})"


def _differences(original: Principle, read: Principle, use: tuple[Use, ...]) -> Iterator[str]:
    for key in Principle.model_fields:
        is_asked = _FOR_USE.get(key, use[0]) in use
        is_ours = key == "source_id" and not original.source_id  # written as the id, so that the id is kept
        if key != "uses" and is_asked and not is_ours and getattr(original, key) != getattr(read, key):
            yield key


def _lost_examples(constitution: Constitution, back: Constitution) -> Iterator[str]:
    for kind, what in (("revise", "of revision"), ("judge", "of judging")):
        examples, read = (getattr(one.few_shots, kind) for one in (constitution, back))
        if len(examples) != len(read):
            yield f"{_count(len(examples) - len(read), 'example')} {what}"
            continue
        for key in type(examples[0]).model_fields if examples else ():
            n = sum(getattr(one, key) != getattr(other, key) for one, other in zip(examples, read, strict=True))
            if n:
                yield f"{key} of {_count(n, 'example')} {what}"


def _same(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> bool:
    return key in first and key in second and bool(first[key] == second[key])


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{', '.join(names[:_MAX_NAMED])}{more}"
