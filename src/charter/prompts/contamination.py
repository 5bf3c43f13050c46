"""What was seen elsewhere: prompts that a few-shot example shows, and near-duplicates on both sides of a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from charter.prompts.grouping import normalise_text
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD, Resemblance, find_near_duplicates
from charter.records import BUILT_IN, Prompt

_MOST_SHOWN = 80  # characters


@dataclass(frozen=True)
class Contamination:
    """A prompt that was seen elsewhere: the text that it resembles, and how much (0 to 1)."""

    prompt: Prompt
    seen: str
    similarity: float

    def __str__(self) -> str:
        """Show both texts, long ones cut, and how much they resemble each other."""
        return f"{_shown(self.prompt.text)} and {_shown(self.seen)} ({self.similarity:.0%} alike)"


def find_seen(texts: Sequence[str], seen: Sequence[str], near_duplicates: float | None = None) -> list[Resemblance]:
    """Find the texts that were seen before, each with the one that it resembles most.

    Args:
        texts: that are asked about.
        seen: the others.
        near_duplicates: the least similarity that counts; None counts texts that differ in writing alone.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    if near_duplicates is not None:
        return list(find_near_duplicates(texts, against=seen, threshold=near_duplicates, within=False).dropped)
    first: dict[str, int] = {}
    for place, text in enumerate(seen):
        first.setdefault(normalise_text(text), place)
    found = ((place, first.get(normalise_text(text))) for place, text in enumerate(texts))
    return [Resemblance(place, other, in_against=True, similarity=1.0) for place, other in found if other is not None]


def remove_contamination(
    prompts: Iterable[Prompt], contexts: Iterable[str], near_duplicates: float | None = None
) -> tuple[list[Prompt], list[Contamination]]:
    """Leave out prompts whose text a few-shot example shows, in whatever dress.

    Args:
        prompts: of a run.
        contexts: what its few-shots show.
        near_duplicates: as in ``find_seen``.

    Returns:
        The other prompts, and those that were left out.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    prompts, contexts = list(prompts), list(contexts)
    found = find_seen([prompt.text for prompt in prompts], contexts, near_duplicates)
    shown = {one.index for one in found}
    kept = [prompt for place, prompt in enumerate(prompts) if place not in shown]
    return kept, [_contamination(one, prompts, contexts) for one in found]


def find_crossing(prompts: Sequence[Prompt], threshold: float = DEFAULT_THRESHOLD) -> list[Contamination]:
    """Find training prompts that resemble one that is held out.

    The built-in prompts alone are not searched: no two of them come near the default threshold.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    if threshold >= DEFAULT_THRESHOLD and all(prompt.source == BUILT_IN for prompt in prompts):
        return []
    train = [prompt for prompt in prompts if prompt.split == "train"]
    held_out = [prompt.text for prompt in prompts if prompt.split == "evaluation"]
    found = find_seen([prompt.text for prompt in train], held_out, threshold)
    return [_contamination(one, train, held_out) for one in found]


def _contamination(found: Resemblance, prompts: Sequence[Prompt], seen: Sequence[str]) -> Contamination:
    return Contamination(prompts[found.index], seen[found.other], found.similarity)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
