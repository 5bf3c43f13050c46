"""Where a model's files come from, and whether they may be loaded.

A model is named in one of four ways: by an embedded name (``smollm2-135m``), a model folder, an adapter's folder (its
base is found through its configuration), or a Hugging Face id (``owner/name``, pinned as ``owner/name@revision``).
Models are data: weights are safetensors, and code that a model brings is run only where that was allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from charter.engines.downloads import Progress
from charter.engines.embedded import EMBEDDED, EmbeddedModel, embedded_folder, fetch_embedded, is_complete
from charter.engines.fingerprint import fingerprint_folder
from charter.engines.hub import UnreachableError, fetch_hub_model, find_hub_model, hub_address
from charter.engines.inspection import ADAPTER_CONFIGURATION, check_adapter, check_model, has_tokenizer, is_whole
from charter.errors import ModelError
from charter.files.hub_ids import is_model_id
from charter.seeds import digest
from charter.spelling import nearest

Source = Literal["embedded", "folder", "hub"]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files on this machine, checked and ready to be loaded.

    Attributes:
        name: the model as it was named.
        path: the folder whose weights are loaded first; an adapter's base.
        source: how the name was understood.
        adapter: the adapter's folder, to be put on those weights; None for a full model.
        base: the adapter's base; None for a full model.
        revision: the commit of a hub model, else empty.
        trust_remote_code: whether loading may run Python that the model brings.
    """

    name: str
    path: Path
    source: Source
    adapter: Path | None = None
    base: ModelFolder | None = None
    revision: str = ""
    trust_remote_code: bool = False

    @property
    def tokenizer(self) -> Path:
        """The folder to read the tokenizer and chat template from: the adapter's own, where it has one."""
        if self.adapter is not None and has_tokenizer(self.adapter):
            return self.adapter
        return self.path


def resolve_model(
    model: str,
    *,
    allow_download: bool = True,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> ModelFolder:
    """Find a model's files, fetching them where that is needed and allowed.

    Args:
        model: an embedded name, a model's or an adapter's folder, or a hub id.
        allow_download: whether files that are not on this machine may be fetched.
        trust_remote_code: whether a model that brings Python code may be loaded, and its code run.
        progress: told what is being fetched, the bytes done and their total (0: unknown).

    Raises:
        ModelError: no such model; a folder with no configuration, no tokenizer, pickled or damaged weights; custom
            code that was not allowed; no disk space; no hub or package index in reach.
    """
    finder = _Finder(allow_download, trust_remote_code, progress)
    return finder.find(model)


def model_fingerprint(model: ModelFolder) -> str:
    """Hash what determines a model's answers: weights, adapter, configuration, tokenizer and templates.

    Instant for files that were hashed before and have kept their size and time.

    Returns:
        A sha256 in 64 hexadecimal digits; equal for equal content, wherever it lies.
    """
    weights = fingerprint_folder(model.path, with_code=model.trust_remote_code)
    if model.adapter is None:
        return weights
    return digest(["adapter", fingerprint_folder(model.adapter), weights])


@dataclass(frozen=True, slots=True)
class _Finder:
    allow_download: bool
    trust_remote_code: bool
    progress: Progress | None
    is_base: bool = False

    def find(self, model: str) -> ModelFolder:
        if model in EMBEDDED:
            return self._embedded(EMBEDDED[model])
        folder = Path(model).expanduser()
        if model and folder.exists():
            return self._folder(model, folder.resolve())
        if model.startswith((".", "/", "~")) or not is_model_id(model):
            raise _no_such_model(model, _no_folder(model))
        return self._hub(model)

    def _embedded(self, model: EmbeddedModel) -> ModelFolder:
        folder = embedded_folder(model)
        if not self.allow_download and not is_complete(folder):
            raise ModelError(
                f"the embedded model {model.name!r} is not on this machine ({folder}), and nothing may be downloaded "
                "here; allow downloads once, or name a model folder"
            )
        return ModelFolder(model.name, fetch_embedded(model, self.progress), "embedded")

    def _hub(self, model: str) -> ModelFolder:
        folder = find_hub_model(model, with_code=self.trust_remote_code)
        if folder is None or not is_whole(folder):
            folder = self._fetch(model)
        return self._checked(model, folder, "hub", revision=folder.name)

    def _fetch(self, model: str) -> Path:
        if not self.allow_download:
            not_cached = "it is not in the hub's cache on this machine, and nothing may be downloaded here"
            raise _no_such_model(model, f"{_no_folder(model)}, {not_cached}")
        try:
            folder = fetch_hub_model(model, with_code=self.trust_remote_code, progress=self.progress)
        except UnreachableError as error:
            # A mistyped name has the form of a hub's: whoever meant something on this machine must hear of that first.
            raise ModelError(f"{_no_such_model(model, _no_folder(model))}\n{error}") from error
        if folder is None:
            raise _no_such_model(model, f"{_no_folder(model)}, and no such model at {hub_address()}")
        return folder

    def _folder(self, model: str, folder: Path) -> ModelFolder:
        if not folder.is_dir():
            raise ModelError(f"{folder} is a file; name the folder of a model saved by transformers or peft")
        return self._checked(model, folder, "folder")

    def _checked(self, model: str, folder: Path, source: Source, revision: str = "") -> ModelFolder:
        if (folder / ADAPTER_CONFIGURATION).is_file():
            return self._adapter(model, folder, source, revision)
        check_model(folder, trust_remote_code=self.trust_remote_code)
        return ModelFolder(model, folder, source, None, None, revision, self.trust_remote_code)

    def _adapter(self, model: str, folder: Path, source: Source, revision: str) -> ModelFolder:
        if self.is_base:
            raise ModelError(
                f"{folder} is itself an adapter; merge it into its base, and name the merged folder in "
                "base_model_name_or_path"
            )
        named = check_adapter(folder)
        try:
            base = replace(self, is_base=True).find(embedded_at(named) or named)
        except ModelError as error:
            raise ModelError(
                f"the base of the adapter in {folder}, named {named!r} there, cannot be used: {error}"
            ) from error
        return ModelFolder(model, base.path, source, folder, base, revision, base.trust_remote_code)


def embedded_at(base: str) -> str | None:
    """Name the embedded model whose folder an adapter's configuration names as its base; None where it is another's.

    Whoever trains by such a folder names a cache of one machine; on another the name is enough.
    """
    folder_name = Path(base).name
    return next((name for name, model in EMBEDDED.items() if model.folder_name == folder_name), None)


def nearest_embedded(model: str) -> str:
    """Find the embedded model that a mistyped name may mean; empty where none is near."""
    return nearest(model, EMBEDDED)


def _no_folder(model: str) -> str:
    return f"there is no folder {Path(model).expanduser().absolute()}"


def _no_such_model(model: str, looked: str) -> ModelError:
    near = nearest_embedded(model)
    hint = f"did you mean {near!r}?" if near else "check the name"
    return ModelError(f"no model {model!r}: it is no embedded model ({', '.join(EMBEDDED)}), {looked}; {hint}")
