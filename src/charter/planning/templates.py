"""What a chat template puts before a conversation of its own accord: some models bring a system text with them."""

from __future__ import annotations

import itertools
from pathlib import Path

from charter.engines.inspection import TEMPLATE_FILES, read_chat_template, read_configuration
from charter.planning.sizing import CountTokens

_FIRST, _LAST = "\ue000", "\ue001"  # questions that stand in no template


def count_lead(folder: Path, count: CountTokens) -> float:
    """Count the tokens that a tokenizer's template puts before a first user turn, beyond those around any turn.

    Templates are programs: they run in the same sandbox as when a conversation is rendered.

    Returns:
        The count; 0 where there is no template, or it does not render two plain questions.
    """
    template = read_chat_template(folder)
    if not template:
        return 0.0
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    settings = folder / TEMPLATE_FILES[1]
    special = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in (read_configuration(settings) if settings.is_file() else {}).items()
        if name in {"bos_token", "eos_token"}
    }
    turns = [
        {"role": role, "content": content} for role, content in (("user", _FIRST), ("assistant", "a"), ("user", _LAST))
    ]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["strftime_now"] = lambda _format: "1 Jan"
    try:
        text = environment.from_string(template).render(messages=turns, add_generation_prompt=True, **special)
    except (TemplateError, TypeError, ValueError, LookupError):  # what a template that wants more than this raises
        return 0.0
    if _FIRST not in text or _LAST not in text:
        return 0.0
    before, last = text.partition(_FIRST)[0], text.rpartition(_LAST)[0]
    pairs = zip(reversed(before), reversed(last), strict=False)
    n_around = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))  # as before any user's turn
    return count(before[: len(before) - n_around])
