"""Constraints on language and case. The language is what py3langid finds likeliest among those that are told apart."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

_CODES = """
    af ar bg bn ca cs da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ms ne nl no pa pl pt
    ro ru sk sl so sq sr sv sw ta te th tl tr uk ur vi xh zh zu
"""
#: Languages that are told apart, by ISO 639-1: those of IFEval, and others that are written much. Of all 139 that the
#: library knows, short English sentences are taken for creoles.
LANGUAGES = frozenset(_CODES.split())


@lru_cache(maxsize=64)  # scoring reads an answer and its parts, one constraint after the other
def language_of(text: str) -> str | None:
    """Name the language of a text by ISO 639-1; None where it has no letter."""
    if not any(map(str.isalpha, text)):
        return None
    return str(_identifier().classify(text)[0])


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_FILE)
    found.set_languages(sorted(LANGUAGES))
    return found


def is_in_language(answer: str, *, language: str) -> bool:
    """Tell whether the whole answer is in a language."""
    return language_of(answer) == language


def is_english_in_capitals(answer: str) -> bool:
    """Tell whether the answer is English and has capitals alone."""
    return answer.isupper() and language_of(answer) == "en"


def is_english_in_lowercase(answer: str) -> bool:
    """Tell whether the answer is English and has no capital."""
    return answer.islower() and language_of(answer) == "en"
