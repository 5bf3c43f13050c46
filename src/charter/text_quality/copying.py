"""Examples that are copied: a small model opens its revision as a worked example does, and speaks of its subject."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile

from charter.text_quality.sentences import plain, stems, words

_OPENING = 6  # words: "I will not write a review" is an example's; "I will not write a" is everybody's


def copies_example(prompt: str, text: str, examples: Iterable[str]) -> bool:
    """Say whether a text opens with an example's words, some of which have nothing to do with the prompt.

    Args:
        prompt: what was asked.
        text: the revision.
        examples: the revisions of the worked examples that the model was shown.
    """
    own = words(plain(text))
    for example in examples:
        pairs = zip(own, _words_of(example), strict=False)
        shared = [word for word, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        if len(shared) >= _OPENING and stems(" ".join(shared)) - stems(prompt):
            return True
    return False


@lru_cache(maxsize=64)
def _words_of(example: str) -> tuple[str, ...]:
    """Read an example once: every row is held against the same few."""
    return words(plain(example))
