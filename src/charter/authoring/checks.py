"""What makes a whole row no use all the same: a copied example, a loop, two fields that say the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from charter.authoring.answers import TextField
from charter.prompts.grouping import normalise_text
from charter.text_quality.repetition import is_repetitive

COPIED, TOLD_BACK = "an example, copied", "the request, copied"

_MIN_WORDS = 3
_MIN_COPIED = 8  # words: a shorter answer, such as "I cannot help with that", is everybody's


def shown_prompts(prompts: Iterable[str]) -> frozenset[str]:
    """Normalise the prompts of worked examples, for ``row_fault``."""
    return frozenset(map(normalise_text, prompts))


def row_fault(row: Mapping[str, str], shown: frozenset[str], fields: Sequence[TextField]) -> str | None:
    """Say why a row is no use, if it is none.

    Args:
        row: its fields, of which ``prompt`` is one.
        shown: the prompts of the worked examples (see ``shown_prompts``).
        fields: what the model was told of each field, which small models give back.
    """
    texts = {name: normalise_text(text) for name, text in row.items()}
    prompt = texts["prompt"]
    if prompt in shown:
        return COPIED
    if _is_told_back(texts, fields):
        return TOLD_BACK
    if len(row["prompt"].split()) < _MIN_WORDS and row["prompt"].isascii():  # scripts without spaces have long words
        return "a prompt of one or two words"
    return _idle(row, texts)


def reply_fault(row: Mapping[str, str], samples: str, fields: Sequence[TextField]) -> str | None:
    """Say why what was written about a prompt is no use, if it is none.

    Args:
        row: its fields.
        samples: the worked examples as the model was shown them, normalised.
        fields: what the model was told of each field.
    """
    texts = {name: normalise_text(text) for name, text in row.items()}
    if any(text in samples for text in texts.values() if len(text.split()) >= _MIN_COPIED):
        return COPIED
    return TOLD_BACK if _is_told_back(texts, fields) else _idle(row, texts)


def _is_told_back(texts: Mapping[str, str], fields: Sequence[TextField]) -> bool:
    return any(normalise_text(one.about) in texts[one.name] for one in fields)


def _idle(row: Mapping[str, str], texts: Mapping[str, str]) -> str | None:
    if len(set(texts.values())) < len(texts):
        return "two fields that say the same"
    return "a text that goes round in circles" if any(map(is_repetitive, row.values())) else None
