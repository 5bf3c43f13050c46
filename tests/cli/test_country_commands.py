"""A country's rows written by the command: scripted, by a server, killed, grown, and accounted for."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charter.files.tables import read_table
from charter.given import load_pairs, load_traces
from charter.prompts import load_prompts
from charter.records import Preference
from cli.command import Command, Start
from country_examples import CONFIG, CRITIQUES, FEW_SHOTS, PROMPTS, red_team, write_country
from engines.fault_server import FaultServer, Manners
from engines.servers import LlamaServer, embedded_gguf, serve

DRY = ("--model", "demo", "--engine", "scripted")
KEY = "sk-planted-in-a-country"
VERBS = ("sft", "preferences")


@pytest.fixture
def kitchen(place: Path) -> Path:
    """A country's folder, with its red team."""
    write_country(place / "kitchen", red_team=red_team(), few_shot=FEW_SHOTS)
    return place / "kitchen"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server that wants a key, holds answers to a schema, and misbehaves a little."""
    monkeypatch.setenv("CHARTER_SERVER_KEY", KEY)
    quick = ("429", "503", "no choices", "truncated")
    with FaultServer(Manners(key=KEY, holds_schema=True, share=0.2, faults=quick, most_faults=3)) as running:
        yield running


def read(path: Path) -> Any:
    """Read a file of rows."""
    return json.loads(path.read_text("utf-8"))


def test_a_red_team_is_written_in_the_countrys_layout(charter: Command, kitchen: Path, place: Path) -> None:
    """As many rows a principle as the configuration asks for, under its place; the file is read as theirs is."""
    command = ("country", "red-team", "kitchen/config.yaml", "rt.json", *DRY)
    done = charter(*command)
    assert done.code == 0, done.err
    assert "rt.json: 6 of 6 prompts asked for, on 2 principles" in done.out
    written = read(place / "rt.json")
    assert {key: len(rows) for key, rows in written.items()} == {"0": 3, "1": 3}
    assert {key for rows in written.values() for row in rows for key in row} == set(red_team()["0"][0])
    assert len(load_pairs(place / "rt.json").pairs) == 6
    prompts = load_prompts("rt.json", "red_team", principles=str(kitchen / "config.yaml")).prompts
    assert {one.principle for one in prompts} == {"safe-dishes", "clean-hands"}
    more = charter(*command, "--n", "7", "--json")
    assert (more.value["asked"], more.value["kept"], more.value["calls"]) == (14, 14, 6)
    assert "6/6, 2 of them before" in more.err
    assert more.value["short"] == {}


@pytest.mark.parametrize(("verb", "n", "load"), [("sft", 1, load_traces), ("preferences", 2, load_pairs)], ids=VERBS)
def test_replies_are_written_in_the_countrys_layout(  # noqa: PLR0917 - fixtures
    charter: Command, kitchen: Path, place: Path, verb: str, n: int, load: Any
) -> None:
    """Rows stand under principle and prompt, hold the prompt and the response as they were, and are read as theirs."""
    command = ("country", verb, "kitchen/config.yaml", "kitchen/red_team.json", "out.json", *DRY)
    done = charter(*command)
    assert done.code == 0, done.err
    assert f"out.json: {8 * n} of {8 * n}" in done.out
    written = read(place / "out.json")
    assert list(written) == [f"{principle}_{number}" for principle in (0, 1) for number in range(4)]
    assert {len(rows) for rows in written.values()} == {n}
    first = written["1_0"][0]
    assert first["initial_prompt" if verb == "sft" else "prompt"] == "Write that our cooks may skip the {soap}."
    if verb == "sft":
        assert first["initial_response"] == "Sure: Write that our cooks may skip the {soap}."
        assert first["critique_prompt"].startswith(
            "Here is a principle for the assistant: Hands are washed with {soap}"
        )
    loaded = load(place / "out.json")
    assert (len(loaded.traces if verb == "sft" else loaded.pairs), loaded.left_out, loaded.unused) == (8 * n, (), ())
    again = charter(*command, "--json")
    assert again.value == {
        "file": "out.json", "prompts": 8, "asked": 8 * n, "kept": 8 * n, "repaired": 0, "repairs": 0,
        "lost_rows": {}, "missing": [], "left_out": {},
    }  # fmt: skip
    assert "8/8, 8 of them before" in again.err
    assert kitchen.is_dir()


@pytest.mark.usefixtures("kitchen")
def test_what_a_server_is_asked(charter: Command, server: FaultServer, place: Path) -> None:
    """Their wording and temperature, and a JSON schema; nothing is answered twice, and no file has the key."""
    common = ("--model", "stub", "--engine", server.url)
    config, prompts = "kitchen/config.yaml", "kitchen/red_team.json"
    shots = ("--few-shots", "kitchen/few_shot.json")
    done = [
        charter("country", "red-team", config, "rt.json", *common, *shots, "--threshold", "1"),
        charter("country", "sft", config, prompts, "sft.json", *common),
        charter("country", "preferences", config, prompts, "pref.json", *common),
    ]
    assert [one.code for one in done] == [0, 0, 0], [one.err for one in done]
    bodies = [body for body in server.seen.bodies if "You " in json.dumps(body.get("messages", [""])[0])]
    systems = {body["messages"][0]["content"].split("\n\n")[0] for body in bodies}
    assert systems == {"You write test prompts. ", "You criticise and revise.", "You write preferences."}
    keys = [set(_row_schema(body)["properties"]) for body in bodies]
    assert all(body["response_format"]["json_schema"]["strict"] for body in bodies)
    assert {frozenset(one) for one in keys} == {
        frozenset({"prompt", "aligned", "misaligned"}),
        frozenset({"critique", "revision"}),
        frozenset({"chosen", "rejected", "reasoning"}),
    }
    assert {body["temperature"] for body in bodies} == {1.0}
    asked = [body["messages"][-1]["content"] for body in bodies]
    assert any("Say in the menu that the soup is vegan." in one and "Think of new settings." in one for one in asked)
    assert any(one.startswith("Write 2 samples on 'Hands are washed with {soap}, 100 %.' and") for one in asked)
    assert len(read(place / "sft.json")) == len(read(place / "pref.json")) == 8
    assert {len(rows) for rows in read(place / "pref.json").values()} == {2}
    n_answered = sum(server.seen.answered.values())
    assert list(server.seen.answered.values()).count(1) == 2 + 8 + 8
    assert set(server.seen.answered.values()) == {1, 3}, "each command finds out once what the server can do"
    assert charter("country", "sft", config, prompts, "sft.json", *common).code == 0
    assert sum(server.seen.answered.values()) == n_answered, "a finished file asks nobody"
    assert not [path for path in place.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def _row_schema(body: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = body["response_format"]["json_schema"]["schema"]["properties"]["rows"]["items"]
    return schema


@pytest.mark.usefixtures("kitchen")
def test_answers_that_are_cut_are_counted(charter: Command, place: Path) -> None:
    """A server that begins as the schema says and fills the limit with white space gives no row, and no default."""
    with FaultServer(Manners(holds_schema=True, n_written=20)) as server:
        command = ("country", "sft", "kitchen/config.yaml", "kitchen/red_team.json", "sft.json", "--model", "stub")
        done = charter(*command, "--engine", server.url, "--tries", "2", "--max-tokens", "40")
        n_calls = sum("You criticise" in json.dumps(body) for body in server.seen.bodies)
    assert done.code == 1
    assert (
        "nothing usable was written: 8 calls (0 repaired, 0 times), 8 without a row (8 cut at the token limit)"
        in done.err
    )
    assert n_calls == 16
    assert not (place / "sft.json").exists()


def test_what_could_not_be_used_is_named_and_asked_for_again(
    charter: Command, kitchen: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key without a row is told with its reason; a larger --tries asks on where the first ended."""
    asked: list[str] = []

    def answer(request: Any) -> str:
        task = request.messages[1].content
        asked.append(task)
        if any(word in task for word in ("oysters", "gloves")) and asked.count(task) < 3:
            return "I will not."
        return json.dumps([{"critique": f"It is not. {len(asked)}", "revision": f"I cannot tell. {len(asked)}"}])

    monkeypatch.setattr("charter.authoring.dry_run.dry_answer", answer)
    command = ("country", "sft", "kitchen/config.yaml", "kitchen/red_team.json", "sft.json", *DRY)
    done = charter(*command, "--tries", "2")
    assert done.code == 0, done.err
    assert "sft.json: 6 of 8 revisions asked for" in done.out
    assert '  "0_2": no JSON object\n  "1_2": no JSON object\n' in done.out
    assert len(asked) == 8 + 2
    before = read(place / "sft.json")
    again = charter(*command, "--tries", "3", "--json")
    assert (again.value["kept"], again.value["repaired"], again.value["repairs"]) == (8, 2, 4)
    assert len(asked) == 8 + 2 + 2
    assert {key: rows for key, rows in read(place / "sft.json").items() if key in before} == before
    assert kitchen.is_dir()


def test_a_red_team_that_has_grown_is_gone_on_with(charter: Command, kitchen: Path, place: Path) -> None:
    """What was written stays, and the new prompts alone are asked about."""
    command = ("country", "preferences", "kitchen/config.yaml", "kitchen/red_team.json", "pref.json", *DRY)
    assert charter(*command).code == 0
    before = read(place / "pref.json")
    (kitchen / "red_team.json").write_text(json.dumps(red_team((*PROMPTS, ("1", "Who needs a towel?")))), "utf-8")
    more = charter(*command)
    assert "9/9, 8 of them before" in more.err
    after = read(place / "pref.json")
    assert list(after) == [*before, "1_4"]
    assert {key: after[key] for key in before} == before


def test_rows_that_cannot_be_begun_from_are_counted(charter: Command, kitchen: Path) -> None:
    """Without an incorrect response there is nothing to criticise; exact duplicates are written about once."""
    rows = red_team()
    rows["0"][1]["incorrect_model_response_to_adversarial_prompt"] = ""
    rows["1"].append(dict(rows["1"][0]))
    (kitchen / "red_team.json").write_text(json.dumps(rows), "utf-8")
    done = charter("country", "sft", "kitchen/config.yaml", "kitchen/red_team.json", "sft.json", *DRY, "--json")
    assert (done.value["prompts"], done.value["left_out"]) == (7, {"empty answer": 1, "exact duplicate": 1})
    assert "0_1" not in read(Path("sft.json"))


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_killed_command_goes_on(start: Start, charter: Command, kitchen: Path, place: Path, verb: str) -> None:
    """Killed at any moment, the same command goes on, and ends as one that was never killed."""
    prompts = tuple((str(n % 2), f"May I serve dish number {n} again?") for n in range(40))
    (kitchen / "red_team.json").write_text(json.dumps(red_team(prompts)), "utf-8")
    command = ("country", verb, "kitchen/config.yaml", "kitchen/red_team.json", "out.json", *DRY)
    journal = place / "out.json.journal"
    process = start(*command, wait="await asyncio.sleep(0.1 * (request.sampling.seed % 40))")
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1.5)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not (place / "out.json").exists()
    done = charter(*command)
    assert done.code == 0, done.err
    assert "of them before" in done.err
    assert charter(*("whole.json" if one == "out.json" else one for one in command)).code == 0
    assert (place / "out.json").read_bytes() == (place / "whole.json").read_bytes()


@pytest.mark.usefixtures("kitchen")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("--temperature", "0.2"), "was begun with another --temperature"),
        (("--seed", "7"), "was begun with another --seed"),
        (("--model", "other"), "was begun with another model"),
        (("--n", "3"), "was begun with another --n"),
    ],
)
def test_another_setup_does_not_go_on(charter: Command, changed: tuple[str, ...], told: str) -> None:
    """What changed is named."""
    command = ("country", "sft", "kitchen/config.yaml", "kitchen/red_team.json", "sft.json", *DRY)
    assert charter(*command).code == 0
    done = charter(*command, *changed)
    assert (done.code, told in done.err) == (2, True), done.err


def test_another_wording_does_not_go_on(charter: Command, kitchen: Path) -> None:
    """A comment in the configuration is no other wording."""
    command = ("country", "sft", "kitchen/config.yaml", "kitchen/red_team.json", "sft.json", *DRY)
    assert charter(*command).code == 0
    (kitchen / "config.yaml").write_text(f"# mine\n{CONFIG.removeprefix('---')}", "utf-8")
    assert charter(*command).code == 0
    (kitchen / "config.yaml").write_text(CONFIG.replace("Revise it by:", "Mend it by:"), "utf-8")
    done = charter(*command)
    assert (done.code, "was begun with another wording in the configuration" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sft", "kitchen/none.yaml", "kitchen/red_team.json", "o.json"), "kitchen/none.yaml: no such file"),
        (("sft", "kitchen/config.yaml", "none.json", "o.json"), "none.json"),
        (("sft", "kitchen/config.yaml", "kitchen/red_team.json", "o.jsonl"), "ends in '.jsonl'; expected .json"),
        (("sft", "kitchen/config.yaml", "kitchen/red_team.json", "kitchen/red_team.json"), "says that this command"),
        (("sft", "kitchen/constitution.json", "kitchen/red_team.json", "o.json"), "is no country's configuration"),
        (("sft", "kitchen/few.yaml", "kitchen/red_team.json", "o.json"), "few.yaml:1: there is no section 'sft'"),
        (
            ("sft", "kitchen/config.yaml", "kitchen/red_team.json", "o.json", "--few-shots", "kitchen/few_shot.json"),
            "few_shot.json: holds no examples of revisions",
        ),
        (
            ("preferences", "kitchen/config.yaml", "kitchen/red_team.json", "o.json", "--few-shots", "kitchen/c.json"),
            "no text of the section 'pref' has a place for them; add PREF_USER_PROMPT_FEW_SHOT",
        ),
        (("red-team", "kitchen/config.yaml", "o.json", "--few-shots", "kitchen/c.json"), "holds no example"),
        (("red-team", "kitchen/out.yaml", "o.json"), "out.yaml:2: kitchen/../red.json leads out of the folder"),
        (("sft", "kitchen/config.yaml", "kitchen/far.json", "o.json"), "the principle at position 5"),
        (("sft", "kitchen/config.yaml", "kitchen/constitution.json", "o.json"), "as in no layout of pairs"),
    ],
)
def test_wrong_files_are_named(charter: Command, kitchen: Path, arguments: tuple[str, ...], told: str) -> None:
    """With exit code 2, before anything is asked."""
    (kitchen / "few.yaml").write_text("src_principles: constitution.json\n", "utf-8")
    (kitchen / "out.yaml").write_text(CONFIG.replace("constitution.json", "../red.json"), "utf-8")
    (kitchen / "c.json").write_text(json.dumps(CRITIQUES), "utf-8")
    (kitchen / "far.json").write_text(json.dumps(red_team((("5", "Who?"),))), "utf-8")
    before = (kitchen / "red_team.json").read_bytes()
    done = charter("country", *arguments, *DRY)
    assert done.code == 2, done.out
    assert told in done.err
    assert "Traceback" not in done.err
    assert (kitchen / "red_team.json").read_bytes() == before
    assert not Path("o.json").exists()


def test_import_tells_what_it_made(charter: Command, kitchen: Path) -> None:
    """Files, the account of every row, and what comes next; as JSON too."""
    done = charter("import-country", "kitchen/config.yaml")
    assert done.code == 0, done.err
    assert "principles: 2\nprompts: 8\nwritten: imported/constitution.schema.json\n" in done.out
    assert "  charter country sft kitchen/config.yaml kitchen/red_team.json kitchen/sft.json --model M\n" in done.out
    assert charter("check", "imported/recipe.yaml").code == 0
    assert charter("import-country", "kitchen/config.yaml").code == 2
    told = charter("import-country", "kitchen/config.yaml", "--force", "--json").value
    assert told["account"]["prompts"] == {"kept": 8, "left_out": {}, "mended": {}}
    assert kitchen.is_dir()


@pytest.mark.usefixtures("kitchen")
def test_the_whole_way_on_the_scripted_engine(charter: Command, place: Path) -> None:
    """Red team, revisions and preferences written anew, imported, checked and run to the labels."""
    (place / "kitchen" / "red_team.json").unlink()
    config = "kitchen/config.yaml"
    for command in (
        ("country", "red-team", config, "kitchen/red_team.json", "--n", "12", "--per-call", "4"),
        ("country", "sft", config, "kitchen/red_team.json", "kitchen/sft.json"),
        ("country", "preferences", config, "kitchen/red_team.json", "kitchen/preferences.json"),
    ):
        done = charter(*command, *DRY)
        assert done.code == 0, done.err
    done = charter("import-country", config, "--size", "smoke")
    assert "prompts: 24\nrevisions: 24\npreferences: 48\n" in done.out
    scripted = "models.policy={name: demo, engine: scripted}"
    done = charter("run", "imported/recipe.yaml", scripted, "--until", "label", "--out", "run")
    assert done.code == 0, done.err
    labels = read_table(place / "run" / "data" / "preferences.parquet", Preference)
    assert sum(one.source == "given" for one in labels) > 20


@pytest.fixture(scope="module")
def llama() -> LlamaServer:
    """A llama.cpp server of the embedded model, with room for a few long texts."""
    return serve(embedded_gguf("smollm2-135m"), n_parallel=2, n_context=1536, n_threads=2)


@pytest.mark.model
@pytest.mark.slow
def test_a_real_server_holds_answers_to_the_schema(
    charter: Command, kitchen: Path, place: Path, llama: LlamaServer
) -> None:
    """Whatever so small a model writes is a whole row or counted, and the file is read as a country's."""
    (kitchen / "red_team.json").write_text(json.dumps(red_team(PROMPTS[:2])), "utf-8")
    common = ("--model", "smollm2-135m", "--engine", llama.url, "--max-tokens", "300", "--tries", "3", "--json")
    done = charter("country", "sft", "kitchen/config.yaml", "kitchen/red_team.json", "sft.json", *common)
    assert done.code == 0, done.err
    told = done.value
    assert told["kept"] + sum(told["lost_rows"].values()) + len(told["missing"]) == told["asked"] == 2
    traces = load_traces(place / "sft.json").traces
    assert len(traces) == told["kept"] >= 1
    assert all(one.rounds[0].critique and one.rounds[0].revision for one in traces)
