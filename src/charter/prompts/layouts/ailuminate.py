"""AILuminate's prompts: a text and the hazard that it is about (https://github.com/mlcommons/ailuminate)."""

from __future__ import annotations

from charter.prompts.layouts.base import Columns, Layout, all_have

AILUMINATE = Layout(
    "ailuminate",
    "'prompt_text' and 'hazard'",
    lambda rows: all_have(rows, "prompt_text", "hazard"),
    Columns(prompt="prompt_text", id="release_prompt_id", category="hazard"),
)
