"""What one file says of a constitution: any of it may be missing, and several files make a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.constitution.model import FewShots


@dataclass(frozen=True)
class Part:
    """What one file gives.

    ``principles`` are fields of ``Principle``; an id is among them only where the layout's ids are ours. ``about``
    holds fields of the constitution itself, ``system`` its system texts by role. ``metadata`` keeps what has no field.
    ``remarks`` say, with file and line, what a person should know of it. ``follows`` is the file that it names for its
    principles.
    """

    source: str
    principles: tuple[Mapping[str, Any], ...] = ()
    few_shots: FewShots = field(default_factory=FewShots)
    system: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    follows: Path | None = None
