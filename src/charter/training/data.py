"""Rows to token ids: which tokens a model reads, which of them bear loss, and which rows do not fit.

A prompt is rendered by the model's own chat template; the response is tokenised by itself behind it, as the model
would generate it, and ends with the template's end-of-turn token. What the template writes after that token (SmolLM2:
a newline) is left out, for it bears no loss and nothing comes after it. Text is data: a special token's name inside a
row is read as plain text, never as the token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from charter.errors import ModelError
from charter.records import Message, Preference, SftRow

IGNORED = -100  # the label that bears no loss, as in all of transformers
_MARKER = "\ue000"  # from Unicode's private use area: stands for a turn's text while the template is rendered
_TAIL_PROBE = "x"

Reason = Literal["too_long", "empty", "equal", "template"]


class RejectedRow(NamedTuple):
    """A row that is not trained on, and why.

    Attributes:
        id: the row's id.
        reason: ``too_long`` (more than ``max_length`` tokens), ``empty`` (a response without text), ``equal`` (chosen
            and rejected are the same text), ``template`` (the chat template refuses the conversation).
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
    def n_loss_tokens(self) -> int:
        """Count the tokens that bear loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True)
class PreferenceExample:
    """One prompt and its two responses as token ids, each response with its end-of-turn token."""

    id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    p_chosen: float


Example = TypeVar("Example", SftExample, PreferenceExample)
Row = TypeVar("Row", SftRow, Preference)


@dataclass(frozen=True, slots=True)
class Examples(Generic[Example]):
    """What is trained on, and what is not; together as many as the rows given."""

    kept: tuple[Example, ...]
    rejected: tuple[RejectedRow, ...]


class TemplateRefusal(Exception):  # noqa: N818 - reads as what happened
    """The chat template refuses a conversation, or cannot write it verbatim."""


class ChatFormat:
    """How one tokenizer writes a conversation.

    Args:
        tokenizer: a tokenizer of transformers that has a chat template.

    Raises:
        ModelError: if it has none, or neither template nor tokenizer say how a turn ends.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no chat template, so a conversation cannot be "
                "written for it; train a chat or instruct model, or save a chat template with the tokenizer"
            )
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        self._special = tuple({*tokenizer.all_special_tokens, *(t.content for t in added if t.special)})
        self.end_of_turn = self._find_end_of_turn()

    def prompt_ids(self, turns: Sequence[Message]) -> list[int]:
        """Tokenise a conversation up to where the assistant's answer begins.

        Raises:
            TemplateRefusal: if the template raises an error (roles out of order, no system turn allowed), or
                rewrites a text in which a special token is named.
        """
        if not any(token in turn.content for turn in turns for token in self._special):
            return self._ids(self._render(turns))
        marker = _MARKER
        while any(marker in turn.content for turn in turns):
            marker += _MARKER
        masked = [turn.model_copy(update={"content": f"{marker}{n}{marker}"}) for n, turn in enumerate(turns)]
        rest, ids = self._render(masked), []
        for turn, mask in zip(turns, masked, strict=True):
            before, found, rest = rest.partition(mask.content)
            if not found:
                raise TemplateRefusal(f"it rewrites a text with a special token in it: {turn.content[:80]!r}")
            ids += self._ids(before) + self._plain_ids(turn.content)
        return ids + self._ids(rest)

    def answer_ids(self, text: str) -> list[int]:
        """Tokenise a response and its end of turn."""
        return [*self._plain_ids(text), self.end_of_turn]

    def _find_end_of_turn(self) -> int:
        turns = [Message(role="user", content=_TAIL_PROBE), Message(role="assistant", content=_MARKER)]
        tail = self._render(turns, answer_follows=False).rpartition(_MARKER)[2]
        special = set(self._tokenizer.all_special_ids)
        special.update(number for number, t in self._tokenizer.added_tokens_decoder.items() if t.special)
        found = next((number for number in self._ids(tail) if number in special), self._tokenizer.eos_token_id)
        if found is None:
            raise ModelError(
                f"the chat template of {self._tokenizer.name_or_path!r} ends a turn with {tail!r}, which holds no "
                "special token, and the tokenizer has no eos token: a model could not learn where to stop; set one"
            )
        return int(found)

    def _render(self, turns: Sequence[Message], *, answer_follows: bool = True) -> str:
        from jinja2 import TemplateError

        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=answer_follows
            )
        except TemplateError as error:
            raise TemplateRefusal(str(error)) from error
        return str(rendered)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _plain_ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def sft_examples(rows: Sequence[SftRow], tokenizer: Any, *, max_length: int) -> Examples[SftExample]:
    """Tokenise rows for supervised fine-tuning: loss falls on the response and its end of turn.

    Args:
        rows: the rows, in any order.
        tokenizer: the model's tokenizer, with a chat template.
        max_length: the most tokens that a row may have; longer ones are rejected, never cut.

    Returns:
        The examples in the rows' order, and every row that is not among them with its reason.
    """
    chat = ChatFormat(tokenizer)

    def tokenise(row: SftRow) -> SftExample | RejectedRow:
        if not row.response.strip():
            return RejectedRow(row.id, "empty", "the response has no text")
        prompt, answer = chat.prompt_ids(row.prompt.turns), chat.answer_ids(row.response)
        if len(prompt) + len(answer) > max_length:
            return _too_long(row.id, "the response", prompt, answer, max_length)
        return SftExample(row.id, (*prompt, *answer), (*[IGNORED] * len(prompt), *answer))

    return _sort_out(rows, tokenise)


def preference_examples(rows: Sequence[Preference], tokenizer: Any, *, max_length: int) -> Examples[PreferenceExample]:
    """Tokenise preferences for DPO; arguments and result as in ``sft_examples``.

    A pair is rejected where either response does not fit with its prompt.
    """
    chat = ChatFormat(tokenizer)

    def tokenise(row: Preference) -> PreferenceExample | RejectedRow:
        if not row.chosen.strip() or not row.rejected.strip():
            return RejectedRow(row.id, "empty", "one of the responses has no text")
        if row.chosen == row.rejected:
            return RejectedRow(row.id, "equal", "both responses are the same text")
        prompt = chat.prompt_ids(row.prompt.turns)
        chosen, rejected = chat.answer_ids(row.chosen), chat.answer_ids(row.rejected)
        for name, answer in (("chosen", chosen), ("rejected", rejected)):
            if len(prompt) + len(answer) > max_length:
                return _too_long(row.id, name, prompt, answer, max_length)
        return PreferenceExample(row.id, tuple(prompt), tuple(chosen), tuple(rejected), row.p_chosen)

    return _sort_out(rows, tokenise)


def _sort_out(rows: Sequence[Row], tokenise: Callable[[Row], Example | RejectedRow]) -> Examples[Example]:
    kept: list[Example] = []
    rejected: list[RejectedRow] = []
    for row in rows:
        try:
            example = tokenise(row)
        except TemplateRefusal as error:
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
