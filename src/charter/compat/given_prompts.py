"""Prompts and messages as a caller of the answer-improvement library has them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charter.errors import UserError
from charter.given.values import message_list
from charter.records import Message, Prompt, make_prompt
from charter.seeds import derive_seed

AnyPrompt = Prompt | Mapping[str, Any]
AnyMessage = Message | Mapping[str, Any]


def as_prompts(prompts: Iterable[AnyPrompt]) -> list[Prompt]:
    """Make prompts that principles are to press on.

    Args:
        prompts: ours, or mappings with a ``prompt`` and perhaps an ``id``.

    Raises:
        UserError: where there are none, one has no text, or two have one id.
    """
    found = [_as_prompt(one) for one in prompts]
    _require_some(found)
    twice = next((name for name, n in Counter(one.id for one in found).items() if n > 1), None)
    if twice is not None:
        raise UserError(f"two prompts have the id {twice!r}; give each its own, or one of them only")
    return found


def choose_prompt(prompts: Sequence[AnyPrompt], index: int | None, seed: int) -> AnyPrompt:
    """Take the prompt at an index, counted from 0, or draw one where there is no index.

    Raises:
        UserError: where there is none.
    """
    _require_some(prompts)
    if index is None:
        return random.Random(derive_seed(seed, "single prompt", str(len(prompts)))).choice(prompts)  # noqa: S311
    if not 0 <= index < len(prompts):
        raise UserError(f"prompt_index is {index}; expected 0 to {len(prompts) - 1}")
    return prompts[index]


def with_system(prompt: Prompt, text: str) -> Prompt:
    """Put a system text before a prompt that has none."""
    if not text or prompt.turns[0].role == "system":
        return prompt
    return prompt.model_copy(update={"turns": (Message(role="system", content=text), *prompt.turns)})


def without_system(prompt: Prompt) -> Prompt:
    """Take the system text off a prompt."""
    return prompt.model_copy(update={"turns": tuple(turn for turn in prompt.turns if turn.role != "system")})


def as_messages(said: str | Sequence[AnyMessage]) -> tuple[Message, ...]:
    """Make messages of a question, or of mappings with ``role`` and ``content``.

    Raises:
        UserError: for what is no message.
    """
    if isinstance(said, str):
        return (Message(role="user", content=said),)
    found = message_list([one.model_dump() if isinstance(one, Message) else one for one in said])
    if found is None:
        raise UserError(
            "these are no messages: expected mappings with 'role' (system, user or assistant) and 'content'"
        )
    return found


def _as_prompt(one: AnyPrompt) -> Prompt:
    if isinstance(one, Prompt):
        return one.model_copy(update={"kind": "red_team"})
    if not isinstance(one, Mapping) or "prompt" not in one:
        raise UserError(f"{one!r:.80} is no prompt; expected a mapping with 'prompt', or one that Charter read")
    named = {} if one.get("id") is None else {"id": str(one["id"])}
    return make_prompt(one["prompt"], "red_team", **named)


def _require_some(prompts: Sequence[object]) -> None:
    if not prompts:
        raise UserError("there are no prompts; give at least one")
