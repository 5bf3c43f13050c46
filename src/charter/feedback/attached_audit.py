"""A judge's audit, read back to stand beside what the judge was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import RunError
from charter.files.tables import read_json
from charter.statistics import Interval

_FILE = "audit.json"


@dataclass(frozen=True)
class AttachedAudit:
    """What an audit found, in short.

    Attributes:
        judge: who was audited, as it was named then.
        identity: of the model behind the name.
        grade: what it is good for; None where the labels are not people's.
        verdict: the weightiest sentence of advice; empty where there is none.
        agreement: with the labels; None where no verdict could be read.
        labels: the file that the judge was held against.
        constitution: by whose principles it judged red-team prompts.
    """

    judge: str
    identity: str
    grade: str | None
    verdict: str
    agreement: Interval | None
    labels: str
    constitution: str


def read_audit(place: Path) -> AttachedAudit:
    """Read an audit from its folder, or from the file of its figures.

    Raises:
        RunError: where it is not there, or is no audit.
    """
    file = place / _FILE if place.is_dir() else place
    told = read_json(file)
    try:
        return AttachedAudit(
            told["judge"],
            told["identity"],
            told["grade"],
            next(iter(told["advice"]), ""),
            _agreement(told["quality"]),
            told["labels"],
            told["constitution"],
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"{file}: is not what 'charter audit' writes ({error}); name the folder of its --out") from error


def _agreement(quality: dict[str, Any] | None) -> Interval | None:
    return None if quality is None else Interval(**quality["accuracy"])
