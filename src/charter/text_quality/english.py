"""Whether a text reads as English at all: what rules for English cannot be asked about is told from what they can."""

from __future__ import annotations

import re

# Short words that English is full of, and other languages of the same letters have few of.
_COMMON = frozenset(
    {
        "about", "and", "any", "are", "be", "been", "by", "can", "could", "for", "from", "has", "have", "how", "if",
        "into", "is", "it", "make", "more", "not", "of", "or", "other", "should", "than", "that", "the", "their",
        "there", "these", "they", "this", "those", "to", "using", "what", "when", "which", "who", "will", "with",
        "would", "you", "your",
    }
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
FEW_WORDS = 8  # of fewer nobody can tell by words alone
_LONGEST_WORD = 40  # characters; what is longer is a code
_LEAST_SHARE = 0.12  # English prose has a third and more, lists a fifth


def reads_as_english(text: str) -> bool:
    """Tell English from other languages and from codes; of fewer than eight words only letters and lengths tell."""
    words = _WORD.findall(text.lower())
    if len(words) < FEW_WORDS:
        is_latin = all(word.replace("\u2019", "'").isascii() for word in words)
        return is_latin and all(len(token) <= _LONGEST_WORD for token in text.split())
    return sum(word in _COMMON for word in words) >= _LEAST_SHARE * len(words)
