"""Near-duplicates: texts that say nearly the same, by the share of short pieces that they have in common.

A text is taken for its *shingles*: all runs of five characters of its normalised form (``normalise_text``), which has
one space put before and after it. Two texts resemble each other as much as their sets of shingles overlap (Jaccard:
shared by either). Characters serve every script, also those without spaces between words, and leave short texts
something to compare; a text of fewer than five characters is one shingle and resembles its equals alone.

MinHash with banding (datasketch) finds candidates without comparing all pairs, and each candidate is then compared in
full. What is reported does therefore reach the threshold; a pair right at it is missed once in a thousand
(``bands_for``), one above it less often still.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from charter.errors import PromptError
from charter.prompts.grouping import normalise_text
from charter.records import Prompt

#: Of 60 characters one word may differ, of 200 about three.
DEFAULT_THRESHOLD = 0.7
LOWEST_THRESHOLD = 0.1

_LENGTH = 5  # of a shingle, in characters
_MISSED = 1e-3  # of the pairs right at the threshold
_MOST_HASHES = 256
_SEED = 1
_AT_ONCE = 4096  # shingles hashed at a time, so that a text of megabytes needs no gigabytes


@dataclass(frozen=True)
class Resemblance:
    """A text that resembles another: their places, and how much they have in common (0 to 1)."""

    index: int
    other: int
    in_against: bool
    similarity: float


@dataclass(frozen=True)
class NearDuplicates:
    """What of some texts is kept, and what is dropped and for which other text; places in ascending order."""

    kept: tuple[int, ...]
    dropped: tuple[Resemblance, ...]
    threshold: float


def find_near_duplicates(
    texts: Sequence[str],
    *,
    against: Sequence[str] = (),
    threshold: float = DEFAULT_THRESHOLD,
    within: bool = True,
) -> NearDuplicates:
    """Drop each text that resembles one of ``against`` or an earlier one that is kept.

    So no two of those that are kept resemble each other, and each that is dropped resembles one that is not.

    Args:
        texts: in order of preference: the first of its like is kept.
        against: texts that none of those that are kept may resemble.
        threshold: the least similarity that counts, 0.1 to 1; 1 finds texts of the same shingles.
        within: False compares the texts with ``against`` alone.

    Returns:
        For each dropped text its nearest other; of equally near ones that of ``against``, and the first.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    index = _Index(threshold)
    for other in against:
        index.add(other)
    kept: list[int] = []
    places: list[int] = []  # of what is in the index behind ``against``
    dropped: list[Resemblance] = []
    for place, text in enumerate(texts):
        found = index.nearest(text)
        if found is None:
            kept.append(place)
            if within:
                index.add(text)
                places.append(place)
            continue
        number, similarity = found
        in_against = number < len(against)
        other_place = number if in_against else places[number - len(against)]
        dropped.append(Resemblance(place, other_place, in_against, similarity))
    return NearDuplicates(tuple(kept), tuple(dropped), threshold)


def link_near_duplicates(texts: Sequence[str], *, threshold: float = DEFAULT_THRESHOLD) -> list[Resemblance]:
    """Link the texts that hang together, each with one or more earlier ones.

    The links join the same texts as those of all pairs would: a pair whose texts hang together by other links need
    not have one of its own. So a large set of texts that are all alike costs no more than one of texts that differ.

    Returns:
        Links from a text to an earlier one (``other``), in the order that they were found.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    index = _Index(threshold)
    first: dict[str, int] = {}
    links: list[Resemblance] = []
    for place, text in enumerate(map(normalise_text, texts)):
        if (other := first.setdefault(text, place)) != place:
            links.append(Resemblance(place, other, in_against=False, similarity=1.0))
    places = list(first.values())
    for text in first:
        index.add(text)
    links.extend(
        Resemblance(places[later], places[earlier], in_against=False, similarity=similarity)
        for earlier, later, similarity in index.links()
    )
    return links


def group_near_duplicates(texts: Sequence[str], *, threshold: float = DEFAULT_THRESHOLD) -> list[int]:
    """Name each text's group by the place of its first member; links lead from each member to all others.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    groups = _Groups(len(texts))
    for link in link_near_duplicates(texts, threshold=threshold):
        groups.join(link.index, link.other)
    return [groups.first_of(place) for place in range(len(texts))]


def near_links(prompts: Sequence[Prompt], threshold: float | None) -> list[tuple[Prompt, Prompt]]:
    """Pair prompts whose texts resemble each other, as ``join_groups`` takes them; none where there is no threshold.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    if threshold is None:
        return []
    links = link_near_duplicates([prompt.text for prompt in prompts], threshold=threshold)
    return [(prompts[link.index], prompts[link.other]) for link in links]


def shingles(text: str) -> frozenset[str]:
    """Give a text's shingles: every five characters in a row of its normalised form with a space at either end."""
    return frozenset(_runs(normalise_text(text)))


def similarity_of(one: str, other: str) -> float:
    """Say what share of two texts' shingles is common to both, 0 to 1."""
    return _jaccard(shingles(one), shingles(other))


def bands_for(threshold: float) -> tuple[int, int]:
    """Choose how many bands of how many hashes find pairs at a threshold.

    A pair of similarity ``s`` is found with probability ``1 - (1 - s**rows)**bands``. The longest rows, which bring the
    fewest candidates in vain, are taken of those with which no more than one pair in a thousand is missed at the
    threshold, by 256 hashes at the most.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    if not LOWEST_THRESHOLD <= threshold <= 1:
        raise PromptError(
            f"the threshold of near-duplicates is {threshold}; expected {LOWEST_THRESHOLD} to 1 "
            f"({DEFAULT_THRESHOLD} finds texts that differ by a word or two)"
        )
    if threshold == 1:
        return 2, _MOST_HASHES // 2
    fitting = (
        (bands, rows)
        for rows in range(_MOST_HASHES // 2, 0, -1)
        if (bands := max(2, math.ceil(math.log(_MISSED) / math.log1p(-(threshold**rows))))) * rows <= _MOST_HASHES
    )
    return next(fitting)


class _Index:
    """Texts by number, found again by what resembles them."""

    def __init__(self, threshold: float) -> None:
        bands, rows = bands_for(threshold)
        from datasketch import MinHash, MinHashLSH  # loads scipy: not when charter is imported

        self._threshold = threshold
        # MinHash mixes what it is given: a checksum serves, in a third of the time of its own SHA-1.
        self._empty = MinHash(num_perm=bands * rows, seed=_SEED, hashfunc=zlib.crc32)
        self._table = MinHashLSH(params=(bands, rows), num_perm=bands * rows)
        self._texts: list[str] = []
        self._first: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Add a text under the next number; one that is there already under both is found under its first."""
        text = normalise_text(text)
        number = len(self._texts)
        self._texts.append(text)
        if self._first.setdefault(text, number) == number:
            self._table.insert(number, self._sketch(text), check_duplication=False)

    def nearest(self, text: str) -> tuple[int, float] | None:
        """Find the text that resembles one most, the first of equals; None where none reaches the threshold."""
        text = normalise_text(text)
        if (same := self._first.get(text)) is not None:
            return same, 1.0
        own = frozenset(_runs(text))
        found = [(number, self._similarity(own, number)) for number in self._table.query(self._sketch(text))]
        near = [(number, similarity) for number, similarity in found if similarity >= self._threshold]
        return min(near, key=lambda pair: (-pair[1], pair[0]), default=None)

    def links(self) -> Iterator[tuple[int, int, float]]:
        """Find pairs (earlier, later, similarity) that join all that hang together; each bucket is walked once."""
        groups = _Groups(len(self._texts))
        for table in self._table.hashtables:
            for key in table.keys():  # noqa: SIM118 - datasketch's storage is no mapping
                members = sorted(table.get(key))
                yield from self._link(members, groups)

    def _link(self, members: Sequence[int], groups: _Groups) -> Iterator[tuple[int, int, float]]:
        """Compare each member of a bucket with those before it that are of another group."""
        met: list[list[int]] = []  # members met so far, those of one group together
        for later in members:
            own = frozenset(_runs(self._texts[later]))
            joined, apart = [later], []
            for mates in met:
                if not groups.are_joined(later, mates[0]):
                    found = ((earlier, self._similarity(own, earlier)) for earlier in mates)
                    near = next((pair for pair in found if pair[1] >= self._threshold), None)
                    if near is None:
                        apart.append(mates)
                        continue
                    groups.join(near[0], later)
                    yield near[0], later, near[1]
                joined.extend(mates)
            met = [joined, *apart]

    def _similarity(self, own: frozenset[str], number: int) -> float:
        return _jaccard(own, frozenset(_runs(self._texts[number])))

    def _sketch(self, text: str) -> Any:
        sketch = self._empty.copy()
        pieces = iter({run.encode("utf-8", "surrogatepass") for run in _runs(text)})
        while batch := list(islice(pieces, _AT_ONCE)):
            sketch.update_batch(batch)
        return sketch


class _Groups:
    """Numbers from 0 up, joined into groups."""

    def __init__(self, n: int) -> None:
        self._parents = list(range(n))

    def first_of(self, member: int) -> int:
        """Name a member's group: its lowest member."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = member = parents[parents[member]]  # halving the way keeps later ones short
        return member

    def are_joined(self, one: int, other: int) -> bool:
        """Say whether two are of one group."""
        return self.first_of(one) == self.first_of(other)

    def join(self, one: int, other: int) -> None:
        """Make two groups one."""
        first, last = sorted((self.first_of(one), self.first_of(other)))
        self._parents[last] = first


def _runs(normalised: str) -> Iterable[str]:
    padded = f" {normalised} "
    return (padded[start : start + _LENGTH] for start in range(max(1, len(padded) - _LENGTH + 1)))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    n_shared = len(one & other)
    return n_shared / (len(one) + len(other) - n_shared)
