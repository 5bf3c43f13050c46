"""Each rule finds its fault, names it, and is silent about a sound constitution."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from charter.constitution import (
    Constitution,
    FewShots,
    JudgeExample,
    Principle,
    ReviseExample,
    SystemTexts,
    check_constitution,
)
from charter.constitution.derivation import with_derived_requests
from charter.constitution.lint import RULES, Finding
from charter.records import Message


def principle(**fields: Any) -> Principle:
    """A sound principle, with fields of one's own."""
    sound = {"id": "kind", "text": "The assistant is kind to everyone.", "category": "conduct"}
    return Principle.model_validate(with_derived_requests({**sound, **fields}))


def revise_example(response: str, revision: str, last: str = "assistant") -> ReviseExample:
    """A worked revision."""
    messages = ({"role": "user", "content": "hi"}, {"role": last, "content": response})
    return ReviseExample(
        messages=tuple(Message.model_validate(message) for message in messages),
        critique_request="c",
        critique="c",
        revision_request="r",
        revision=revision,
    )


def judge_example(answer: str, role: str = "user") -> JudgeExample:
    """A worked choice."""
    return JudgeExample(
        messages=(Message.model_validate({"role": role, "content": "hi"}),), a="a", b="b", answer=answer
    )


SHOTS = FewShots(
    revise=(revise_example("same", "same"), revise_example("bad", "good")),
    judge=(judge_example("A"), judge_example("B")),
)


def constitution(*principles: Principle, **fields: Any) -> Constitution:
    """A sound constitution, with principles and fields of one's own."""
    return Constitution(**{"name": "x", "few_shots": SHOTS, "principles": principles or (principle(),), **fields})


def findings(checked: Constitution) -> list[tuple[str, str, str]]:
    """What was found, as (rule, severity, principle)."""
    return [(found.rule, found.severity, found.principle) for found in check_constitution(checked)]


def test_a_sound_constitution_has_no_findings() -> None:
    """Derived requests, a category and balanced examples satisfy every rule."""
    assert check_constitution(constitution()) == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": " \n", "critique_request": "c", "revision_request": "r", "choice_question": "which?"}, "blank-text"),
        ({"choice_question": "  "}, "blank-text"),
        ({"choice_question": "Is the response kind?"}, "no-choice"),
        ({"choice_question": "Make the response better."}, "no-choice"),
        ({"critique_request": "Identify specific ways in which the response is cruel."}, "presumes-harm"),
        ({"critique_request": "Explain why the last response does damage."}, "presumes-harm"),
        ({"critique_request": "Point out the parts that hurt."}, "presumes-harm"),
        ({"revision_request": "be kind " * 61}, "long-request"),
        ({"category": " "}, "empty-category"),
        ({"text": "Never be rude."}, "negative-framing"),
        ({"text": "The assistant must not be rude."}, "negative-framing"),
        ({"text": "Don\u2019t be rude."}, "negative-framing"),
    ],
)
def test_rules_on_principles(fields: dict[str, Any], expected: str) -> None:
    """One faulty principle gives one finding, with its id."""
    found = check_constitution(constitution(principle(**fields)))
    assert [(one.rule, one.principle) for one in found] == [(expected, "kind")]
    assert found[0].message
    assert found[0].remedy


@pytest.mark.parametrize(
    "fields",
    [
        {"choice_question": "Choose the kinder response."},
        {"choice_question": "WHICH response is kinder?"},
        {"critique_request": "Say whether and where the response is cruel, or say that it is fine."},
        {"critique_request": "Explain where the response is cruel, if it is."},
        {"critique_request": "Does the response do harm? Explain how."},
        {"critique_request": "Criticise the response by the principle of kindness."},
        {"revision_request": "be kind " * 60},
        {"text": "Do not insult people, but tell them what is wrong."},
        {"text": "The assistant declines what must not be done and says why."},
    ],
)
def test_rules_pass_what_is_sound(fields: dict[str, Any]) -> None:
    """Wordings that a careless rule would take for a fault."""
    assert check_constitution(constitution(principle(**fields))) == ()


def test_missing_few_shots() -> None:
    """Each use is missed on its own."""
    assert findings(constitution(few_shots=FewShots())) == [("missing-few-shots", "warning", "")] * 2
    only_judge = FewShots(judge=SHOTS.judge)
    assert "few_shots.revise" in check_constitution(constitution(few_shots=only_judge))[0].message


def test_few_shot_turns() -> None:
    """An example that ends on the wrong turn is an error."""
    shots = FewShots(
        revise=(*SHOTS.revise, revise_example("x", "y", last="user")),
        judge=(*SHOTS.judge, judge_example("A", role="assistant")),
    )
    found = check_constitution(constitution(few_shots=shots))
    assert [one.message for one in found] == [
        "few_shots.revise[3] ends with a turn of the user",
        "few_shots.judge[3] ends with a turn of the assistant",
    ]
    assert {one.severity for one in found} == {"error"}


def test_one_sided_few_shots() -> None:
    """Always rewriting and always one letter are both found; a single example is not judged."""
    shots = FewShots(
        revise=(revise_example("a", "b"), revise_example("c", "d")), judge=(judge_example("B"), judge_example("B"))
    )
    assert findings(constitution(few_shots=shots)) == [("one-sided-few-shots", "warning", "")] * 2
    assert findings(constitution(few_shots=FewShots(revise=shots.revise[:1], judge=shots.judge[:1]))) == []


def test_near_duplicates() -> None:
    """The second of two like principles is named, with the first in the message."""
    twice = constitution(
        principle(id="a", text="The assistant is kind to everyone it meets."),
        principle(id="b", text="The assistant is honest about what it knows."),
        principle(id="c", text="The assistant is kind to everyone that it meets!"),
    )
    (found,) = check_constitution(twice)
    assert (found.rule, found.principle) == ("near-duplicate", "c")
    assert 'principle "a"' in found.message


def test_two_system_texts() -> None:
    """Different texts for critique and revision cost the shared prefix."""
    assert findings(constitution(system=SystemTexts(critique="x", revise="y"))) == [("two-system-texts", "note", "")]


def test_other_languages() -> None:
    """Wording rules pass over them, and English requests in them are found."""
    own = {"critique_request": "Explică", "revision_request": "Rescrie", "choice_question": "Alege"}
    romanian = principle(text="Do not insult", **own)
    assert findings(constitution(romanian, language="ro")) == []
    (found,) = check_constitution(constitution(principle(text="Fii bun."), language="ro"))
    assert found.rule == "derived-language"
    assert found.message.startswith("English was derived for critique_request, revision_request, choice_question")
    assert findings(constitution(principle(), language="en-GB")) == []


def test_rules_are_named_once_and_explained() -> None:
    """Every rule has a name of its own and a reason; findings come in the order of the rules."""
    assert all(count == 1 for count in Counter(rule.name for rule in RULES).values())
    assert all(rule.look.__doc__ for rule in RULES)
    bad = constitution(principle(category="", choice_question="?"), few_shots=FewShots())
    assert [found.rule for found in check_constitution(bad)] == [
        "no-choice",
        "missing-few-shots",
        "missing-few-shots",
        "empty-category",
    ]
    assert Finding.model_validate(check_constitution(bad)[0].model_dump()) == check_constitution(bad)[0]
