"""From a request to tokens: chat template, prefill, and the part that many requests share.

Text is data: where a message holds what looks like a special token (``<|im_end|>``), it is read as ordinary
characters, so that no prompt can end its own turn. In every other case the tokens are exactly those of the library's
``apply_chat_template``. A system turn that a template has no place for stands at the head of the user's first turn, as
those who train such models advise (Gemma and the first Mistral refuse one; others leave it out unsaid).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from charter.engines.base import ChoiceRequest, Request, ScoreRequest
from charter.engines.bounded import TemplateRefusedError, apply_template
from charter.errors import CapabilityError, EngineError
from charter.records import Message

MIN_PREFIX = 32  # tokens; computing a shorter prefix apart costs more than it saves
_PRIVATE_USE = range(0xE000, 0xF8FF)  # code points without a meaning: one that no message holds marks a place

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request's tokens; the first ``n_prefix`` are shared with other requests (0: none worth keeping)."""

    ids: Ids
    n_prefix: int


class Renderer:
    """Renders requests with one tokenizer; safe to use from several threads.

    Args:
        tokenizer: the model's tokenizer.
        n_context: the longest text that the model reads; None sets no end.
    """

    def __init__(self, tokenizer: Any, n_context: int | None = None) -> None:
        self._tokenizer, self._n_context = tokenizer, n_context
        self._lock = threading.Lock()
        specials = sorted(_special_strings(tokenizer), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, specials))) if specials else None
        self._shared_text = lru_cache(maxsize=256)(self._render_shared)
        self._shared_ids = lru_cache(maxsize=256)(self._encode_shared)
        self._option_id = lru_cache(maxsize=4096)(self._find_option)

    @property
    def chats(self) -> bool:
        """Whether there is a chat template."""
        return bool(self._tokenizer.chat_template)

    def render(self, request: Request, n_more: int = 0) -> Rendered:
        """Render a request, and find the tokens that its hint says are shared.

        What is scored behind an empty text stands behind the token that texts begin with.

        Args:
            request: what the model is shown.
            n_more: tokens that there must be room for behind it.

        Raises:
            CapabilityError: messages for a model without a chat template.
            EngineError: the template refuses the messages, nothing is left to be read, or it is too long.
        """
        text, marker = self._text(request)
        raw = request.messages is None
        ids = self._encode(text, marker, raw=raw)
        if not ids and raw and isinstance(request, ScoreRequest):
            ids = [self._beginning]
        if not ids:
            raise EngineError("the request renders to no tokens at all; give it text, or a system or user message")
        self.require_room(len(ids), n_more)
        shared: tuple[int, ...] = ()
        if request.messages is not None and request.n_shared:
            roles = tuple(message.role for message in request.messages)
            shared = self._shared_ids(request.messages[: request.n_shared], roles)
        elif request.text is not None and request.n_shared:
            shared = self._shared_ids(request.text[: request.n_shared], ())
        n_shared = min(_n_common(shared, ids), len(ids) - 1)  # the last token's logits are always needed
        return Rendered(np.array(ids, dtype=np.int64), n_shared if n_shared >= MIN_PREFIX else 0)

    def require_room(self, n_tokens: int, n_more: int = 0) -> None:
        """Refuse what is longer than the model reads.

        Raises:
            EngineError: for too many tokens.
        """
        if self._n_context is not None and n_tokens + n_more > self._n_context:
            raise EngineError(
                f"the request has {n_tokens} tokens, and the model reads {self._n_context} at most; "
                "shorten the prompt or the few-shot examples"
            )

    def option_ids(self, request: ChoiceRequest) -> list[int]:
        """Find each option's one token in its place.

        Raises:
            CapabilityError: an option that is not one token there.
        """
        text, marker = self._text(request)
        start = 0
        if self._special is not None:  # special tokens cut the text: what stands before the last changes nothing
            for match in self._special.finditer(text):
                start = match.end()
        return [self._option_id(text[start:], marker, option, request.messages is None) for option in request.options]

    def continuation_ids(self, request: ScoreRequest, prompt: Ids) -> list[int]:
        """Tokenise what is to be scored after a prompt's tokens."""
        text, marker = self._text(request, request.continuation)
        continuation = request.continuation
        if marker:
            continuation = self._marked(continuation, marker)
        whole = self._encode(text + continuation, marker, raw=request.messages is None)
        if whole[: len(prompt)] == prompt.tolist():
            ids = whole[len(prompt) :]
        else:  # the two would merge: a model that has read the prompt's tokens can only go on with new ones
            ids = self._encode(continuation, marker, raw=True, bare=True)
        return [*ids, self.end_of_turn] if request.end_turn else ids

    @property
    def end_of_turn(self) -> int:
        """The token that the chat template puts after an assistant's message, else the tokenizer's end token."""
        end: int = self._tokenizer.eos_token_id
        if not self.chats:
            return end
        mark = chr(_PRIVATE_USE[0])
        messages = (Message(role="user", content="a"), Message(role="assistant", content=mark))
        after = self._template(messages, prompt=False).rpartition(mark)[2]
        match = self._special.search(after) if self._special is not None else None
        if match is None or after[: match.start()].strip():
            return end
        found: int = self._tokenizer.convert_tokens_to_ids(match.group())
        return found

    @property
    def _beginning(self) -> int:
        """The token that stands before the first one of a text, where the tokenizer itself puts none there."""
        first, last = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        found: int = last if first is None else first
        return found

    def _text(self, request: Request, after: str = "") -> tuple[str, str]:
        """Render to text; where it or what comes ``after`` holds special tokens as data, a mark put into each."""
        if request.messages is None:
            return f"{request.text}{request.prefill}", ""
        if not self.chats:
            raise CapabilityError(
                "this model has no chat template, so messages cannot be rendered for it; "
                "use the transcript layout, or a model that was tuned for chat"
            )
        contents = [message.content for message in request.messages]
        marker = self._marker([*contents, request.prefill, after])
        messages, prefill = request.messages, request.prefill
        if marker:
            messages = tuple(
                Message(role=message.role, content=self._marked(message.content, marker)) for message in messages
            )
            prefill = self._marked(prefill, marker)
        return self._template(messages, prompt=True) + prefill, marker

    def _template(self, messages: Sequence[Message], *, prompt: bool) -> str:
        if messages[0].role == "system" and not self._has_system:
            messages = _without_system(messages)
        try:
            return apply_template(self._tokenizer, messages, prompt=prompt)
        except TemplateRefusedError as error:
            roles = ", ".join(message.role for message in messages)
            raise EngineError(f"the model's chat template refuses messages of {roles}: {error}") from error

    @cached_property
    def _has_system(self) -> bool:
        """Whether the template has a place for a system turn, and does not leave it out."""
        mark = chr(_PRIVATE_USE[0])
        messages = (Message(role="system", content=mark), Message(role="user", content="a"))
        try:
            return mark in apply_template(self._tokenizer, messages, prompt=True)
        except TemplateRefusedError:
            return False

    def _marker(self, texts: Sequence[str]) -> str:
        """Choose a character that none of the texts holds, if any of them holds a special token; else nothing."""
        if self._special is None or not any(self._special.search(text) for text in texts):
            return ""
        return next(mark for mark in map(chr, _PRIVATE_USE) if not any(mark in text for text in texts))

    def _marked(self, text: str, marker: str) -> str:
        """Break every special token in a text by the marker after its first character."""
        if self._special is None:
            return text
        return self._special.sub(lambda match: match.group()[0] + marker + match.group()[1:], text)

    def _encode(self, text: str, marker: str, *, raw: bool, bare: bool = False) -> list[int]:
        """Tokenise text: special tokens are those of the template alone (``raw``: of nothing at all)."""
        if raw:
            return self._plain(text.replace(marker, "") if marker else text, whole=not bare)
        if not marker or self._special is None:
            with self._lock:
                ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            return ids
        pieces: list[int] = []
        start = 0
        for match in self._special.finditer(text):
            pieces += self._plain(text[start : match.start()].replace(marker, ""))
            pieces.append(self._tokenizer.convert_tokens_to_ids(match.group()))
            start = match.end()
        return pieces + self._plain(text[start:].replace(marker, ""))

    def _plain(self, text: str, *, whole: bool = False) -> list[int]:
        """Tokenise text in which nothing is special; ``whole`` texts get the tokenizer's own first token."""
        if not text and not whole:
            return []
        with self._lock:
            ids: list[int] = self._tokenizer(text, add_special_tokens=whole, split_special_tokens=True)["input_ids"]
        return ids

    def _render_shared(self, shared: tuple[Message, ...], roles: tuple[str, ...]) -> tuple[str, str]:
        """Render what any messages with these first ones begin with: what two that differ in all others agree on."""
        contents = [message.content for message in shared]
        marker = self._marker(contents)
        if marker:
            shared = tuple(Message(role=m.role, content=self._marked(m.content, marker)) for m in shared)
        rest = roles[len(shared) :]
        texts = [
            self._template(
                [*shared, *(Message.model_validate({"role": role, "content": mark}) for role in rest)], prompt=True
            )
            for mark in ("0", "a")
        ]
        return texts[0][: _n_common(*texts)], marker

    def _encode_shared(self, shared: tuple[Message, ...] | str, roles: tuple[str, ...]) -> tuple[int, ...]:
        if isinstance(shared, str):
            return tuple(self._encode(shared, "", raw=True))
        text, marker = self._shared_text(shared, roles)
        return tuple(self._encode(text, marker, raw=False))

    def _find_option(self, text: str, marker: str, option: str, raw: bool) -> int:
        before = self._encode(text, marker, raw=raw)
        after = self._encode(text + option, marker, raw=raw)
        if len(after) != len(before) + 1 or after[:-1] != before:
            raise CapabilityError(
                f"the option {option!r} is not one token after {text[-20:]!r} for this model's tokenizer; "
                "use single letters, and a prefill that ends with '('"
            )
        return after[-1]


def _without_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Put the system text at the head of the user's first turn, or in its place where the user says nothing."""
    system, *rest = messages
    contents = [system.content] if system.content.strip() else []
    if rest and rest[0].role == "user":
        contents.append(rest.pop(0).content)
    return (Message(role="user", content="\n\n".join(contents)), *rest)


def _special_strings(tokenizer: Any) -> set[str]:
    """All strings that the tokenizer would take for a special token."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return {text for text in (*added, *tokenizer.all_special_tokens) if text}


def _n_common(first: Sequence[Any], second: Sequence[Any]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
