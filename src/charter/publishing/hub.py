"""Sending to the Hugging Face Hub, through its own library: repositories made, files committed, and what may go wrong.

Every repository is looked at before the first is sent to, so that nothing is sent where it cannot all go. What is there
already, with the same content, is not sent again; where nothing differs, there is no commit.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from charter.errors import CharterError, UserError
from charter.recipe.secrets import HIDDEN, KEY_FORMS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from charter.publishing.leaks import Content

Kind = Literal["dataset", "model"]

_LONGEST_NAME = 96  # of owner and name together, which the hub allows
_NAME = re.compile(
    r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?/[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?", re.ASCII
)
_LONGEST_REASON = 300
_TOKENS_PAGE = "settings/tokens"


@dataclass(frozen=True)
class Repository:
    """A repository of the hub as it is to be: its name ``owner/name``, and its files by their names there."""

    kind: Kind
    name: str
    files: Mapping[str, Content]

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }


@dataclass(frozen=True)
class Sent:
    """What became of a repository: its address, its commit, and whether that is new or all was there already."""

    kind: Kind
    name: str
    url: str
    commit: str
    is_new: bool
    is_private: bool


def check_name(name: str) -> None:
    """Check that a repository's name is one that the hub gives.

    Raises:
        UserError: where it is none.
    """
    if not _NAME.fullmatch(name) or name.endswith(".git"):
        raise UserError(
            f"{name!r} is no name of a repository: expected OWNER/NAME of letters, digits, '-', '_' and '.', such as "
            "acme/harmless-135m"
        )
    if len(name) > _LONGEST_NAME:
        raise UserError(f"{name!r} is too long for the hub: {len(name)} characters, where {_LONGEST_NAME} are allowed")


def find_token() -> str:
    """Give the token of the environment (``HF_TOKEN``), or of the login that huggingface_hub has saved.

    Raises:
        UserError: where there is none.
    """
    from huggingface_hub import get_token

    try:
        token = get_token()
    except Exception as error:  # a trusted publisher's exchange, or a login that is refreshed, asks a server
        raise UserError(
            f"the token for {_address()} cannot be had ({type(error).__name__}); run 'hf auth login'"
        ) from error
    if not token:
        raise UserError(
            f"there is no token for {_address()}: set HF_TOKEN to one that may write, or run 'hf auth login' "
            f"({_address()}/{_TOKENS_PAGE})"
        )
    return token


def send(repositories: Sequence[Repository], *, public: bool, message: str) -> list[Sent]:
    """Send repositories to the hub, one commit each; those that are not there are made.

    Args:
        repositories: what is to be there. Files that are there besides stay.
        public: whether everybody may read what is made, and what is there already may be public.
        message: of the commits.

    Raises:
        UserError: no token, or one that is not valid or may not write there; a repository that is public and is not to
            be; a hub that does not answer.
    """
    from huggingface_hub import HfApi

    token = find_token()
    api = HfApi(token=token, library_name="charter")
    with _quiet_library():
        heads = [_prepare(api, one, token, public=public) for one in repositories]
        return [_commit(api, one, head, token, message) for one, head in zip(repositories, heads, strict=True)]


def _prepare(api: HfApi, repository: Repository, token: str, *, public: bool) -> Any:
    """See that a repository is there, and seen by whom it may be; give what the hub says of it."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with _told(repository, token):
        try:
            found = api.repo_info(repository.name, repo_type=repository.kind)
        except RepositoryNotFoundError as error:
            if error.response.status_code == 401:  # which the hub says of a token that it does not know, too
                raise
            api.create_repo(repository.name, repo_type=repository.kind, private=not public)
            found = api.repo_info(repository.name, repo_type=repository.kind)
    # An owner's settings may make a new repository public, and the hub leaves one that is there as it is.
    if not public and not found.private:
        raise UserError(
            f"the {repository.kind} {repository.name} at {_address()} is public: everybody would read what is sent. "
            "Name another repository with --to, make it private in its settings there, or give --public"
        )
    return found


def _commit(api: HfApi, repository: Repository, head: Any, token: str, message: str) -> Sent:
    from huggingface_hub import CommitOperationAdd

    with _told(repository, token):
        done = api.create_commit(
            repository.name,
            [
                CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
                for name, content in repository.files.items()
            ],
            commit_message=message,
            repo_type=repository.kind,
        )
        _require_arrived(api, repository, done.oid)
    prefix = "datasets/" if repository.kind == "dataset" else ""
    url = f"{_address()}/{prefix}{repository.name}"
    return Sent(repository.kind, repository.name, url, done.oid, done.oid != head.sha, bool(head.private))


def _require_arrived(api: HfApi, repository: Repository, commit: str) -> None:
    """See that every file is there: a ``.gitignore`` of the repository's leaves files out without a word."""
    there = {
        one.path: getattr(one, "size", None)
        for one in api.get_paths_info(
            repository.name, list(repository.files), revision=commit, repo_type=repository.kind
        )
    }
    missing = [name for name, size in repository.sizes.items() if there.get(name) != size]
    if missing:
        raise UserError(
            f"{repository.name}: {', '.join(missing)} did not arrive whole, though the hub took the commit {commit}; "
            "see whether a .gitignore there leaves them out"
        )


def _address() -> str:
    """Say which hub is meant, without a password that may stand in its address."""
    from huggingface_hub import constants

    return re.sub(r"//[^/@]*@", f"//{HIDDEN}@", constants.ENDPOINT)


@contextlib.contextmanager
def _told(repository: Repository, token: str) -> Iterator[None]:
    """Turn what the hub's library raises into what is wrong and what to do; the token is in none of it."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    where = f"the {repository.kind} {repository.name} at {_address()}"
    again = "what was sent is kept, and the same command goes on from there"
    try:
        yield
    except CharterError:
        raise
    except OfflineModeIsEnabled as error:
        raise UserError(f"{where} cannot be reached: HF_HUB_OFFLINE is set; unset it to publish") from error
    except HfHubHTTPError as error:
        raise UserError(f"{where}: {_why(error.response.status_code, repository, _reason(error, token))}") from error
    except Exception as error:  # the hub's client lets its transport's own errors through, whose classes change
        cause = error.__cause__ or error
        raise UserError(
            f"{where} does not answer as it should: {type(cause).__name__}: {_reason(cause, token)}. Check the network "
            f"and HF_ENDPOINT; {again}"
        ) from error


def _why(status: int, repository: Repository, reason: str) -> str:
    owner = repository.name.partition("/")[0]
    if status == 401:
        return (
            f"the token is not valid there (401). Take one that may write from {_address()}/{_TOKENS_PAGE}, and set "
            "HF_TOKEN or run 'hf auth login' again"
        )
    if status == 403:
        return (
            f"the token may not write there (403: {reason}). Take one with the right to write to {owner!r} from "
            f"{_address()}/{_TOKENS_PAGE}, or name another owner with --to"
        )
    if status in {429, 500, 502, 503, 504}:
        return f"the hub is busy or broken ({status}: {reason}); what was sent is kept: run the same command later"
    return f"the hub refused it ({status}: {reason})"


def _reason(error: BaseException, token: str) -> str:
    """Give the first words of an error, without a token, whoever wrote them."""
    said = getattr(error, "server_message", None) or str(error)
    said = " ".join(said.split()).replace(token, HIDDEN)
    for form in KEY_FORMS:
        said = form.pattern.sub(HIDDEN, said)
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]} ..."


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Let the library show bars to whoever watches a terminal, and say nothing else."""
    from huggingface_hub import utils
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    bars = not utils.are_progress_bars_disabled()  # type: ignore[attr-defined] # not in the module's __all__
    logging.set_verbosity_error()  # type: ignore[no-untyped-call] # the library's own
    if bars and not sys.stderr.isatty():
        utils.disable_progress_bars()  # type: ignore[attr-defined] # as above
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            utils.enable_progress_bars()  # type: ignore[attr-defined] # as above
