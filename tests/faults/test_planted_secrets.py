"""Six keys planted where keys are, and whatever a run writes or prints: none of them is in any of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import Command
from engines.fault_server import FaultServer, Manners
from faults.points import point

pytestmark = [pytest.mark.faults, pytest.mark.slow]

SERVED = "sk-planted-served-0123456789abcdef"
PLANTED = {
    "the key of the server that is asked": SERVED,
    "the key of another service, in the environment": "sk-planted-environment-0123456789",
    "a token of the hub, in the environment": "hf_PlantedPlantedPlantedPlantedPlant",
    "a key in the file .env": "gsk_planted0123456789planted0123456789",
    "a password in a server's address": "planted-password-0123456789",
    "a key in a query of a server's address": "planted-query-0123456789",
}
_SHOWN = 12  # characters of a key that must not be seen either


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that wants a key, repeats it in its errors and in headers' place, and now and then fails."""
    faults = ("429", "500", "html", "no choices", "truncated", "other model")
    with FaultServer(Manners(key=SERVED, share=0.15, faults=faults, most_faults=2, wait=0.02)) as running:
        yield running


@pytest.fixture
def said(  # noqa: PLR0917 - fixtures
    charter: Command,
    place: Path,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    finished: Path,
) -> str:
    """All that every verb prints of a run that a server took part in, and of what is refused; with the logs."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CHARTER_DEBUG", "")  # --debug sets it for the rest of the process
    keys = list(PLANTED.values())
    for name, key in zip(("SERVED_KEY", "OPENAI_API_KEY", "HF_TOKEN"), keys[:3], strict=True):
        monkeypatch.setenv(name, key)
    (place / ".env").write_text(f"GROQ_API_KEY={keys[3]}\n", "utf-8")
    served = f"{{name: stub, engine: http, server: '{server.url}', key_name: SERVED_KEY}}"
    roles = [f"models.{role}={served}" for role in ("critic", "reviser", "judge")]
    port = server.url.rpartition(":")[2].partition("/")[0]
    addresses = (f"http://user:{keys[4]}@127.0.0.1:{port}/v1", f"http://127.0.0.1:{port}/v1?api_key={keys[5]}")
    asked: list[tuple[str, ...]] = [
        ("check", "demo.yaml", *roles),
        ("plan", "demo.yaml", *roles),
        ("run", "demo.yaml", *roles, "--out", "run"),
        ("run", "demo.yaml", *roles, "--out", "run", "--json"),
        ("status", "run"),
        ("status", "run", "--json"),
        ("show", "run", "rt-"),
        ("report", "run"),
        ("card", "run"),
        ("export", "run", "exported", "--format", "native"),
        ("export", "run", "cells", "--format", "answer-improvement"),
        ("publish", "run", "--to", "a/b", "--what", "dataset,cards", "--dry-run", "--licence", "mit"),
        ("compare", "run", str(finished)),
        *(("check", "demo.yaml", f"models.judge={{name: s, engine: http, server: '{one}'}}") for one in addresses),
        *(("run", "demo.yaml", f"models.judge={{name: s, engine: http, server: '{one}'}}") for one in addresses),
        ("run", "demo.yaml", f"models.judge={{name: s, engine: http, server: openai, key_name: {keys[1]}}}"),
        ("--debug", "run", "demo.yaml", f"models.judge={served.replace('SERVED_KEY', 'OPENAI_API_KEY')}", "--out", "b"),
    ]
    done = [(one, charter(*one)) for one in asked]
    codes = {one[0]: end.code for one, end in done[:4]}
    assert codes == {"check": 0, "plan": 0, "run": 0}, [end.err for _, end in done[:4]]
    assert SERVED in server.seen.keys, "the server was sent its key"
    return "\n".join([caplog.text, *(f"{end.out}\n{end.err}" for _, end in done)])


def test_no_planted_key_is_anywhere(place: Path, said: str) -> None:
    """In the run's folder, its report, its cards and exports, in what is printed and in what is logged."""
    files = [path for path in place.rglob("*") if path.is_file() and path.name != ".env"]
    assert {"report.html", "journal.sqlite", "recipe.resolved.yaml"} <= {path.name for path in files}
    assert json.loads((place / "run/stages/label.json").read_text("utf-8"))["n_done"] > 0
    for what, key in PLANTED.items():
        with point("planted secrets", what) as tried:
            held = [path.name for path in files if key[:_SHOWN].encode() in path.read_bytes()]
            assert held == []
            assert key[:_SHOWN] not in said
            tried.outcome = f"in none of {len(files)} files and {len(said):,} characters"
