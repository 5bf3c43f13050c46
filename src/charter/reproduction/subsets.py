"""Constitutions of fewer principles, for the figure over their number: those of fewer are among those of more."""

from __future__ import annotations

from pathlib import Path

import yaml

from charter.constitution import Constitution
from charter.files.tables import write_text
from charter.seeds import derive_seed


def write_subset(folder: Path, source: str, constitution: Constitution, n: int, seed: int) -> Path:
    """Write a constitution that takes over some principles of another, drawn by the seed, with all else.

    Args:
        folder: where to.
        source: the constitution's name, or its absolute path.
        constitution: the same, read.
        n: how many principles; all where there are fewer.
        seed: of the draw.
    """
    drawn = sorted(constitution.used_for("revise"), key=lambda one: derive_seed(seed, one.id, "subset"))[:n]
    text = yaml.safe_dump(
        {
            "name": f"{constitution.name}-{n}",
            "version": constitution.version,
            "description": f"{len(drawn)} principles of {constitution.name}, drawn.",
            "extends": [{"source": source, "only": sorted(one.id for one in drawn)}],
        },
        sort_keys=False,
    )
    path = folder / f"{n}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
