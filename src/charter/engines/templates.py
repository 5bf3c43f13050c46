"""Conversations written out as one text, as a model's chat template does it, for files that hold them so.

What a model is shown is rendered elsewhere, token by token (``rendering``): here a text may hold what looks like a
template's own marks, and nobody can tell afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from charter.engines.tokenizers import load_tokenizer
from charter.engines.weights import resolve_model
from charter.errors import ModelError
from charter.records import Message

CHATML = "ChatML"

Render = Callable[[Sequence[Message]], str]
"""Writes a conversation as text; raises ``TemplateRefusedError`` for one that it takes no such form of."""


class TemplateRefusedError(ValueError):
    """A chat template that takes no such conversation."""


def chatml(turns: Sequence[Message]) -> str:
    """Write a conversation in ChatML, which no model's template is needed for."""
    return "".join(f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in turns)


def find_template(name: str, *, trust_remote_code: bool = False) -> Render:
    """Give what writes conversations as a model's chat template does.

    Args:
        name: the model, as ``resolve_model`` understands it; or ``ChatML``, which is no model's.
        trust_remote_code: whether a model that brings Python code may be taken.

    Raises:
        ModelError: where there is no such model, or it has no chat template.
    """
    if name == CHATML:
        return chatml
    tokenizer = load_tokenizer(resolve_model(name, trust_remote_code=trust_remote_code))
    if not tokenizer.chat_template:
        raise ModelError(
            f"{name}: has no chat template, which texts are written with; name an instruct model, or {CHATML}"
        )
    return partial(_apply, tokenizer)


def _apply(tokenizer: Any, turns: Sequence[Message]) -> str:
    from jinja2 import TemplateError

    try:
        return cast("str", tokenizer.apply_chat_template([turn.model_dump() for turn in turns], tokenize=False))
    except TemplateError as error:
        raise TemplateRefusedError(str(error)) from error
