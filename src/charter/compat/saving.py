"""The answer-improvement library's output files, written from rows of Charter's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charter.compat.given_prompts import without_system
from charter.compat.histories import prefers
from charter.engines.templates import Render
from charter.feedback.settling import EXACT_TIE
from charter.publishing.export import ExportedFile, export_file
from charter.records import Preference, Trace, Unlabelled
from charter.training.mixture import revision_rows


def save_revisions(traces: Sequence[Trace], file: str | Path, *, render: Render, raw: bool) -> ExportedFile:
    """Write prompts with their revisions as a CSV of one column ``text``."""
    mixture = revision_rows(one.model_copy(update={"prompt": without_system(one.prompt)}) for one in traces)
    written = export_file(mixture.rows, file, "answer-improvement", "sft", render=render, raw=raw)
    return replace(written, left_out={**mixture.left_out, **written.left_out})


def save_comparisons(found: Sequence[Preference | Unlabelled], file: str | Path, *, raw: bool) -> ExportedFile:
    """Write prompts with the preferred answer and the other as a CSV ``prompt, chosen, rejected``.

    A file of hard labels has no place for two answers of which neither is preferred.
    """
    kept = [one for one in found if prefers(one)]
    undecided = Counter(one.reason if isinstance(one, Unlabelled) else EXACT_TIE for one in found if not prefers(one))
    written = export_file(kept, file, "answer-improvement", "preferences", raw=raw)
    return replace(written, left_out={**undecided, **written.left_out})
