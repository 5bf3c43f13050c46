"""Whole runs in which a server plays roles: what they leave behind, where they stop, and how they go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charter.cli import running
from charter.cli.running import saying_retries
from charter.files.tables import read_table
from charter.records import Preference, Trace
from cli.command import Command
from engines.fault_server import FaultServer, Manners

KEY = "sk-planted-in-served-runs"
UNTIL_LABEL = ("--until", "label")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that wants a key, and misbehaves a little."""
    quick = ("429", "503", "no choices", "nan", "truncated")
    with FaultServer(Manners(key=KEY, share=0.1, faults=quick, most_faults=3)) as running:
        yield running


@pytest.fixture
def served(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Overrides that let the server play critic, reviser and judge."""
    monkeypatch.setenv("SERVED_KEY", KEY)
    model = f"{{name: stub, engine: http, server: '{server.url}', key_name: SERVED_KEY}}"
    return tuple(f"models.{role}={model}" for role in ("critic", "reviser", "judge"))


def files_with(text: str, folder: Path) -> list[str]:
    """Name the files that hold a text."""
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_server_plays_roles(charter: Command, server: FaultServer, served: tuple[str, ...], place: Path) -> None:
    """Critiques, revisions and verdicts are the server's; nothing is asked twice, and no file has the key."""
    done = charter("run", "demo.yaml", *served, "--out", "run")
    assert done.code == 0, done.err
    asked = [json.dumps(body) for body in server.seen.bodies]
    assert any("departs from this principle" in body or "critique" in body.lower() for body in asked)
    traces = read_table(place / "run/data/traces.parquet", Trace)
    assert all(one.rounds[0].critique and one.rounds[0].revision for one in traces)
    labels = read_table(place / "run/data/preferences.parquet", Preference)
    assert labels
    assert all(verdict.option_mass is not None for one in labels for verdict in one.verdicts)
    n_asked = sum(map(bool, server.seen.bodies))  # a list of models is asked for without a body
    again = charter("run", "demo.yaml", *served, "--out", "run")
    assert again.code == 0
    assert sum(map(bool, server.seen.bodies)) == n_asked, "a finished run asks nothing, not even what a server can do"
    assert files_with(KEY, place) == []
    assert KEY not in done.err + done.out
    environment = json.loads((place / "run/environment.json").read_text("utf-8"))
    assert environment["models"]["judge"]["name"] == "stub"


def test_a_judge_without_log_probabilities_is_refused_at_once(charter: Command, place: Path) -> None:
    """Before anything is done, and not when its stage comes."""
    with FaultServer(Manners(n_top=-1)) as server:
        judge = f"models.judge={{name: stub, engine: http, server: '{server.url}'}}"
        done = charter("run", "demo.yaml", judge, "--out", "run")
    assert done.code == 2
    assert "models.judge: stub gives no log-probabilities of option letters (needed by label, evaluate)" in done.err
    assert not (place / "run").exists()


def test_a_server_that_is_not_there_is_refused_at_once(charter: Command, place: Path) -> None:
    """A key that it refuses as well."""
    judge = "models.judge={name: stub, engine: http, server: 'http://127.0.0.1:9/v1'}"
    done = charter("check", "demo.yaml", judge)
    assert (done.code, "it must answer when the run begins" in done.out + done.err) == (0, True)
    with FaultServer(Manners(key="another")) as server:
        judge = f"models.judge={{name: stub, engine: http, server: '{server.url}'}}"
        done = charter("run", "demo.yaml", judge, "--out", "run")
    assert done.code == 2
    assert "401" in done.err
    assert not (place / "run").exists()


def test_a_run_says_how_its_server_is_asked_and_that_it_tries_again(
    charter: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a server, before anything is done; and each failed try, in its stages too, where none is left out."""
    monkeypatch.setattr(running, "_SECONDS_BETWEEN_RETRIES", 0.0)
    refuses_once = Manners(prefill="refuses", share=1.0, faults=("429 with seconds",), most_faults=1, wait=0.01)
    with FaultServer(refuses_once) as server:
        model = f"{{name: stub, engine: http, server: '{server.url}'}}"
        roles = tuple(f"models.{role}={model}" for role in ("critic", "reviser", "judge"))
        done = charter("run", "demo.yaml", *roles, "--out", "run", *UNTIL_LABEL)
    assert done.code == 0, done.err
    assert done.err.count("stub (compatible) takes no beginning of an answer, and is asked in words;") == 1
    n_failed = sum(server.seen.met.values()) - 1  # the list of models, which is looked at first and not tried again
    assert done.err.count(f"{server.url}: status 429: ") == done.err.count("trying again in") == n_failed > 50
    summaries = [json.loads(path.read_text("utf-8")) for path in (place / "run/stages").glob("*.json")]
    counted = [one["usage"]["stub"]["failed_tries"] for one in summaries if "stub" in one["usage"]]
    assert all(set(one) == {"status 429"} for one in counted)
    n_in_stages = sum(one["status 429"] for one in counted)
    assert n_failed - 10 < n_in_stages < n_failed, "finding out what the server can do met some"
    assert f"failed tries of calls to servers: status 429 {n_in_stages}\n" in done.out


def test_failed_tries_are_told_a_line_every_few_seconds() -> None:
    """The first at once, and what was left out with the next."""
    told: list[str] = []
    clock = iter([0.0, 1.0, 4.9, 5.0, 5.1, 30.0, 60.0])
    say = saying_retries(told.append, lambda: next(clock))
    for number in range(7):
        say(f"try {number}")
    more = "more tries failed since the last such line)"
    assert told == ["try 0", f"try 3 (2 {more}", f"try 5 (1 {more}", "try 6"]


def test_a_talk_with_a_server_that_is_not_there_says_that_it_tries_again(charter: Command) -> None:
    """And gives up soon, with the code of what is the user's to mend."""
    done = charter("chat", "stub", "--engine", "http://127.0.0.1:9/v1")
    assert done.code == 2
    assert done.err.count("trying again in") == 2
    assert "gave up after 3 tries; the last: no connection" in done.err


def test_a_budget_stops_a_run_and_more_lets_it_go_on(
    charter: Command, server: FaultServer, served: tuple[str, ...], place: Path
) -> None:
    """What was recorded is kept and not paid for again; nothing goes beyond the end."""
    (place / "prices.yaml").write_text("stub: {prompt: 1.0, completion: 10.0}\n", "utf-8")
    budget = ("budget.prices=prices.yaml", "budget.money=0.02")
    stopped = charter("run", "demo.yaml", *served, *budget, "--out", "run", *UNTIL_LABEL)
    assert stopped.code == 2
    assert "budget.money is 0.02" in stopped.err
    assert "Raise budget.money and run the same command again" in stopped.err
    n_first = sum(server.seen.answered.values())
    status = charter("status", "run")
    (line,) = [line for line in status.out.splitlines() if ": stopped: budget.money is 0.02: 0.01" in line]
    assert "rows have ended" in line
    assert "spent on servers: 0.01" in status.out
    stage = line.partition(":")[0]
    assert status.out.splitlines()[-1].startswith(f"next: raise budget.money and go on with '{stage}': charter run ")
    found = charter("status", "run", "--json").value
    assert 0.01 < found["money"] < 0.02
    assert found["money"] == pytest.approx(sum(one["money"] or 0.0 for one in found["stages"]))
    more = ("budget.prices=prices.yaml", "budget.money=100")
    done = charter("run", "demo.yaml", *served, *more, "--out", "run", *UNTIL_LABEL)
    assert done.code == 0, done.err
    assert sum(server.seen.answered.values()) > n_first
    found = charter("status", "run", "--json").value
    paid = [usage_of(place / f"run/stages/{stage}.json")["money"] for stage in ("revise", "label")]
    assert found["money"] == pytest.approx(sum(paid))
    assert f"spent on servers: {sum(paid):.4g}" in done.out
    assert not any(one["stopped"] for one in found["stages"])
    assert "money: 100" in (place / "run/recipe.resolved.yaml").read_text("utf-8"), "who goes on has the same budget"
    whole = charter("run", "demo.yaml", *served, "--out", "whole", *UNTIL_LABEL)
    assert whole.code == 0
    for name in ("traces", "preferences"):
        tables = [(place / run / f"data/{name}.parquet").read_bytes() for run in ("run", "whole")]
        assert tables[0] == tables[1], name


def test_a_budget_that_does_not_hold_what_finding_out_takes_stops_at_once(
    charter: Command, server: FaultServer, served: tuple[str, ...], place: Path
) -> None:
    """Before anything is done, whatever was spent in the run before."""
    server.manners = Manners(key=KEY)
    stopped = charter("run", "demo.yaml", *served, "budget.tokens=100", "--out", "run", *UNTIL_LABEL)
    assert (stopped.code, server.seen.n_tokens) == (2, 0)
    assert "budget.tokens is 100: 0 are spent, and the next call may take 1" in stopped.err
    assert not (place / "run").exists()
    stopped = charter("run", "demo.yaml", *served, "budget.tokens=12000", "--out", "run", *UNTIL_LABEL)
    assert stopped.code == 2
    assert "rows have ended" in stopped.err
    n_taken = server.seen.n_tokens
    assert 1000 < n_taken <= 12_000
    again = charter("run", "demo.yaml", *served, f"budget.tokens={n_taken + 60}", "--out", "run", *UNTIL_LABEL)
    assert again.code == 2
    assert f"budget.tokens is {n_taken + 60:,}: {n_taken:,} are spent, and the next call may take 1" in again.err
    assert server.seen.n_tokens == n_taken


def test_what_a_run_takes_is_counted_once_and_a_budget_of_that_suffices(charter: Command, place: Path) -> None:
    """Every call that the server saw, and no other; what it can do is asked once in a sitting for all roles.

    A budget need hold beside it what one call can come to at most, and not what all that wait can.
    """
    with FaultServer() as server:
        roles = {"critic": "", "reviser": "", "judge": ", max_at_once: 8"}
        model = f"name: stub, engine: http, server: '{server.url}'"
        served = [f"models.{role}={{{model}{more}}}" for role, more in roles.items()]
        done = charter("run", "demo.yaml", *served, "--out", "run", *UNTIL_LABEL)
        assert done.code == 0, done.err
        used = [usage_of(place / f"run/stages/{stage}.json") for stage in ("revise", "label")]
        asked = [body for body in server.seen.bodies if body]
        assert sum(one["n_calls"] for one in used) == len(asked)
        first = [body for body in asked if "Which letter comes first" in json.dumps(body)]
        assert len(first) == len({json.dumps(body) for body in first}), "nothing of it was asked twice"
        n_tokens = sum(one["n_prompt_tokens"] + one["n_completion_tokens"] for one in used)
        again = charter("run", "demo.yaml", *served, f"budget.tokens={n_tokens + 2500}", "--out", "again", *UNTIL_LABEL)
        assert again.code == 0, again.err


def usage_of(summary: Path) -> dict[str, Any]:
    """Read what a stage's served model took."""
    return dict(json.loads(summary.read_text("utf-8"))["usage"]["stub"])


def test_money_without_a_price_is_refused(charter: Command, served: tuple[str, ...], place: Path) -> None:
    """Nobody could say where it ends; it is said before anything is done."""
    (place / "prices.yaml").write_text("other: {prompt: 1.0}\n", "utf-8")
    done = charter("run", "demo.yaml", *served, "budget.prices=prices.yaml", "budget.money=1", "--out", "run")
    assert done.code == 2
    assert "budget.prices: prices.yaml: 'stub' has no price; put it there" in done.err
    assert not (place / "run").exists()
