"""The constraints by IFEval's names (Zhou et al. 2023, arXiv 2311.07911): what each takes, and what checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.errors import PromptError
from charter.evaluation.instructions import counting, forms, language
from charter.evaluation.instructions.counting import AT_LEAST, LESS_THAN
from charter.spelling import hint

Kwargs = Mapping[str, Any]


@dataclass(frozen=True)
class Argument:
    """One thing that a constraint takes: how it is said what is expected, and what is."""

    expected: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class Constraint:
    """A kind of constraint: what checks an answer, and what it takes by name."""

    check: Callable[..., bool]
    takes: Mapping[str, Argument] = field(default_factory=dict)


def _says_something(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


_TEXT = Argument("a text that says something", _says_something)
_TEXTS = Argument(
    "a list of texts that say something",
    lambda value: isinstance(value, list) and bool(value) and all(map(_says_something, value)),
)
_COUNT = Argument("a whole number from 1", _is_count)
_RELATION = Argument(f"{AT_LEAST!r} or {LESS_THAN!r}", lambda value: value in (AT_LEAST, LESS_THAN))
_LETTER = Argument("one character", lambda value: _says_something(value) and len(value) == 1)
_LANGUAGE = Argument(
    f"a language by ISO 639-1, one of {', '.join(sorted(language.LANGUAGES))}",
    lambda value: isinstance(value, str) and value in language.LANGUAGES,
)

#: Every constraint by its name: its family, a colon and its own.
CONSTRAINTS: Mapping[str, Constraint] = {
    "keywords:existence": Constraint(counting.has_keywords, {"keywords": _TEXTS}),
    "keywords:frequency": Constraint(
        counting.repeats_keyword, {"keyword": _TEXT, "relation": _RELATION, "frequency": _COUNT}
    ),
    "keywords:forbidden_words": Constraint(counting.avoids_words, {"forbidden_words": _TEXTS}),
    "keywords:letter_frequency": Constraint(
        counting.repeats_letter, {"letter": _LETTER, "let_relation": _RELATION, "let_frequency": _COUNT}
    ),
    "language:response_language": Constraint(language.is_in_language, {"language": _LANGUAGE}),
    "length_constraints:number_sentences": Constraint(
        counting.has_sentences, {"relation": _RELATION, "num_sentences": _COUNT}
    ),
    "length_constraints:number_paragraphs": Constraint(counting.has_divided_paragraphs, {"num_paragraphs": _COUNT}),
    "length_constraints:number_words": Constraint(counting.has_words, {"relation": _RELATION, "num_words": _COUNT}),
    "length_constraints:nth_paragraph_first_word": Constraint(
        counting.begins_paragraph, {"num_paragraphs": _COUNT, "nth_paragraph": _COUNT, "first_word": _TEXT}
    ),
    "detectable_content:number_placeholders": Constraint(forms.has_placeholders, {"num_placeholders": _COUNT}),
    "detectable_content:postscript": Constraint(forms.has_postscript, {"postscript_marker": _TEXT}),
    "detectable_format:number_bullet_lists": Constraint(forms.has_bullets, {"num_bullets": _COUNT}),
    "detectable_format:constrained_response": Constraint(forms.picks_option),
    "detectable_format:number_highlighted_sections": Constraint(forms.has_highlights, {"num_highlights": _COUNT}),
    "detectable_format:multiple_sections": Constraint(
        forms.has_sections, {"section_spliter": _TEXT, "num_sections": _COUNT}
    ),
    "detectable_format:json_format": Constraint(forms.is_json),
    "detectable_format:title": Constraint(forms.has_title),
    "combination:two_responses": Constraint(forms.has_two_responses),
    "combination:repeat_prompt": Constraint(forms.repeats_prompt, {"prompt_to_repeat": _TEXT}),
    "startend:end_checker": Constraint(forms.ends_with, {"end_phrase": _TEXT}),
    "startend:quotation": Constraint(forms.is_quoted),
    "change_case:capital_word_frequency": Constraint(
        counting.has_capital_words, {"capital_relation": _RELATION, "capital_frequency": _COUNT}
    ),
    "change_case:english_capital": Constraint(language.is_english_in_capitals),
    "change_case:english_lowercase": Constraint(language.is_english_in_lowercase),
    "punctuation:no_comma": Constraint(forms.has_no_comma),
}


@dataclass(frozen=True)
class Instruction:
    """One constraint of one prompt: its name, and what it was given."""

    name: str
    kwargs: Kwargs

    @property
    def family(self) -> str:
        """The part of the name before the colon."""
        return self.name.partition(":")[0]

    def is_followed(self, answer: str) -> bool:
        """Tell whether an answer keeps to it; one that says nothing keeps to none."""
        return bool(answer.strip()) and CONSTRAINTS[self.name].check(answer, **self.kwargs)


def read_instruction(name: Any, kwargs: Any, place: str) -> Instruction:
    """Make an instruction of what a row says.

    Args:
        name: one of ``CONSTRAINTS``.
        kwargs: what it takes; values that are null are as good as not there, as tables of many kinds have them.
        place: where the row stands, for errors.

    Raises:
        PromptError: naming the place, the key, its value and what was expected.
    """
    if not isinstance(name, str) or name not in CONSTRAINTS:
        near = hint(name, CONSTRAINTS) if isinstance(name, str) else ""
        raise PromptError(
            f"{place}: 'instruction_id_list' has {name!r}; expected one of {', '.join(CONSTRAINTS)}{near}"
        )
    if not isinstance(kwargs, Mapping):
        raise PromptError(f"{place}: 'kwargs' of {name} is {kwargs!r}; expected an object of what it takes")
    given = {key: _whole(value) for key, value in kwargs.items() if value is not None}
    takes = CONSTRAINTS[name].takes
    for key in given:
        if key not in takes:
            names = ", ".join(takes) or "nothing"
            raise PromptError(f"{place}: {name} was given {key!r}; it takes {names}{hint(key, takes)}")
    for key, argument in takes.items():
        if key not in given:
            raise PromptError(f"{place}: {name} has no {key!r}; give it {argument.expected}")
        if not argument.fits(given[key]):
            raise PromptError(f"{place}: {key!r} of {name} is {given[key]!r}; expected {argument.expected}")
    if "nth_paragraph" in given and given["nth_paragraph"] > given["num_paragraphs"]:
        raise PromptError(
            f"{place}: 'nth_paragraph' of {name} is {given['nth_paragraph']}; expected no more than 'num_paragraphs', "
            f"which is {given['num_paragraphs']}"
        )
    return Instruction(name, given)


def _whole(value: Any) -> Any:
    """Give a whole number that a table made a float of, and one of another kind of list as a list."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value
