"""What ``charter check`` finds out of a model behind a server, without asking it anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from charter.engines.specs import ModelSpec
from charter.planning.findings import Finding, Preflight
from charter.planning.models import look_at
from charter.planning.preflight import check_recipe
from engines.fault_server import FaultServer, Manners
from run_examples import small_recipe

KEY = "sk-planted-7f3a"


class Catalogue(BaseHTTPRequestHandler):
    """Lists one model, to who has the key."""

    def do_GET(self) -> None:
        """Answer as servers do."""
        known = self.headers.get("Authorization") == f"Bearer {KEY}"
        body = json.dumps(
            {"object": "list", "data": [{"id": "clever", "object": "model"}]}
            if known
            else {"error": {"message": f"no such key: {self.headers.get('Authorization')}"}}
        ).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's
        """Keep quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Catalogue)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def look(name: str, **fields: object) -> list[Finding]:
    """Look at a served model."""
    report = Preflight()
    known = look_at(report, "models.judge", ModelSpec(name=name, engine="http", **fields))  # type: ignore[arg-type]
    assert known.capabilities is None, "what it can do is known once it is asked"
    assert KEY not in str(report.to_dict())
    return report.findings


def test_a_model_that_is_there_gives_no_finding(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server, key and name are right."""
    monkeypatch.setenv("MY_KEY", KEY)
    assert look("clever", server=url, key_name="MY_KEY") == []


def test_a_model_that_is_not_listed_is_pointed_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nearest name; some servers answer to names that they do not list."""
    monkeypatch.setenv("MY_KEY", KEY)
    (found,) = look("clevr", server=url, key_name="MY_KEY")
    assert (found.severity, found.about) == ("warning", "models.judge")
    assert found.message.startswith(f"{url} lists no model 'clevr' (clever); did you mean \"clever\"?")


def test_a_refused_key_is_an_error_that_does_not_show_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the server repeats it."""
    monkeypatch.setenv("MY_KEY", f"{KEY}x")
    (found,) = look("clever", server=url, key_name="MY_KEY")
    assert found.severity == "error"
    assert "MY_KEY" in found.message
    assert "401" in found.message


def test_a_key_that_is_not_set_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It names the variable and the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MY_KEY", raising=False)
    (found,) = look("clever", server=url, key_name="MY_KEY")
    assert (found.severity, "MY_KEY" in found.message, ".env" in found.message) == ("error", True, True)


def test_a_server_that_does_not_answer_is_a_warning() -> None:
    """It may be started later."""
    (found,) = look("clever", server="http://127.0.0.1:9/v1")
    assert (found.severity, found.about) == ("warning", "models.judge.server")
    assert "must answer when the run begins" in found.message


def test_a_word_that_is_no_server_is_an_error() -> None:
    """With the nearest known one."""
    (found,) = look("clever", server="opnai")
    assert found.message.endswith('did you mean "openai"?')


def test_a_key_that_would_go_out_unencrypted_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over plain http to another machine anybody on the way could read it."""
    monkeypatch.setenv("MY_KEY", KEY)
    found = look("clever", server="http://192.0.2.1:9/v1", key_name="MY_KEY")
    assert "unencrypted" in found[0].message


def test_a_served_model_among_the_others_needs_a_judge(tmp_path: Path, url: str) -> None:
    """It tells no log-probabilities of given answers, so that only what it answers itself can be measured."""
    other = f"evaluate.others={{api: {{name: clever, engine: http, server: '{url}'}}}}"
    probed = "evaluate.probes=[educational]"
    errors = check_recipe(small_recipe(tmp_path, other, probed), tmp_path / "run").errors
    assert any("evaluate.judge_adherence" in one.message for one in errors)
    errors = check_recipe(
        small_recipe(tmp_path, other, probed, "evaluate.judge_adherence=true"), tmp_path / "run"
    ).errors
    assert not any("evaluate.judge_adherence" in one.message for one in errors)


def test_an_address_that_lacks_its_end_is_an_error() -> None:
    """The address that works is named, and one that lists nothing there either is left to the run."""
    with FaultServer() as server:
        address = server.url.removesuffix("/v1")
        (found,) = look("stub", server=address)
        assert (found.severity, found.about) == ("error", "models.judge")
        assert found.message == f"{address} lists no models, and {server.url} does: that is the server's address"
    with FaultServer(Manners(lists_models=False)) as server:
        assert look("stub", server=server.url.removesuffix("/v1")) == []
