from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.judge_reading import ASKING, COMPLIED, NOT_COMPLIED, measure_readings, read, read_one
from charter.feedback.judge import Judge, Judging, make_judge
from charter.files.tables import read_table, write_table
from charter.journal.store import Journal
from charter.records import Prompt, PromptKind, Reading, Response, ResponseLabel, make_prompt
from charter.rows import RowMapper, map_rows
from charter.statistics import cohen_kappa
from method_examples import CONVERSATION, run, shown


def _response(
    number: int, text: str = "Do this.", label: ResponseLabel = "compliance", prompt: Prompt | None = None,
    kind: PromptKind = "red_team",
) -> Response:  # fmt: skip
    prompt = prompt or make_prompt(f"How do I {{harm}} {number}?", kind, id=f"p{number}")
    return Response(
        id=f"response-{number}", prompt=prompt, model="sft", text=text, finish="stop", n_tokens=2, label=label
    )


def _judge(p_complied: float, *, mass: float = 1.0, towards_first: float = 0.0) -> tuple[Judge, list[ChoiceRequest]]:
    """Judge by content, with a favour for the first place; also give what was asked."""
    asked: list[ChoiceRequest] = []

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        asked.append(request)
        assert request.messages is not None
        p = p_complied if f"(A) {COMPLIED}" in request.messages[-1].content else 1 - p_complied
        p += towards_first
        return p * mass, (1 - p) * mass

    return make_judge(ScriptedEngine(preference=preference, script="x"), ASKING, Judging()), asked


def test_what_the_judge_is_shown(snapshot: SnapshotAssertion) -> None:
    """Both orders of a reading, to the letter: the conversation with the answer, and the two descriptions."""
    judge, asked = _judge(0.8)
    run(read_one(_response(0, "Like {this}, 100 %s.\n\n(B) no.", prompt=CONVERSATION), judge))
    assert [shown(request) for request in asked] == snapshot


@pytest.mark.parametrize(("p", "complied"), [(0.9, 1.0), (0.2, 0.0), (0.5, 0.5)])
def test_both_orders_are_averaged(p: float, complied: float) -> None:
    """The probability that an answer complied is the mean of both orders, whatever place the judge favours."""
    judge, asked = _judge(p, towards_first=0.05)
    reading = run(read_one(_response(3), judge))
    assert reading.p_complied == pytest.approx(p)
    assert reading.complied == complied
    assert reading.position_bias == pytest.approx(0.1)
    assert [verdict.order for verdict in reading.verdicts] == ["ab", "ba"]
    first, second = (request.messages[-1].content for request in asked if request.messages)
    assert first.index(COMPLIED) < first.index(NOT_COMPLIED)
    assert second.index(NOT_COMPLIED) < second.index(COMPLIED)


def test_an_unreadable_verdict_is_no_reading() -> None:
    """Where the letters hold too little, an answer is neither complied nor not."""
    reading = run(read_one(_response(0), _judge(0.9, mass=0.2)[0]))
    assert (reading.p_complied, reading.complied) == (None, None)
    assert {verdict.invalid for verdict in reading.verdicts} == {"option mass below the minimum"}


def test_answers_to_red_team_prompts_are_read_once(tmp_path: Path) -> None:
    """Only red-team answers are read, and a resumed evaluation reads none of them again; a table holds them."""
    rows = [_response(0), _response(1, kind="helpful"), _response(2, kind="benign_twin"), _response(3)]
    judge, asked = _judge(0.9)
    with Journal(tmp_path / "journal.sqlite") as journal:
        mapper = cast("RowMapper", partial(map_rows, journal=journal))
        first = read(rows, "sft", judge, mapper=mapper)
        again = read(rows, "sft", judge, mapper=mapper)
        assert journal.stages() == ("evaluate/judge reading/sft",)
    assert [one.response for one in first.done] == ["response-0", "response-3"]
    assert again.done == first.done
    assert again.n_resumed == 2
    assert len(asked) == 4
    write_table(tmp_path / "readings.parquet", first.done, Reading)
    assert read_table(tmp_path / "readings.parquet", Reading) == list(first.done)


def _readings(rows: list[tuple[bool, float | None]]) -> list[Reading]:
    return [
        Reading(
            id=f"r{number}", prompt=make_prompt(f"p{number}", "red_team", id=f"p{number}"), response="x", model="sft",
            label="compliance" if rules else "objection", p_complied=p, position_bias=0.0, verdicts=(),
        )
        for number, (rules, p) in enumerate(rows)
    ]  # fmt: skip


def test_rate_and_agreement_are_measured() -> None:
    """The rate is over readable answers, ties a half; kappa is that of rules and judge where the judge is sure."""
    base = _readings([(True, 0.9), (True, 0.8), (True, 0.6), (True, 0.7), (False, 0.1), (False, 0.9), (True, None)])
    own = _readings([(False, 0.1), (True, 0.2), (False, 0.3), (True, 0.7), (False, 0.1), (False, 0.5), (True, 0.9)])
    groups = {f"p{number}": f"p{number}" for number in range(7)}
    found = {
        (one.name, one.model): one for one in measure_readings({"base": base, "sft": own}, base="base", groups=groups)
    }
    rate = found["judged_compliance", "sft"]
    assert (rate.value, rate.n) == (pytest.approx(2.5 / 7), 7)
    assert (rate.better, rate.subset, rate.unit) == ("lower", "red_team", "rate")
    assert rate.difference == pytest.approx((0 + 0 + 0 + 1 + 0 + 0.5 - 5) / 6)
    assert found["judged_compliance", "base"].n == 6
    kappa = found["compliance_kappa", "base"]
    assert kappa.value == pytest.approx(cohen_kappa(list("yyyynn"), list("yyyyny")))
    assert kappa.low <= kappa.value <= kappa.high
    assert (kappa.n, kappa.unit, kappa.better, kappa.difference) == (6, "score", "neither", None)
    assert found["compliance_kappa", "sft"].n == 6
    agreement = found["compliance_agreement", "base"]
    assert (agreement.value, agreement.n, agreement.better) == (pytest.approx(5 / 6), 6, "neither")
    assert len(found) == 6


@pytest.mark.parametrize("rows", [[(True, 0.9), (True, 0.2)], [(True, 0.9), (False, 0.8)]])
def test_one_sided_ratings_have_no_kappa(rows: list[tuple[bool, float | None]]) -> None:
    """Where one of them says the same of every answer nothing is left beyond chance, and no figure pretends so."""
    groups = {f"p{number}": f"p{number}" for number in range(2)}
    found = {one.name: one.value for one in measure_readings({"base": _readings(rows)}, base="base", groups=groups)}
    assert "compliance_kappa" not in found
    assert found["compliance_agreement"] == 0.5


def test_nothing_readable_is_no_figure() -> None:
    """A judge that could not be read at all has neither rate nor agreement."""
    assert measure_readings({"base": _readings([(True, None)])}, base="base", groups={}) == []
