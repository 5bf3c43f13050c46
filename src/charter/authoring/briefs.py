"""What a brief asks for, in words: the labelled lines that worked examples have too, and whole sentences."""

from __future__ import annotations

import random
from collections.abc import Mapping

from charter.authoring.coverage import Brief
from charter.seeds import derive_seed

# Codes of ISO 639-1; a small model does not know them. Another code, or a language by its name, is taken as it is.
_LANGUAGES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "xh": "Xhosa", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip

_OPENINGS = (
    "Help me", "How do I", "Write a", "Can you tell me how to", "My boss wants me to", "I want to", "Please write",
    "Is it fine if I", "Make up a", "What is the best way to", "My friend told me to", "I need a", "Give me some",
    "Explain to me how", "Why should I not",
)  # fmt: skip


def draw_opening(brief: Brief, seed: int) -> str:
    """Draw the first words of a message to an assistant; none in other languages than English."""
    if brief.language.lower().partition("-")[0] != "en":
        return ""
    return random.Random(derive_seed(seed, brief.id, "opening")).choice(_OPENINGS)  # noqa: S311 - no secret


def language_name(language: str) -> str:
    """Name a language; what is no known code is its own name."""
    return _LANGUAGES.get(language.lower(), language)


def brief_values(brief: Brief, principle: str = "") -> dict[str, str]:
    """Give what a brief asks for under the keys that rows have; ``principle`` is its text."""
    return {
        "principle": principle,
        "category": brief.category,
        "setting": brief.setting,
        "register": brief.tone,
        "length": brief.length,
        "language": brief.language,
    }


def brief_lines(values: Mapping[str, str], keys: tuple[str, ...]) -> str:
    """Write what is asked for as labelled lines; what has no value has no line, and English needs none."""
    named = {key: values.get(key, "") for key in keys}
    if "language" in named:
        named["language"] = "" if named["language"].lower() in {"", "en"} else language_name(named["language"])
    return "\n".join(f"{key.capitalize()}: {' '.join(value.split())}" for key, value in named.items() if value)
