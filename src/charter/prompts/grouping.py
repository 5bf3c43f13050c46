"""Groups of prompts that must not be torn apart: a prompt, its twins, and whatever asks the same in another dress."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from charter.records import Prompt

_APOSTROPHES = dict.fromkeys(map(ord, "'`\u2018\u2019\u02bc"))  # "don't" and "dont" are one word


def group_of(prompt: Prompt) -> str:
    """Name what a prompt stands for by itself: a benign twin joins the red-team prompt that it imitates.

    A red-team prompt stands for itself, also where it names its twin in turn.
    """
    return prompt.id if prompt.kind == "red_team" else prompt.twin_of or prompt.id


def normalise_text(text: str) -> str:
    """Strip a text to its words: what is left is equal where two texts differ in writing alone.

    Compatible characters are made one (full width, ligatures: NFKC), case is folded, apostrophes and invisible
    characters go, other punctuation and white space become single spaces. Accents, digits and symbols such as ``+``
    stay: they change what is said. A text of punctuation alone stays as it is.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_APOSTROPHES)
    words = "".join(map(_spoken, folded)).split()
    return " ".join(words) or text


def _spoken(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":  # a soft hyphen or a zero-width joint stands inside a word
        return ""
    return " " if category[0] in "PZC" else character


def join_groups(prompts: Iterable[Prompt]) -> dict[str, str]:
    """Find the groups of some prompts, of every kind together.

    Prompts are of one group where one imitates the other, or where their normalised texts are equal, and so are all
    that hang together by such links.

    Returns:
        From ``group_of`` each prompt to its group's name: the first of its members' in alphabetical order, so that
        neither the order of the prompts nor any other group counts.
    """
    parents: dict[str, str] = {}
    first_to_say: dict[str, str] = {}

    def name(member: str) -> str:
        while parents[member] != member:
            parents[member] = member = parents[parents[member]]  # halving the way keeps later ones short
        return member

    for prompt in prompts:
        own = group_of(prompt)
        parents.setdefault(own, own)
        first, last = sorted((name(own), name(first_to_say.setdefault(normalise_text(prompt.text), own))))
        parents[last] = first
    return {member: name(member) for member in parents}


def prompt_groups(prompts: Iterable[Prompt]) -> dict[str, str]:
    """Name each prompt's group by the prompt's id (see ``join_groups``): figures over prompts resample groups whole."""
    by_id = {prompt.id: prompt for prompt in prompts}
    names = join_groups(by_id.values())
    return {prompt.id: names[group_of(prompt)] for prompt in by_id.values()}
