"""Examples that are copied: a small model opens its revision as a worked example does, and speaks of its subject."""

from __future__ import annotations

from collections.abc import Iterable
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
    own, asked = words(plain(text)), stems(prompt)
    for example in examples:
        shared = [
            mine
            for mine, _ in takewhile(lambda pair: pair[0] == pair[1], zip(own, words(plain(example)), strict=False))
        ]
        if len(shared) >= _OPENING and stems(" ".join(shared)) - asked:
            return True
    return False
