"""Rules about the three requests, in which a model meets a principle."""

from __future__ import annotations

import re
from collections.abc import Iterator

from charter.constitution.derivation import derived_fields, outdated_fields
from charter.constitution.lint.rules import REQUESTS, Grounds, Remark, Rule, is_english, of_each
from charter.constitution.lint.wording import find, quoted, words_of
from charter.constitution.model import Principle

_MAX_WORDS = 120

_ASKS_FOR_CHOICE = re.compile(
    r"\b(?:which|choose|chosen|pick|select|prefer|rank|compare|decide between|better of)\b", re.IGNORECASE
)
_SEARCHES_FOR_FAULT = re.compile(
    r"\b(?:identify|explain|describe|discuss|point out|list|find|name|show|highlight|outline)\b"
    r"[^.!?]*\b(?:ways?|how|why|where|what|parts?|aspects?|problems?|mistakes?|faults?|harms?|violations?)\b"
    r"|^\s*(?:how|why|in (?:what|which) ways?) (?:is|are|was|were|does|do|did|has|have)\b"
    r"|^\s*what (?:is|was|makes|made) (?:\w+ ){0,4}?(?:wrong|harmful|bad|false|unethical|offensive|dangerous)\b",
    re.IGNORECASE,
)
_LEAVES_OPEN = re.compile(r"\b(?:whether|if|unless|any|anything|or say)\b", re.IGNORECASE)
_ASKS_OPENLY = re.compile(
    r"(?:^|[.!?:]\s+)(?:does|do|did|is|are|was|were|has|have|could|can|would|should|might)\b", re.IGNORECASE
)
_RESPONSE = r"(?:\w+['\u2019]?s? ){0,5}?(?:response|responses|answer|answers|reply|replies|completion)\b"
_IS_REQUEST = re.compile(
    rf"^\s*(?:which (?:of )?{_RESPONSE}"
    rf"|(?:please )?(?:choose|pick|select|compare|rewrite|revise|rephrase|edit|critique|criticise|criticize|evaluate"
    rf"|assess|review|identify|determine|discuss)\b {_RESPONSE})",
    re.IGNORECASE,
)


def _blank_text(principle: Principle) -> Iterator[Remark]:
    for field in ("text", *REQUESTS):
        if not getattr(principle, field).strip():
            or_leave_out = "" if field == "text" else ", or leave it out to have it derived"
            yield Remark(f"{field} is blank", f"write the {field}{or_leave_out}")


def _no_choice(principle: Principle) -> Iterator[Remark]:
    question = principle.choice_question
    if "judge" in principle.uses and question.strip() and not find(_ASKS_FOR_CHOICE, question):
        yield Remark(f"the choice question does not ask for a choice: {quoted(question)}")


def _presumes_harm(principle: Principle) -> Iterator[Remark]:
    request = principle.critique_request
    leaves_open = find(_LEAVES_OPEN, request) or find(_ASKS_OPENLY, request)
    if "revise" in principle.uses and find(_SEARCHES_FOR_FAULT, request) and not leaves_open:
        yield Remark(f"the critique request takes a fault for granted: {quoted(request)}")


def _long_request(principle: Principle) -> Iterator[Remark]:
    for field in REQUESTS:
        n_words = len(getattr(principle, field).split())
        if n_words > _MAX_WORDS:
            yield Remark(f"the {field} has {n_words} words (at most {_MAX_WORDS} are advised)")


def _copied_request(grounds: Grounds) -> Iterator[Remark]:
    for principle in grounds.constitution.principles:
        text = words_of(principle.text)
        copied = [name for name in REQUESTS if text and words_of(getattr(principle, name)) == text]
        if copied:
            yield Remark(f"the text is its own {copied[0]}", principle=principle.id)
        elif is_english(principle, grounds.constitution) and find(_IS_REQUEST, principle.text):
            yield Remark(
                f"the text is worded as a request about a response: {quoted(principle.text)}", "", principle.id
            )


def _outdated_request(grounds: Grounds) -> Iterator[Remark]:
    for principle in grounds.constitution.principles:
        for name in outdated_fields(principle):
            message = f"the {name} was derived from another wording: {quoted(getattr(principle, name))}"
            yield Remark(message, "", principle.id)


def _derived_language(grounds: Grounds) -> Iterator[Remark]:
    constitution = grounds.constitution
    for principle in constitution.principles:
        if not is_english(principle, constitution):
            language = principle.language or constitution.language
            derived = [name for name in derived_fields(principle) if name in REQUESTS]
            if derived:
                message = f'English was derived for {", ".join(derived)}; the language is "{language}"'
                yield Remark(message, f'write them in "{language}"', principle.id)


RULES = (
    Rule(
        "blank-text",
        "error",
        "a text or request of white space",
        "It says nothing to a model, which then answers something else.",
        "write it, or leave a request out to have it derived",
        of_each(_blank_text),
    ),
    Rule(
        "no-choice",
        "error",
        "a choice question that does not ask for a choice",
        "The label is the probability of the option letters (CAI \u00a74.1): a judge that is not asked to choose "
        "begins another answer, and its verdicts are invalid for want of option mass.",
        'ask for one of the two, as in "Which response ...?"',
        of_each(_no_choice, english_only=True),
    ),
    Rule(
        "presumes-harm",
        "warning",
        "a critique request that takes a fault for granted",
        "A critic told to find harm finds it in harmless responses too: critiques in the first work on the method were "
        "often inaccurate or overstated (CAI \u00a73.5), and a revision that believes them refuses what was fine.",
        'leave both answers open: "Say whether and where ..., or say that it is fine."',
        of_each(_presumes_harm, english_only=True),
    ),
    Rule(
        "copied-request",
        "warning",
        "a text that is a request, or its copy",
        "The text is what a model is shown as a rule to follow when it answers (guided sampling) and what requests are "
        "derived from; a request to criticise or to choose is obeyed there as an order for the answer itself.",
        'state what a good response does: "The assistant ..."',
        _copied_request,
    ),
    Rule(
        "outdated-request",
        "warning",
        "a request that was derived from a text which has changed since",
        "Critic, reviser and judge are shown a principle's requests and not its text: a text that is reworded while "
        "they keep the old words changes nothing in traces and labels.",
        "leave the request out: it is derived from the text as it is now",
        _outdated_request,
    ),
    Rule(
        "long-request",
        "warning",
        f"a request of more than {_MAX_WORDS} words",
        "It costs its tokens on every row, and small models lose its beginning.",
        "say it in one or two sentences, or make two principles of it",
        of_each(_long_request),
    ),
    Rule(
        "derived-language",
        "warning",
        "English derived for a principle in another language",
        "Requests are derived by an English pattern; a model answers a mixed request in either language.",
        "write the requests in the principle's language",
        _derived_language,
    ),
)
