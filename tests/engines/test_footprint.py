from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from charter.engines import footprint
from charter.engines.footprint import estimate_bytes, free_bytes
from charter.engines.inspection import count_parameters, weight_files
from charter.planning.shapes import read_shape

pytestmark = pytest.mark.model
GIB = 2**30


def test_a_number_takes_what_it_is_loaded_as(tiny_model: Path) -> None:
    """Parameters are counted; how they are stored says nothing of how they are loaded."""
    n = count_parameters(tiny_model)
    assert n > 1000
    assert estimate_bytes(tiny_model, 4) - estimate_bytes(tiny_model, 2) == 2 * n
    assert estimate_bytes(tiny_model, 2, merges=True) - estimate_bytes(tiny_model, 2) == 4 * n


def test_weights_that_lie_there_twice_count_once(tiny_model: Path, tmp_path: Path) -> None:
    """A second copy in one file beside the files that are loaded is no second model."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    n, parameters = count_parameters(folder), read_shape(folder, "tiny").parameters
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert count_parameters(folder) == n
    assert read_shape(folder, "tiny").parameters == parameters
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    assert [path.name for path in weight_files(folder)] == ["model-00001-of-00001.safetensors"]
    assert count_parameters(folder) == n


def test_a_container_has_less_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit counts, less what is used and cannot be given back; without a limit the machine's memory does."""
    monkeypatch.setattr(footprint, "_CONTAINER", tmp_path)
    plenty = free_bytes("cpu")
    (tmp_path / "memory.max").write_text("max\n", "utf-8")
    (tmp_path / "memory.current").write_text(f"{GIB}\n", "utf-8")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 4}\n", "utf-8")
    assert free_bytes("cpu") > plenty / 2
    (tmp_path / "memory.max").write_text(f"{GIB + 4096}\n", "utf-8")
    assert free_bytes("cpu") == 4096 + GIB // 4
