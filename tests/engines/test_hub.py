import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from engines.model_folders import make_adapter, make_model, write_json

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# The hub's client reads its settings when it is imported, and the suite imports it offline: hence a process.
SCRIPT = """
import json, sys
from charter.engines.weights import resolve_model
from charter.errors import ModelError
said = []
try:
    found = resolve_model(sys.argv[1], progress=lambda *report: said.append(report))
    print(json.dumps({"path": str(found.path), "revision": found.revision, "said": said}))
except ModelError as error:
    print(json.dumps({"error": str(error)}))
"""


ASKING = """
import json, sys
from charter.engines.hub import ask_hub
from charter.errors import ModelError
try:
    found = ask_hub(sys.argv[1])
    print(json.dumps({} if found is None else {"bytes": found.n_weight_bytes, "chats": found.chats}))
except ModelError as error:
    print(json.dumps({"error": str(error)}))
"""


class FakeHub(ThreadingHTTPServer):
    """As much of the hub as its client asks for, over folders ``owner/name``; counts what is asked."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.root = root
        self.asked: list[str] = []
        self.claimed_size: int | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: FakeHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            self._describe(match[1], match[2] or "revision", match[3] or "main")
        elif match := re.fullmatch(rf"/([^/]+/[^/]+)/resolve/{COMMIT}/(.+)", path):
            body = (self.server.root / match[1] / match[2]).read_bytes()
            self._send(200, body, {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": COMMIT})  # noqa: S324
        else:
            self._send(404, b"")

    def _describe(self, name: str, what: str, revision: str) -> None:
        if name == "acme/gated":
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        elif not (self.server.root / name).is_dir():
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [path for path in sorted((self.server.root / name).rglob("*")) if path.is_file()]
            listed = [(path.relative_to(self.server.root / name).as_posix(), self._size(path), path) for path in files]
            if what == "tree":
                value: object = [
                    {"type": "file", "path": file, "size": size, "oid": hashlib.sha1(path.read_bytes()).hexdigest()}  # noqa: S324
                    for file, size, path in listed
                ]
            else:
                siblings = [{"rfilename": file, "size": size} for file, size, _ in listed]
                value = {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _size(self, path: Path) -> int:
        return path.stat().st_size if self.server.claimed_size is None else self.server.claimed_size

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with one model, ``acme/tiny``."""
    make_model(tmp_path / "hub" / "acme" / "tiny")
    server = FakeHub(tmp_path / "hub")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def resolve(model: str, hub: FakeHub | str, *, offline: bool = False, script: str = SCRIPT) -> dict[str, object]:
    """Resolve a model in a process whose hub is the one given; its cache lies beside the hub's files."""
    address = hub if isinstance(hub, str) else hub.address
    home = Path(os.environ["PYTEST_HUB_HOME"])
    env = {
        **{key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")},
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "CHARTER_CACHE": str(home / "charter"),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, model], env=env, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the client's home inside the test."""
    monkeypatch.setenv("PYTEST_HUB_HOME", str(tmp_path))
    return tmp_path


def test_model_is_fetched_without_what_it_does_not_need(hub: FakeHub) -> None:
    """Safetensors, configuration, tokenizer and template arrive; pickles, second copies and code stay there."""
    remote = hub.root / "acme" / "tiny"
    for name in ("pytorch_model.bin", "README.md", "modeling.py", "consolidated.safetensors", "onnx/model.safetensors"):
        (remote / name).parent.mkdir(exist_ok=True)
        (remote / name).write_bytes(b"not wanted")
    found = resolve("acme/tiny", hub)
    folder = Path(str(found["path"]))
    assert found["revision"] == folder.name == COMMIT
    names = {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    total = sum((remote / name).stat().st_size for name in names)
    said = found["said"]
    assert isinstance(said, list)
    assert said[0] == ["downloading", 0, total]
    assert said[-1] == ["downloading", total, total]


def test_fetched_model_is_found_again_without_a_call(hub: FakeHub) -> None:
    """Once here, the model is found with the hub not asked, and with no hub in reach."""
    first = resolve("acme/tiny", hub)
    hub.asked.clear()
    assert resolve("acme/tiny", hub)["path"] == first["path"]
    assert hub.asked == []
    assert resolve("acme/tiny", "http://127.0.0.1:9", offline=True)["path"] == first["path"]


def test_half_fetched_model_is_completed(hub: FakeHub) -> None:
    """A snapshot that lacks its weights is fetched to its end."""
    folder = Path(str(resolve("acme/tiny", hub)["path"]))
    (folder / "model.safetensors").resolve().unlink()
    (folder / "model.safetensors").unlink()
    assert Path(str(resolve("acme/tiny", hub)["path"])) == folder
    assert (folder / "model.safetensors").is_file()


def test_pinned_commit_is_fetched(hub: FakeHub) -> None:
    """A revision after @ is the one asked for."""
    assert resolve(f"acme/tiny@{COMMIT}", hub)["revision"] == COMMIT
    assert "no such revision" in str(resolve("acme/tiny@v9", hub)["error"])


def test_adapter_and_its_base_are_fetched(hub: FakeHub) -> None:
    """An adapter of the hub brings its base from there too."""
    make_adapter(hub.root / "acme" / "adapter", "acme/tiny")
    found = resolve("acme/adapter", hub)
    assert "models--acme--tiny" in str(found["path"])


def test_pickles_are_refused_before_anything_is_fetched(hub: FakeHub) -> None:
    """A repository of pickles is refused by its listing."""
    remote = hub.root / "acme" / "tiny"
    (remote / "model.safetensors").rename(remote / "pytorch_model.bin")
    assert "pickled weights only (pytorch_model.bin)" in str(resolve("acme/tiny", hub)["error"])
    assert not any("resolve" in asked for asked in hub.asked)


def test_unknown_model_lists_where_it_was_looked_for(hub: FakeHub, home: Path) -> None:
    """Embedded names, the folder and the hub are all named."""
    error = str(resolve("acme/none", hub)["error"])
    assert all(place in error for place in ("'acme/none'", "smollm2-135m", str(home / "acme/none"), hub.address))


def test_gated_model_says_what_to_do(hub: FakeHub) -> None:
    """A gated model points at its terms and at the login."""
    error = str(resolve("acme/gated", hub)["error"])
    assert f"{hub.address}/acme/gated" in error
    assert "hf auth login" in error


def test_too_large_a_model_is_refused_first(hub: FakeHub) -> None:
    """The room is checked against the listing's sizes before anything is fetched."""
    hub.claimed_size = 10**18
    assert "not enough disk space for acme/tiny" in str(resolve("acme/tiny", hub)["error"])
    assert not any("resolve" in asked for asked in hub.asked)


def test_hub_is_asked_before_anything_is_fetched(hub: FakeHub, home: Path) -> None:
    """The weights' size and the chat template are known without the weights, and nothing stays on this machine."""
    remote = hub.root / "acme" / "tiny"
    size = (remote / "model.safetensors").stat().st_size
    assert resolve("acme/tiny", hub, script=ASKING) == {"bytes": size, "chats": True}
    (remote / "chat_template.jinja").unlink()
    assert resolve(f"acme/tiny@{COMMIT}", hub, script=ASKING) == {"bytes": size, "chats": False}
    write_json(remote / "tokenizer_config.json", {"chat_template": "{{ messages }}"})
    assert resolve("acme/tiny", hub, script=ASKING) == {"bytes": size, "chats": True}
    assert not any("safetensors" in asked for asked in hub.asked)
    assert not list((home / "hf").rglob("*tiny*"))


def test_what_the_hub_cannot_serve_is_known_by_asking(hub: FakeHub) -> None:
    """A missing, gated or pickled model and a missing revision are refused; an adapter has its base's template."""
    make_adapter(hub.root / "acme" / "adapter", "acme/tiny")
    assert resolve("acme/adapter", hub, script=ASKING)["chats"] is None
    for model, said in (
        ("acme/none", f"there is none of that name at {hub.address}"),
        ("acme/gated", "hf auth login"),
        ("acme/tiny@v9", "no such revision"),
    ):
        assert said in str(resolve(model, hub, script=ASKING)["error"])
    remote = hub.root / "acme" / "tiny"
    (remote / "model.safetensors").rename(remote / "pytorch_model.bin")
    assert "pickled weights only" in str(resolve("acme/tiny", hub, script=ASKING)["error"])


@pytest.mark.parametrize("offline", [False, True])
def test_a_hub_out_of_reach_answers_nothing(offline: bool) -> None:
    """Whoever only asks is not stopped by a missing network."""
    assert resolve("acme/tiny", "http://127.0.0.1:9", offline=offline, script=ASKING) == {}


@pytest.mark.parametrize("offline", [False, True])
def test_hub_out_of_reach_is_said(offline: bool) -> None:
    """With no hub, or with the hub switched off, the error says so and what to check."""
    error = str(resolve("acme/tiny", "http://127.0.0.1:9", offline=offline)["error"])
    assert error.startswith("no model 'acme/tiny': it is no embedded model (smollm2-135m), there is no folder /")
    assert "\ncannot fetch 'acme/tiny' from http://127.0.0.1:9" in error
    assert "HF_HUB_OFFLINE" in error
