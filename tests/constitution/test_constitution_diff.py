"""What changed between two constitutions, by id, and what version that asks for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from charter.constitution import Constitution, Principle, SystemTexts, diff_constitutions, load_constitution
from charter.constitution.derivation import with_derived_requests
from charter.constitution.diff import ConstitutionDiff, FieldChange


def principle(name: str, **fields: Any) -> Principle:
    """A principle whose text is about its name."""
    return Principle.model_validate(with_derived_requests({"id": name, "text": f"Speak of {name}.", **fields}))


def constitution(*principles: Principle, **fields: Any) -> Constitution:
    """A constitution of three principles, or of one's own."""
    own = principles or (principle("a"), principle("b", category="x"), principle("c"))
    return Constitution(**{"name": "it", "version": "1.2.3", "principles": own, **fields})


OLD = constitution()


def compare(*principles: Principle, **fields: Any) -> ConstitutionDiff:
    """Compare the old one with one of these principles."""
    return diff_constitutions(OLD, constitution(*principles, **fields))


def advice(found: ConstitutionDiff) -> tuple[str | None, str, bool]:
    """The step, the least version and whether it was taken."""
    return found.version.step, found.version.least, found.version.enough


def test_nothing_changed() -> None:
    """A constitution is no different from itself, nor from another version of the same words."""
    found = diff_constitutions(OLD, OLD)
    assert found.is_empty
    assert advice(found) == (None, "1.2.3", True)
    later = compare(version="1.3.0")
    assert later.is_empty
    assert later.version.enough
    assert not compare(version="1.2.0").version.enough


def test_added_and_removed() -> None:
    """By id; what is removed asks for a major version."""
    found = compare(principle("a"), principle("c"), principle("d"))
    assert [one.id for one in found.added] == ["d"]
    assert [one.id for one in found.removed] == ["b"]
    assert (found.changed, found.reordered) == ((), False)
    assert advice(found) == ("major", "2.0.0", False)
    assert found.version.reason == "b removed"
    assert advice(compare(*OLD.principles, principle("d"))) == ("minor", "1.3.0", False)
    assert compare(*OLD.principles, principle("d"), version="1.3.0").version.enough


def test_reworded() -> None:
    """Each field is named, with what it was and is."""
    found = compare(principle("a", text="Say a."), *OLD.principles[1:])
    (change,) = found.changed
    assert change.kinds == ("reworded",)
    assert change.fields[0] == FieldChange(field="text", old="Speak of a.", new="Say a.")
    assert {one.field for one in change.fields} == {"text", "critique_request", "revision_request", "choice_question"}
    assert found.version.reason == "a reworded"


@pytest.mark.parametrize(
    ("fields", "kind", "step"),
    [
        ({"weight": 2.0}, "reweighted", "patch"),
        ({"category": "y"}, "moved", "patch"),
        ({"title": "B"}, "other notes", "patch"),
        ({"uses": ("judge",)}, "other use", "major"),
        ({"choice_question": "Which?"}, "reworded", "major"),
    ],
)
def test_kinds_of_change(fields: dict[str, Any], kind: str, step: str) -> None:
    """One field makes one kind of change, and each asks for its step."""
    found = compare(OLD.principles[0], principle("b", **{"category": "x", **fields}), OLD.principles[2])
    (change,) = found.changed
    assert change.kinds == (kind,)
    assert found.version.step == step


def test_a_wider_use_is_a_minor_change() -> None:
    """A principle that judged alone, and revises from now on."""
    old = constitution(principle("a", uses=("judge",)))
    assert diff_constitutions(old, constitution(principle("a"))).version.step == "minor"


def test_renamed() -> None:
    """The very text under another id is said to be the same principle, with what else changed."""
    found = compare(principle("z", text="Speak of  a.\n", weight=3.0), *OLD.principles[1:])
    (change,) = found.changed
    assert (change.id, change.renamed_to) == ("a", "z")
    assert "reweighted" in change.kinds
    assert (found.added, found.removed, found.reordered) == ((), (), False)
    assert found.version.step == "major"
    assert found.version.reason.startswith("a renamed")


def test_one_text_is_renamed_once() -> None:
    """Two new principles with one old text: the first is it, the second is added."""
    found = compare(principle("y", text="Speak of a."), principle("z", text="Speak of a."), *OLD.principles[1:])
    assert [one.renamed_to for one in found.changed] == ["y"]
    assert [one.id for one in found.added] == ["z"]


def test_order() -> None:
    """Only of what both have: an addition in between moves nobody."""
    a, b, c = OLD.principles
    assert compare(b, a, c).reordered
    assert compare(b, a, c).version.step == "patch"
    assert not compare(a, principle("d"), b, c).reordered
    assert not compare(a, c).reordered


def test_examples_and_system_texts() -> None:
    """Places of examples count from 1; texts come with what they were."""
    shots = load_constitution("harmless").few_shots
    old = constitution(few_shots=shots, system=SystemTexts(judge="Choose."))
    fewer = shots.model_copy(update={"revise": (shots.revise[2], shots.revise[0]), "judge": shots.judge[:3]})
    found = diff_constitutions(old, constitution(few_shots=fewer, system=SystemTexts(judge="Choose one.")))
    revise, judge = found.few_shots
    assert (revise.use, revise.removed, revise.added, revise.reordered) == ("revise", (2, 4, 5, 6, 7, 8), (), True)
    assert (judge.use, judge.removed, judge.reordered) == ("judge", (4,), False)
    assert found.system == (FieldChange(field="judge", old="Choose.", new="Choose one."),)
    assert advice(found) == ("patch", "1.2.4", False)
    back = diff_constitutions(constitution(few_shots=fewer), old)
    assert back.few_shots[1].added == (4,)


def test_what_is_said_of_the_whole() -> None:
    """Name, language and licence are told, and the version is not among them."""
    found = compare(name="that", licence="CC0-1.0", version="0.1.0")
    assert [one.field for one in found.about] == ["name", "licence"]
    assert (found.old, found.new) == ("it 1.2.3", "that 0.1.0")
    assert found.version.enough  # another name has versions of its own


def test_versions_on_their_way_and_before_the_first() -> None:
    """A candidate of the next version is enough; before 1.0.0 a removal steps the second number."""
    assert compare(*OLD.principles[1:], version="2.0.0-rc.1").version.enough
    young = OLD.model_copy(update={"version": "0.4.1"})
    shorter = OLD.model_copy(update={"version": "0.5.0", "principles": OLD.principles[:2]})
    assert advice(diff_constitutions(young, shorter)) == ("major", "0.5.0", True)


def test_it_is_written_and_read() -> None:
    """The answer is a record."""
    found = compare(principle("a", text="Say a.", weight=2.0), principle("d"))
    assert ConstitutionDiff.from_json(found.to_json()) == found


def test_many_principles_take_no_long_time() -> None:
    """Time grows with their number, and not with its square."""
    old = constitution(*(principle(f"p{n}") for n in range(10_000)))
    new = constitution(*(principle(f"p{n}") for n in range(5_000, 15_000)))
    begun = time.process_time()
    found = diff_constitutions(old, new)
    assert time.process_time() - begun < 10
    assert (len(found.added), len(found.removed)) == (5_000, 5_000)
