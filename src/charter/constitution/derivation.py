"""What a principle does not bring along, made by rule: requests from its text, or its text from its requests.

Each request stands on its own, because it is shown without the rest of the constitution. The critique asks in both
directions and the revision allows for no change: a request that takes harm for granted makes a critic find some (CAI
§3.5 on critiques that overstate), and a reviser refuse what was fine.

Some layouts hold no text. A principle that is a question then quotes it as the standard, and one that is a pair of
requests quotes the revision. What was derived is the very words of a rule, so that it can be told from what was given
(``derived_fields``) in every layout and after any number of conversions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from charter.constitution.model import Principle

_CLOSED = (".", "!", "?", "…", ".”", '."', "。")


def derive_critique_request(text: str) -> str:
    """Ask whether a response follows the principle, and where it does not."""
    return (
        f"Here is a principle for the assistant: {_sentence(text)} "
        "Say whether and where the assistant's last response departs from this principle, or say that it is fine."
    )


def derive_revision_request(text: str) -> str:
    """Ask for a response that follows the principle, or for the same one."""
    return (
        f"Here is a principle for the assistant: {_sentence(text)} "
        "If the assistant's last response already follows this principle, keep it as it is, word for word. "
        "Otherwise rewrite it so that it does, and so that it is still as helpful as it can be."
    )


def derive_choice_question(text: str) -> str:
    """Ask which of two responses follows the principle better."""
    return f"Here is a principle for the assistant: {_sentence(text)} Which response follows this principle better?"


def derive_critique_request_from_question(question: str) -> str:
    """Ask whether a response meets the standard that a choice question sets, and where it does not."""
    return (
        f"Here is a question by which responses are compared: {_sentence(question)} "
        "Say whether and where the assistant's last response falls short of the standard that it sets, "
        "or say that it is fine."
    )


def derive_revision_request_from_question(question: str) -> str:
    """Ask for a response that meets the standard that a choice question sets, or for the same one."""
    return (
        f"Here is a question by which responses are compared: {_sentence(question)} "
        "If the assistant's last response already meets the standard that it sets, keep it as it is, word for word. "
        "Otherwise rewrite it so that it does, and so that it is still as helpful as it can be."
    )


def derive_choice_question_from_request(request: str) -> str:
    """Ask which of two responses a request to revise would change less."""
    return (
        f"Here is a request to revise a response: {_sentence(request)} "
        "Which response leaves less to change under this request?"
    )


# By request: the fields that it is derived from, in turn, each with its rule.
_RULES: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "critique_request": {
        "text": derive_critique_request,
        "choice_question": derive_critique_request_from_question,
    },
    "revision_request": {
        "text": derive_revision_request,
        "choice_question": derive_revision_request_from_question,
    },
    "choice_question": {
        "text": derive_choice_question,
        "revision_request": derive_choice_question_from_request,
    },
}
DERIVATIONS = {name: rules["text"] for name, rules in _RULES.items()}
_FROM_QUESTION = {name: rules["choice_question"] for name, rules in _RULES.items() if "choice_question" in rules}
# What stands for the text where there is none: what a better response is like, before what is wrong with a worse one.
_TEXT_FROM = ("revision_request", "critique_request", "choice_question")


def with_derived_requests(principle: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a principle's fields: every request that is missing is derived from its text, if it has one."""
    fields = dict(principle)
    text = fields.get("text")
    if isinstance(text, str) and text:
        for name, derive in DERIVATIONS.items():
            if name not in fields:
                fields[name] = derive(text)
    return fields


def with_derived_fields(principle: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the fields of a principle that brings a text or any request; what is empty counts as missing.

    Without a text, its text is the revision request, else the critique request, else the choice question, verbatim;
    requests are derived from the choice question, and a choice question from the revision request.
    """
    fields = {key: value for key, value in principle.items() if value != "" or key not in ("text", *DERIVATIONS)}
    if "text" not in fields:
        if "choice_question" in fields:
            for name, derive in _FROM_QUESTION.items():
                fields.setdefault(name, derive(fields["choice_question"]))
        elif "revision_request" in fields:
            fields["choice_question"] = derive_choice_question_from_request(fields["revision_request"])
        given = [principle[name] for name in _TEXT_FROM if principle.get(name)]
        fields["text"] = given[0]
    return with_derived_requests(fields)


def derived_fields(principle: Principle) -> tuple[str, ...]:
    """Name the fields that say what a rule makes of the others, among text and the three requests."""
    made = {
        "text": {getattr(principle, name) for name in _TEXT_FROM},
        **{
            name: {rule(getattr(principle, source)) for source, rule in rules.items()} for name, rules in _RULES.items()
        },
    }
    return tuple(name for name, texts in made.items() if getattr(principle, name) in texts)


def outdated_fields(principle: Principle) -> tuple[str, ...]:
    """Name the requests that say what a rule made of a text or request that the principle no longer has."""
    return tuple(name for name, rules in _RULES.items() if _is_outdated(principle, name, rules))


def _is_outdated(principle: Principle, name: str, rules: Mapping[str, Callable[[str], str]]) -> bool:
    """Whether a request has the frame of one of its rules, and in it none of what that rule would put there now."""
    request = " ".join(getattr(principle, name).split())
    frames = {source: rule("\0.").split("\0.") for source, rule in rules.items()}
    framed = [source for source, (before, after) in frames.items() if request.startswith(before) and after in request]
    return bool(framed) and not any(" ".join(getattr(principle, source).split()) in request for source in framed)


def _sentence(text: str) -> str:
    stripped = text.strip()
    return stripped if stripped.endswith(_CLOSED) else f"{stripped}."
