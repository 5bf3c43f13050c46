"""Words: which of a text's carry its meaning, and how much of it two texts share. Pure.

The lists know English; in another language every word counts.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

_MAX_READ = 4000
_MAX_QUOTED = 300
_TO_DO = re.compile(r"\s*(?:TODO|TBD|FIXME)\b")
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")


def words_of(text: str) -> list[str]:
    """Take a text's words, in order, in lower case."""
    return _WORD.findall(text.casefold())


#: Words that hold a sentence together, and those that principles and requests are put together from.
FUNCTION_WORDS = frozenset(
    words_of(
        """
    a about above after again against all also always am an and any anyone anything are as at be because been before
    being below between both but by can could did do does doing down during each either else every everyone everything
    few for from further had has have having he her here hers him his how i if in into is it its itself just may me
    might more most must my never no nor not of off on once one only or other our ours out over own per same shall she
    should so some someone something such than that the their theirs them themselves then there these they this those
    through to too toward towards under until up upon us very was we were what when where whether which while who whom
    whose why will with within without would you your yours
    ai answer answers assistant assistants chatbot fine give gives keep last model otherwise replies reply respond
    responds response responses rewrite say says
    """
    )
)


def is_unwritten(text: str) -> bool:
    """Tell whether a text only holds a place for one that somebody is to write."""
    return _TO_DO.match(text) is not None


def find(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Search the beginning of a text: a pattern that looks far ahead takes hours on a text of a million words."""
    return pattern.search(text[:_MAX_READ])


def quoted(text: str) -> str:
    """Quote a text, cut where it is long."""
    return f'"{text}"' if len(text) <= _MAX_QUOTED else f'"{text[: _MAX_QUOTED - 3]}..."'


def content_words(text: str) -> frozenset[str]:
    """Take the words that carry a text's meaning; all of them where there is no other."""
    words = frozenset(words_of(text))
    return words - FUNCTION_WORDS or words


def most_alike(sets: Sequence[Collection[str]], least: float) -> Iterator[tuple[int, int, float]]:
    """Find for each set the earlier one that it shares most with, if that is enough.

    Sets that share ``least`` of their words must share one of their rarest; only those are compared (the prefix filter
    of Bayardo, Ma and Srikant 2007), so that ten thousand principles take no hundred million comparisons.

    Args:
        sets: of words; empty ones are like none.
        least: the share of the words of both that both have, above 0.

    Returns:
        The place of the earlier set, that of the later one, and what they share.
    """
    frequency = Counter(word for words in sets for word in words)
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for place, words in enumerate(sets):
        rarest = sorted(words, key=lambda word: (frequency[word], word))
        rarest = rarest[: len(rarest) - math.ceil(least * len(rarest)) + 1]
        candidates = sorted({earlier for word in rarest for earlier in seen[word]})
        found = max(((shared(sets[earlier], words), -earlier) for earlier in candidates), default=(0.0, 0))
        if words and found[0] >= least:
            yield -found[1], place, found[0]
        for word in rarest:
            seen[word].append(place)


def shared(first: Collection[str], second: Collection[str]) -> float:
    """Give the share of the words of both that both have; 0 where there are none."""
    one, other = set(first), set(second)
    return len(one & other) / len(one | other) if one or other else 0.0
