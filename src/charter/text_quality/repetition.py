"""Repetition: repeated n-grams, loops and lack of variety, in one text or over many.

Small models fall into loops; models trained on their own revisions learnt repeated endings until they collapsed (arXiv
2504.04918). The thresholds here leave lists, tables and a chorus alone; ``docs/classifier.md`` says how often they fire
on ordinary answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from charter.text_quality.sentences import split_sentences, without_code, words

_NGRAM = 4
_NGRAM_WORDS = 40  # a shorter text repeats a few words by chance
_NGRAM_SHARE = 0.5
_LOOP_TIMES = 4  # a chorus comes back three times; three in a row are a loop at once
_LOOP_SHARE = 0.3  # of the text's words
_LOOP_WORDS = 3  # a unit's length; shorter lines ("Yes.", "Total:") come back in honest texts
_CYCLE_TIMES = 4
_CYCLE_WORDS = 16  # words that a cycle at the end covers at least
_LONGEST_CYCLE = 40
_RUN_CHARACTERS = 40
_RUN_UNIT = 20  # characters, at most
_RUN_BLOCK = 10
# Without word boundaries (Chinese, "hahaha") a loop is a run of the same characters.
_RUN = re.compile(rf"([^\n]{{1,{_RUN_UNIT}}}?)\1{{9,}}")


def repeated_ngram_share(text: str, n: int = _NGRAM) -> float:
    """Measure how much of a text says the same again: ``1 - distinct n-grams / n-grams`` of words, in [0, 1).

    0.0 for a text shorter than ``n`` words. Source: the ``seq-rep-n`` of Welleck et al. 2019, arXiv 1908.04319.
    """
    grams = _ngrams(words(text), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_n(texts: Iterable[str], n: int = 2) -> float:
    """Measure the variety of many texts: distinct n-grams of words over all n-grams, in [0, 1].

    It falls as the texts grow longer or more: compare sets of one size. 0.0 where there is no n-gram. Source: Li et al.
    2016, arXiv 1510.03055.
    """
    grams = [gram for text in texts for gram in _ngrams(words(text), n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def find_loop(text: str) -> str | None:
    """Find what a text says again and again: a line, a sentence, a phrase at its end, or a run of characters.

    Returns:
        The repeated unit as one example, or None where there is no loop.
    """
    prose = without_code(text)
    return _repeated_sentence(prose) or _cycle_at_the_end(prose) or _run_of_characters(prose)


def is_repetitive(text: str) -> bool:
    """Say whether a text loops, or more than half of its four-word sequences are repeats."""
    enough = len(words(text)) >= _NGRAM_WORDS
    return find_loop(text) is not None or (enough and repeated_ngram_share(without_code(text)) > _NGRAM_SHARE)


def _ngrams(sequence: tuple[str, ...], n: int) -> list[tuple[str, ...]]:
    return [sequence[start : start + n] for start in range(len(sequence) - n + 1)]


def _repeated_sentence(text: str) -> str | None:
    said = [sentence.words for sentence in split_sentences(text) if sentence.words]
    if len(set(said)) == len(said):
        return None
    for first, *others in zip(said, said[1:], said[2:], strict=False):
        if len(first) >= _LOOP_WORDS and others == [first, first]:
            return " ".join(first)
    counts = Counter(unit for unit in said if len(unit) >= _LOOP_WORDS)
    total = sum(map(len, said))
    for unit, count in counts.most_common(1):
        if count >= _LOOP_TIMES and count * len(unit) >= _LOOP_SHARE * total:
            return " ".join(unit)
    return None


def _cycle_at_the_end(text: str) -> str | None:
    said = words(text)
    # A text cut at the token limit ends inside a word, which no longer repeats.
    return _cycle(said) or _cycle(said[:-1])


def _cycle(said: tuple[str, ...]) -> str | None:
    for period in range(1, min(_LONGEST_CYCLE, len(said) // _CYCLE_TIMES) + 1):
        unit, times = said[-period:], 1
        while said[-(times + 1) * period : -times * period] == unit:
            times += 1
        if times >= _CYCLE_TIMES and times * period >= _CYCLE_WORDS:
            return " ".join(unit)
    return None


def _run_of_characters(text: str) -> str | None:
    if not _may_hold_a_run(text):
        return None
    for run in _RUN.finditer(text):
        if len(run.group()) >= _RUN_CHARACTERS and any(sign.isalpha() for sign in run.group(1)):
            return run.group(1)
    return None


def _may_hold_a_run(text: str) -> bool:
    # Of a run's first ten characters one starts a block at a multiple of ten, and that block comes back a unit later.
    return any(
        text.find(text[start : start + _RUN_BLOCK], start + 1, start + _RUN_BLOCK + _RUN_UNIT) >= 0
        for start in range(0, len(text) - _RUN_CHARACTERS + _RUN_BLOCK, _RUN_BLOCK)
    )
