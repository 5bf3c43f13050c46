"""Constraints on how much an answer has: words, sentences, paragraphs, keywords, letters, capitals. Pure.

A word is what ``text_quality.sentences`` takes for one: letters, digits and an apostrophe between them, so that a
hyphen parts two. A sentence ends with its sign or with its line, and has a word in it. Paragraphs are parted by a
divider of three asterisks, or by an empty line, as the constraint says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from charter.evaluation.instructions.forms import inside_ends
from charter.text_quality.sentences import split_sentences, words

AT_LEAST, LESS_THAN = "at least", "less than"
_DIVIDER = re.compile(r"(?:^|(?<=\s))\*\*\*(?=\s|$)")
_EMPTY_LINE = re.compile(r"\n[^\S\n]*\n")


def _fits(n: int, relation: str, limit: int) -> bool:
    return n >= limit if relation == AT_LEAST else n < limit


def has_keywords(answer: str, *, keywords: Sequence[str]) -> bool:
    """Tell whether every keyword is somewhere in the answer, inside a longer word too, in any case."""
    written = answer.casefold()
    return all(keyword.strip().casefold() in written for keyword in keywords)


def repeats_keyword(answer: str, *, keyword: str, relation: str, frequency: int) -> bool:
    """Tell whether a keyword is there as often as is asked for, inside longer words too, in any case."""
    return _fits(answer.casefold().count(keyword.strip().casefold()), relation, frequency)


def avoids_words(answer: str, *, forbidden_words: Sequence[str]) -> bool:
    """Tell whether none of the words is in the answer as a word of its own, in any case."""
    patterns = (rf"(?<!\w){re.escape(word.strip())}(?!\w)" for word in forbidden_words)
    return not any(re.search(pattern, answer, re.IGNORECASE) for pattern in patterns)


def repeats_letter(answer: str, *, letter: str, let_relation: str, let_frequency: int) -> bool:
    """Tell whether a letter, large or small, is there as often as is asked for."""
    return _fits(answer.casefold().count(letter.casefold()), let_relation, let_frequency)


def has_capital_words(answer: str, *, capital_relation: str, capital_frequency: int) -> bool:
    """Tell whether as many words as are asked for have capitals alone; words are parted by white space."""
    return _fits(sum(word.isupper() for word in answer.split()), capital_relation, capital_frequency)


def has_words(answer: str, *, relation: str, num_words: int) -> bool:
    """Tell whether the answer has as many words as are asked for."""
    return _fits(len(words(answer)), relation, num_words)


def has_sentences(answer: str, *, relation: str, num_sentences: int) -> bool:
    """Tell whether the answer has as many sentences as are asked for."""
    return _fits(sum(bool(one.words) for one in split_sentences(answer)), relation, num_sentences)


def has_divided_paragraphs(answer: str, *, num_paragraphs: int) -> bool:
    """Tell whether dividers (``***``) part exactly so many paragraphs; one before or behind them all does not count."""
    between = inside_ends(_DIVIDER.split(answer))
    return all(between) and len(between) == num_paragraphs


def begins_paragraph(answer: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Tell whether empty lines part exactly so many paragraphs, of which the nth begins with a word, in any case."""
    paragraphs = [part for part in _EMPTY_LINE.split(answer) if part.strip()]
    if len(paragraphs) != num_paragraphs:
        return False
    return words(paragraphs[nth_paragraph - 1])[:1] == words(first_word)[:1]
