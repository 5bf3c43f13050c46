"""Models of the Hugging Face hub: looked for on this machine first, then fetched, safetensors only."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from charter.engines.downloads import Progress, content_patterns, is_content, reported_growth, require_space
from charter.engines.inspection import ADAPTER_CONFIGURATION, TEMPLATE_FILES, has_chat_template, require_safetensors
from charter.errors import ModelError

_ANSWER_SECONDS = 10.0  # that a question to the hub may take


class UnreachableError(ModelError):
    """The hub did not answer."""


def hub_address() -> str:
    """Say which hub is asked."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def why_silent() -> str:
    """Say why a hub that gave no answer gave none."""
    from huggingface_hub import constants

    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{hub_address()} does not answer"


def find_hub_model(model: str, *, with_code: bool) -> Path | None:
    """Find a whole copy of a hub model in the hub's cache on this machine, without a call.

    Args:
        model: ``owner/name``, or ``owner/name@revision`` (a branch, a tag or a commit).
        with_code: whether the model's Python files are part of it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, _, revision = model.partition("@")
    allow, ignore = content_patterns(with_code=with_code)
    try:
        found = snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=allow,
            ignore_patterns=ignore,
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Path(found)


def fetch_hub_model(model: str, *, with_code: bool, progress: Progress | None) -> Path | None:
    """Fetch a hub model's weights, configuration and tokenizer into the hub's cache.

    What was fetched before an interruption is kept, and the next call goes on from there.

    Args:
        model: as for ``find_hub_model``.
        with_code: as for ``find_hub_model``.
        progress: told of every byte that arrives.

    Returns:
        The snapshot's folder, named after its commit; None where the hub knows no such model.

    Raises:
        UnreachableError: no hub in reach.
        ModelError: no such revision, pickled weights only, no access, no room.
    """
    from huggingface_hub import constants, snapshot_download

    name, _, revision = model.partition("@")
    listing = _list_files(model)
    if listing is None:
        return None
    sizes, _ = listing
    total = sum(size for path, size in sizes.items() if is_content(path, with_code=with_code))
    cache = Path(constants.HF_HUB_CACHE)
    require_space(cache, total, model)
    blobs = cache / f"models--{name.replace('/', '--')}" / "blobs"
    allow, ignore = content_patterns(with_code=with_code)
    with _hub_errors(model), _quiet_hub(), reported_growth(progress, "downloading", blobs, total):
        # Asked by the branch's name, the cache remembers its commit, and finds it again with no hub in reach.
        found = snapshot_download(name, revision=revision or None, allow_patterns=allow, ignore_patterns=ignore)
    return Path(found)


@dataclass(frozen=True, slots=True)
class HubModel:
    """What the hub says of a model: the bytes of its weights, and whether it has a chat template (None: not known)."""

    n_weight_bytes: int
    chats: bool | None


def ask_hub(model: str) -> HubModel | None:
    """Ask the hub what a model consists of. Of its files only the tokenizer's settings are read, and nothing is kept.

    Args:
        model: as for ``find_hub_model``.

    Returns:
        None where the hub cannot be asked now.

    Raises:
        ModelError: no such model or revision, pickled weights only, no access.
    """
    try:
        listing = _list_files(model, timeout=_ANSWER_SECONDS)
    except UnreachableError:
        return None
    if listing is None:
        raise ModelError(f"no model {model!r}: there is none of that name at {hub_address()}; check the name")
    sizes, commit = listing
    n_bytes = sum(size for path, size in sizes.items() if path.endswith(".safetensors") and "/" not in path)
    return HubModel(n_bytes, _has_template(model, sizes, commit))


def _has_template(model: str, files: Collection[str], commit: str | None) -> bool | None:
    from huggingface_hub import hf_hub_download

    if ADAPTER_CONFIGURATION in files:
        return None  # its base's counts, where it brings no tokenizer
    with tempfile.TemporaryDirectory() as folder:
        for name in TEMPLATE_FILES:
            if name in files:
                try:
                    with _hub_errors(model), _quiet_hub():
                        hf_hub_download(model.partition("@")[0], name, revision=commit, local_dir=folder)
                except UnreachableError:
                    return None
        return has_chat_template(Path(folder))


def _list_files(model: str, *, timeout: float | None = None) -> tuple[dict[str, int], str | None] | None:
    """List a hub model's files with their sizes, and its commit; None where the hub knows no such model."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    name, _, revision = model.partition("@")
    with _hub_errors(model):
        try:
            found = HfApi().model_info(name, revision=revision or None, files_metadata=True, timeout=timeout)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or []}
    require_safetensors(f"the hub model {model!r}", (path for path in sizes if "/" not in path))
    return sizes, found.sha


@contextlib.contextmanager
def _hub_errors(model: str) -> Iterator[None]:
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"the hub model {model!r} is gated: its owner wants its terms accepted; accept them at "
            f"{hub_address()}/{model.partition('@')[0]}, then run 'hf auth login'"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"the hub model {model!r} has no such revision; name a branch, a tag or a commit after the @"
        ) from error
    except Exception as error:  # the hub's client lets its transport's own errors through, whose classes change
        raise UnreachableError(
            f"cannot fetch {model!r} from {hub_address()}: {type(error).__name__}: {error}\nCheck the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE, or name a model folder on this machine instead"
        ) from error


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    from huggingface_hub import utils

    were_disabled = utils.are_progress_bars_disabled()  # type: ignore[attr-defined] # not in the module's __all__
    utils.disable_progress_bars()  # type: ignore[attr-defined] # as above
    try:
        yield
    finally:
        if not were_disabled:
            utils.enable_progress_bars()  # type: ignore[attr-defined] # as above
