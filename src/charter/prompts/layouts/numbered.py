"""An object of lists, keyed by a principle's number (``"3"``) or a principle's and a prompt's (``"3_7"``).

Red-team prompts come with an aligned and a misaligned answer, of which the aligned one is the reference. Files of
critiques and revisions, and of preferences, have the same keys and are read for their prompts. What a model wrote
unread has labels before prompts, which are taken off, and instructions in their place, which are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.prompts.artefacts import INSTRUCTION, LABEL_TAKEN_OFF, is_instruction, without_label
from charter.prompts.layouts.base import MENDED, Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow

_PROMPT, _REFERENCE = "(prompt)", "(reference)"
_PROMPTS = ("adversarial_prompt", "initial_prompt", "prompt")
_ALIGNED = "correct_model_response_to_adversarial_prompt"


def _fits(rows: Sequence[SourceRow]) -> bool:
    return all(row.key for row in rows) and any(all_have(rows, name) for name in _PROMPTS)


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    name = next(name for name in _PROMPTS if all_have(rows, name))
    return [_unfold_row(row, row.values[name]) for row in rows]


def _unfold_row(row: SourceRow, prompt: Any) -> SourceRow:
    values = {
        _PROMPT: prompt,
        _REFERENCE: row.values.get(_ALIGNED),
        "principle": str(int(row.key.partition("_")[0])),
        "source_id": row.key,
    }
    if not isinstance(prompt, str):
        return with_values(row, values)
    if is_instruction(prompt):
        return with_values(row, values, reason=INSTRUCTION)
    bare = without_label(prompt)
    return with_values(row, values if bare is None else {**values, _PROMPT: bare, MENDED: LABEL_TAKEN_OFF})


NUMBERED = Layout(
    "red_team_json",
    "an object of lists by a principle's number, whose rows have 'adversarial_prompt', 'initial_prompt' or 'prompt'",
    _fits,
    Columns(prompt=_PROMPT, reference=_REFERENCE),
    unfold=_unfold,
    is_indexed=True,
)
