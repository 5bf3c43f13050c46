"""What is likely to make a constitution train badly, found without a model: one small function a rule.

Rules that read wording know English only, and pass over constitutions in other languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from itertools import combinations
from typing import Literal, NamedTuple

from charter.constitution.derivation import DERIVATIONS
from charter.constitution.model import Constitution, Principle
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


class Remark(NamedTuple):
    """What one rule has to say, once: the message, the remedy, and the principle's id where it is about one."""

    message: str
    remedy: str
    principle: str = ""


Look = Callable[[Constitution], Iterator[Remark]]


@dataclass(frozen=True)
class Rule:
    """One check: what it is called, how grave it is, and what finds it; some know the wording of English alone."""

    name: str
    severity: Severity
    look: Look
    english_only: bool = False

    def check(self, constitution: Constitution) -> Iterator[Finding]:
        """Check a constitution."""
        if self.english_only and not _is_english(constitution):
            return
        for remark in self.look(constitution):
            yield Finding(rule=self.name, severity=self.severity, **remark._asdict())


def check_constitution(constitution: Constitution) -> tuple[Finding, ...]:
    """Check a constitution by every rule; findings come rule by rule, principles in their order."""
    return tuple(finding for rule in RULES for finding in rule.check(constitution))


def of_each(look: Callable[[Principle], Iterator[Remark]]) -> Look:
    """Make a look at one principle a look at all of them."""

    @wraps(look)
    def look_at_all(constitution: Constitution) -> Iterator[Remark]:
        for principle in constitution.principles:
            for remark in look(principle):
                yield remark._replace(principle=principle.id)

    return look_at_all


def blank_text(principle: Principle) -> Iterator[Remark]:
    """A principle or request of white space says nothing to a model."""
    for field in ("text", *_REQUESTS):
        if not getattr(principle, field).strip():
            or_leave_out = "" if field == "text" else ", or leave it out to have it derived"
            yield Remark(f"{field} is blank", f"write the {field}{or_leave_out}")


def no_choice(principle: Principle) -> Iterator[Remark]:
    """A judge that is not asked to choose answers something else than A or B."""
    question = principle.choice_question
    if question.strip() and not _ASKS_FOR_CHOICE.search(question):
        yield Remark(
            f'the choice question does not ask for a choice: "{question}"',
            'ask for one of the two, as in "Which response ...?"',
        )


def presumes_harm(principle: Principle) -> Iterator[Remark]:
    """A critic told to find harm finds it in harmless responses too, and the revision refuses them."""
    request = principle.critique_request
    leaves_open = _LEAVES_OPEN.search(request) or _ASKS_OPENLY.search(request)
    if _SEARCHES_FOR_FAULT.search(request) and not leaves_open:
        yield Remark(
            f'the critique request takes a fault for granted: "{request}"',
            'leave both answers open: "Say whether and where ..., or say that it is fine."',
        )


def missing_few_shots(constitution: Constitution) -> Iterator[Remark]:
    """Without examples, models mix up the critique and the revision (CAI §3.1)."""
    for use, examples, what in (
        ("revise", constitution.few_shots.revise, "small models mix up the critique and the revision without them"),
        ("judge", constitution.few_shots.judge, "a judge is surer of its letters after a few worked choices"),
    ):
        if not examples:
            yield Remark(
                f"there are no few-shot examples under few_shots.{use}; {what}",
                f"write two to five under few_shots.{use}",
            )


def few_shot_turns(constitution: Constitution) -> Iterator[Remark]:
    """An example must end where the real conversation ends: on a response to revise, on a prompt to judge."""
    shots = constitution.few_shots
    revise, judge = [one.messages for one in shots.revise], [one.messages for one in shots.judge]
    for use, conversations, expected in (("revise", revise, "assistant"), ("judge", judge, "user")):
        for number, messages in enumerate(conversations, start=1):
            last = messages[-1].role
            if last != expected:
                yield Remark(
                    f"few_shots.{use}[{number}] ends with a turn of the {last}",
                    f"end its messages with the turn of the {expected}",
                )


def one_sided_few_shots(constitution: Constitution) -> Iterator[Remark]:
    """Examples that all end alike teach the ending: always rewrite, or always the same letter."""
    revise = constitution.few_shots.revise
    if len(revise) > 1 and all(example.changed for example in revise):
        yield Remark(
            "every example under few_shots.revise changes the response",
            "add one whose response was fine and comes back word for word",
        )
    answers = [example.answer for example in constitution.few_shots.judge]
    if len(answers) > 1 and len(set(answers)) == 1:
        yield Remark(
            f'every example under few_shots.judge answers "{answers[0]}"', "swap the two responses in half of them"
        )


def near_duplicates(constitution: Constitution) -> Iterator[Remark]:
    """Two principles that say the same thing are drawn twice as often as the others."""
    words = [(principle, frozenset(_words(principle.text))) for principle in constitution.principles]
    for (first, first_words), (second, second_words) in combinations(words, 2):
        union = first_words | second_words
        likeness = len(first_words & second_words) / len(union) if union else 0.0
        if likeness >= _NEAR_DUPLICATE:
            yield Remark(
                f'the text shares {likeness:.0%} of its words with principle "{first.id}"',
                "keep one of the two and raise its weight, or say how they differ",
                principle=second.id,
            )


def long_request(principle: Principle) -> Iterator[Remark]:
    """A long request costs tokens on every row, and small models lose its beginning."""
    for field in _REQUESTS:
        n_words = len(getattr(principle, field).split())
        if n_words > _MAX_REQUEST_WORDS:
            yield Remark(
                f"the {field} has {n_words} words (at most {_MAX_REQUEST_WORDS} are advised)",
                "say it in one or two sentences, or make two principles of it",
            )


def empty_category(principle: Principle) -> Iterator[Remark]:
    """A category says what a principle is about; people find their way among many by it."""
    if not principle.category.strip():
        yield Remark(
            "the principle has no category, by which people find it among others",
            "give it a category that it shares with its like",
        )


def negative_framing(principle: Principle) -> Iterator[Remark]:
    """A ban alone leaves open what to do in its place, and a small model fills that with refusals."""
    if _FORBIDS.search(principle.text) and not _SAYS_WHAT_TO_DO.search(principle.text):
        yield Remark(f'the text says only what not to do: "{principle.text}"', "say what a good response does instead")


def two_system_texts(constitution: Constitution) -> Iterator[Remark]:
    """A round's two calls share their beginning only under one system text."""
    if constitution.system.critique != constitution.system.revise:
        yield Remark(
            "system.critique and system.revise differ, so that no prefix is shared between a round's two calls",
            "write one text that serves both",
        )


def derived_language(constitution: Constitution) -> Iterator[Remark]:
    """Requests are derived in English."""
    if _is_english(constitution):
        return
    for principle in constitution.principles:
        derived = [name for name in _REQUESTS if getattr(principle, name) == DERIVATIONS[name](principle.text)]
        if derived:
            yield Remark(
                f'English was derived for {", ".join(derived)}; the language is "{constitution.language}"',
                f'write them in "{constitution.language}"',
                principle=principle.id,
            )


RULES = (
    Rule("blank-text", "error", of_each(blank_text)),
    Rule("no-choice", "error", of_each(no_choice), english_only=True),
    Rule("presumes-harm", "warning", of_each(presumes_harm), english_only=True),
    Rule("missing-few-shots", "warning", missing_few_shots),
    Rule("few-shot-turns", "error", few_shot_turns),
    Rule("one-sided-few-shots", "warning", one_sided_few_shots),
    Rule("near-duplicate", "warning", near_duplicates),
    Rule("long-request", "warning", of_each(long_request)),
    Rule("empty-category", "note", of_each(empty_category)),
    Rule("negative-framing", "note", of_each(negative_framing), english_only=True),
    Rule("two-system-texts", "note", two_system_texts),
    Rule("derived-language", "warning", derived_language),
)


def _is_english(constitution: Constitution) -> bool:
    return constitution.language.lower().split("-")[0] == "en"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
