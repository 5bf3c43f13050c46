"""What every section of a recipe is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from charter.records import OnCut

#: Names of environment variables as keys have them: capitals alone, which a pasted key hardly ever is.
KEY_NAME = r"^[A-Z_][A-Z0-9_]*$"
#: How many iterations a recipe may ask for.
MOST_ITERATIONS = 99
Cell = str | int | float | bool  # what a row is chosen by
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Bound = Annotated[float, Field(ge=0.0)]
Stage = Literal["prompts", "revise", "sft", "pairs", "label", "preference_model", "dpo", "rl", "evaluate", "report"]
Cutting = Annotated[
    OnCut,
    Field(
        description="a text cut at the token limit is flagged and not trained on ('flag'), ends after its last "
        "sentence ('trim'), or is trained on without an end ('open')"
    ),
]
# Behind a short form a section is no JSON any more, and strict models take no list for a tuple.
LIST_TO_TUPLE = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class Settings(BaseModel):
    """A section of a recipe: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def from_name(key: str) -> BeforeValidator:
    """Let a plain string stand for a section with one key set."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)
