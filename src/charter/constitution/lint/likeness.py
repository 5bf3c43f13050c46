"""Rules about two principles at a time: those that say the same, and those that contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from charter.constitution.derivation import derived_fields
from charter.constitution.lint.rules import REQUESTS, Grounds, Look, Remark, Rule
from charter.constitution.lint.wording import content_words, is_unwritten, most_alike, words_of
from charter.constitution.model import Principle, Use

_NEAR_IN_TEXT = 0.5
_NEAR_IN_REQUESTS = 0.65
_COMMON = 0.5  # a word that more principles than this share tells none of them apart
_FEWEST_FOR_COMMON = 4


def _of_each_use(look: Callable[[Sequence[Principle]], Iterator[Remark]]) -> Look:
    """Look at what is drawn for the same use: a principle to revise by and one to judge by may say the same.

    Those that are still to be written say nothing yet.
    """

    def look_at_uses(grounds: Grounds) -> Iterator[Remark]:
        used = (
            tuple(one for one in grounds.constitution.used_for(use) if not is_unwritten(one.text))
            for use in get_args(Use)
        )
        groups = {tuple(one.id for one in principles): principles for principles in used}
        yield from dict.fromkeys(remark for principles in groups.values() for remark in look(principles))

    return look_at_uses


def _duplicates(principles: Sequence[Principle]) -> Iterator[Remark]:
    texts: dict[tuple[str, ...], str] = {}
    requests: dict[tuple[str, ...], str] = {}
    for one in principles:
        same_text = texts.setdefault(tuple(words_of(one.text)), one.id)
        asked = tuple(word for name in REQUESTS for word in (*words_of(getattr(one, name)), "\n"))
        same_requests = requests.setdefault(asked, one.id)
        if same_text != one.id:
            yield Remark(f'the text is that of principle "{same_text}"', principle=one.id)
        elif same_requests != one.id:
            message = f'all three requests are those of principle "{same_requests}"'
            yield Remark(message, "write requests of its own, or keep one of the two", one.id)


def _near_duplicates(principles: Sequence[Principle]) -> Iterator[Remark]:
    texts = [words_of(one.text) for one in principles]
    near = {later: (earlier, share, "text shares") for earlier, later, share in _alike(principles, ("text",))}
    for earlier, later, share in _alike(principles, REQUESTS):
        near.setdefault(later, (earlier, share, "requests share"))
    for later, (earlier, share, what) in sorted(near.items()):
        if texts[later] != texts[earlier]:
            message = f'the {what} {share:.0%} of the content words with principle "{principles[earlier].id}"'
            yield Remark(message, principle=principles[later].id)


def _alike(principles: Sequence[Principle], fields: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    words = [content_words(" ".join(_own(one, name) for name in fields)) for one in principles]
    if len(words) >= _FEWEST_FOR_COMMON:
        frequency = Counter(word for some in words for word in some)
        common = {word for word, n in frequency.items() if n > _COMMON * len(words)}
        words = [some - common for some in words]
    return most_alike(words, _NEAR_IN_TEXT if fields == ("text",) else _NEAR_IN_REQUESTS)


def _own(principle: Principle, field: str) -> str:
    """Give what a principle says in a field: of a derived request, the text that it is derived from."""
    said: str = getattr(principle, field)
    return principle.text if field in derived_fields(principle) else said


RULES = (
    Rule(
        "duplicate",
        "warning",
        "two principles with one text, or with the same three requests",
        "They are drawn as one principle of twice the weight, and their votes count twice, under two names.",
        "keep one of the two, and raise its weight if that was meant",
        _of_each_use(_duplicates),
    ),
    Rule(
        "near-duplicate",
        "warning",
        "two principles that share most of their content words",
        "What they say is drawn twice as often as the rest. More principles diversify the revisions (CAI \u00a73.4), "
        "which those that repeat each other do not.",
        "keep one of the two and raise its weight, or say how they differ",
        _of_each_use(_near_duplicates),
    ),
    Rule(
        "contradiction",
        "warning",
        "two principles that no response can follow both",
        "One is drawn at a time: the model is trained one way on one row and back on the next, and the mean of the "
        "judge's votes is near one half.",
        "say in one of the two where the other goes before it, or keep one of them",
        look=None,
        needs="model",
    ),
)
