"""What stands in, while a run is planned, for prompts and answers that are yet to be fetched or written. Pure."""

from __future__ import annotations

from charter.records import Prompt, PromptKind, make_prompt

#: As long as a prompt, or an answer, of about 50 tokens.
UNKNOWN_TEXT = "x" * 200


def unknown_prompt(kind: PromptKind, number: int) -> Prompt:
    """Stand in for a prompt: no two of them, of whatever kinds, ask the same."""
    return make_prompt(f"{UNKNOWN_TEXT} {kind} {number}", kind)


def is_unknown(prompt: Prompt) -> bool:
    """Tell whether a prompt is such a stand-in."""
    return prompt.text.startswith(f"{UNKNOWN_TEXT} ")
