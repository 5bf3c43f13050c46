"""Loading a model's tokenizer, for generation and for training alike."""

from __future__ import annotations

from typing import Any

from charter.engines.quiet import quiet_libraries
from charter.engines.weights import ModelFolder
from charter.errors import ModelError


def load_tokenizer(folder: ModelFolder) -> Any:
    """Load the tokenizer that a model is used with: its own, or its adapter's where that brings one.

    Raises:
        ModelError: for a tokenizer that cannot be loaded, naming its file.
    """
    from transformers import AutoTokenizer

    with quiet_libraries():
        try:
            return AutoTokenizer.from_pretrained(folder.tokenizer, trust_remote_code=folder.trust_remote_code)
        except Exception as error:  # tokenizers raises a bare Exception for a damaged file, transformers much else
            file = folder.tokenizer / "tokenizer.json"
            place = str(file) if file.is_file() else f"the tokenizer in {folder.tokenizer}"
            raise ModelError(
                f"{place} cannot be loaded: {type(error).__name__}: {error}; fetch or save the model again"
            ) from error


def find_end_ids(tokenizer: Any, *configurations: Any) -> frozenset[int]:
    """Gather every token that ends a turn or a text, wherever it is declared."""
    found: set[int] = set()
    for declared in (tokenizer.eos_token_id, *(getattr(one, "eos_token_id", None) for one in configurations)):
        found.update([declared] if isinstance(declared, int) else declared or [])
    return frozenset(found)
