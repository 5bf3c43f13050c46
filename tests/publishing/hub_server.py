"""As much of the Hugging Face Hub as its library needs to write: repositories, preupload, LFS, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "TestTokenOfNobodyTestTokenOfNobody"
#: What the hub keeps apart from git: these by their names, and whatever is larger.
_LARGE = (".safetensors", ".parquet")
_MOST_REGULAR = 1 << 20


@dataclass
class Repository:
    """A repository: its files as they are, and the commits, newest last."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: [_commit(0)])
    ignored: frozenset[str] = frozenset()

    @property
    def head(self) -> str:
        """The newest commit."""
        return self.commits[-1]


@dataclass(frozen=True)
class Request:
    """What was asked: method, path with its query, headers with small names, body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class WritableHub(ThreadingHTTPServer):
    """The hub; ``repositories`` by kind and name, ``blobs`` by SHA-256, ``requests`` as they came.

    ``read_only`` are owners that the token may read and not write, ``broken`` a status that commits are answered with.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.read_only: set[str] = set()
        self.always_public: set[str] = set()
        self.broken = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def targets(self, method: str, ending: str = "") -> list[str]:
        """Name what was asked by a method, where the path has such an ending."""
        return [
            one.target for one in self.requests if one.method == method and urlsplit(one.target).path.endswith(ending)
        ]


@contextmanager
def running_hub() -> Iterator[WritableHub]:
    """Run a hub with nothing in it."""
    server = WritableHub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _commit(number: int) -> str:
    return hashlib.sha1(str(number).encode()).hexdigest()  # noqa: S324 - as git names commits


class _RefusedError(Exception):
    """A request that is not answered with what it asks for."""

    def __init__(self, status: int, message: str = "", code: str = "") -> None:
        self.status, self.message, self.code = status, message, code


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WritableHub

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command, self.path, headers, body))
        try:
            self._send(200, self._found(unquote(urlsplit(self.path).path), headers, body))
        except _RefusedError as error:
            self._send(error.status, {"error": error.message}, code=error.code, message=error.message)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while n := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(n))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _found(self, path: str, headers: dict[str, str], body: bytes) -> Any:
        if match := re.fullmatch(r"/storage/([0-9a-f]{64})", path):  # a signed address, which needs no token
            return self._store(match[1], body)
        if headers.get("authorization") != f"Bearer {TOKEN}":
            raise _RefusedError(401, "Invalid credentials in Authorization header")
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._writable(match[1])
            return {"transfer": "basic", "objects": [self._upload(one) for one in json.loads(body)["objects"]]}
        if match := re.fullmatch(r"/api/(dataset|model)s/([^/]+/[^/]+)(?:/(\w+(?:-\w+)?)/[^/]+)?", path):
            return self._of_repository(match[1], match[2], match[3] or "revision", body)
        raise _RefusedError(404)

    def _of_repository(self, kind: str, name: str, what: str, body: bytes) -> Any:
        repository = self.server.repositories.get((kind, name))
        if repository is None:
            raise _RefusedError(404, "Repository not found", "RepoNotFound")
        if what == "revision":
            return _described(name, repository)
        if what == "paths-info":
            return _listed(repository, body)
        self._writable(name)
        if what == "preupload":
            return {"files": [_mode(repository, one) for one in json.loads(body)["files"]]}
        prefix = "datasets/" if kind == "dataset" else ""
        commit = self._commit(repository, body)
        return {"commitUrl": f"{self.server.address}/{prefix}{name}/commit/{commit}", "commitOid": commit}

    def _store(self, digest: str, body: bytes) -> Any:
        if hashlib.sha256(body).hexdigest() != digest:
            raise _RefusedError(400, "another content than was said")
        self.server.blobs[digest] = body
        return {}

    def _writable(self, name: str) -> None:
        if name.partition("/")[0] in self.server.read_only:
            raise _RefusedError(403, f"you have no right to write to {name}")

    def _create(self, asked: dict[str, Any]) -> Any:
        name = f"{asked['organization']}/{asked['name']}"
        self._writable(name)
        key = asked.get("type", "model"), name
        if key in self.server.repositories:
            raise _RefusedError(409, "You already created this repo")
        private = asked.get("visibility") == "private" and name.partition("/")[0] not in self.server.always_public
        self.server.repositories[key] = Repository(private=private)
        prefix = "datasets/" if key[0] == "dataset" else ""
        return {"url": f"{self.server.address}/{prefix}{name}"}

    def _upload(self, one: dict[str, Any]) -> dict[str, Any]:
        told = {"oid": one["oid"], "size": one["size"]}
        if one["oid"] in self.server.blobs:
            return told
        return {**told, "actions": {"upload": {"href": f"{self.server.address}/storage/{one['oid']}"}}}

    def _commit(self, repository: Repository, body: bytes) -> str:
        if self.server.broken:
            raise _RefusedError(self.server.broken, f"out of order; you are {self.headers['Authorization']}")
        _, *operations = map(json.loads, body.splitlines())
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.blobs[value["oid"]]
            else:
                repository.files[value["path"]] = base64.b64decode(value["content"])
        repository.commits.append(_commit(len(repository.commits) + 1000 * len(self.server.requests)))
        return repository.head

    def _send(self, status: int, value: Any, *, code: str = "", message: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (("X-Error-Code", code), ("X-Error-Message", message)):
            if text:
                self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _described(name: str, repository: Repository) -> Any:
    siblings = [{"rfilename": path} for path in repository.files]
    return {"_id": "1", "id": name, "sha": repository.head, "private": repository.private, "siblings": siblings}


def _listed(repository: Repository, body: bytes) -> Any:
    asked = parse_qs(body.decode())["paths"]
    return [
        {"type": "file", "path": path, "size": len(repository.files[path]), "oid": _oid(repository.files[path])}
        for path in asked
        if path in repository.files
    ]


def _mode(repository: Repository, one: dict[str, Any]) -> Any:
    is_large = one["path"].endswith(_LARGE) or one["size"] > _MOST_REGULAR
    told = {"path": one["path"], "shouldIgnore": one["path"] in repository.ignored}
    there = repository.files.get(one["path"])
    if there is not None:
        told["oid"] = hashlib.sha256(there).hexdigest() if is_large else _oid(there)
    return {**told, "uploadMode": "lfs" if is_large else "regular"}


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 - as git names blobs
