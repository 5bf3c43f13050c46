"""What has the form of a hub id."""

from __future__ import annotations

import pytest

from charter.files.hub_ids import is_dataset_id, is_model_id
from charter.recipe.paths import is_path


@pytest.mark.parametrize(
    "text", ["gpt2", "owner/name", "_owner/name_", "owner/llama-3.1", "owner/name@v1.0", "a/b@pr/1"]
)
def test_models(text: str) -> None:
    """A model may have no owner and may be pinned; what has its form is no path."""
    assert is_model_id(text)
    assert not is_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "../up",
        "./a",
        "/a",
        "~/a",
        "a/b/c",
        "a/",
        "a--b",
        "a..b",
        "-a/b",
        "a/b.",
        "a b",
        "owner/name@",
        "é/a",
    ],
)
def test_neither(text: str) -> None:
    """A path, or what the hub would give to nobody."""
    assert not is_model_id(text)
    assert not is_dataset_id(text)


@pytest.mark.parametrize("text", ["owner/name", "meta-llama/llama-3.1-evals", "owner/v1.5", "_owner/name"])
def test_datasets(text: str) -> None:
    """A dataset has an owner, and its name may hold dots."""
    assert is_dataset_id(text)


@pytest.mark.parametrize(
    "text", ["attacks", "owner/a.csv", "owner/a.JSONL", "owner/a.parquet", "owner/a.txt", "a/b@v1"]
)
def test_files_and_lone_names_are_no_datasets(text: str) -> None:
    """A mistyped file is not looked for at the hub."""
    assert not is_dataset_id(text)
