"""A country's own wording of the requests, read from its configuration and filled in once, verbatim."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.files.yaml_reading import ValuePath, YamlDocument, read_yaml

_SECTION = "red_team"
_SLOTS = ("principle", "num_rtp_per_call", "few_shot_samples")


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
        return examples and "{few_shot_samples}" in (self.user_few_shot or self.user)


def fill_slots(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of ``{name}``, each once and verbatim: what is put in is not looked at again.

    Braces around anything else stay as they are.
    """
    slots = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({slots})\}}", lambda found: values[found[1]], text) if values else text


def read_given_texts(path: Path) -> GivenTexts:
    """Read the section ``red_team`` of a country's configuration.

    The keys are ``RT_SYSTEM_PROMPT``, ``RT_USER_PROMPT``, ``RT_USER_PROMPT_FEW_SHOT``, ``VARIANCE`` and
    ``RT_NUM_RTP_PER_CALL``, in any case, as the section's is; any may be missing or empty, but one of the two user
    prompts.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    document = read_yaml(path, error=PromptError)
    place, section = _in_any_case(document, document.data, ()).get(_SECTION.upper(), ((_SECTION,), None))
    if not isinstance(section, dict):
        raise PromptError(
            f"{path}:1: there is no section '{_SECTION}'; expected RT_SYSTEM_PROMPT, RT_USER_PROMPT ... in it"
        )
    given = _in_any_case(document, section, place)
    texts = GivenTexts(
        system=_text(document, given, "RT_SYSTEM_PROMPT"),
        user=_text(document, given, "RT_USER_PROMPT"),
        user_few_shot=_text(document, given, "RT_USER_PROMPT_FEW_SHOT"),
        variance=_text(document, given, "VARIANCE"),
        per_call=_number(document, given, "RT_NUM_RTP_PER_CALL"),
    )
    if not (texts.user or texts.user_few_shot):
        raise PromptError(
            f"{document.where(place)}: neither RT_USER_PROMPT nor RT_USER_PROMPT_FEW_SHOT has a text; give one, "
            f"with the slots {', '.join('{' + slot + '}' for slot in _SLOTS)}, or leave out --config"
        )
    return texts


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
        raise PromptError(f"{document.where(place)}: {place[-1]} is {value!r}; expected a text, or nothing")
    return value


def _number(document: YamlDocument, given: Mapping[str, tuple[ValuePath, Any]], name: str) -> int | None:
    place, value = given.get(name, ((), None))
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise PromptError(f"{document.where(place)}: {place[-1]} is {value!r}; expected a whole number of at least 1")
    return value
