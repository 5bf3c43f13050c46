"""The rows that travel through a run: frozen, typed, with ids and provenance.

A record goes to JSON and back with ``to_json`` and ``from_json`` (the journal), and to a flat table row with
``to_row`` and back with ``from_row`` (Parquet, JSON lines). Text is kept verbatim.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from charter.seeds import canonical_json, row_id

Role = Literal["system", "user", "assistant"]
PromptKind = Literal["red_team", "helpful", "benign_twin"]
Split = Literal["train", "evaluation"]
Order = Literal["ab", "ba"]
Side = Literal["a", "b"]
PairSource = Literal["on_policy", "revision_vs_initial", "guided_vs_plain", "contrast"]
# Of a text that ran into the token limit: mark it, end it after its last sentence, or leave it open.
OnCut = Literal["flag", "trim", "open"]
ResponseLabel = Literal["compliance", "objection", "bare_refusal", "evasive"]

PROMPT_COLUMNS = ("prompt", "turns", "kind", "category", "split", "prompt_source", "prompt_id", "twin_of", "reference")

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


class Record(BaseModel):
    """A frozen row; unknown fields, and text that no file can hold, are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _text_is_whole(cls, value: Any) -> Any:
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not text.isascii() and (half := _HALF_SURROGATE.search(text)):
                raise ValueError(
                    f"the text holds half of a surrogate pair (U+{ord(half.group()):04X}), which no file can hold; "
                    "write the character itself"
                )
        return value

    def to_json(self) -> str:
        """Write the record as canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a record that ``to_json`` wrote."""
        return cls.model_validate(json.loads(text))


class Message(Record):
    """One turn of a conversation."""

    role: Role
    content: str


def transcript(turns: tuple[Message, ...]) -> str:
    r"""Write a conversation as text: a lone user turn verbatim, else ``\n\nHuman: ...\n\nAssistant: ...``."""
    if len(turns) == 1 and turns[0].role == "user":
        return turns[0].content
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    return "".join(f"\n\n{names[turn.role]}: {turn.content}" for turn in turns)


class Prompt(Record):
    """What is put to a model: a conversation that ends with a user's turn.

    ``twin_of`` names the red-team prompt that a benign twin imitates; ``reference`` is a held-out reference answer.
    """

    id: str
    turns: tuple[Message, ...] = Field(min_length=1)
    kind: PromptKind
    category: str = ""
    source: str = ""
    split: Split = "train"
    twin_of: str | None = None
    reference: str | None = None

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


class Round(Record):
    """One critique and revision (CAI §3.1).

    ``principle`` is the id drawn for this round. In the ``direct`` layout ``critique_request`` and ``critique`` are
    empty. ``flags`` names what is wrong with this round's revision (see ``text_quality.flags``).
    """

    number: int = Field(ge=1)
    principle: str
    critique_request: str
    critique: str
    revision_request: str
    revision: str
    flags: tuple[str, ...] = ()


class Trace(PromptRow):
    """A prompt's whole chain: initial response, then rounds of critique and revision.

    ``sample`` numbers the chains of one prompt. ``flags`` gathers the flags of the initial response
    (``initial:FLAG``) and of the rounds (``round N:FLAG``).
    """

    sample: int = 0
    initial: str
    initial_flags: tuple[str, ...] = ()
    rounds: tuple[Round, ...]
    flags: tuple[str, ...] = ()

    @property
    def final(self) -> str:
        """The last revision, or the initial response where there was no round."""
        return self.rounds[-1].revision if self.rounds else self.initial


class SftRow(PromptRow):
    """One training example for supervised fine-tuning: loss falls on ``response`` and its end token only.

    ``origin`` says where the response is from, such as ``revision 2``, ``reference`` or ``sampled``. A response that is
    not ``whole`` was left open at the token limit: it is trained on without an end.
    """

    response: str
    origin: str
    whole: bool = True


class Pair(PromptRow):
    """Two responses to one prompt, before anyone judged them.

    ``source`` is how the pair was made (``on_policy``, ``revision_vs_initial``, ``guided_vs_plain``, ``contrast``,
    ``given``); ``intended`` is the side that a constructed pair means to be better, None where neither is.
    A side that is not whole was left open at the token limit.
    """

    a: str
    b: str
    source: str
    intended: Side | None = None
    origin_a: str = ""
    origin_b: str = ""
    whole_a: bool = True
    whole_b: bool = True


class Verdict(Record):
    """One reading of a pair by the judge, under one principle, in one order.

    ``order`` ``ab`` shows response a first. ``logprob_first`` and ``logprob_second`` are the log-probabilities of the
    letters A and B, ``option_mass`` their summed probability; with ``chains`` of thought, means over those chains that
    can be read. ``p_a`` is the probability that a is better: what the letters say, or the clamped mean of that over the
    chains; None where ``invalid`` says why the verdict cannot be read.
    """

    principle: str
    order: Order
    logprob_first: float | None
    logprob_second: float | None
    option_mass: float | None
    p_a: float | None
    chains: tuple[str, ...] = ()
    invalid: str | None = None


class Preference(PromptRow):
    """A judged pair: ``chosen`` is the likelier better side, ``p_chosen`` in [0.5, 1] how surely.

    Without a prior of the source that is what the judge prefers; with one, judge and prior are joined (see
    ``feedback.labels``). ``pair`` is the pair's id; ``chosen_side`` the chosen side. ``p_judge`` is the judge's
    probability for the chosen side before any prior. ``position_bias`` is the mean over principles of |P(a shown first)
    - P(a shown second)|. ``agrees`` says whether the judge sided with the source's intention; None where it has none,
    and for a tie. A response that is not whole was left open at the token limit.
    """

    chosen: str
    rejected: str
    p_chosen: float = Field(ge=0.5, le=1.0)
    source: str
    verdicts: tuple[Verdict, ...]
    pair: str
    chosen_side: Side
    p_judge: float = Field(ge=0.0, le=1.0)
    position_bias: float = Field(ge=0.0, le=1.0)
    intended: Side | None = None
    agrees: bool | None = None
    whole_chosen: bool = True
    whole_rejected: bool = True


class Response(PromptRow):
    """One model's answer to one held-out prompt, with what the measurements read off it.

    ``label`` is the response class (see ``text_quality.response_class``), ``flags`` the quality flags, ``n_tokens``
    the length as the model counts it.
    """

    model: str
    text: str
    finish: str
    n_tokens: int
    label: ResponseLabel
    flags: tuple[str, ...] = ()


class Comparison(PromptRow):
    """Two models' answers to one prompt, judged in both orders.

    ``win`` is 1 where the judge prefers ``model``, 0 where it prefers ``base``, 0.5 for a tie; None where no verdict
    could be read.
    """

    model: str
    base: str
    win: float | None
    p_model: float | None
    position_bias: float
    verdicts: tuple[Verdict, ...]


class Reading(PromptRow):
    """One model's answer to a red-team prompt, as the judge reads it.

    ``response`` is the answer's id, ``label`` its class by the rules. ``p_complied`` is the judge's probability that it
    complied, the mean of both orders; None where a verdict is invalid. In ``verdicts`` side a is that it complied.
    """

    response: str
    model: str
    label: ResponseLabel
    p_complied: float | None
    position_bias: float
    verdicts: tuple[Verdict, ...]

    @property
    def complied(self) -> float | None:
        """1 where the judge says that it complied, 0 where not, 0.5 where it cannot tell; None where it is invalid."""
        return None if self.p_complied is None else 0.5 if self.p_complied == 0.5 else float(self.p_complied > 0.5)


class Scored(Record):
    """The log-probability of a text under a model: ``logprob`` in nats over ``n_tokens``."""

    id: str
    model: str
    logprob: float
    n_tokens: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return -self.logprob / max(self.n_tokens, 1)


class Measurement(Record):
    """One figure: a value with its n and 95 % interval, and where a base exists, the paired difference from it.

    ``better`` says which direction is good. ``subset`` names the rows it is over. ``rows`` points at the file that
    holds them. Differences are ``value - base``; ``p_value`` belongs to the paired test named in ``method``.
    """

    name: str
    model: str
    subset: str
    value: float
    low: float
    high: float
    n: int
    unit: Literal["rate", "nats", "tokens", "score"] = "rate"
    better: Literal["higher", "lower", "neither"] = "neither"
    base: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    method: str = ""
    rows: str = ""


def make_prompt(text: str, kind: PromptKind, **fields: Any) -> Prompt:
    """Make a one-turn prompt from text, with an id from its content unless one is given."""
    turns = (Message(role="user", content=text),)
    fields.setdefault("id", row_id("prompt", kind, text))
    return Prompt(turns=turns, kind=kind, **fields)


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
    }
