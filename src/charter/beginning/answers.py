"""What somebody answered who begins a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from charter.constitution import Constitution, load_constitution
from charter.prompts import LoadedPrompts, load_prompts
from charter.records import BUILT_IN

#: The constitution of somebody who brings principles alone.
BLANK = "blank"


@dataclass(frozen=True)
class Answers:
    """What a recipe is begun from.

    ``constitution`` is a built-in name, a path or ``blank``; ``n_principles`` are to be written besides, or alone.
    ``prompts`` is ``built-in`` or a file; ``column`` is None where it is to be recognised. Paths hold from where the
    process stands.
    """

    name: str
    model: str
    constitution: str
    n_principles: int
    prompts: str
    column: str | None
    size: str

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Self:
        """Make answers of the text that was given for each question, which is sound by itself."""
        return cls(
            name=texts["name"],
            model=texts["model"],
            constitution=texts["constitution"],
            n_principles=int(texts["principles"]),
            prompts=texts["prompts"],
            column=texts["prompt_column"] or None,
            size=texts["size"],
        )

    @property
    def has_own_prompts(self) -> bool:
        """Whether the prompts are a file's."""
        return self.prompts != BUILT_IN

    def base(self) -> Constitution | None:
        """Read the constitution that is taken, or built on; None where there is none.

        Raises:
            ConstitutionError: where it cannot be read.
        """
        return None if self.constitution == BLANK else load_constitution(self.constitution)

    def red_team(self) -> LoadedPrompts:
        """Read the prompts that press on the principles.

        Raises:
            PromptError: where they cannot be read.
        """
        return load_prompts(self.prompts, "red_team", column=self.column)
