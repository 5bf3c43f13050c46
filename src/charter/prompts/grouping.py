"""Groups of prompts that must not be torn apart.

A prompt, its twins, whatever asks the same in another dress, and conversations that open with the same words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from charter.records import Prompt

_SAYS_ENOUGH = 13  # characters: "good morning" and "what are you" open many conversations that share nothing else
_APOSTROPHES = "'`\u2018\u2019\u02bc"  # "don't" and "dont" are one word


class _Spoken(dict[int, str | None]):
    """What ``str.translate`` makes of each character: found out once, because millions are asked about."""

    def __missing__(self, number: int) -> str | None:
        character = chr(number)
        category = unicodedata.category(character)
        # A soft hyphen or a zero-width joint (Cf) stands inside a word.
        is_silent = character in _APOSTROPHES or category == "Cf"
        self[number] = None if is_silent else " " if category[0] in "PZC" else character
        return self[number]


_SPOKEN = _Spoken()


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
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_SPOKEN).split()) or text


def opening_of(prompt: Prompt) -> str:
    """Give what a conversation opens with: its first user turns, normalised, up to one with which they say enough.

    A greeting says too little: the turns after it count too. The opening of a conversation of one turn is its text.
    Where all turns of a user together say too little, the whole conversation is its opening.
    """
    said: list[str] = []
    for turn in prompt.turns:
        if turn.role == "user":
            said.append(normalise_text(turn.content))
            if _says_enough(" ".join(said)):
                return "\n".join(said)
    return normalise_text(prompt.text)


def _says_enough(text: str) -> bool:
    """Count characters; one of Chinese, Japanese or Korean says as much as three."""
    n_wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text[:_SAYS_ENOUGH])
    return len(text) + 2 * n_wide >= _SAYS_ENOUGH


def join_groups(prompts: Iterable[Prompt], links: Iterable[tuple[Prompt, Prompt]] = ()) -> dict[str, str]:
    """Find the groups of some prompts, of every kind together.

    Prompts are of one group where one imitates the other, where their normalised texts are equal, or where they are
    conversations with the same opening (``opening_of``); and so are all that hang together by such links.

    Args:
        prompts: of every kind.
        links: pairs of these prompts that belong together besides (see ``near_duplicates.near_links``).

    Returns:
        From ``group_of`` each prompt to its group's name: the first of its members' in alphabetical order, so that
        neither the order of the prompts nor any other group counts.
    """
    parents: dict[str, str] = {}
    first_to_say: dict[str, str] = {}
    first_to_open: dict[str, str] = {}

    def name(member: str) -> str:
        while parents[member] != member:
            parents[member] = member = parents[parents[member]]  # halving the way keeps later ones short
        return member

    def join(one: str, other: str) -> None:
        first, last = sorted((name(one), name(other)))
        parents[last] = first

    for prompt in prompts:
        own = group_of(prompt)
        parents.setdefault(own, own)
        join(own, first_to_say.setdefault(normalise_text(prompt.text), own))
        join(own, first_to_open.setdefault(opening_of(prompt), own))
    for one, other in links:
        join(group_of(one), group_of(other))
    return {member: name(member) for member in parents}


def prompt_groups(prompts: Iterable[Prompt]) -> dict[str, str]:
    """Name each prompt's group by the prompt's id (see ``join_groups``): figures over prompts resample groups whole."""
    by_id = {prompt.id: prompt for prompt in prompts}
    names = join_groups(by_id.values())
    return {prompt.id: names[group_of(prompt)] for prompt in by_id.values()}
