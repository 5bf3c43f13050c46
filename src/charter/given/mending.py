"""Prompts that are not what was put to the model: a label before them, or an instruction of the method in their place.

Files that a model wrote and nobody looked through have rows whose prompt reads ``Red team prompt: '...'``, or that hold
the request for a critique where the prompt should be. A file of prompts with the same keys tells what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from charter.given.loaded import RejectedRowError
from charter.given.principles import split_key
from charter.given.reading import GivenRow, read_file
from charter.prompts.artefacts import INSTRUCTION, LABEL_TAKEN_OFF, is_instruction, plain, without_label

FROM_COMPANION = "prompt taken from the file of prompts"
DIFFERS = "prompt is not that of its key in the file of prompts"
_PROMPT_COLUMNS = ("adversarial_prompt", "prompt", "initial_prompt")


@dataclass(frozen=True)
class Companion:
    """The prompts that a file beside the traces gives: by key, and all of a principle's by its position."""

    by_key: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, key: str) -> tuple[str, ...]:
        """Give the prompts that a row with this key can have."""
        return self.by_key.get(key, ())


def read_companion(source: str | Path) -> Companion:
    """Read the prompts of a red-team or preference file, by key: those of key 0 as those of 0_0, 0_1, ... too.

    Prompts of ours have the key that they came with as their ``source_id``; a number alone may be anything.

    Raises:
        PromptError: where the file cannot be read.
    """
    found: dict[str, list[str]] = {}
    for row in read_file(source).rows:
        prompt = next((text for name in _PROMPT_COLUMNS if isinstance(text := row.values.get(name), str)), "")
        positions = split_key(row.key) or _kept_key(row)
        if prompt and positions is not None:
            principle, number = positions
            found.setdefault(f"{principle}", []).append(prompt)
            found.setdefault(f"{principle}_{row.number if number is None else number}", []).append(prompt)
    return Companion({key: tuple(dict.fromkeys(prompts)) for key, prompts in found.items()})


def _kept_key(row: GivenRow) -> tuple[int, int | None] | None:
    kept = row.values.get("source_id")
    positions = split_key(kept) if isinstance(kept, str) and not row.key else None
    return positions if positions is not None and positions[1] is not None else None


def mend_prompt(text: str, key: str, companion: Companion) -> tuple[str, str]:
    """Give the prompt that a row was made with, and what was done to get it; nothing where it is fine.

    With a companion the prompt of the same key is taken where the row's holds it, or holds an instruction. Without one
    a label is taken off. A prompt that only differs is kept, and doubted (``DIFFERS``).

    Raises:
        RejectedRowError: for an instruction, where no companion says what the prompt was.
    """
    there = companion.find(key)
    if text in there:
        return text, ""
    meant = _meant(text, there)
    if meant is not None:
        return meant, FROM_COMPANION
    if is_instruction(text):
        raise RejectedRowError(INSTRUCTION)
    bare = without_label(text)
    if bare is not None:
        return bare, LABEL_TAKEN_OFF
    return text, DIFFERS if there else ""


def _meant(text: str, prompts: Sequence[str]) -> str | None:
    """Find the prompt that a text holds between other words, or that alone it can stand for."""
    whole = plain(text)
    held = [prompt for prompt in prompts if plain(prompt) in whole]
    if held:
        return max(held, key=len)
    return prompts[0] if len(prompts) == 1 and is_instruction(text) else None
