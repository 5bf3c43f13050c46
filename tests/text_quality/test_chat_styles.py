"""The response classes on answers in the styles of many chat models, which were labelled before any rule read them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from charter.statistics import LabelAgreement, label_agreement
from charter.text_quality import read_response
from pages import DOCS

ROWS = [json.loads(line) for line in (Path(__file__).parent / "chat_styles.jsonl").read_text("utf-8").splitlines()]
PARTS = {"first": 61, "second": 42, "last": 35}


def agreement(rows: list[dict[str, str]], name: str = "degree") -> LabelAgreement:
    """Hold what rows were called against what the rules say."""
    readings = [read_response(row["prompt"], row["response"]) for row in rows]
    said = [one.degree.value if name == "degree" else one.label.value for one in readings]
    return label_agreement([row[name] for row in rows], said)


def test_answers_are_of_many_styles() -> None:
    """Every part is there, of many styles, with every class and degree."""
    assert Counter(row["part"] for row in ROWS) == PARTS
    assert len({row["style"] for row in ROWS}) >= 10
    assert len({row["response"] for row in ROWS}) == len(ROWS)
    assert min(Counter(row["degree"] for row in ROWS).values()) >= 10
    assert set(Counter(row["label"] for row in ROWS)) == {"compliance", "objection", "bare_refusal", "evasive"}


@pytest.mark.parametrize("part", PARTS)
def test_rules_agree_with_the_writer(part: str) -> None:
    """On each part the rules agree on 85 % of the degrees, far beyond chance."""
    found = agreement([row for row in ROWS if row["part"] == part])
    assert found.agreement.value >= 0.85
    assert found.kappa.value >= 0.6


def test_the_page_tells_these_figures() -> None:
    """The figures of all parts on the classifier's page are those of today's rules."""
    found = agreement(ROWS)
    told = f"| all, now | {len(ROWS)} | {_written(found.agreement)} | {_written(found.kappa)} |"
    assert told in (DOCS / "classifier.md").read_text("utf-8")


def test_classes_agree_too() -> None:
    """Of the four classes, too, the rules agree with the writer beyond chance."""
    assert agreement(ROWS, "label").kappa.value >= 0.6


def _written(interval: object) -> str:
    value, low, high = (round(getattr(interval, name), 3) for name in ("value", "low", "high"))
    return f"{value:.3f} ({low:.3f}-{high:.3f})"
