from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from authoring_examples import principle
from charter.authoring.contradictions import PrinciplePair, find_contradictions, pair_request, select_pairs
from charter.constitution import Constitution
from charter.engines.base import Capability, ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError
from method_examples import WithoutTemplate, shown

PRINCIPLES = (
    principle("open", "Tell people everything you know about {them}.", "truth"),
    principle("closed", "Tell people nothing about anybody.", "privacy"),
    principle("kind", "Be kind.", "conduct"),
)
CONSTITUTION = Constitution(name="torn", principles=PRINCIPLES)
PAIR = PrinciplePair(*PRINCIPLES[:2])


def judge(clashing: frozenset[str], *, favour: float = 0.0, mass: float = 1.0) -> ScriptedEngine:
    """Make a judge that sees a contradiction where both principles clash, and may lean towards (A)."""

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        text = (request.messages or ())[-1].content if request.messages else request.text or ""
        clash = sum(one in text for one in clashing) == 2
        no_first = text.index("(A) No") if "(A) No" in text else -1
        p_no = 0.9 if clash else 0.1
        p_a = p_no if no_first >= 0 else 1 - p_no
        p_a = min(max(p_a + favour, 0.01), 0.99)
        return p_a * mass, (1 - p_a) * mass

    return ScriptedEngine(preference=preference)


CLASH = frozenset({"everything", "nothing"})


def test_a_contradiction_is_a_finding() -> None:
    """The pair is named by both ids, with the probability, as the linter's findings are."""
    (finding,) = find_contradictions(CONSTITUTION, judge(CLASH))
    assert (finding.rule, finding.severity, finding.principle) == ("contradiction", "warning", "closed")
    assert '"open"' in finding.message
    assert "90%" in finding.message
    assert finding.remedy


def test_a_leaning_towards_a_letter_decides_nothing() -> None:
    """Both orders are asked, so that a judge which always says (A) finds nothing."""
    assert find_contradictions(CONSTITUTION, judge(frozenset(), favour=0.9)) == ()


def test_each_pair_is_asked_about_in_both_orders() -> None:
    """Two calls a pair."""
    engine = judge(CLASH)
    find_contradictions(CONSTITUTION, engine)
    assert engine.n_calls["choose"] == 6


def test_answers_without_letters_are_said() -> None:
    """A judge that does not answer with a letter gives a note, not a finding."""
    (note,) = find_contradictions(CONSTITUTION, judge(CLASH, mass=0.2))
    assert (note.severity, note.message) == ("note", "3 of 3 pairs got no readable answer")


def test_of_many_pairs_those_that_speak_of_the_same_are_asked_about() -> None:
    """One category first, then words in common; the others are said to be left out."""
    many = (*PRINCIPLES, principle("candid", "Speak freely.", "truth"))
    chosen = select_pairs(many, 2)
    assert {(one.first.id, one.second.id) for one in chosen} == {("open", "candid"), ("open", "closed")}
    assert len(select_pairs(many, 6)) == 6
    notes = find_contradictions(Constitution(name="m", principles=many), judge(frozenset()), max_pairs=2)
    assert [one.message for one in notes] == ["4 of 6 pairs of principles were not asked about"]


def test_a_model_that_gives_no_probabilities_is_refused() -> None:
    """Before any question."""

    class Mute(ScriptedEngine):
        @property
        def capabilities(self) -> frozenset[Capability]:
            return super().capabilities - {"choose"}

    with pytest.raises(CapabilityError, match="no log-probabilities"):
        find_contradictions(CONSTITUTION, Mute())


@pytest.mark.parametrize("swapped", [False, True])
def test_what_the_judge_is_shown(swapped: bool, snapshot: SnapshotAssertion) -> None:
    """The question to the letter, as turns and as text."""
    assert shown(pair_request(ScriptedEngine(), PAIR, swapped=swapped)) == snapshot
    assert shown(pair_request(WithoutTemplate(), PAIR, swapped=swapped)) == snapshot
