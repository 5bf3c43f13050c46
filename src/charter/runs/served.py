"""What is served where somebody names a model or a run: a base, and the adapters on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.engines.downloads import Progress as DownloadProgress
from charter.engines.weights import ModelFolder, resolve_model
from charter.errors import ModelError
from charter.recipe import load_recipe
from charter.recipe.stages import policies_of
from charter.runs.place import RESOLVED
from charter.runs.roles import role_specs


@dataclass(frozen=True)
class Served:
    """A base's files and name, and the adapters on it by theirs."""

    base: ModelFolder
    name: str
    adapters: dict[str, Path]


def find_served(
    model: str, name: str | None, adapters: Sequence[tuple[str, Path]], on_download: DownloadProgress | None = None
) -> Served:
    """Find a model's files, fetching them where that is needed, and check that the adapters are its own.

    Args:
        model: what names a model; or a run's folder, whose policy is served with what was trained on it.
        name: what the model is to be called; None calls it as it is named.
        adapters: further ones, with their names.
        on_download: told how far a model's files are.

    Raises:
        ModelError: where there is no such model, two adapters have one name, or one is another base's.
        UserError: where a run's recipe cannot be read.
    """
    if (Path(model) / RESOLVED).is_file():
        folder, put_on = _of_run(Path(model), on_download)
    else:
        folder, put_on = resolve_model(model, progress=on_download), []
    called = name or folder.name
    if folder.adapter is not None and folder.base is not None:
        put_on, called = [(name or folder.adapter.name, folder.adapter), *put_on], folder.base.name
    put_on += adapters
    _check(folder, put_on)
    return Served(folder, called, dict(put_on))


def _of_run(run: Path, on_download: DownloadProgress | None) -> tuple[ModelFolder, list[tuple[str, Path]]]:
    """Find a run's policy, as its recipe says that it is loaded, and what was trained on it."""
    recipe = load_recipe(run / RESOLVED)
    policy = role_specs(recipe)["policy"]
    if not policy.has_weights:
        raise ModelError(
            f"{run}: its policy, {policy.name!r}, has no weights to serve (models.policy.engine is {policy.engine!r}); "
            "name a run whose policy is a model of yours, or the model itself"
        )
    folder = resolve_model(policy.name, trust_remote_code=policy.trust_remote_code, progress=on_download)
    trained = [(name, (run / "models" / name).resolve()) for name in policies_of(recipe)]
    return folder, [(name, place) for name, place in trained if place.is_dir()]


def _check(base: ModelFolder, adapters: Sequence[tuple[str, Path]]) -> None:
    """Refuse two adapters of one name, and an adapter of another base."""
    names = [name for name, _ in adapters]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ModelError(f"two adapters are called {twice!r}; give each a name of its own (--adapter NAME=FOLDER)")
    for name, place in adapters:
        found = resolve_model(str(place), trust_remote_code=base.trust_remote_code)
        if found.adapter is None:
            raise ModelError(f"--adapter {name}={place}: holds a whole model, not an adapter; serve it by itself")
        if found.path != base.path:
            raise ModelError(
                f"--adapter {name}={place}: was trained on {found.path}, not on {base.path}, which is served"
            )
