"""What every section of a recipe is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from charter.records import OnCut

#: Names of environment variables as keys have them: capitals alone, which a pasted key hardly ever is.
KEY_NAME = r"^[A-Z_][A-Z0-9_]*$"
#: Names of runs, which are names of folders: with room below what a file system allows.
RUN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
#: The same in words.
RUN_NAME_IN_WORDS = (
    "a letter or digit, then letters, digits, '.', '_' and '-' alone, a hundred of them at most: it names a folder"
)
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


@dataclass(frozen=True)
class ShortFor:
    """Lets a plain value stand for a section with one key set, where one is read and in the JSON schema.

    Args:
        key: the key.
        kind: what the plain value is.
    """

    key: str
    kind: type[str | int] = str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._section, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        section = handler(core)
        key = handler.resolve_ref_schema(section)["properties"][self.key]
        bounds = {name: key[name] for name in ("minLength", "minimum") if name in key}
        plain = {
            "type": "string" if self.kind is str else "integer",
            **bounds,
            "description": f"Short for `{self.key}`",
        }
        return {"anyOf": [plain, section]}

    def _section(self, value: Any) -> Any:
        is_short = isinstance(value, self.kind) and not isinstance(value, bool)  # true is no number
        return {self.key: value} if is_short else value


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """List the sections that a type holds, itself or what it wraps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in getattr(annotation, "__args__", ()) for section in sections_in(part)]
