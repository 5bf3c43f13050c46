"""Examples that are copied: a small model opens its revision as a worked example does, and speaks of its subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from charter.text_quality.sentences import plain, stems, words

_OPENING = 6  # words: "I will not write a review" is an example's; "I will not write a" is everybody's
_SAID = 2  # words of content behind a shape that long: "it could hurt" is as true of a brother as of a colleague


def copies_example(prompt: str, text: str, examples: Iterable[str]) -> bool:
    """Say whether a text opens with an example's words, some of which have nothing to do with the prompt.

    Words with which another example opens too ("Sorry, I will not help with that, because") are the shape that the
    examples are there to teach, and no copy; a single word of content behind them may be chance.

    Args:
        prompt: what was asked.
        text: the revision.
        examples: the revisions of the worked examples that the model was shown.
    """
    own = words(plain(text))
    shown = [_words_of(example) for example in examples]
    for example in shown:
        n_shared = _n_shared(own, example)
        if n_shared < _OPENING:
            continue
        n_shape = max((_n_shared(example, other) for other in shown if other != example), default=0)
        said = stems(" ".join(own[n_shape:n_shared]))
        n_wanted = _SAID if n_shape >= _OPENING else 1
        if len(said) >= n_wanted and said - stems(prompt):
            return True
    return False


def _n_shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the words with which both open."""
    n = min(len(one), len(other))
    return next((place for place in range(n) if one[place] != other[place]), n)


@lru_cache(maxsize=64)
def _words_of(example: str) -> tuple[str, ...]:
    """Read an example once: every row is held against the same few."""
    return words(plain(example))
