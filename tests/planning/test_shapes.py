from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from charter.errors import ModelError
from charter.planning.shapes import named_shape, named_shapes, shape_of

# As the models' own cards on the hub say.
PUBLISHED = {
    "135m": 134_515_008,
    "0.5b": 494_032_768,
    "1b": 1_235_814_400,
    "1.5b": 1_543_714_304,
    "3b": 3_085_938_688,
    "7b": 7_248_023_552,
    "8b": 8_030_261_248,
    "14b": 14_770_033_664,
    "32b": 32_763_876_352,
    "70b": 70_553_706_496,
}
CONFIGURATION = {
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 10,
    "tie_word_embeddings": True,
}


def folder(path: Path, **changed: object) -> Path:
    """Write a model's configuration."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIGURATION | changed), "utf-8")
    return path


def test_named_sizes_have_the_parameters_that_were_published() -> None:
    """The count that follows from layers and widths is the models' own, to the last one."""
    assert {name: shape.parameters for name, shape in named_shapes().items()} == PUBLISHED


def test_the_body_leaves_out_what_is_looked_up() -> None:
    """An embedding is looked up, once where it is the head too; an adapter of rank 1 has both sides of each layer."""
    small, large = named_shape("135M"), named_shape("7b")
    assert small.parameters - small.body == 49_152 * 576
    assert large.parameters - large.body == 2 * 32_768 * 4_096
    assert large.kv_numbers == 2 * 32 * 8 * 128
    assert large.adapter(1, ("q_proj", "v_proj")) == 32 * ((4_096 + 4_096) + (4_096 + 1_024))
    assert large.adapter(2, "all-linear") == large.adapter(2, ("unknown",)) > large.adapter(2, ("q_proj",))


def test_a_folder_is_read_without_its_weights_being_loaded(tmp_path: Path) -> None:
    """The configuration gives the shape, and the headers of the weights how many parameters there are."""
    model = folder(tmp_path / "model")
    counted = shape_of(str(model))
    assert counted.parameters == 2 * (2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16 + 2 * 8) + 10 * 8 + 8
    assert (counted.head_size, counted.kv_heads) == (2, 2)
    save_file({"a": np.zeros((30, 40), np.float32), "b": np.zeros(5, np.float16)}, model / "model.safetensors")
    assert shape_of(str(model)).parameters == 1_205


def test_an_adapter_has_its_bases_shape(tmp_path: Path) -> None:
    """A folder with an adapter is followed to the model that it was trained on."""
    base = folder(tmp_path / "base")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}), "utf-8")
    save_file({"a": np.zeros(1, np.float32)}, adapter / "adapter_model.safetensors")
    assert shape_of(str(adapter)).layers == 2


def test_a_name_that_tells_its_size_is_taken_for_one_like_it() -> None:
    """A model that is not here is planned as the open model of about its size, and the plan says so."""
    shape = shape_of("somebody/Great-7B-Chat")
    assert shape.parameters == PUBLISHED["7b"]
    assert shape.name == "somebody/Great-7B-Chat, taken for 7b (mistralai/Mistral-7B-v0.3)"


@pytest.mark.parametrize("name", ["somebody/great-chat", "somebody/great-671B"])
def test_a_model_of_unknown_size_is_asked_about(name: str) -> None:
    """Neither a guess nor a size far from every known one is taken."""
    with pytest.raises(ModelError, match=f"{name} is not on this machine, and its name tells no size .* --size"):
        shape_of(name)


def test_an_unknown_size_names_the_nearest() -> None:
    """A mistyped size is told with what was probably meant."""
    with pytest.raises(ModelError, match=r"--size is '70bb'; expected one of 135m, .*; did you mean \"70b\"\?$"):
        named_shape("70bb")


def test_a_configuration_that_lacks_something_is_refused(tmp_path: Path) -> None:
    """What is missing is named, and so is what can be given in its place."""
    model = folder(tmp_path / "model", vocab_size=None, hidden_size=0)
    with pytest.raises(ModelError, match="does not say hidden_size, vocab_size; give a model's size with --size"):
        shape_of(str(model))


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    """Weights that are no safetensors are named."""
    model = folder(tmp_path / "model")
    (model / "model.safetensors").write_bytes(b"\x09\0\0\0\0\0\0\0not json!")
    with pytest.raises(ModelError, match=r"model.safetensors has no header of weights"):
        shape_of(str(model))
