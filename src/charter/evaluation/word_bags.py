"""Bags of words: what a cheap model sees of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_RARE = 2  # rows that a word must be in: of one alone nothing is learnt for another


def bags_of_words(texts: Sequence[str]) -> NDArray[np.float64]:
    """Mark which words each text has, (texts, words): those that at least two texts have, in any case."""
    bags = [set(_WORD.findall(text.casefold())) for text in texts]
    counts = Counter(word for bag in bags for word in bag)
    columns = {word: place for place, word in enumerate(sorted(word for word, n in counts.items() if n >= _RARE))}
    marks = np.zeros((len(texts), len(columns)))
    for row, bag in enumerate(bags):
        marks[row, [columns[word] for word in bag if word in columns]] = 1.0
    return marks
