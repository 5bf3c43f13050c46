from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from run_folder import build

from charter.records import Unlabelled
from charter.reporting import RunData, read_run
from charter.reporting.browsing import Rows, gather
from charter.reporting.markup import json_text


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A complete run, read."""
    return read_run(build(tmp_path_factory.mktemp("run")))


def _gather(data: RunData, **limits: int) -> Rows:
    return gather(data, classify=lambda _prompt, _response: "compliance", **limits)


def _only(rows: Rows) -> dict[str, Any]:
    """The lives and texts of what fits into one chunk."""
    (chunk,) = rows.chunks
    return chunk


def _n_rows(rows: Rows) -> int:
    return sum(len(life[kind]) for life in _only(rows)["lives"] for kind in ("traces", "pairs", "responses"))


def test_everything_is_taken_where_it_fits(data: RunData) -> None:
    """Below the limits nothing is left out, and texts that recur are held once."""
    rows = _gather(data)
    assert not rows.is_sample
    assert rows.n_rows == rows.n_all_rows == _n_rows(rows) == len(data.traces) + len(data.pairs) + len(data.responses)
    texts = _only(rows)["texts"]
    assert len(texts) == len(set(texts))


def test_prompts_come_in_the_runs_order(data: RunData) -> None:
    """The order of the prompts' file is the order of the browser."""
    shown = [life["id"] for life in _only(_gather(data))["lives"]]
    assert shown == [prompt.id for prompt in data.prompts if prompt.id in shown]


@pytest.mark.parametrize("max_rows", [1, 12, 30])
def test_a_sample_keeps_prompts_whole_and_is_seeded(data: RunData, max_rows: int) -> None:
    """The same run gives the same sample, the limit holds, and no prompt's life is cut."""
    rows = _gather(data, max_rows=max_rows)
    assert rows.chunks == _gather(data, max_rows=max_rows).chunks
    assert rows.is_sample
    assert 0 < rows.n_rows == _n_rows(rows) <= max(max_rows, 3)
    whole = {life["id"]: life for life in _only(_gather(data))["lives"]}
    for life in _only(rows)["lives"]:
        for kind in ("traces", "pairs", "responses", "comparisons"):
            assert [row["id"] for row in life[kind]] == [row["id"] for row in whole[life["id"]][kind]]


def test_another_seed_draws_another_sample(data: RunData) -> None:
    """The recipe's seed decides which prompts are shown."""
    other = dataclasses.replace(data, recipe={**data.recipe, "seed": 6})
    samples = [{life["id"] for life in _only(_gather(d, max_rows=12))["lives"]} for d in (data, other)]
    assert samples[0] != samples[1]


def test_bytes_are_a_limit_too(data: RunData) -> None:
    """A small budget makes a small payload, and no text that nothing refers to stays in it."""
    payload = _only(_gather(data, max_bytes=9_000))
    assert len(json_text(payload).encode()) < 10_000
    used = set(re.findall(r"\d+", json.dumps(payload["lives"])))
    assert {str(number) for number in range(len(payload["texts"]))} <= used


def test_a_pair_without_its_file_is_rebuilt_from_the_preference(data: RunData) -> None:
    """Chosen and rejected go back to the sides they came from."""
    pairs = {pair.id: pair for pair in data.pairs}
    rebuilt = _only(_gather(dataclasses.replace(data, pairs=())))
    found = [pair for life in rebuilt["lives"] for pair in life["pairs"]]
    assert len(found) == len(data.preferences)
    for pair in found:
        assert (rebuilt["texts"][pair["a"]], rebuilt["texts"][pair["b"]]) == (pairs[pair["id"]].a, pairs[pair["id"]].b)


@pytest.mark.parametrize("side", ["a", "b"])
def test_what_was_left_open_is_marked(data: RunData, side: str) -> None:
    """Training rows and both sides of pairs say whether they have their end, also where the pair is rebuilt."""
    judged = next(one for one in data.preferences if one.chosen_side == side)
    row = data.sft[0].model_copy(update={"whole": False})
    pairs = [one.model_copy(update={"whole_a": one.id != judged.pair}) for one in data.pairs]
    changed = dataclasses.replace(data, sft=(row, *data.sft[1:]), pairs=tuple(pairs))
    lives = _only(_gather(changed))["lives"]
    assert sum(not whole for life in lives for _, _, whole in life["sft"]) == 1
    assert {pair["id"] for life in lives for pair in life["pairs"] if pair["whole"] == [False, True]} == {judged.pair}
    opened = judged.model_copy(update={"whole_chosen": False})
    rebuilt = _only(_gather(dataclasses.replace(data, pairs=(), preferences=(opened,))))["lives"]
    (pair,) = [pair for life in rebuilt for pair in life["pairs"]]
    assert pair["whole"] == [side != "a", side != "b"]


def test_numbers_that_json_lacks_become_none(data: RunData) -> None:
    """A log-probability of minus infinity is embedded as null, not as an error."""
    preference = data.preferences[0]
    verdict = preference.verdicts[0].model_copy(update={"logprob_second": float("-inf"), "option_mass": float("nan")})
    changed = preference.model_copy(update={"verdicts": (verdict,)})
    rows = _gather(dataclasses.replace(data, preferences=(changed,)))
    assert json.loads(json_text(rows.chunks)) == list(rows.chunks)


def test_two_thousand_rows_stay_small(tmp_path: Path) -> None:
    """2,000 rows of ordinary length fit under the page's limit of 6 MB, less what the rest of the page takes."""
    rows = _gather(read_run(build(tmp_path, n_red_team=460, n_helpful=80, length=60)))
    assert rows.n_all_rows >= 1_800
    assert not rows.is_sample
    assert len(json_text(rows.chunks).encode()) < 5_500_000


def test_a_pair_without_a_label_keeps_its_votes(data: RunData) -> None:
    """What was judged and left out is shown with reason and verdicts, also where the pairs' file lacks the pair."""
    verdicts = data.preferences[0].verdicts
    known, unknown = data.pairs[-1], data.pairs[-1].model_copy(update={"id": "elsewhere", "a": "some other text"})
    left = [
        Unlabelled(
            id=pair.id, prompt=pair.prompt, a=pair.a, b=pair.b, source=pair.source, reason="exact tie",
            verdicts=verdicts, p_a=0.5,
        )
        for pair in (known, unknown)
    ]  # fmt: skip
    payload = _only(_gather(dataclasses.replace(data, unlabelled=tuple(left))))
    shown = {pair["id"]: pair for life in payload["lives"] for pair in life["pairs"]}
    for one in left:
        found = shown[one.id]
        assert (found["label"], found["left_out"]["reason"], found["left_out"]["p_a"]) == (None, "exact tie", 0.5)
        assert len(found["left_out"]["verdicts"]) == len(verdicts)
        assert payload["texts"][found["a"]] == one.a
    assert sum(pair["left_out"] is not None for pair in shown.values()) == 2
