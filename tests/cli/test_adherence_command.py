"""``charter evaluate adherence``: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.engines.scripted import ScriptedEngine
from charter.files.tables import read_table
from charter.records import Adherence, Probed
from charter.statistics import paired_mean_difference
from cli.command import Command

SCRIPTED = "--engine", "scripted"
JUDGED = *SCRIPTED, "--judge", "j", "--judge-engine", "scripted", "--max-tokens", "8"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every request that scripted engines answered."""
    made: list[str] = []
    for name in ("complete", "choose", "score"):
        answer = getattr(ScriptedEngine, name)

        async def counted(self: ScriptedEngine, request: Any, answer: Any = answer) -> Any:
            made.append(f"{self.identity} {request.model_dump_json()}")
            return await answer(self, request)

        monkeypatch.setattr(ScriptedEngine, name, counted)
    return made


def hold(charter: Command, *arguments: object) -> dict[str, Any]:
    """Run the command with --json on the probes of south_africa."""
    done = charter("evaluate", "adherence", "-c", "south_africa", *map(str, arguments), "--json")
    assert done.code == 0, done.err
    value: dict[str, Any] = done.value
    return value


def test_a_model_alone_and_beside_another(charter: Command, place: Path) -> None:
    """Each figure has n and an interval; a second model is compared with the first, probe by probe."""
    found = hold(charter, "-m", "base=a", "-m", "b", *SCRIPTED, "--out", "held")
    margins = {one["model"]: one for one in found["measurements"] if one["name"] == "adherence_margin"}
    assert margins["base"]["n"] == found["n_probes"] == sum(one["n"] for one in found["by_principle"])
    assert margins["base"]["difference"] is None
    assert margins["base"]["n_groups"] == len(found["by_principle"])
    rows = read_table(place / "held/probes.parquet", Probed)
    by_model = {
        model: {row.probe: (row.margin, row.prompt.principle) for row in rows if row.model == model}
        for model in ("base", "b")
    }
    probes = [*by_model["base"]]
    expected = paired_mean_difference(
        [by_model["base"][probe][0] for probe in probes],
        [by_model["b"][probe][0] for probe in probes],
        groups=[by_model["b"][probe][1] for probe in probes],
    )
    assert margins["b"]["difference"] == pytest.approx(expected.difference)
    assert margins["b"]["difference_low"] == pytest.approx(expected.low)
    tests = [one["p_value"] for one in found["measurements"] if one["p_value"] is not None]
    assert len(tests) == 2
    assert margins["b"]["p_value"] >= expected.p_value
    assert found == json.loads((place / "held/adherence.json").read_text("utf-8"))


def test_the_judge_reads_the_models_own_answers(charter: Command, place: Path) -> None:
    """Beside what is found likelier stands what a judge makes of the answers; its rows are kept."""
    found = hold(charter, "-m", "a", *JUDGED, "--n", 1, "--out", "held")
    names = {one["name"] for one in found["measurements"]}
    assert names == {"adherence", "adherence_margin", "judged_adherence"}
    rows = read_table(place / "held/adherence.parquet", Adherence)
    assert len(rows) == found["n_probes"] == len(found["by_principle"])
    assert found["judge"] == "j"


def test_a_folder_is_gone_on_from(charter: Command, calls: list[str]) -> None:
    """More probes, another model and a judge ask what is new alone; the same command asks nothing."""
    hold(charter, "-m", "a", *SCRIPTED, "--n", 1, "--out", "held")
    first = len(calls)
    hold(charter, "-m", "a", *SCRIPTED, "--n", 1, "--out", "held")
    assert len(calls) == first
    hold(charter, "-m", "a", "-m", "b", *JUDGED, "--n", 2, "--out", "held")
    assert len(calls) > first
    assert len(set(calls)) == len(calls)


def test_the_whole_as_text(charter: Command) -> None:
    """A line a figure and model, then each principle's margin."""
    done = charter("evaluate", "adherence", "-c", "south_africa", "-m", "base=a", "-m", "b", *SCRIPTED)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("south_africa: 60 probes of 20 principles")
    assert sum("base" in line.split() for line in lines) >= 2
    assert any("ubuntu" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-c", "wellbeing", "-m", "answers.csv"), "is a file of answers; expected a model"),
        (("-c", "wellbeing", "-m", "a", "-m", "a"), "two models are called 'a'"),
        (("-c", "harmless", "-m", "a"), "no probes of 'harmless' come with Charter"),
        (("-c", "nowhere.yaml", "-m", "a"), "nowhere.yaml"),
    ],
)
def test_what_cannot_be_measured_is_explained(charter: Command, arguments: tuple[str, ...], message: str) -> None:
    """Files of answers, two of one name, constitutions without probes and such that are not there."""
    done = charter("evaluate", "adherence", *arguments, *SCRIPTED)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_another_model_of_the_same_name_is_refused(charter: Command) -> None:
    """A folder holds one model by each name."""
    hold(charter, "-m", "base=a", *SCRIPTED, "--n", 1, "--out", "held")
    done = charter(
        "evaluate", "adherence", "-c", "south_africa", "-m", "base=b", *SCRIPTED, "--n", "1", "--out", "held"
    )
    assert done.code == 2
    assert "was begun with another model called base" in done.err


@pytest.mark.model
def test_a_real_model_is_put_to_probes(charter: Command, tiny_model: Path) -> None:
    """Tiny random weights find both answers about as likely."""
    found = hold(charter, "-m", f"tiny={tiny_model}", "--n", 1)
    (margin,) = (one for one in found["measurements"] if one["name"] == "adherence_margin")
    assert margin["n"] == found["n_probes"]
    assert abs(margin["value"]) < 1.0
