"""A country's own wording of the requests, read from its configuration and filled in once, verbatim."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.files.yaml_reading import ValuePath, YamlDocument, read_yaml
from charter.spelling import hint

_VARIANCE = "VARIANCE"
EXAMPLES_SLOT = "few_shot_samples"
MOST_PER_CALL = 1_000
_MOST_SHOWN = 100  # characters of a wrong value


@dataclass(frozen=True)
class Section:
    """Where a configuration words the requests for one kind of rows.

    ``keys`` hold the user prompts: the one without examples, and the one with. ``needed`` are the slots without which
    every row would be asked for in the same words; ``number`` is the slot of how many rows a call asks for.
    """

    name: str
    system: str
    keys: tuple[str, str]
    per_call: str
    needed: tuple[str, ...]
    number: str

    @property
    def slots(self) -> tuple[str, ...]:
        """Every slot that is filled."""
        return (*self.needed, self.number, EXAMPLES_SLOT)


RED_TEAM = Section(
    "red_team",
    "RT_SYSTEM_PROMPT",
    ("RT_USER_PROMPT", "RT_USER_PROMPT_FEW_SHOT"),
    "RT_NUM_RTP_PER_CALL",
    ("principle",),
    "num_rtp_per_call",
)
SFT = Section(
    "sft",
    "SFT_SYSTEM_PROMPT",
    ("SFT_USER_PROMPT", "SFT_USER_PROMPT_FEW_SHOT"),
    "SFT_NUM_SFT_PER_CALL",
    ("principle", "rt_prompt", "initial_response"),
    "num_sft_per_call",
)
PREF = Section(
    "pref",
    "PREF_SYSTEM_PROMPT",
    ("PREF_USER_PROMPT", "PREF_USER_PROMPT_FEW_SHOT"),
    "NUM_PREF_PER_CALL",
    ("principle", "rt_prompt"),
    "num_pref_per_call",
)
SECTIONS = (RED_TEAM, SFT, PREF)
_PRINCIPLES = "principles"
_REQUESTS = ("CRITIQUE_PROMPT", "REVISION_PROMPT")
_PRINCIPLE_SLOT = "principle"


@dataclass(frozen=True)
class GivenTexts:
    """What a configuration says instead of our wording; an empty text leaves ours.

    ``user_few_shot`` is used where there are examples, ``user`` where there are none; ``variance`` follows either.
    """

    system: str = ""
    user: str = ""
    user_few_shot: str = ""
    variance: str = ""
    per_call: int | None = None

    def request(self, values: Mapping[str, str], *, examples: bool) -> str:
        """Fill in the request's text."""
        text = (self.user_few_shot if examples else self.user) or self.user or self.user_few_shot
        return "\n\n".join(part for part in (fill_slots(text, values).strip(), self.variance.strip()) if part)

    def shows_examples(self, *, examples: bool) -> bool:
        """Say whether the text has a place for the examples."""
        return examples and f"{{{EXAMPLES_SLOT}}}" in (self.user_few_shot or self.user)


def fill_slots(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of ``{name}``, each once and verbatim: what is put in is not looked at again.

    Braces around anything else stay as they are.
    """
    slots = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({slots})\}}", lambda found: values[found[1]], text) if values else text


def read_given_texts(path: Path, section: Section = RED_TEAM) -> GivenTexts:
    """Read a section of a country's configuration.

    Its keys, and its own name, may be in any case. ``VARIANCE`` is one of every section. Any may be missing or empty,
    but one of the two user prompts.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    document = read_yaml(path, error=PromptError)
    place, values = _in_any_case(document, document.data, ()).get(section.name.upper(), ((section.name,), None))
    if not isinstance(values, dict):
        raise PromptError(
            f"{document.where(place)}: there is no section '{section.name}'; expected {section.system}, "
            f"{section.keys[0]} ... in it"
        )
    given = _in_any_case(document, values, place)
    texts = GivenTexts(
        system=_text(document, given, section.system),
        user=_text(document, given, section.keys[0]),
        user_few_shot=_text(document, given, section.keys[1]),
        variance=_text(document, given, _VARIANCE),
        per_call=_number(document, given, section.per_call),
    )
    if not (texts.user or texts.user_few_shot):
        raise PromptError(
            f"{document.where(place)}: neither {section.keys[0]} nor {section.keys[1]} has a text; give one, with the "
            f"slots {_slots(section.slots)}"
        )
    for key, text in zip(section.keys, (texts.user, texts.user_few_shot), strict=True):
        _require_slots(document, given, key, text, section.needed, section.slots)
    return texts


def read_request_texts(path: Path) -> str:
    """Read how a configuration asks for a principle's requests: its section ``principles``, both texts as one.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    document = read_yaml(path, error=PromptError)
    place, values = _in_any_case(document, document.data, ()).get(_PRINCIPLES.upper(), ((_PRINCIPLES,), None))
    given = _in_any_case(document, values, place)
    texts = [text for name in _REQUESTS if (text := _text(document, given, name).strip())]
    if not texts:
        raise PromptError(
            f"{document.where(place)}: there is no text under '{_PRINCIPLES}'; expected {' and '.join(_REQUESTS)} in it"
        )
    for name in _REQUESTS:
        _require_slots(document, given, name, _text(document, given, name), (_PRINCIPLE_SLOT,), (_PRINCIPLE_SLOT,))
    return "\n\n".join(texts)


def find_unused(path: Path) -> tuple[str, ...]:
    """Name the keys of a configuration's sections that nothing is done with, each with its line.

    Raises:
        PromptError: where the file cannot be read.
    """
    document = read_yaml(path, error=PromptError)
    sections = _in_any_case(document, document.data, ())
    told = []
    for section in SECTIONS:
        place, values = sections.get(section.name.upper(), ((), None))
        known = (section.system, *section.keys, section.per_call, _VARIANCE)
        for name, (where, _) in _in_any_case(document, values, place).items():
            if name not in known:
                told.append(f"{document.where(where)}: {'.'.join(map(str, where))} is not used{hint(name, known)}")
    return tuple(told)


def _require_slots(  # noqa: PLR0917 - what is looked at, then what is wanted of it
    document: YamlDocument,
    given: Mapping[str, tuple[ValuePath, Any]],
    key: str,
    text: str,
    needed: tuple[str, ...],
    known: tuple[str, ...],
) -> None:
    """Require the slots that make one request differ from another, in whichever text is given."""
    missing = tuple(slot for slot in needed if f"{{{slot}}}" not in text)
    if text and missing:
        place, _ = given[key]
        raise PromptError(
            f"{document.where(place)}: {place[-1]} has no {_slots(missing)}, so that the model is not told it; put it "
            f"where it belongs (slots are {_slots(known)})"
        )


def _slots(names: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def _in_any_case(document: YamlDocument, values: Any, path: ValuePath) -> dict[str, tuple[ValuePath, Any]]:
    """Give a mapping's values and their places by their keys in capitals; nothing of what is no mapping."""
    found: dict[str, tuple[ValuePath, Any]] = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        place = (*path, key)
        if key.upper() in found:
            raise PromptError(f"{document.where(place)}: {key!r} is there twice, in different case; keep one of them")
        found[key.upper()] = (place, value)
    return found


def _text(document: YamlDocument, given: Mapping[str, tuple[ValuePath, Any]], name: str) -> str:
    place, value = given.get(name, ((), None))
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PromptError(f"{document.where(place)}: {place[-1]} is {_shown(value)}; expected a text, or nothing")
    return value


def _number(document: YamlDocument, given: Mapping[str, tuple[ValuePath, Any]], name: str) -> int | None:
    place, value = given.get(name, ((), None))
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_PER_CALL):
        raise PromptError(
            f"{document.where(place)}: {place[-1]} is {_shown(value)}; expected a whole number from 1 to "
            f"{MOST_PER_CALL:,}"
        )
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
