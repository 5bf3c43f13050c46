"""Constitutions found and read: built-in ones, files in any layout, folders, and several files that make one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from charter.constitution.composition import Lineage
from charter.constitution.formats.layouts import NATIVE, find_layout, is_rows
from charter.constitution.formats.merging import merge, part_of
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile, read_source
from charter.constitution.model import Constitution
from charter.constitution.native import read_native
from charter.errors import ConstitutionError
from charter.spelling import hint

_IN_FOLDERS = (".json", ".yaml", ".yml")
_SAYS_NOTHING = ("config", "constitution", "constitutions", "principles")  # as a file's name: its folder's says more


@dataclass(frozen=True)
class Reading:
    """A constitution, which files it was read from in which layouts, and what a person should know of them."""

    constitution: Constitution
    layouts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


def list_constitutions() -> tuple[str, ...]:
    """List the names of the built-in constitutions, in alphabetical order."""
    found = (entry.name for entry in _library().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def load_constitution(source: str | Path, *, layout: str | None = None) -> Constitution:
    """Read a constitution.

    Args:
        source: the name of a built-in (a ``Path`` is always a file), a file in any layout that we read, or a folder,
            whose JSON and YAML files are read as parts of one.
        layout: which layout the file has; recognised by what it holds where it is not given.

    Raises:
        ConstitutionError: for a missing file, which lists the built-in names, and for every fault in it, by line.
    """
    return _load(source, Lineage(), Path(), layout)


def read_constitution(
    sources: Sequence[str | Path], *, layout: str | None = None, name: str = "", follow: bool = True
) -> Reading:
    """Read one constitution from its parts, and say what was read.

    Args:
        sources: names, files and folders, in the order in which their principles are to stand.
        layout: which layout the files have; recognised by what each holds where it is not given.
        name: what the constitution is called; where it is empty, what the files or their names say.
        follow: whether the principles that a file names are read with it.

    Raises:
        ConstitutionError: for every fault, and where the parts have no principles or contradict each other.
    """
    gathering = _Gathering(Lineage(), layout, follow=follow)
    for source in sources:
        with _place(source, Path()) as path:
            gathering.add(path)
    constitution = gathering.constitution(name or _name(sources), renamed=bool(name))
    remarks = tuple(remark for part in gathering.parts for remark in part.remarks)
    return Reading(constitution, tuple(gathering.layouts), remarks)


def _load(source: str | Path, lineage: Lineage, folder: Path, layout: str | None = None) -> Constitution:
    """Read a constitution by its name or by its path from a folder, for those that extend it."""
    with _place(source, folder) as path:
        return lineage.read(path, partial(_read, layout=layout))


def _place(source: str | Path, folder: Path) -> AbstractContextManager[Path]:
    built_in = list_constitutions()
    if isinstance(source, str) and source in built_in:
        return as_file(_library() / f"{source}.yaml")
    # Path.exists raises for what is no path at all, such as the text of a constitution
    if not str(source) or not os.path.exists(folder / source):  # noqa: PTH110
        near = hint(Path(source).stem, built_in)
        raise ConstitutionError(
            f"there is no constitution {str(source)!r}: it is neither a file nor a built-in{near} "
            f"(built in: {', '.join(built_in)}); check the path, or give a built-in name"
        )
    return nullcontext(folder / source)


def _library() -> Traversable:
    return files("charter.constitution") / "library"


def _read(path: Path, lineage: Lineage, *, layout: str | None = None) -> Constitution:
    gathering = _Gathering(lineage, layout)
    gathering.add(path)
    return gathering.constitution(_name([path]))


class _Gathering:
    """Gathers the parts of one constitution, each file once."""

    def __init__(self, lineage: Lineage, layout: str | None, *, follow: bool = True) -> None:
        self.parts: list[Part] = []
        self.layouts: list[tuple[str, str]] = []
        self._lineage = lineage
        self._layout = layout
        self._follows = follow
        self._seen: set[Path] = set()
        self._whole: list[Constitution] = []

    def add(self, path: Path) -> None:
        """Read a file, or the files of a folder."""
        if not path.is_dir():
            if path.resolve() not in self._seen:
                self._add(path, read_source(path), self._layout)
            return
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in _IN_FOLDERS and one.is_file())
        sources = [source for one in found if not is_rows(source := read_source(one))]
        if not sources:
            raise ConstitutionError(
                f"{path}: the folder holds no constitution; expected JSON or YAML files (name files of text one by one)"
            )
        for source in sources:
            if source.path.resolve() not in self._seen:
                self._add(source.path, source, self._layout)

    def constitution(self, name: str, *, renamed: bool = False) -> Constitution:
        """Make the constitution of what was gathered, of this name where it has none or is renamed."""
        if self._whole and len(self.parts) == 1:
            return self._whole[0].model_copy(update={"name": name}) if renamed else self._whole[0]
        return merge(self.parts, name, renamed=renamed)

    def _add(self, path: Path, source: SourceFile, layout: str | None) -> None:
        self._seen.add(path.resolve())
        found = find_layout(source, layout)
        if found is None:
            constitution = read_native(source.document, path.parent, self._lineage, _load)
            self._whole.append(constitution)
            part = part_of(constitution, source.document.source)
        else:
            part = found.read(source)
        if part.follows is not None and self._follows:
            self._follow(part.follows, source)
        self.parts.append(part)
        self.layouts.append((str(path), found.name if found else NATIVE))

    def _follow(self, path: Path, source: SourceFile) -> None:
        """Read the principles that a file names, before what itself says; what else is read, no file is to say."""
        place = source.document.where(("src_principles",))
        try:
            there, is_file = path.resolve(), path.is_file()
        except (OSError, RuntimeError, ValueError):  # too long, a link to itself, a null: no path at all
            there, is_file = path.absolute(), False
        if there in self._seen:
            return
        if not there.is_relative_to(source.path.parent.resolve()):
            raise ConstitutionError(
                f"{place}: {path} leads out of the folder of this file; put the principles beside it, or name them "
                f"yourself: charter import-country {source.path.name} --principles FILE"
            )
        if not is_file:
            raise ConstitutionError(f"{place}: {path} is not there; the path is taken from the folder of this file")
        self._add(path, read_source(path), None)


def _name(sources: Sequence[str | Path]) -> str:
    """Name a constitution by its files: of several that lie in one folder, by that folder."""
    places = [Path(source).resolve() for source in sources]
    if len({place.parent for place in places}) == 1 and len(places) > 1:
        return places[0].parent.name or places[0].stem
    first = places[0]
    return (first.parent.name if first.stem.lower() in _SAYS_NOTHING else first.stem) or first.stem or "constitution"
