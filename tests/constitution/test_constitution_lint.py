"""Each rule finds its fault, names it, and is silent about a sound constitution."""

from __future__ import annotations

import json
import random
import time
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
    load_constitution,
)
from charter.constitution.derivation import (
    derive_choice_question,
    derive_critique_request,
    derive_revision_request,
    with_derived_requests,
)
from charter.constitution.lint import RULES, Finding
from charter.constitution.lint.wording import most_alike
from charter.errors import UserError
from charter.records import Message, make_prompt


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
        ({"text": "TODO: say what the assistant does."}, "unwritten"),
        ({"critique_request": " TBD"}, "unwritten"),
        ({"choice_question": "Is the response kind?"}, "no-choice"),
        ({"choice_question": "Make the response better."}, "no-choice"),
        ({"critique_request": "Identify specific ways in which the response is cruel."}, "presumes-harm"),
        ({"critique_request": "Explain why the last response does damage."}, "presumes-harm"),
        ({"critique_request": derive_critique_request("Be brief.")}, "outdated-request"),
        ({"revision_request": derive_revision_request("Be brief.")}, "outdated-request"),
        ({"choice_question": derive_choice_question("Be brief.")}, "outdated-request"),
        ({"critique_request": "Point out the parts that hurt."}, "presumes-harm"),
        ({"revision_request": "be kind " * 61}, "long-request"),
        ({"category": " "}, "empty-category"),
        ({"text": "Never be rude."}, "negative-framing"),
        ({"text": "The assistant must not be rude."}, "negative-framing"),
        ({"text": "Don\u2019t be rude."}, "negative-framing"),
        ({"text": "The assistant never mocks anyone."}, "negative-framing"),
        ({"choice_question": "How kind are these?"}, "no-choice"),
        ({"critique_request": "How is the response cruel?"}, "presumes-harm"),
        ({"critique_request": "What is wrong with the response?"}, "presumes-harm"),
        ({"text": "Be good."}, "untestable"),
        ({"text": "The assistant responds in a helpful and appropriate way."}, "untestable"),
        ({"text": "The response should be ethical and of high quality."}, "untestable"),
        ({"text": "The assistant names its sources where possible."}, "let-out"),
        ({"text": "The assistant tries to name its sources."}, "let-out"),
        ({"text": "Strive to name sources."}, "let-out"),
        ({"text": "The assistant explains rules, dates, etc."}, "let-out"),
        ({"text": "The assistant greets people. It also names its sources."}, "two-rules"),
        ({"text": "The assistant must greet people and must name its sources."}, "two-rules"),
        ({"text": "Name your sources. Explain every term of the trade."}, "two-rules"),
        ({"text": "1) Greet people. 2) Name sources."}, "two-rules"),
        ({"text": "- Greet people\n- Name sources"}, "two-rules"),
        ({"text": "Which response is kinder?"}, "copied-request"),
        ({"text": "Rewrite the assistant's last response so that it is kind."}, "copied-request"),
        ({"text": "Kinder than rain", "critique_request": "kinder than RAIN?"}, "copied-request"),
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
        {"choice_question": f"{derive_choice_question(principle().text)} Which one?"},
        {"critique_request": derive_critique_request(principle().text).replace(" ", "  ")},
        {"choice_question": "Choose the kinder response."},
        {"choice_question": "WHICH response is kinder?"},
        {"critique_request": "Say whether and where the response is cruel, or say that it is fine."},
        {"critique_request": "Explain where the response is cruel, if it is."},
        {"critique_request": "Does the response do harm? Explain how."},
        {"critique_request": "Criticise the response by the principle of kindness."},
        {"revision_request": "be kind " * 60},
        {"text": "Do not insult people, but tell them what is wrong."},
        {"text": "The assistant declines what must not be done and says why."},
        {"text": "The assistant does not guess, but says what it is unsure of."},
        {"text": "The assistant avoids jargon by explaining each term in plain words."},
        {"choice_question": "Decide between the two: which one is kinder?"},
        {"critique_request": "What is the tone of the response? Say if it is cruel."},
        {"critique_request": "Describe the response in a word."},
        {"text": "The assistant gives good advice about bicycles."},
        {"text": "The assistant keeps people safe from fire."},
        {"text": "Where a request aims to humiliate someone, the assistant declines and says whom it would hurt."},
        {"text": "The assistant says when a doctor is needed."},
        {"text": "The assistant speaks not only to adults but also to children."},
        {"text": "The assistant explains each step. It shows the sum that it did, and what the sum means."},
        {"text": "Speak plainly. Do not use terms of the trade."},
        {"text": "Explain every term. Short words do it best."},
        {"text": "The assistant says which response of two it prefers."},
        {"text": "Review of the rules comes before the assistant's advice."},
    ],
)
def test_rules_pass_what_is_sound(fields: dict[str, Any]) -> None:
    """Wordings that a careless rule would take for a fault."""
    assert check_constitution(constitution(principle(**fields))) == ()


def test_requests_that_are_not_used_are_not_read() -> None:
    """A principle to revise by is never a choice, and one to judge by never a critique."""
    reviser = principle(id="a", uses=["revise"], choice_question="Is it kind?")
    judge = principle(id="b", uses=["judge"], critique_request="Identify the ways in which it is cruel.")
    assert findings(constitution(reviser, judge)) == []


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


def two(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is found in two principles."""
    return findings(constitution(principle(id="a", **first), principle(id="b", **second)))


@pytest.mark.parametrize(
    "text",
    [
        "The assistant is kind to everyone that it meets!",
        "It treats everyone it meets kind.",
        "Everyone it meets: kind.",
    ],
)
def test_near_duplicates(text: str) -> None:
    """The second of two like principles is named, with the first in the message."""
    alike = constitution(
        principle(id="a", text="The assistant is kind to everyone it meets."),
        principle(id="b", text="The assistant is honest about what it knows."),
        principle(id="c", text=text),
    )
    (found,) = check_constitution(alike, ignore=["untestable"])
    assert (found.rule, found.principle) == ("near-duplicate", "c")
    assert 'principle "a"' in found.message


def test_principles_that_share_a_pattern_are_no_duplicates() -> None:
    """What all texts and requests have in common tells none of them apart."""
    subjects = ["gardens", "rivers", "trains", "weddings", "taxes"]
    pattern = "The assistant protects people from whatever could go wrong with {}."
    alike = constitution(*(principle(id=one, text=pattern.replace("{}", one)) for one in subjects))
    assert findings(alike) == []


def test_near_duplicate_requests() -> None:
    """Two principles that ask the same are found, whatever their texts say."""
    asked = "Say whether the response mocks the weather in Bergen, or that it is fine."
    own = {"critique_request": asked, "revision_request": "Leave out mockery of Bergen's rainy weather."}
    first = {"text": "Rain is no joke.", "choice_question": "Which response mocks the weather less?", **own}
    second = {"text": "Speak well of Norway.", "choice_question": "Which one mocks the weather less?", **own}
    assert two(first, second) == [("near-duplicate", "warning", "b")]


def test_duplicates() -> None:
    """One text twice, in another case or with other marks; or the same requests under two texts."""
    assert two({"text": "Name your sources."}, {"text": "name your SOURCES"}) == [("duplicate", "warning", "b")]
    requests = {
        "critique_request": "Say whether it is long, or fine.",
        "revision_request": "Cut it.",
        "choice_question": "Which one is shorter?",
    }
    found = two({"text": "Spare people's time.", **requests}, {"text": "Say it once.", **requests})
    assert ("duplicate", "warning", "b") in found


def test_what_is_used_for_different_things_is_no_duplicate() -> None:
    """One to revise by and one to judge by may say the same."""
    assert two({"text": "Be brief.", "uses": ["revise"]}, {"text": "Be brief.", "uses": ["judge"]}) == []


def test_alike_sets_are_found_as_if_all_were_compared() -> None:
    """The filter loses none, and gives the earlier one that is nearest."""
    draw = random.Random(3)  # noqa: S311 - not a secret
    sets = [frozenset(draw.sample("abcdefghijkl", draw.randint(1, 8))) for _ in range(60)]
    for least in (0.3, 0.5, 0.75, 1.0):
        expected = []
        for later, words in enumerate(sets):
            shares = [(len(words & sets[one]) / len(words | sets[one]), -one) for one in range(later)]
            best = max(shares, default=(0.0, 0))
            if best[0] >= least:
                expected.append((-best[1], later, best[0]))
        assert list(most_alike(sets, least)) == expected


def test_many_principles_are_compared_in_time() -> None:
    """Thousands of principles do not take millions of comparisons."""
    many = tuple(principle(id=f"p{n}", text=f"The assistant knows item{n} of shelf{n % 97}.") for n in range(4000))
    begun = time.perf_counter()
    check_constitution(constitution(*many))
    assert time.perf_counter() - begun < 20


@pytest.mark.parametrize("word", ["must ", "identify ", "which ", "rewrite the ", "strive ", "1) x ", "never "])
def test_very_long_texts_are_read_in_time(word: str) -> None:
    """No pattern runs away, and no message is as long as the text."""
    long = word * 20_000
    begun = time.perf_counter()
    found = check_constitution(constitution(principle(text=long, critique_request=long, choice_question=long)))
    assert time.perf_counter() - begun < 5
    assert all(len(one.message) < 1000 for one in found)


def test_contradictions_are_those_that_a_model_found() -> None:
    """They are told in the place of their rule, and left out with it; findings of no such rule are not."""
    told = Finding(rule="contradiction", severity="warning", principle="b", message="no response is both", remedy="x")
    other = told.model_copy(update={"rule": "near-duplicate"})
    both = constitution(principle(id="a", text="Be brief."), principle(id="b", text="Tell all details.", category=""))
    found = check_constitution(both, found=(told, other))
    assert [one.rule for one in found] == ["contradiction", "empty-category"]
    assert found[0] == told
    assert check_constitution(both, found=(told,), ignore=["contradiction"]) == check_constitution(both)


def test_categories_without_prompts() -> None:
    """A prompt covers a category by its own, or by the id or title of one of its principles."""
    told = constitution(
        principle(id="a", category="manner", text="Be kind to people."),
        principle(id="b", category="facts", title="Sources", text="Name sources."),
        principle(id="c", category="facts", text="Show the sums."),
    )
    assert findings(told) == []
    of_manner = make_prompt("x", "red_team", category="Manner")
    (found,) = check_constitution(told, prompts=[of_manner])
    assert (found.rule, found.message) == ("no-prompts", 'no prompt of 1 is about the category "facts" (b, c)')
    for other in (make_prompt("y", "red_team", category="sources"), make_prompt("y", "red_team", principle="c")):
        assert check_constitution(told, prompts=[of_manner, other]) == ()
    (found,) = check_constitution(told, prompts=[make_prompt("z", "helpful", category="weather")])
    assert found.message == "no prompt of 1 names a category or principle of the constitution"


def test_what_leaves_a_conversation_no_room() -> None:
    """Examples and requests are counted as given, or estimated, against the context."""
    assert check_constitution(constitution(), context=4096) == ()
    found = check_constitution(constitution(), context=1100)
    assert {one.rule for one in found} == {"too-long"}
    (worst, *_) = check_constitution(constitution(), count=len, context=1100)
    assert "take 1,0" not in worst.message
    assert "of the model's 1,100 tokens" in worst.message
    asked: list[str] = []
    check_constitution(constitution(), count=lambda text: float(len(asked.append(text) or "")), context=10)
    assert "The assistant is kind to everyone." in asked


def test_a_constitution_without_categories_is_told_once() -> None:
    """Where one of several lacks its own, that one is named; where all do, the whole."""
    first, second = principle(id="a", text="Be kind."), principle(id="b", text="Name sources.", category="")
    assert findings(constitution(first, second)) == [("empty-category", "note", "b")]
    bare = first.model_copy(update={"category": " "})
    assert findings(constitution(bare, second)) == [("empty-category", "note", "")]


def test_a_stage_without_principles() -> None:
    """A constitution to judge by alone is told so."""
    assert findings(constitution(principle(uses=["judge"]))) == [("unused", "warning", "")]
    assert "judging" in check_constitution(constitution(principle(uses=["revise"])))[0].message


def test_rules_are_left_out_by_name() -> None:
    """And a name that is none is refused with the nearest."""
    assert check_constitution(constitution(principle(category="")), ignore=["empty-category"]) == ()
    with pytest.raises(UserError, match=r'there is no rule "empty-categry".*did you mean "empty-category"'):
        check_constitution(constitution(), ignore=["empty-categry"])


def test_languages_are_those_of_principles() -> None:
    """A principle in another language than its constitution's is read by no English rule."""
    assert findings(constitution(principle(text="Be good.", language="xx", critique_request="c")))[0][0] == (
        "derived-language"
    )
    english = principle(text="Be good.", language="en-GB")
    assert findings(constitution(english, language="ro")) == [("untestable", "warning", "kind")]


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
    """Every rule has a name of its own, a reason and a remedy; findings come in the order of the rules."""
    assert all(count == 1 for count in Counter(rule.name for rule in RULES).values())
    assert all(len(rule.reason) > 40 and rule.fix and rule.finds for rule in RULES)
    assert json.loads(json.dumps([rule.to_dict() for rule in RULES]))[0]["needs"] is None
    bad = constitution(principle(category="", choice_question="?"), few_shots=FewShots())
    assert [found.rule for found in check_constitution(bad)] == [
        "no-choice",
        "missing-few-shots",
        "missing-few-shots",
        "empty-category",
    ]
    assert Finding.model_validate(check_constitution(bad)[0].model_dump()) == check_constitution(bad)[0]


@pytest.mark.parametrize("name", ["harmless", "helpful"])
def test_built_in_wordings_are_found_sound(name: str) -> None:
    """The rules that read wording are silent about what is written with care."""
    few_shots = "missing-few-shots"  # what judges alone revises nothing
    assert [one for one in check_constitution(load_constitution(name)) if one.rule != few_shots] == []


def test_principles_to_be_written_are_no_duplicates() -> None:
    """Places that are held for principles are told as such, and not as duplicates of each other too."""
    places = [principle(id=f"p-{number}", text="TODO: say what the assistant does.") for number in range(5)]
    assert findings(constitution(*places)) == [("unwritten", "warning", one.id) for one in places]
