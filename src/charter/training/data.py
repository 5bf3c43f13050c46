"""Rows to token ids: which tokens a model reads, which of them bear loss, and which rows do not fit.

A prompt is rendered by the model's own chat template, and the response behind it, by the engine's renderer: a model is
trained on the tokens that it will be shown. A whole response ends with the template's end-of-turn token; what the
template writes after that (SmolLM2: a newline) is left out, for it bears no loss and nothing comes after it. A response
that was left open at a token limit has no end. Where only the opening of each response is trained on, nothing behind it
is read, the end of turn included: whether a model objects or answers is decided in its first tokens, and a loss that
falls on them alone is not drowned by the others. A response is cut to its opening before its length is looked at.

Text is data: a special token's name inside a row is read as plain text, never as the token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from charter.engines.base import Request, ScoreRequest
from charter.engines.rendering import Renderer
from charter.errors import EngineError, ModelError
from charter.records import Message, Preference, Prompt, SftRow

IGNORED = -100  # the label that bears no loss, as in all of transformers

Reason = Literal["too_long", "empty", "equal", "same_opening", "template"]


class RejectedRow(NamedTuple):
    """A row that is not trained on, and why.

    Attributes:
        id: the row's id.
        reason: ``too_long`` (more than ``max_length`` tokens), ``empty`` (a response without text), ``equal`` (chosen
            and rejected are the same text, or the same tokens), ``same_opening`` (they differ behind the tokens that
            are trained on), ``template`` (the chat template refuses the conversation).
        detail: the figures or the template's own message.
    """

    id: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class SftExample:
    """One conversation as token ids; ``labels`` are the ids where loss falls, else ``IGNORED``."""

    id: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        """Count the tokens that are read."""
        return len(self.input_ids)

    @property
    def n_loss_tokens(self) -> int:
        """Count the tokens that bear loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True)
class PreferenceExample:
    """One prompt and its two responses as token ids, as far as they are trained on."""

    id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    p_chosen: float
    weight: float = 1.0

    @property
    def n_tokens(self) -> int:
        """Count the tokens of prompt and responses; where the sides are read apart, the prompt is read twice."""
        return len(self.prompt_ids) + self.n_loss_tokens

    @property
    def n_loss_tokens(self) -> int:
        """Count the tokens of both responses."""
        return len(self.chosen_ids) + len(self.rejected_ids)


@dataclass(frozen=True, slots=True)
class PromptExample:
    """One prompt as token ids, to be answered."""

    id: str
    prompt: Prompt
    prompt_ids: tuple[int, ...]


Example = TypeVar("Example", SftExample, PreferenceExample, PromptExample)
Row = TypeVar("Row", SftRow, Preference, Prompt)


@dataclass(frozen=True, slots=True)
class Examples(Generic[Example]):
    """What is trained on, and what is not; together as many as the rows given."""

    kept: tuple[Example, ...]
    rejected: tuple[RejectedRow, ...]


class ConversationTokens:
    """A conversation as the engine reads it, and an answer as the engine scores it: trained on is what will be read."""

    def __init__(self, tokenizer: Any) -> None:
        self._renderer = Renderer(tokenizer)
        if not self._renderer.chats:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no chat template, so a conversation cannot be "
                "written for it; train a chat or instruct model, or save a chat template with the tokenizer"
            )
        if self._renderer.end_of_turn is None:
            raise ModelError(
                f"neither the chat template of {tokenizer.name_or_path!r} nor its tokenizer has a token that ends a "
                "turn: a model could not learn where to stop; set the tokenizer's eos_token"
            )

    def prompt(self, turns: tuple[Message, ...]) -> tuple[int, ...]:
        """Tokenise a conversation up to where the assistant's answer begins; EngineError if the template refuses."""
        return tuple(self._renderer.render(Request(messages=turns)).ids.tolist())

    def answer(self, turns: tuple[Message, ...], prompt: tuple[int, ...], text: str, *, whole: bool) -> tuple[int, ...]:
        """Tokenise a response behind its prompt, a whole one with the end of turn."""
        request = ScoreRequest(messages=turns, continuation=text, end_turn=whole)
        return tuple(self._renderer.continuation_ids(request, np.array(prompt)))


def sft_examples(
    rows: Sequence[SftRow], tokenizer: Any, *, max_length: int, opening_tokens: int | None = None
) -> Examples[SftExample]:
    """Tokenise rows for supervised fine-tuning: loss falls on the response and its end of turn, or on its opening.

    Args:
        rows: the rows, in any order.
        tokenizer: the model's tokenizer, with a chat template.
        max_length: the most tokens that a row may have, its response cut to its opening; longer ones are rejected,
            never cut to fit.
        opening_tokens: train on so many of a response's first tokens, which its end of turn may be among; None trains
            on all.

    Returns:
        The examples in the rows' order, and every row that is not among them with its reason.
    """
    tokens = ConversationTokens(tokenizer)

    def tokenise(row: SftRow) -> SftExample | RejectedRow:
        if not row.response.strip():
            return RejectedRow(row.id, "empty", "the response has no text")
        prompt = tokens.prompt(row.prompt.turns)
        answer = tokens.answer(row.prompt.turns, prompt, row.response, whole=row.whole)[:opening_tokens]
        if len(prompt) + len(answer) > max_length:
            return _too_long(row.id, "the response", prompt, answer, max_length)
        return SftExample(row.id, (*prompt, *answer), (*[IGNORED] * len(prompt), *answer))

    return _sort_out(rows, tokenise)


def preference_examples(
    rows: Sequence[Preference], tokenizer: Any, *, max_length: int, opening_tokens: int | None = None
) -> Examples[PreferenceExample]:
    """Tokenise preferences for DPO; arguments and result as in ``sft_examples``.

    A pair is rejected where either response does not fit with its prompt, or both are alike as far as they are trained
    on.
    """
    tokens = ConversationTokens(tokenizer)

    def tokenise(row: Preference) -> PreferenceExample | RejectedRow:
        if not row.chosen.strip() or not row.rejected.strip():
            return RejectedRow(row.id, "empty", "one of the responses has no text")
        if row.chosen == row.rejected:
            return RejectedRow(row.id, "equal", "both responses are the same text")
        prompt = tokens.prompt(row.prompt.turns)
        chosen = tokens.answer(row.prompt.turns, prompt, row.chosen, whole=row.whole_chosen)
        rejected = tokens.answer(row.prompt.turns, prompt, row.rejected, whole=row.whole_rejected)
        if chosen == rejected:
            return RejectedRow(row.id, "equal", "both responses are the same tokens, though not the same text")
        chosen, rejected = chosen[:opening_tokens], rejected[:opening_tokens]
        if chosen == rejected:
            return RejectedRow(row.id, "same_opening", f"both responses begin with the same {opening_tokens} tokens")
        for name, answer in (("chosen", chosen), ("rejected", rejected)):
            if len(prompt) + len(answer) > max_length:
                return _too_long(row.id, name, prompt, answer, max_length)
        return PreferenceExample(row.id, prompt, chosen, rejected, row.p_chosen, row.weight)

    return _sort_out(rows, tokenise)


def prompt_examples(
    prompts: Sequence[Prompt], tokenizer: Any, *, max_length: int, max_tokens: int
) -> Examples[PromptExample]:
    """Tokenise prompts for reinforcement learning.

    Args:
        prompts: in any order.
        tokenizer: the model's tokenizer, with a chat template.
        max_length: the most tokens that a prompt may have with an answer; longer ones are rejected.
        max_tokens: that an answer may have.
    """
    tokens = ConversationTokens(tokenizer)

    def tokenise(row: Prompt) -> PromptExample | RejectedRow:
        ids = tokens.prompt(row.turns)
        if len(ids) + max_tokens > max_length:
            detail = f"{len(ids)} tokens and an answer of {max_tokens} are more than max_length {max_length}"
            return RejectedRow(row.id, "too_long", detail)
        return PromptExample(row.id, row, ids)

    return _sort_out(prompts, tokenise)


def _sort_out(rows: Sequence[Row], tokenise: Callable[[Row], Example | RejectedRow]) -> Examples[Example]:
    kept: list[Example] = []
    rejected: list[RejectedRow] = []
    for row in rows:
        try:
            example = tokenise(row)
        except EngineError as error:
            example = RejectedRow(row.id, "template", str(error))
        if isinstance(example, RejectedRow):
            rejected.append(example)
        else:
            kept.append(example)
    return Examples(tuple(kept), tuple(rejected))


def _too_long(row: str, side: str, prompt: Sequence[int], answer: Sequence[int], max_length: int) -> RejectedRow:
    total = len(prompt) + len(answer)
    detail = f"{total} tokens (prompt {len(prompt)}, {side} {len(answer)}) are more than max_length {max_length}"
    return RejectedRow(row, "too_long", detail)
