"""A run's model written where somebody says: merged into its base, or as one GGUF file for llama.cpp."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from charter.engines.inspection import ADAPTER_CONFIGURATION
from charter.errors import RunError, UserError
from charter.files.writing import new_folder
from charter.publishing.gguf import Agreement, Numbers, check_gguf, write_gguf
from charter.release.models import copy_model, last_policy, model_files, model_folder, read_finished
from charter.reporting.cards.writing import find_trained

Form = Literal["merged", "gguf"]

_SUFFIX = ".gguf"
#: What an adapter is merged to, that its weights are rounded once. Eight bits are too coarse for that to show.
_MERGED: dict[Numbers | None, str | None] = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class ExportedModel:
    """A model that was written: the stage that trained it, the files with their bytes, the format of its numbers.

    ``notes`` say what is otherwise where the file is used, and ``agreement`` how far llama.cpp was found to agree.
    """

    out: str
    form: Form
    stage: str
    files: dict[str, int]
    numbers: str
    notes: tuple[str, ...] = ()
    agreement: Agreement | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return asdict(self)


def export_model(
    run: str | Path,
    out: str | Path,
    form: Form,
    *,
    model: str | None = None,
    numbers: Numbers | None = None,
    check: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> ExportedModel:
    """Write a model that a run trained, whole: an adapter is merged into its base.

    Args:
        run: a run folder.
        out: the folder to make, or the file, for ``gguf``; it appears whole or not at all.
        form: ``merged``, a folder that transformers and vLLM load, or ``gguf``, a file that llama.cpp loads.
        model: the stage that trained it; None takes the last policy.
        numbers: the format of a GGUF file's matrices; None keeps the model's own.
        check: whether llama.cpp is to load the file, and is held to tokens, chats and next tokens of the model.
        say: told what takes long.

    Raises:
        RunError: where the folder is no run's, or the model is not there.
        UserError: where ``out`` is there already, or cannot be written.
        ModelError: where an adapter cannot be merged, llama.cpp would not run the model, or does not agree with it.
    """
    run, out = Path(run), Path(out)
    facts = read_finished(run)
    stages = [find_trained(facts, model)] if model else last_policy(facts)
    if not stages:
        raise RunError(f"{run}: has trained no model yet; go on with it: charter run")
    folder = model_folder(facts, stages[0])
    if form == "merged":
        return _merged(folder, out, stages[0], say)
    _require_new_file(out)
    with _whole(folder, out, _MERGED.get(numbers), say) as whole:
        say(f"writing {out}")
        packed = write_gguf(whole, out, name=f"{facts.name} {stages[0]}", numbers=numbers)
        agreement = None
        if check:
            say("holding llama.cpp to the model")
            agreement = check_gguf(out, whole, packed.numbers)
    return ExportedModel(str(out), form, stages[0], {out.name: packed.n_bytes}, packed.numbers, packed.notes, agreement)


def _merged(folder: Path, out: Path, stage: str, say: Callable[[str], object]) -> ExportedModel:
    from charter.training.merging import merge_adapter, own_dtype

    with new_folder(out) as made:
        if (folder / ADAPTER_CONFIGURATION).is_file():
            say(f"merging {stage} into its base")
            dtype = merge_adapter(folder, made).dtype
        else:
            dtype = own_dtype(folder)
            copy_model(folder, made)
        files = {name: path.stat().st_size for name, path in model_files(made).items()}
    return ExportedModel(str(out), "merged", stage, files, dtype)


def _require_new_file(out: Path) -> None:
    if out.suffix != _SUFFIX:
        raise UserError(f"{out}: a GGUF file's name ends in {_SUFFIX}; name the file, such as {out / 'model'}{_SUFFIX}")
    if out.exists():
        raise UserError(f"{out}: is there already; name a new file, or remove it first")


@contextlib.contextmanager
def _whole(folder: Path, out: Path, dtype: str | None, say: Callable[[str], object]) -> Iterator[Path]:
    """Give a whole model's folder: an adapter is merged into one beside ``out``, which is removed."""
    from charter.training.merging import merge_adapter

    if not (folder / ADAPTER_CONFIGURATION).is_file():
        yield folder
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".partial", dir=out.parent)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); check free space and rights") from error
    with work as name:
        say(f"merging {folder.name} into its base")
        yield merge_adapter(folder, Path(name) / "merged", dtype=dtype).folder
