"""The files that say how processes are started: ours are accelerate's own, and what cannot work is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.errors import RecipeError
from charter.recipe.launches import launch_files
from charter.training.launch.configurations import find_launch


def test_our_files_are_there() -> None:
    """The launches that the recipe's key names."""
    from charter.recipe.settings import LaunchSettings

    assert set(launch_files()) == {"one-gpu", "several-gpus", "fsdp2", "zero3", "cpu-2"}
    told = LaunchSettings.model_fields["launch"].description or ""
    assert all(name in told for name in launch_files())


@pytest.mark.parametrize("name", launch_files())
def test_accelerate_reads_our_files(name: str) -> None:
    """Its own reader takes every file, for the type of training that it is named for."""
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(launch_files()[name]))
    launch = find_launch(name)
    kinds = {"NO": "one", "MULTI_GPU": "copies", "FSDP": "fsdp", "DEEPSPEED": "deepspeed"}
    assert kinds[read.distributed_type.value] == launch.kind
    assert read.use_cpu == launch.on_cpu == (name == "cpu-2")
    assert launch.shards_weights == (name in {"fsdp2", "zero3"})
    if name == "fsdp2":
        assert read.fsdp_config["fsdp_version"] == 2
    if name == "zero3":
        assert read.deepspeed_config["zero_stage"] == 3


@pytest.mark.parametrize(
    ("written", "n", "problem"),
    [
        ("distributed_type: TPU", None, "distributed_type is 'TPU'"),
        ("mixed_precision: bf16", None, "distributed_type is None; expected NO"),
        ("distributed_type: 'NO'\ncompute_environment: AMAZON_SAGEMAKER", None, "compute_environment is 'AMAZON_SAG"),
        ("distributed_type: FSDP\nfsdp_config: yes", None, "fsdp_config is 'yes'; expected a mapping"),
        ("distributed_type: MULTI_GPU\nnum_machines: 2", None, "num_machines is 2"),
        ("distributed_type: FSDP\nfsdp_config: {fsdp_version: 1}", None, "fsdp_version is not 2"),
        ("distributed_type: 'NO'", 2, "starts one process, and training.n_processes is 2"),
        ("distributed_type: MULTI_GPU", 1, "training.n_processes is 1"),
        ("- a", None, "holds no mapping"),
        ("distributed_type: [", None, "own.yaml"),
    ],
)
def test_what_starts_no_training_here_is_refused(tmp_path: Path, written: str, n: int | None, problem: str) -> None:
    """The file and the value are named, with what to do."""
    file = tmp_path / "own.yaml"
    file.write_text(written, "utf-8")
    with pytest.raises(RecipeError, match=problem) as raised:
        find_launch(str(file), n)
    assert str(file) in str(raised.value)


def test_a_mistyped_name_is_told_the_nearest() -> None:
    """Neither a name nor a file: the names are listed."""
    with pytest.raises(RecipeError, match=r"'fsdp' \(did you mean fsdp2\?\); name one of cpu-2, fsdp2"):
        find_launch("fsdp")


def test_the_recipe_has_the_last_word_on_processes(tmp_path: Path) -> None:
    """Its number takes the place of the file's; accelerate's -1 is no number."""
    assert find_launch("cpu-2").n_processes == 2
    assert find_launch("cpu-2", 3).n_processes == 3
    file = tmp_path / "own.yaml"
    file.write_text("distributed_type: MULTI_GPU\nnum_processes: -1", "utf-8")
    assert find_launch(str(file)).n_processes is None
