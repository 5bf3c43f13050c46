"""What is put to a model: turns and prompts; and rows about one prompt, which carry it in their columns."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from charter.errors import PromptError
from charter.records.base import Record
from charter.seeds import row_id

Role = Literal["system", "user", "assistant"]
PromptKind = Literal["red_team", "helpful", "benign_twin"]
#: Of these a judge can say whose answer keeps to the principles better.
Contested = Literal["red_team", "helpful"]
Split = Literal["train", "evaluation"]
#: How a file of prompts holds them (see ``prompts.layouts``).
PromptLayout = Literal[
    "native",
    "red_team_json",
    "traits",
    "self_instruct",
    "xstest",
    "ailuminate",
    "behaviours",
    "pairs",
    "messages",
    "transcripts",
    "rows",
]

#: Where prompts come from, if from no file: they come with Charter, or the run writes them.
BUILT_IN, GENERATED = "built-in", "generated"

PROMPT_COLUMNS = (
    "prompt",
    "turns",
    "kind",
    "category",
    "split",
    "prompt_source",
    "prompt_id",
    "twin_of",
    "reference",
    "principle",
    "setting",
    "source_id",
)


class Message(Record):
    """One turn of a conversation."""

    role: Role = Field(description="Who speaks")
    content: str = Field(description="What is said, verbatim")


def transcript(turns: tuple[Message, ...]) -> str:
    r"""Write a conversation as text: a lone user turn verbatim, else ``\n\nHuman: ...\n\nAssistant: ...``."""
    if len(turns) == 1 and turns[0].role == "user":
        return turns[0].content
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    return "".join(f"\n\n{names[turn.role]}: {turn.content}" for turn in turns)


class Prompt(Record):
    """What is put to a model: a conversation that ends with a user's turn.

    ``twin_of`` names the red-team prompt that a benign twin imitates; ``reference`` is a held-out reference answer.
    ``principle`` is the id of the principle that it was written to press on, ``setting`` where it is set, where it says
    so; ``source_id`` is its name in the file that it was read from, where that is not its id.
    """

    id: str
    turns: tuple[Message, ...] = Field(min_length=1)
    kind: PromptKind
    category: str = ""
    source: str = ""
    split: Split = "train"
    twin_of: str | None = None
    reference: str | None = None
    principle: str = ""
    setting: str = ""
    source_id: str = ""

    @property
    def text(self) -> str:
        """The conversation as one string (see ``transcript``)."""
        return transcript(self.turns)

    def to_row(self) -> dict[str, Any]:
        """Flatten into a table row."""
        return {"id": self.id, **_prompt_columns(self)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Read a row that ``to_row`` wrote."""
        return cls.model_validate(_prompt_fields(row))


class PromptRow(Record):
    """A record about one prompt: its table row carries the prompt's columns beside its own."""

    id: str
    prompt: Prompt

    def to_row(self) -> dict[str, Any]:
        """Flatten into a table row: the prompt's columns, then this record's own."""
        own = self.model_dump(mode="json", exclude={"prompt"})
        return {"id": own.pop("id"), **_prompt_columns(self.prompt), **own}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Read a row that ``to_row`` wrote."""
        own = {key: value for key, value in row.items() if key not in PROMPT_COLUMNS}
        return cls.model_validate({**own, "prompt": _prompt_fields(row)})


def make_prompt(text: str, kind: PromptKind, **fields: Any) -> Prompt:
    """Make a one-turn prompt from text, with an id from its content unless one is given.

    Raises:
        PromptError: for an unknown kind or field, and for values of the wrong type.
    """
    try:
        turns = (Message(role="user", content=text),)
        return Prompt(turns=turns, kind=kind, **{"id": row_id("prompt", kind, text), **fields})
    except (ValidationError, TypeError) as error:
        raise PromptError(f"no prompt can be made of these values: {_faults(error)}") from error


def _faults(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):  # from the hash of what is no text
        return str(error)
    return "; ".join(_fault(fault["loc"], fault["type"], fault["msg"], fault["input"]) for fault in error.errors())


def _fault(place: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    name = ".".join(map(str, place))
    if kind == "extra_forbidden":
        return f"there is no field {name!r}; there are {', '.join(Prompt.model_fields)}"
    expected = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name} is {value!r}; expected {expected}"


def _prompt_columns(prompt: Prompt) -> dict[str, Any]:
    return {
        "prompt": prompt.text,
        "turns": [turn.model_dump() for turn in prompt.turns],
        "kind": prompt.kind,
        "category": prompt.category,
        "split": prompt.split,
        "prompt_source": prompt.source,
        "prompt_id": prompt.id,
        "twin_of": prompt.twin_of,
        "reference": prompt.reference,
        "principle": prompt.principle,
        "setting": prompt.setting,
        "source_id": prompt.source_id,
    }


def _prompt_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["prompt_id"],
        "turns": row["turns"],
        "kind": row["kind"],
        "category": row["category"],
        "source": row["prompt_source"],
        "split": row["split"],
        "twin_of": row["twin_of"],
        "reference": row["reference"],
        "principle": row["principle"],
        "setting": row["setting"],
        "source_id": row["source_id"],
    }
