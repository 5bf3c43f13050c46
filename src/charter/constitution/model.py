"""What a constitution is: principles, system texts and few-shot examples."""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from charter.records import Message, Record

FewShotChoice = Literal["all", "changed"]
Use = Literal["revise", "judge"]

_SEMANTIC_VERSION = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"


class Principle(Record):
    """One principle, with the three requests that put it to a model.

    ``id`` is stable and travels on every row. ``text`` states the principle; ``critique_request`` asks to criticise a
    response by it, ``revision_request`` to rewrite the response by it, ``choice_question`` to choose between two.
    ``uses`` says what it is drawn for: one that was written as a comparison alone is not asked to criticise by.

    ``source``, ``licence`` and ``source_id`` say where it is from, on what terms, and its name there; ``language`` is
    given where it is not the constitution's; ``base`` names the constitution that it was taken over from, if one was
    extended; ``metadata`` keeps whatever else a foreign file says of it.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    text: str = Field(min_length=1)
    critique_request: str = Field(min_length=1)
    revision_request: str = Field(min_length=1)
    choice_question: str = Field(min_length=1)
    title: str = ""
    category: str = ""
    weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    uses: tuple[Use, ...] = Field(default=("revise", "judge"), min_length=1)
    language: str = ""
    source: str = ""
    licence: str = ""
    source_id: str = ""
    base: str = ""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class ReviseExample(Record):
    """A worked critique and revision, shown to the critic and reviser before the real one (CAI §3.1).

    ``messages`` is the conversation up to and including the response that is criticised.
    """

    messages: tuple[Message, ...] = Field(min_length=2)
    critique_request: str
    critique: str
    revision_request: str
    revision: str

    @property
    def changed(self) -> bool:
        """Whether the revision differs from the response that it revises."""
        return self.revision != self.messages[-1].content


class JudgeExample(Record):
    """A worked choice: the conversation, two responses, optional reasoning, and the letter of the better one."""

    messages: tuple[Message, ...] = Field(min_length=1)
    question: str = ""
    a: str
    b: str
    reasoning: str = ""
    answer: str = Field(pattern="^[AB]$")


class FewShots(Record):
    """The examples of a constitution, by use."""

    revise: tuple[ReviseExample, ...] = ()
    judge: tuple[JudgeExample, ...] = ()

    def choose(self, which: FewShotChoice, n: int | None = None) -> tuple[ReviseExample, ...]:
        """Choose the first ``n`` revise examples: of all, or of those whose revision changed the response.

        Small models echo that "the response is fine" once an example says so; for prompts that are all harmful, the
        examples that change something serve them better.
        """
        return tuple(example for example in self.revise if which == "all" or example.changed)[:n]


class SystemTexts(Record):
    """System messages by role; empty means none. ``respond`` also carries the constitution in guided sampling."""

    respond: str = ""
    critique: str = ""
    revise: str = ""
    judge: str = ""


class Constitution(Record):
    """A written constitution: what a model is to follow.

    ``version`` is semantic (https://semver.org). ``bases`` names the constitutions that it extends, with their
    versions: what they give is among its principles already. ``metadata`` keeps whatever else a foreign file says.
    """

    name: str = Field(min_length=1)
    version: str = Field(default="0.1.0", pattern=_SEMANTIC_VERSION)
    description: str = ""
    language: str = "en"
    licence: str = ""
    bases: tuple[str, ...] = ()
    system: SystemTexts = SystemTexts()
    principles: tuple[Principle, ...] = Field(min_length=1)
    few_shots: FewShots = FewShots()
    metadata: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        repeated = sorted(name for name, n in Counter(self.ids).items() if n > 1)
        if repeated:
            raise ValueError(f"principle ids are used more than once: {', '.join(repeated)}")
        return self

    def principle(self, principle_id: str) -> Principle:
        """Find a principle by id; KeyError if there is none."""
        for principle in self.principles:
            if principle.id == principle_id:
                return principle
        raise KeyError(principle_id)

    @property
    def ids(self) -> tuple[str, ...]:
        """The principles' ids, in order."""
        return tuple(p.id for p in self.principles)

    def used_for(self, use: Use) -> tuple[Principle, ...]:
        """Give the principles that are drawn for a use, in order."""
        return tuple(principle for principle in self.principles if use in principle.uses)
