"""``charter evaluate head-to-head``: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from charter.cli.evaluating.head_to_head_view import write_win_rates
from charter.cli.evaluating.meeting_results import win_rates
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError
from charter.evaluation.head_to_head import Game, every_met
from charter.files.tables import read_table
from charter.records import Comparison
from charter.statistics import holm
from cli.command import Command

JUDGED = "--judge", "j", "--judge-engine", "scripted"
SCRIPTED = "--engine", "scripted", *JUDGED


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every request that scripted engines answered, with whose it was."""
    made: list[tuple[str, str]] = []
    for name in ("complete", "choose"):
        answer = getattr(ScriptedEngine, name)

        async def counted(self: ScriptedEngine, request: Any, answer: Any = answer) -> Any:
            done = await answer(self, request)
            made.append((self.identity, request.model_dump_json()))
            return done

        monkeypatch.setattr(ScriptedEngine, name, counted)
    return made


def meet(charter: Command, *arguments: object) -> dict[str, Any]:
    """Run the command with --json."""
    done = charter("evaluate", "head-to-head", *map(str, arguments), "--json")
    assert done.code == 0, done.err
    value: dict[str, Any] = done.value
    return value


def test_the_whole_as_json(charter: Command) -> None:
    """Three models meet on both kinds: ratings from the first, win rates that add up, and counts."""
    found = meet(charter, "a", "b", "c", *SCRIPTED, "--n", 12)
    assert (found["anchor"], found["audit"], found["prompts"]) == ("a", None, "built-in")
    assert set(found["sides"]) == {"harmlessness", "helpfulness"}
    for side in found["sides"].values():
        assert (side["n_prompts"], side["n_comparisons"], side["failed"]) == (12, 36, {})
        first, *others = side["models"]
        assert (first["bradley_terry"]["value"], first["elo"]["value"], first["length_controlled"]) == (0.0, 0.0, None)
        for one in others:
            for name in ("bradley_terry", "elo", "length_controlled"):
                assert one[name]["low"] < one[name]["value"] < one[name]["high"], name
            assert one["bradley_terry"]["n"] == 24
        rates = side["win_rates"]
        for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
            assert rates[one][other]["value"] + rates[other][one]["value"] == pytest.approx(1.0)
            assert rates[one][other]["n"] == 12
            assert rates[one][other]["p_value"] == rates[other][one]["p_value"]
        p_values = [rates[one][other]["p_value"] for one, other in (("a", "b"), ("a", "c"), ("b", "c"))]
        adjusted = [rates[one][other]["p_adjusted"] for one, other in (("a", "b"), ("a", "c"), ("b", "c"))]
        assert adjusted == holm(p_values)
        assert side["same_position"]["n"] == 36
        assert 0.0 <= side["longer_wins"]["value"] <= 1.0


def test_the_whole_as_text(charter: Command) -> None:
    """Text says first what the judge is worth, which nobody knows here, and then the same figures."""
    done = charter("evaluate", "head-to-head", "base=a", "b", *SCRIPTED, "--n", "4", "--against", "b")
    assert done.code == 0, done.err
    assert "A script answered in the judge's place" in done.out
    assert "was not audited here" in done.out
    assert "charter audit j --labels FILE --out FOLDER" in done.out
    assert "harmlessness, by the principles of harmless: 4 prompts, 4 comparisons" in done.out
    assert "points above b" in done.out
    assert "beats b at equal length" in done.out
    assert done.out.count("\n  base beats b  ") == 2
    assert "  invalid, in no figure        0" in done.out
    assert "respond/base" in done.err


def test_who_beats_whom_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a pair, the anchor first, within 80 columns: rate, interval, n in groups, ties, adjusted p-value."""
    games = [
        Game(model, base, win, 0, f"g{number // 2}")
        for model, base in (("dpo", "sft"), ("smollm2-135m", "dpo"), ("sft", "smollm2-135m"))
        for number, win in enumerate([1.0] * 19 + [0.5] if model == "dpo" else [1.0, 0.0] * 10)
    ]
    names = ["sft", "dpo", "smollm2-135m"]
    told = win_rates(asdict(one) for one in every_met(games, names))
    write_win_rates(names, told, "dpo")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split("  ")[1] for line in lines[2:]] == [
        "sft beats dpo",
        "smollm2-135m beats dpo",
        "smollm2-135m beats sft",
    ]
    assert lines[1].split()[-4:] == ["n", "ties", "p,", "adjusted"]
    first = lines[2].split("  ")
    # 10 groups won whole by the other: 2 of the 1,024 ways to turn their signs, of three tests
    assert [cell.strip() for cell in first if cell.strip()][-3:] == ["20 in 10", "1", "0.006"]
    write_win_rates(names, {}, "dpo")
    assert capsys.readouterr().out == "", "nothing is told of models that did not meet"


def test_a_folder_is_gone_on_from(charter: Command, calls: list[tuple[str, str]], place: Path) -> None:
    """More prompts and a further model ask what is new alone; the same command asks nothing."""
    given = "a", "b", *SCRIPTED, "--out", "met"
    meet(charter, *given, "--n", 3)
    first = len(calls)
    again = meet(charter, *given, "--n", 3)
    assert len(calls) == first
    assert again == json.loads((place / "met/head-to-head.json").read_text("utf-8"))
    meet(charter, *given, "--n", 5)
    meet(charter, "a", "b", "c", *given[2:], "--n", 5)
    assert len(set(calls)) == len(calls)
    of_c = [request for identity, request in calls if identity.startswith("scripted:c:")]
    assert len(of_c) == 10
    turned = meet(charter, "b", "a", *given[2:], "--n", 5)
    assert len(set(calls)) == len(calls)
    straight = meet(charter, *given, "--n", 5)
    ratings = [found["sides"]["helpfulness"]["models"][1]["bradley_terry"] for found in (straight, turned)]
    assert ratings[0]["value"] == pytest.approx(-ratings[1]["value"])
    done = charter("evaluate", "head-to-head", *given, "--n", "5", "--temperature", "0")
    assert done.code == 2
    assert "was begun with another --temperature" in done.err
    done = charter("evaluate", "head-to-head", "a=z", "b", *given[2:], "--n", "5")
    assert done.code == 2
    assert "was begun with another model called a" in done.err


def test_what_stopped_on_the_way_asks_nothing_twice(
    charter: Command, calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge that fails from some call on stops the command; afterwards each request was answered once."""
    answer = ScriptedEngine.choose

    async def failing(self: ScriptedEngine, request: Any) -> Any:
        if sum("choices" in one or "options" in one for _, one in calls) > 10:
            raise EngineError("the server is away")
        return await answer(self, request)

    given = "a", "b", "c", *SCRIPTED, "--n", "8", "--out", "met"
    with monkeypatch.context() as patched:
        patched.setattr(ScriptedEngine, "choose", failing)
        stopped = charter("evaluate", "head-to-head", *given)
    assert stopped.code == 1
    assert "the server is away" in stopped.err
    n_before = len(calls)
    meet(charter, *given)
    assert n_before < len(calls) == len(set(calls))


def test_what_is_kept(charter: Command, place: Path) -> None:
    """The folder has every answer beside its prompt, every comparison, the figures and the plot of both ratings."""
    found = meet(charter, "a", "b", *SCRIPTED, "--n", 6, "--out", "met")
    lines = [json.loads(line) for line in (place / "met/answers.jsonl").read_text("utf-8").splitlines()]
    assert len({(one["model"], one["id"]) for one in lines}) == 24
    comparisons = read_table(place / "met/comparisons.parquet", Comparison)
    wins = [one.win for one in comparisons if one.prompt.kind == "helpful"]
    assert (len(comparisons), len(wins)) == (12, 6)
    # matches name the later in the alphabet first
    assert found["sides"]["helpfulness"]["win_rates"]["b"]["a"]["value"] == pytest.approx(sum(wins) / 6)  # type: ignore[arg-type]
    assert (place / "met/ratings.svg").read_text("utf-8").startswith("<?xml")
    assert (place / "met/ratings.png").read_bytes().startswith(b"\x89PNG")


def test_answers_that_are_there_already(charter: Command, place: Path) -> None:
    """A file of answers meets a model on the prompts of the same file; of one side there is no plot."""
    rows = [{"q": f"Where is lamp {number}?", "a": f"It is in room {number}."} for number in range(6)]
    (place / "theirs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    (place / "prompts.csv").write_text("prompt\n" + "".join(f"{row['q']}\n" for row in rows[:5]), "utf-8")
    columns = "--prompt-column", "q", "--response-column", "a"
    given = "a", "theirs=theirs.jsonl", *SCRIPTED, "--prompts", "prompts.csv", "--kind", "helpful", *columns
    found = meet(charter, *given, "--out", "met")
    assert list(found["sides"]) == ["helpfulness"]
    assert found["models"][1]["n_other_answers"] == 1
    assert found["models"][1]["engine"] is None
    assert found["sides"]["helpfulness"]["models"][1]["n_characters"] == len("It is in room 0.")
    assert not (place / "met/ratings.svg").exists()
    (place / "theirs.jsonl").write_text(json.dumps(rows[0]), "utf-8")
    done = charter("evaluate", "head-to-head", *given, "--out", "met")
    assert "was begun with another model called theirs" in done.err
    fewer = meet(charter, *given)
    assert fewer["models"][1]["unanswered"] == {"not in the file": 4}
    assert fewer["sides"]["helpfulness"]["n_comparisons"] == 1


def test_an_audit_stands_beside_the_figures(charter: Command, place: Path) -> None:
    """The audit's verdict and agreement are told, and that it is of another judge where it is."""
    rows = [
        {"prompt": f"Where is lamp {number}?", "chosen": f"In room {number}.", "rejected": f"Go away {number}."}
        for number in range(8)
    ]
    (place / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    done = charter("audit", "j", "--engine", "scripted", "--labels", "pairs.jsonl", "--out", "audited")
    assert done.code == 0, done.err
    audit = json.loads((place / "audited/audit.json").read_text("utf-8"))
    given = "a", "b", "--engine", "scripted", "--judge-engine", "scripted", "--n", "2", "--audit"
    found = meet(charter, *given, "audited", "--judge", "j")["audit"]
    assert found["agreement"] == audit["quality"]["accuracy"]
    assert (found["verdict"], found["grade"], found["same_judge"]) == (audit["advice"][0], audit["grade"], True)
    other = charter("evaluate", "head-to-head", *given, "audited/audit.json", "--judge", "k")
    assert "The audit is of another model than this judge: j (" in other.out
    assert audit["advice"][0] in other.out
    assert "charter audit" not in other.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a",), "MODEL is 'a' alone; give two or more"),
        (("a", "a"), "two models are called 'a'"),
        (("a", "b", "--against", "aa"), "--against is 'aa'; expected one of a, b"),
        (("a", "b@nonsense"), "MODEL 'b@nonsense': --engine is 'nonsense'"),
        (("a", "b", "--prompts", "plain.csv"), "plain.csv: does not say what its prompts are for"),
        (("a", "b", "--prompts", "nothing.csv"), "nothing.csv: no such file"),
        (("a", "b=nothing.csv"), "nothing.csv: no such file"),
        (("a", "b=plain.csv"), "there is no column 'response'"),
        (("a", "b", "--audit", "plain.csv"), "plain.csv: cannot be read"),
        (("a", "b", "--audit", "."), "audit.json: no such file"),
        (("a", "b", "--constitution", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_named(charter: Command, place: Path, arguments: tuple[str, ...], message: str) -> None:
    """Whatever cannot be is an error of one line, before any model is asked."""
    (place / "plain.csv").write_text("prompt\nWhere is the lamp?\n", "utf-8")
    done = charter("evaluate", "head-to-head", *arguments, *SCRIPTED)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert "respond" not in done.err


@pytest.mark.model
def test_real_models_meet(charter: Command, tiny_model: Path, tiny_mistral: Path, place: Path) -> None:
    """Two small models answer two prompts of each kind, one after another, and the embedded one judges them."""
    models = f"llama={tiny_model}", f"mistral={tiny_mistral}"
    given = *models, "--judge", "smollm2-135m", "--n", 2, "--max-tokens", 12, "--out", "met"
    found = meet(charter, *given)
    for side in found["sides"].values():
        assert (side["n_comparisons"], side["failed"]) == (2, {})
        assert side["n_invalid"] + side["win_rates"].get("llama", {}).get("mistral", {"n": 0})["n"] == 2
    rows = read_table(place / "met/comparisons.parquet", Comparison)
    assert all(len(one.verdicts) == 2 for one in rows)
    assert meet(charter, *given) == found
