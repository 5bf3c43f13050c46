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

    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Short and lasting: it travels on every row and names the principle in the report",
    )
    text: str = Field(min_length=1, description="What a reader would see in a response that follows the principle")
    critique_request: str = Field(
        min_length=1, description="Asks to criticise a response by the principle; derived from the text if left out"
    )
    revision_request: str = Field(
        min_length=1, description="Asks to rewrite a response by the principle; derived from the text if left out"
    )
    choice_question: str = Field(
        min_length=1,
        description="Asks which of two responses follows the principle better; derived from the text if left out",
    )
    title: str = Field(default="", description="What people call it")
    category: str = Field(default="", description="What it is about, in a word of yours")
    weight: float = Field(
        default=1.0, gt=0.0, allow_inf_nan=False, description="How often it is drawn, against the others"
    )
    uses: tuple[Use, ...] = Field(default=("revise", "judge"), min_length=1, description="What it is drawn for")
    language: str = Field(default="", description="Its language, where that is not the constitution's")
    source: str = Field(default="", description="Where it is from")
    licence: str = Field(default="", description="On what terms, where these are not the constitution's")
    source_id: str = Field(default="", description="Its name where it is from")
    base: str = Field(default="", description="The constitution, with its version, that it was taken over from")
    metadata: dict[str, JsonValue] = Field(default_factory=dict, description="Whatever else is to be kept of it")


class ReviseExample(Record):
    """A worked critique and revision, shown to the critic and reviser before the real one (CAI §3.1).

    ``messages`` is the conversation up to and including the response that is criticised.
    """

    messages: tuple[Message, ...] = Field(
        min_length=2, description="The conversation up to and with the response that is criticised"
    )
    critique_request: str = Field(description="Asks for the critique")
    critique: str = Field(description="What is wrong with the response, or that it is fine")
    revision_request: str = Field(description="Asks for the revision")
    revision: str = Field(description="The better response; word for word the same where it was fine")

    @property
    def changed(self) -> bool:
        """Whether the revision differs from the response that it revises."""
        return self.revision != self.messages[-1].content


class JudgeExample(Record):
    """A worked choice: the conversation, two responses, optional reasoning, and the letter of the better one."""

    messages: tuple[Message, ...] = Field(min_length=1, description="The conversation up to and with the prompt")
    question: str = Field(default="", description="What is asked of the two; drawn from the principles if left out")
    a: str = Field(description="The first response")
    b: str = Field(description="The second response")
    reasoning: str = Field(default="", description="Why the one is better, where the judge is to give reasons")
    answer: str = Field(pattern="^[AB]$", description="The letter of the better one")


class FewShots(Record):
    """The examples of a constitution, by use."""

    revise: tuple[ReviseExample, ...] = Field(default=(), description="Worked critiques and revisions")
    judge: tuple[JudgeExample, ...] = Field(default=(), description="Worked choices")

    def choose(self, which: FewShotChoice, n: int | None = None) -> tuple[ReviseExample, ...]:
        """Choose the first ``n`` revise examples: of all, or of those whose revision changed the response.

        Small models echo that "the response is fine" once an example says so; for prompts that are all harmful, the
        examples that change something serve them better.
        """
        return tuple(example for example in self.revise if which == "all" or example.changed)[:n]


class SystemTexts(Record):
    """System messages by role; empty means none. ``respond`` also carries the constitution in guided sampling."""

    respond: str = Field(default="", description="Before the principles, where a model answers with them in context")
    critique: str = Field(default="", description="Where a response is criticised; best the same as `revise`")
    revise: str = Field(default="", description="Where a response is revised")
    judge: str = Field(default="", description="Where two responses are compared")


class Constitution(Record):
    """A written constitution: what a model is to follow.

    ``version`` is semantic (https://semver.org). ``bases`` names the constitutions that it extends, with their
    versions: what they give is among its principles already. ``metadata`` keeps whatever else a foreign file says.
    """

    name: str = Field(min_length=1, description="What it is called")
    version: str = Field(
        default="0.1.0", pattern=_SEMANTIC_VERSION, description="Semantic: a reworded principle is a new major version"
    )
    description: str = Field(default="", description="Its aim, in a sentence")
    language: str = Field(default="en", description="What it is written in; the checks of its wording know English")
    licence: str = Field(default="", description="On what terms others may use it")
    bases: tuple[str, ...] = Field(
        default=(), description="The constitutions that it was made from, with their versions; `extends` fills it"
    )
    system: SystemTexts = Field(default=SystemTexts(), description="System messages by role")
    principles: tuple[Principle, ...] = Field(min_length=1, description="What the model is to follow, one rule each")
    few_shots: FewShots = Field(default=FewShots(), description="Worked examples, which small models need most")
    metadata: dict[str, JsonValue] = Field(default_factory=dict, description="Whatever else is to be kept")

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
