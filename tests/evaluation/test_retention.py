"""Retention: reference answers, loss per token and byte, and perplexities."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from charter.errors import PromptError
from charter.evaluation.retention import load_references, measure_retention, perplexities
from charter.records import Scored
from charter.statistics import mean_interval, paired_mean_difference


def test_built_in_references_are_the_held_out_ones() -> None:
    """The built-in helpful prompts that are held out have an answer each; fewer are a part of them."""
    found = load_references()
    assert len(found.rows) == 80
    assert not found.left_out
    assert all(row.text == row.prompt.reference and row.prompt.split == "evaluation" for row in found.rows)
    few = load_references(n=7, seed=1)
    assert {row.id for row in few.rows} < {row.id for row in found.rows}
    assert len(few.rows) == 7


def test_rows_of_a_file_are_read(tmp_path: Path) -> None:
    """Columns have names of one's own, and rows without an answer are counted; another answer is another row."""
    rows = [{"q": "One?", "a": "1."}, {"q": "Two?", "a": "2."}, {"q": "Three?", "a": ""}]
    file = tmp_path / "x.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    found = load_references(str(file), prompt_column="q", response_column="a")
    assert [(row.prompt.text, row.text) for row in found.rows] == [("One?", "1."), ("Two?", "2.")]
    assert found.left_out == {"no reference answer": 1}
    file.write_text(file.read_text("utf-8").replace("1.", "one."), "utf-8")
    other = load_references(str(file), prompt_column="q", response_column="a")
    assert [row.id == before.id for row, before in zip(other.rows, found.rows, strict=True)] == [False, True]


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    """A column that is not there, and one that is empty, are named."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"prompt": "One?", "response": ""}\n', "utf-8")
    with pytest.raises(PromptError, match="no row has an answer in 'response'"):
        load_references(str(file))
    with pytest.raises(PromptError, match="'answer'"):
        load_references(str(file), response_column="answer")


def test_losses_are_means_over_answers() -> None:
    """Per token and per byte, each answer counting once; the second model is paired with the first."""
    rows = load_references(n=8).rows
    base = [Scored(id=row.id, model="a", logprob=-float(place + 4), n_tokens=4) for place, row in enumerate(rows)]
    other = [one.model_copy(update={"model": "b", "logprob": 1.5 * one.logprob}) for one in base]
    found = {(one.name, one.model): one for one in measure_retention(rows, {"a": base, "b": other}, base="a")}
    assert len(found) == 4
    losses = [(place + 4) / 4 for place in range(8)]
    token = found["reference_loss", "a"]
    expected = mean_interval(losses)
    assert (token.value, token.low, token.n) == (pytest.approx(expected.value), pytest.approx(expected.low), 8)
    per_byte = [(place + 4) / len(row.text.encode()) for place, row in enumerate(rows)]
    assert found["reference_loss_per_byte", "a"].value == pytest.approx(sum(per_byte) / 8)
    change = paired_mean_difference(losses, [1.5 * loss for loss in losses])
    of_other = found["reference_loss", "b"]
    assert (of_other.difference, of_other.difference_low) == (
        pytest.approx(change.difference), pytest.approx(change.low),
    )  # fmt: skip
    assert of_other.p_value is not None
    assert of_other.p_value > change.p_value
    told = {(one.model, one.per): one for one in perplexities(list(found.values()))}
    assert told["a", "token"].value == pytest.approx(math.exp(expected.value))
    assert told["a", "token"].ratio is None
    assert told["b", "token"].ratio == pytest.approx(math.exp(change.difference))
    interval = told["b", "token"].ratio_interval
    assert interval is not None
    assert change.low is not None
    assert interval[0] == pytest.approx(math.exp(change.low))


def test_few_rows_have_no_interval() -> None:
    """What the loss has no interval for, the perplexity has none for either."""
    rows = load_references(n=2).rows
    scores = [Scored(id=row.id, model="a", logprob=-4.0, n_tokens=2) for row in rows]
    (token, _) = perplexities(measure_retention(rows, {"a": scores}, base="a"))
    assert (token.value, token.interval, token.n) == (pytest.approx(math.exp(2)), None, 2)
