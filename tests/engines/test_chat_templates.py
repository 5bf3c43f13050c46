from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charter.engines.inspection import has_chat_template
from charter.errors import ModelError
from engines.model_folders import write_json


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, False),
        ("", False),
        ("{{ messages }}", True),
        ([{"name": "default", "template": "x"}, {"name": "rag", "template": "y"}], True),
        ([{"name": "rag", "template": "y"}], False),
        ([], False),
    ],
)
def test_a_template_in_the_tokenizers_settings(tmp_path: Path, template: Any, expected: bool) -> None:
    """A template counts, and of several by name the default one."""
    write_json(tmp_path / "tokenizer_config.json", {"chat_template": template})
    assert has_chat_template(tmp_path) is expected


def test_a_template_in_a_file_of_its_own(tmp_path: Path) -> None:
    """The file counts whatever the settings say; with neither there is none."""
    assert not has_chat_template(tmp_path)
    write_json(tmp_path / "tokenizer_config.json", {})
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert has_chat_template(tmp_path)


def test_damaged_settings_are_named(tmp_path: Path) -> None:
    """A file that is cut off is an error with its path, not a missing template."""
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": ')
    with pytest.raises(ModelError, match=r"tokenizer_config\.json"):
        has_chat_template(tmp_path)


@pytest.mark.model
def test_the_embedded_model_has_one(smollm2: Path) -> None:
    """What is known of the embedded model before it is fetched holds."""
    assert has_chat_template(smollm2)
