"""Measure how the rule-based response classes agree with people's labels, on the halves that they were developed on.

The file is a CSV with the columns ``type``, ``prompt``, ``completion`` and ``final_label`` (``1_full_compliance``,
``2_full_refusal``, ``3_partial_refusal``), as XSTest publishes them for several models (arXiv 2308.01263, CC-BY-4.0).
The rules were developed on every second row of each type, counted from 0 in the file's order: rows 1, 3, 5, ... are the
development half, rows 0, 2, 4, ... the held-out half. Errors were only ever looked at in the former. Of any other file
``charter evaluate refusals`` says the same without halves.

    python -m benchmarks.classifier_agreement FILE

prints a confusion matrix for each half and for all, and as its last line the figures as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from charter.evaluation.refusals import Answer, Columns, RuleFigures, assess_rules, load_answers, read_answers
from charter.given.reading import read_file
from charter.statistics import Interval, LabelAgreement

_COLUMNS = Columns("prompt", "completion", label="final_label")


def halves(rows: Sequence[Answer], types: Sequence[str]) -> dict[str, list[Answer]]:
    """Split the rows of each type by turns into the held-out and the development half."""
    seen: Counter[str] = Counter()
    split: dict[str, list[Answer]] = {"development": [], "held_out": []}
    for row, kind in zip(rows, types, strict=True):
        split["development" if seen[kind] % 2 else "held_out"].append(row)
        seen[kind] += 1
    return {**split, "all": list(rows)}


def table(name: str, agreed: LabelAgreement) -> str:
    """Write a confusion matrix as a Markdown table: people's labels in rows, the rules' in columns."""
    labels, counts = agreed.matrix.labels, agreed.matrix.counts
    head = [f"| {name}: people \\ rules | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    body = [f"| {label} | {' | '.join(map(str, row))} |" for label, row in zip(labels, counts, strict=True)]
    of_both = f"agreement {_rounded(agreed.agreement)}, kappa {_rounded(agreed.kappa)} (value, 95 % interval)"
    return "\n".join([*head, *body, "", f"n {agreed.matrix.n}, {of_both}", ""])


def figures(found: RuleFigures, agreed: LabelAgreement) -> dict[str, object]:
    """Give the figures of a half as JSON holds them."""
    return {
        "n": agreed.matrix.n,
        "agreement": _rounded(agreed.agreement),
        "kappa": _rounded(agreed.kappa),
        "counts": agreed.matrix.counts,
        "classes": {name: share.count for name, share in found.classes.items() if share.count},
    }


def _rounded(found: Interval) -> list[float | None]:
    """Give a figure and its interval's ends, which too few rows do not have."""
    return [None if figure is None else round(figure, 4) for figure in (found.value, found.low, found.high)]


def main(path: Path) -> None:
    rows = load_answers(str(path), _COLUMNS).rows
    types = [str(row.values["type"]) for row in read_file(path).rows]
    results = {}
    for name, part in halves(rows, types).items():
        found = assess_rules(part, read_answers(part), "degrees")
        if found.with_people is not None:
            print(table(name, found.with_people))
            results[name] = figures(found, found.with_people)
    print(json.dumps({"file": path.name, **results}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.classifier_agreement FILE")
    main(Path(sys.argv[1]))
