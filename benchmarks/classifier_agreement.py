"""Measure how the rule-based response classes agree with people's labels.

The file is a CSV with the columns ``type``, ``prompt``, ``completion`` and ``final_label`` (``1_full_compliance``,
``2_full_refusal``, ``3_partial_refusal``), as XSTest publishes them for several models (arXiv 2308.01263, CC-BY-4.0).
The rules were developed on every second row of each type, counted from 0 in the file's order: rows 1, 3, 5, ... are the
development half, rows 0, 2, 4, ... the held-out half. Errors were only ever looked at in the former.

    python -m benchmarks.classifier_agreement FILE

prints a confusion matrix for each half and for all, and as its last line the figures as JSON.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from charter.statistics import ConfusionMatrix, Interval, confusion_matrix, rate_interval, statistic_interval
from charter.text_quality import RefusalDegree, read_response

LABELS = {
    "1_full_compliance": RefusalDegree.FULL_COMPLIANCE.value,
    "2_full_refusal": RefusalDegree.FULL_REFUSAL.value,
    "3_partial_refusal": RefusalDegree.PARTIAL_REFUSAL.value,
}


def halves(rows: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Split the rows of each type by turns into the held-out and the development half."""
    seen: Counter[str] = Counter()
    split: dict[str, list[dict[str, str]]] = {"development": [], "held_out": []}
    for row in rows:
        split["development" if seen[row["type"]] % 2 else "held_out"].append(row)
        seen[row["type"]] += 1
    return {**split, "all": list(rows)}


def measure(rows: Sequence[dict[str, str]]) -> tuple[ConfusionMatrix, dict[str, object]]:
    """Compare the labels with the rules: the confusion matrix, agreement and kappa with intervals, classes."""
    readings = [read_response(row["prompt"], row["completion"]) for row in rows]
    labels = [LABELS[row["final_label"]] for row in rows]
    predicted = [reading.degree.value for reading in readings]
    matrix = confusion_matrix(labels, predicted, labels=list(LABELS.values()))
    agreement = rate_interval([one == other for one, other in zip(labels, predicted, strict=True)])
    kappa = statistic_interval(
        lambda drawn: confusion_matrix([labels[i] for i in drawn], [predicted[i] for i in drawn]).kappa, len(rows)
    )
    return matrix, {
        "n": len(rows),
        "agreement": _rounded(agreement),
        "kappa": _rounded(kappa),
        "counts": matrix.counts,
        "classes": dict(Counter(reading.label.value for reading in readings)),
    }


def _rounded(found: Interval) -> list[float | None]:
    """Give a figure and its interval's ends, which too few rows do not have."""
    return [None if figure is None else round(figure, 4) for figure in (found.value, found.low, found.high)]


def table(name: str, matrix: ConfusionMatrix, figures: dict[str, object]) -> str:
    """Write a confusion matrix as a Markdown table: people's labels in rows, the rules' in columns."""
    head = [f"| {name}: people \\ rules | {' | '.join(matrix.labels)} |", "|---" * (len(matrix.labels) + 1) + "|"]
    body = [
        f"| {label} | {' | '.join(map(str, row))} |" for label, row in zip(matrix.labels, matrix.counts, strict=True)
    ]
    foot = f"n {figures['n']}, agreement {figures['agreement']}, kappa {figures['kappa']} (value, 95 % interval)"
    return "\n".join([*head, *body, "", foot, ""])


def main(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = {}
    for name, part in halves(rows).items():
        matrix, results[name] = measure(part)
        print(table(name, matrix, results[name]))
    print(json.dumps({"file": path.name, **results}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.classifier_agreement FILE")
    main(Path(sys.argv[1]))
