"""An object of lists, keyed by a principle's number (``"3"``) or a principle's and a prompt's (``"3_7"``).

Red-team prompts come with an aligned and a misaligned answer, of which the aligned one is the reference. Files of
critiques and revisions, and of preferences, have the same keys and are read for their prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from charter.prompts.layouts.base import Columns, Layout, all_have, with_values
from charter.prompts.source_rows import SourceRow

_PROMPT, _REFERENCE = "(prompt)", "(reference)"
_PROMPTS = ("adversarial_prompt", "initial_prompt", "prompt")
_ALIGNED = "correct_model_response_to_adversarial_prompt"


def _fits(rows: Sequence[SourceRow]) -> bool:
    return all(row.key for row in rows) and any(all_have(rows, name) for name in _PROMPTS)


def _unfold(rows: Sequence[SourceRow]) -> list[SourceRow]:
    name = next(name for name in _PROMPTS if all_have(rows, name))
    return [
        with_values(
            row,
            {
                _PROMPT: row.values[name],
                _REFERENCE: row.values.get(_ALIGNED),
                "principle": str(int(row.key.partition("_")[0])),
                "source_id": row.key,
            },
        )
        for row in rows
    ]


NUMBERED = Layout(
    "red_team_json",
    "an object of lists by a principle's number, whose rows have 'adversarial_prompt', 'initial_prompt' or 'prompt'",
    _fits,
    Columns(prompt=_PROMPT, reference=_REFERENCE),
    unfold=_unfold,
    is_indexed=True,
)
