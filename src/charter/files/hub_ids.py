"""What has the form of a Hugging Face hub id: the one place that decides, for models, datasets and paths."""

from __future__ import annotations

import re

_PART = r"[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?"
_NO_DOUBLES = r"(?!.*(?:--|\.\.))"  # which the hub gives to nobody
_MODEL = re.compile(rf"{_NO_DOUBLES}{_PART}(?:/{_PART})?(?:@[\w./-]+)?", re.ASCII)
# A name may hold dots (llama-3.1-evals), but a short ending of letters alone is a file that is not there.
_FILE = r"\.(?:[A-Za-z]{1,4}|jsonl|ndjson|parquet)$"
_DATASET = re.compile(rf"{_NO_DOUBLES}(?!(?i:.*{_FILE})){_PART}/{_PART}", re.ASCII)


def is_model_id(text: str) -> bool:
    """Tell whether a text has the form of a model's id: ``owner/name`` or ``name``, with ``@revision`` if pinned."""
    return _MODEL.fullmatch(text) is not None


def is_dataset_id(text: str) -> bool:
    """Tell whether a text has the form of a dataset's id: ``owner/name``, and not that of a file in a folder."""
    return _DATASET.fullmatch(text) is not None
