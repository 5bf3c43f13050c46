"""Files in our own layout, checked: every fault is named with its file, line, value and remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from charter.constitution.composition import Lineage, Load, compose, on_bases, read_bases
from charter.constitution.derivation import DERIVATIONS, with_derived_requests
from charter.constitution.faults import Fault, report, schema_fault, shown
from charter.constitution.model import Constitution
from charter.errors import ConstitutionError
from charter.files.yaml_reading import YamlDocument


def read_native(document: YamlDocument, folder: Path, lineage: Lineage, load: Load) -> Constitution:
    """Make a constitution of a document in our own layout.

    Args:
        document: the file's values.
        folder: where the file is; what it extends is found from there.
        lineage: for whom it is read.
        load: reads what it extends.

    Raises:
        ConstitutionError: for every fault in it, by line.
    """
    if document.data is None:
        raise ConstitutionError(f"{document.source}:1: the file is empty; a constitution needs a name and principles")
    if not isinstance(document.data, dict):
        raise ConstitutionError(
            f"{document.where(())}: the file holds {shown(document.data)}; expected a mapping with the keys "
            '"name" and "principles"'
        )
    bases = read_bases(document, folder, lineage, load)
    faults = [*_repeated_ids(document)]
    constitution = None
    try:
        constitution = _validated(on_bases(document, folder, bases))
    except ValidationError as problem:
        faults += [schema_fault(document, detail) for detail in problem.errors() if not _said_already(detail)]
    if constitution is None or faults:
        raise ConstitutionError(report(document.source, faults))
    return compose(document, constitution, bases)


def _validated(data: Mapping[str, Any]) -> Constitution:
    principles = data.get("principles")
    if isinstance(principles, list):
        completed = [with_derived_requests(item) if isinstance(item, dict) else item for item in principles]
        data = {**data, "principles": completed}
    # JSON mode takes a list where a tuple is declared and is strict in everything else: "2" is no number.
    return Constitution.model_validate_json(json.dumps(data), strict=True)


def _repeated_ids(document: YamlDocument) -> Iterator[Fault]:
    first: dict[str, int] = {}
    principles = document.data.get("principles")
    for position, item in enumerate(principles if isinstance(principles, list) else ()):
        name = item.get("id") if isinstance(item, dict) else None
        if not isinstance(name, str):
            continue
        line = document.line_of(("principles", position, "id"))
        if name in first:
            yield (
                line,
                f'principle id "{name}" is used twice (first on line {first[name]}); give each principle its own id',
            )
        first.setdefault(name, line)


def _said_already(detail: ErrorDetails) -> bool:
    """Leave out what another fault says better."""
    path = detail["loc"]
    match detail["type"]:
        case "missing":  # a request that lacks the text it would follow from
            return path[0] == "principles" and path[-1] in DERIVATIONS
        case "too_short":  # a list is also called too short when an item of it is faulty
            return len(detail["input"]) >= int(detail["ctx"]["min_length"])
        case kind:  # the model's own check of unique ids
            return kind == "value_error" and path == ()
