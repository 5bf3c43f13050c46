"""Loading a model's tokenizer: what is damaged is the person's to mend, and named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charter.engines.tokenizers import load_tokenizer
from charter.engines.transformers.loading import load_model
from charter.engines.weights import resolve_model
from charter.errors import ModelError
from engines.model_folders import make_adapter, make_model, write_json


@pytest.mark.parametrize("damaged", ["{}", '{"model": {}}', '{"added_tokens": [', ""])
def test_damaged_tokenizer_is_named(damaged: str, tmp_path: Path) -> None:
    """Whatever the library raises for it, a bare Exception too, the person reads which file to mend."""
    folder = make_model(tmp_path / "model")
    file = folder / "tokenizer.json"
    file.write_text(damaged)
    with pytest.raises(
        ModelError, match=rf"{re.escape(str(file))} cannot be loaded: .*; fetch or save the model again"
    ):
        load_model(resolve_model(str(folder)), dtype="float32", device="cpu")


def test_damaged_tokenizer_of_an_adapter_is_named(tmp_path: Path) -> None:
    """The file named is the adapter's, where it brings a tokenizer, and not the base's."""
    adapter = make_adapter(tmp_path / "adapter", str(make_model(tmp_path / "base")))
    write_json(adapter / "tokenizer.json", {})
    with pytest.raises(ModelError, match=re.escape(str(adapter / "tokenizer.json"))):
        load_tokenizer(resolve_model(str(adapter)))
