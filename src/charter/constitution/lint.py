"""What is likely to make a constitution train badly, found without a model: one small function a rule.

Rules that read wording know English only, and pass over constitutions in other languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Literal

from charter.constitution.derivation import DERIVATIONS
from charter.constitution.model import Constitution
from charter.records import Record

Severity = Literal["error", "warning", "note"]

_MAX_REQUEST_WORDS = 120
_NEAR_DUPLICATE = 0.75
_REQUESTS = ("critique_request", "revision_request", "choice_question")

_ASKS_FOR_CHOICE = re.compile(r"\b(?:which|choose|chosen|pick|select|prefer|rank|compare)\b", re.IGNORECASE)
_SEARCHES_FOR_FAULT = re.compile(
    r"\b(?:identify|explain|describe|discuss|point out|list|find|name|show|highlight|outline)\b"
    r"[^.!?]*\b(?:ways?|how|why|where|what|parts?|aspects?|problems?|mistakes?|faults?|harms?|violations?)\b",
    re.IGNORECASE,
)
_LEAVES_OPEN = re.compile(r"\b(?:whether|if|unless|any|anything|or say)\b", re.IGNORECASE)
_ASKS_OPENLY = re.compile(
    r"(?:^|[.!?:]\s+)(?:does|do|did|is|are|was|were|has|have|could|can|would|should|might)\b", re.IGNORECASE
)
_FORBIDS = re.compile(
    r"^\s*(?:do not|don['\u2019]t|never|avoid|refuse|no)\b|\b(?:must|should|may|shall) (?:not|never)\b"
    r"|\b(?:mustn|shouldn)['\u2019]t\b",
    re.IGNORECASE,
)
_SAYS_WHAT_TO_DO = re.compile(r"\b(?:instead|rather|but|and (?:says?|offers?|explains?|helps?))\b", re.IGNORECASE)


class Finding(Record):
    """Something to look at. ``principle`` is the id it is about, empty for the constitution as a whole.

    An ``error`` breaks the method, a ``warning`` makes it worse, a ``note`` is advice.
    """

    rule: str
    severity: Severity
    principle: str = ""
    message: str
    remedy: str


Rule = Callable[[Constitution], Iterator[Finding]]


def check_constitution(constitution: Constitution) -> tuple[Finding, ...]:
    """Check a constitution by every rule; findings come rule by rule, principles in their order."""
    return tuple(finding for rule in RULES for finding in rule(constitution))


def blank_text(constitution: Constitution) -> Iterator[Finding]:
    """A principle or request of white space says nothing to a model."""
    for principle in constitution.principles:
        for field in ("text", *_REQUESTS):
            if not getattr(principle, field).strip():
                yield Finding(
                    rule="blank-text",
                    severity="error",
                    principle=principle.id,
                    message=f"{field} is blank",
                    remedy=f"write the {field}" + ("" if field == "text" else ", or leave it out to have it derived"),
                )


def no_choice(constitution: Constitution) -> Iterator[Finding]:
    """A judge that is not asked to choose answers something else than A or B."""
    if not _is_english(constitution):
        return
    for principle in constitution.principles:
        if principle.choice_question.strip() and not _ASKS_FOR_CHOICE.search(principle.choice_question):
            yield Finding(
                rule="no-choice",
                severity="error",
                principle=principle.id,
                message=f'the choice question does not ask for a choice: "{principle.choice_question}"',
                remedy='ask for one of the two, as in "Which response ...?"',
            )


def presumes_harm(constitution: Constitution) -> Iterator[Finding]:
    """A critic told to find harm finds it in harmless responses too, and the revision refuses them."""
    if not _is_english(constitution):
        return
    for principle in constitution.principles:
        request = principle.critique_request
        if _LEAVES_OPEN.search(request) or _ASKS_OPENLY.search(request):
            continue
        if _SEARCHES_FOR_FAULT.search(request):
            yield Finding(
                rule="presumes-harm",
                severity="warning",
                principle=principle.id,
                message=f'the critique request takes a fault for granted: "{request}"',
                remedy='leave both answers open: "Say whether and where ..., or say that it is fine."',
            )


def missing_few_shots(constitution: Constitution) -> Iterator[Finding]:
    """Without examples, models mix up the critique and the revision (CAI §3.1)."""
    for use, examples, what in (
        ("revise", constitution.few_shots.revise, "small models mix up the critique and the revision without them"),
        ("judge", constitution.few_shots.judge, "a judge is surer of its letters after a few worked choices"),
    ):
        if not examples:
            yield Finding(
                rule="missing-few-shots",
                severity="warning",
                message=f"there are no few-shot examples under few_shots.{use}; {what}",
                remedy=f"write two to five under few_shots.{use}",
            )


def few_shot_turns(constitution: Constitution) -> Iterator[Finding]:
    """An example must end where the real conversation ends: on a response to revise, on a prompt to judge."""
    shots = constitution.few_shots
    revise = [("revise", number, example.messages) for number, example in enumerate(shots.revise, start=1)]
    judge = [("judge", number, example.messages) for number, example in enumerate(shots.judge, start=1)]
    for use, number, messages in (*revise, *judge):
        expected = "assistant" if use == "revise" else "user"
        if messages[-1].role != expected:
            yield Finding(
                rule="few-shot-turns",
                severity="error",
                message=f"few_shots.{use}[{number}] ends with a turn of the {messages[-1].role}",
                remedy=f"end its messages with the turn of the {expected}",
            )


def one_sided_few_shots(constitution: Constitution) -> Iterator[Finding]:
    """Examples that all end alike teach the ending: always rewrite, or always the same letter."""
    revise = constitution.few_shots.revise
    if len(revise) > 1 and all(example.revision != example.messages[-1].content for example in revise):
        yield Finding(
            rule="one-sided-few-shots",
            severity="warning",
            message="every example under few_shots.revise changes the response",
            remedy="add one whose response was fine and comes back word for word",
        )
    answers = [example.answer for example in constitution.few_shots.judge]
    if len(answers) > 1 and len(set(answers)) == 1:
        yield Finding(
            rule="one-sided-few-shots",
            severity="warning",
            message=f'every example under few_shots.judge answers "{answers[0]}"',
            remedy="swap the two responses in half of them",
        )


def near_duplicates(constitution: Constitution) -> Iterator[Finding]:
    """Two principles that say the same thing are drawn twice as often as the others."""
    words = [(principle, frozenset(_words(principle.text))) for principle in constitution.principles]
    for (first, first_words), (second, second_words) in combinations(words, 2):
        union = first_words | second_words
        likeness = len(first_words & second_words) / len(union) if union else 0.0
        if likeness >= _NEAR_DUPLICATE:
            yield Finding(
                rule="near-duplicate",
                severity="warning",
                principle=second.id,
                message=f'the text shares {likeness:.0%} of its words with principle "{first.id}"',
                remedy="keep one of the two and raise its weight, or say how they differ",
            )


def long_request(constitution: Constitution) -> Iterator[Finding]:
    """A long request costs tokens on every row, and small models lose its beginning."""
    for principle in constitution.principles:
        for field in _REQUESTS:
            n_words = len(getattr(principle, field).split())
            if n_words > _MAX_REQUEST_WORDS:
                yield Finding(
                    rule="long-request",
                    severity="warning",
                    principle=principle.id,
                    message=f"the {field} has {n_words} words (at most {_MAX_REQUEST_WORDS} are advised)",
                    remedy="say it in one or two sentences, or make two principles of it",
                )


def empty_category(constitution: Constitution) -> Iterator[Finding]:
    """Categories are what results are broken down by."""
    for principle in constitution.principles:
        if not principle.category.strip():
            yield Finding(
                rule="empty-category",
                severity="note",
                principle=principle.id,
                message="the principle has no category, so that no result can be shown by it",
                remedy="give it a category that it shares with its like",
            )


def negative_framing(constitution: Constitution) -> Iterator[Finding]:
    """A ban alone leaves open what to do in its place, and a small model fills that with refusals."""
    if not _is_english(constitution):
        return
    for principle in constitution.principles:
        if _FORBIDS.search(principle.text) and not _SAYS_WHAT_TO_DO.search(principle.text):
            yield Finding(
                rule="negative-framing",
                severity="note",
                principle=principle.id,
                message=f'the text says only what not to do: "{principle.text}"',
                remedy="say what a good response does instead",
            )


def two_system_texts(constitution: Constitution) -> Iterator[Finding]:
    """A round's two calls share their beginning only under one system text."""
    if constitution.system.critique != constitution.system.revise:
        yield Finding(
            rule="two-system-texts",
            severity="note",
            message="system.critique and system.revise differ, so that no prefix is shared between a round's two calls",
            remedy="write one text that serves both",
        )


def derived_language(constitution: Constitution) -> Iterator[Finding]:
    """Requests are derived in English."""
    if _is_english(constitution):
        return
    for principle in constitution.principles:
        derived = [name for name in _REQUESTS if getattr(principle, name) == DERIVATIONS[name](principle.text)]
        if derived:
            yield Finding(
                rule="derived-language",
                severity="warning",
                principle=principle.id,
                message=f'English was derived for {", ".join(derived)}; the language is "{constitution.language}"',
                remedy=f'write them in "{constitution.language}"',
            )


RULES: tuple[Rule, ...] = (
    blank_text,
    no_choice,
    presumes_harm,
    missing_few_shots,
    few_shot_turns,
    one_sided_few_shots,
    near_duplicates,
    long_request,
    empty_category,
    negative_framing,
    two_system_texts,
    derived_language,
)


def _is_english(constitution: Constitution) -> bool:
    return constitution.language.lower().split("-")[0] == "en"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
