"""What differs between two constitutions, principle by principle, and what version the change asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import JsonValue

from charter.constitution.model import Constitution, FewShots, Principle, SystemTexts
from charter.constitution.versions import Part, next_version, parse_version
from charter.records import Record

Kind = Literal["reworded", "reweighted", "moved", "other use", "other notes"]

_KIND_OF: Mapping[str, Kind] = {
    "text": "reworded",
    "critique_request": "reworded",
    "revision_request": "reworded",
    "choice_question": "reworded",
    "language": "reworded",
    "weight": "reweighted",
    "category": "moved",
    "uses": "other use",
}
_ABOUT = ("name", "description", "language", "licence", "bases", "metadata")
_PARTS: tuple[Part, ...] = ("patch", "minor", "major")


class FieldChange(Record):
    """One field: what it was, and what it is."""

    field: str
    old: JsonValue
    new: JsonValue


class PrincipleChange(Record):
    """What became of one principle. ``renamed_to`` is its new id where another one has its very text."""

    id: str
    renamed_to: str = ""
    fields: tuple[FieldChange, ...] = ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What kinds of change these are."""
        return tuple(dict.fromkeys(_KIND_OF.get(one.field, "other notes") for one in self.fields))


class ExamplesChange(Record):
    """What became of the few-shot examples of one use: places count from 1, in the old list and in the new one."""

    use: Literal["revise", "judge"]
    removed: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    reordered: bool = False


class VersionAdvice(Record):
    """Which step of the version the change asks for (https://semver.org), why, and whether it was taken.

    ``step`` is None where nothing changed. ``least`` is the lowest version that would do. A constitution of another
    name has versions of its own, of which any is enough.
    """

    old: str
    new: str
    step: Part | None
    reason: str
    least: str
    enough: bool


class ConstitutionDiff(Record):
    """What differs between an old constitution and a new one; principles by their ids."""

    old: str
    new: str
    added: tuple[Principle, ...]
    removed: tuple[Principle, ...]
    changed: tuple[PrincipleChange, ...]
    reordered: bool
    system: tuple[FieldChange, ...]
    few_shots: tuple[ExamplesChange, ...]
    about: tuple[FieldChange, ...]
    version: VersionAdvice

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the version differs."""
        parts = (self.added, self.removed, self.changed, self.system, self.few_shots, self.about)
        return not any(parts) and not self.reordered


def diff_constitutions(old: Constitution, new: Constitution) -> ConstitutionDiff:
    """Compare two constitutions.

    Args:
        old: the one before.
        new: the one after.

    Returns:
        What was added, removed, changed and renamed among principles, by stable id; the order, system texts, few-shot
        examples and what is said about the whole; and the step of the version that this asks for.
    """
    renamed = _renamed(old, new)
    there_before, there_after = {*old.ids, *renamed.values()}, {*new.ids, *renamed}
    added = tuple(one for one in new.principles if one.id not in there_before)
    removed = tuple(one for one in old.principles if one.id not in there_after)
    changed = tuple(_changed(old, new, renamed))
    system = tuple(_field_changes(old.system, new.system, SystemTexts.model_fields))
    few_shots = tuple(_examples(old.few_shots, new.few_shots))
    about = tuple(_field_changes(old, new, _ABOUT))
    kept = [renamed.get(name, name) for name in old.ids]
    there = set(kept) & set(new.ids)
    reordered = [name for name in kept if name in there] != [name for name in new.ids if name in there]
    step, reason = _step(added, removed, changed, rest=bool(system or few_shots or about or reordered))
    return ConstitutionDiff(
        old=f"{old.name} {old.version}",
        new=f"{new.name} {new.version}",
        added=added,
        removed=removed,
        changed=changed,
        reordered=reordered,
        system=system,
        few_shots=few_shots,
        about=about,
        version=_advice(old, new, step, reason),
    )


def _renamed(old: Constitution, new: Constitution) -> dict[str, str]:
    """Pair the ids that are gone with new ones that have the very same text."""
    before, after = set(old.ids), set(new.ids)
    fresh: dict[str, list[str]] = {}
    for one in new.principles:
        if one.id not in before:
            fresh.setdefault(_bare(one.text), []).append(one.id)
    gone = [one for one in old.principles if one.id not in after]
    return {one.id: fresh[_bare(one.text)].pop(0) for one in gone if fresh.get(_bare(one.text))}


def _bare(text: str) -> str:
    return " ".join(text.split())


def _changed(old: Constitution, new: Constitution, renamed: Mapping[str, str]) -> Iterator[PrincipleChange]:
    after = {one.id: one for one in new.principles}
    fields = [name for name in Principle.model_fields if name != "id"]
    for before in old.principles:
        name = renamed.get(before.id, before.id)
        if name in after:
            found = tuple(_field_changes(before, after[name], fields))
            if found or name != before.id:
                yield PrincipleChange(id=before.id, renamed_to=renamed.get(before.id, ""), fields=found)


def _field_changes(old: Record, new: Record, fields: Iterable[str]) -> Iterator[FieldChange]:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for name in fields:
        if before[name] != after[name]:
            yield FieldChange(field=name, old=before[name], new=after[name])


def _examples(old: FewShots, new: FewShots) -> Iterator[ExamplesChange]:
    lists: tuple[tuple[Literal["revise", "judge"], Sequence[Any], Sequence[Any]], ...] = (
        ("revise", old.revise, new.revise),
        ("judge", old.judge, new.judge),
    )
    for use, before, after in lists:
        if before != after:
            was, now = set(before), set(after)
            yield ExamplesChange(
                use=use,
                removed=tuple(place for place, one in enumerate(before, start=1) if one not in now),
                added=tuple(place for place, one in enumerate(after, start=1) if one not in was),
                reordered=[one for one in before if one in now] != [one for one in after if one in was],
            )


def _step(
    added: Sequence[Principle], removed: Sequence[Principle], changed: Sequence[PrincipleChange], *, rest: bool
) -> tuple[Part | None, str]:
    """Say which step a change asks for, and by which principle."""
    reasons: dict[Part, list[str]] = {part: [] for part in _PARTS}
    reasons["major"] += [f"{one.id} removed" for one in removed]
    reasons["minor"] += [f"{one.id} added" for one in added]
    for one in changed:
        if one.renamed_to:
            reasons["major"].append(f"{one.id} renamed")
        for kind in one.kinds:
            part, what = _part_of(one, kind)
            reasons[part].append(f"{one.id} {what}")
    if rest:
        reasons["patch"].append("other texts")
    for part in reversed(_PARTS):
        if reasons[part]:
            return part, ", ".join(reasons[part])
    return None, ""


def _part_of(change: PrincipleChange, kind: Kind) -> tuple[Part, str]:
    if kind != "other use":
        return ("major" if kind == "reworded" else "patch"), {"other notes": "annotated"}.get(kind, kind)
    uses = next(one for one in change.fields if one.field == "uses")
    was, now = ([*value] if isinstance(value, list) else [] for value in (uses.old, uses.new))
    lost = [use for use in was if use not in now]
    return ("major", f"no longer used to {lost[0]}") if lost else ("minor", "used for more")


def _advice(old: Constitution, new: Constitution, step: Part | None, reason: str) -> VersionAdvice:
    least = old.version if step is None else next_version(old.version, step)
    given, needed = parse_version(new.version), parse_version(least)
    # 2.0.0-rc.1 comes before 2.0.0, and is on its way there.
    enough = given >= needed if step is None else given.numbers >= needed.numbers
    enough = enough or old.name != new.name
    return VersionAdvice(old=old.version, new=new.version, step=step, reason=reason, least=least, enough=enough)
