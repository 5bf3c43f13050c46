"""What each constitution of the library promises, in the words that its tests are parametrised with."""

from __future__ import annotations

import re

from charter.constitution import Constitution, JudgeExample, ReviseExample

KEEPS = "If the response is already fine, keep it as it is. Otherwise rewrite it"
FINE = "The response is fine."


def n_words(text: str) -> int:
    """Count words."""
    return len(text.split())


def words_of(text: str) -> set[str]:
    """Gather the words of a text that carry a meaning, roughly: those of four letters and more."""
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def all_texts(constitution: Constitution) -> str:
    """Join all that a model can be shown of a constitution."""
    system = constitution.system
    principles = (
        (one.text, one.critique_request, one.revision_request, one.choice_question) for one in constitution.principles
    )
    revise = (
        (*(turn.content for turn in one.messages), one.critique, one.revision) for one in constitution.few_shots.revise
    )
    judge = ((one.messages[0].content, one.a, one.b, one.reasoning) for one in constitution.few_shots.judge)
    told = (text for some in (*principles, *revise, *judge) for text in some)
    return "\n".join((system.respond, system.critique, system.revise, system.judge, *told))


def shown(example: ReviseExample | JudgeExample) -> str:
    """Name an example by its prompt."""
    return example.messages[0].content
