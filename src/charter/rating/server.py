"""The page's server: three files and two questions, from Python's own library, for people on one machine or network."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from charter.errors import CharterError, UserError
from charter.rating.gate import cookie_value, is_loopback, is_own_host, is_own_origin, is_token, own_names
from charter.rating.sitting import PRESSED, Said, Sitting, StaleError, clean_name

MOST_BYTES = 4096  # of what the page says
_SECONDS_TO_SPEAK = 30.0
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MOST_DIGITS = 9  # of a number that is read from a request

_Answer = tuple[HTTPStatus, dict[str, Any]]


@dataclass(frozen=True)
class Door:
    """What a server lets in.

    Attributes:
        token: that a browser shows once and keeps in a cookie; None where only this machine can ask.
        cookie: its name, one for each port.
        names: of this machine.
    """

    token: str | None
    cookie: str
    names: frozenset[str]


class _RefusedError(Exception):
    """A request that is not answered: with which status, and why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RatingServer:
    """Serves a sitting's page.

    Attributes:
        address: to open in a browser; it holds the token, where there is one.
    """

    def __init__(self, sitting: Sitting, *, host: str = "127.0.0.1", port: int = 0, rater: str | None = None) -> None:
        """Open the port.

        Args:
            sitting: what is rated.
            host: the address to listen at; any but this machine's own asks for a token.
            port: 0 takes a free one.
            rater: who rates; None lets the page ask.

        Raises:
            UserError: where the address cannot be had.
        """
        kind = _ThreadingIPv6Server if ":" in host else _ThreadingServer
        try:
            self._server = kind((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"--host {host} --port {port}: cannot be listened at ({getattr(error, 'strerror', None) or error}); "
                "name another port, 0 for any that is free, or another host"
            ) from error
        own = self._server.server_address[1]
        token = None if is_loopback(host) else secrets.token_urlsafe(24)
        self._server.sitting, self._server.rater = sitting, rater
        self._server.door = Door(token, f"charter-rate-{own}", own_names())
        self.address = f"http://{_reachable(host)}:{own}/" + ("" if token is None else f"?token={token}")

    def serve(self) -> None:
        """Answer until ``stop`` is called from another thread, or the process is interrupted."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """End ``serve``."""
        self._server.shutdown()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()


class _ThreadingServer(ThreadingHTTPServer):
    daemon_threads = True
    sitting: Sitting
    rater: str | None
    door: Door

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave a connection that broke; what it said is kept or was never acknowledged."""


class _ThreadingIPv6Server(_ThreadingServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "charter", ""
    timeout = _SECONDS_TO_SPEAK
    server: _ThreadingServer

    def do_GET(self) -> None:
        """Give a file of the page."""
        self._guarded(self._page)

    def do_POST(self) -> None:
        """Tell a rater's state, or keep what they say."""
        self._guarded(self._answer)

    def _guarded(self, give: Callable[[], None]) -> None:
        """Do what was asked, or say why not."""
        try:
            give()
        except _RefusedError as error:
            self._say(error.status, {"error": str(error)})
        except CharterError as error:
            self._say(HTTPStatus.INSUFFICIENT_STORAGE, {"error": str(error)})
        except ValueError as error:
            self._say(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def _page(self) -> None:
        path = urlsplit(self.path)
        shown = parse_qs(path.query, max_num_fields=4).get("token", [None])[0] if path.path == "/" else None
        self._require_known(shown)
        if path.path not in _FILES:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        name, kind = _FILES[path.path]
        self._send(HTTPStatus.OK, _file(name), kind, set_cookie=shown is not None)

    def _answer(self) -> None:
        self._require_known(None)
        answers = {"/state": self._state, "/rate": self._rate}
        if self.path not in answers:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        self._say(*answers[self.path](self._body()))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the library cannot read, in our own form."""
        self._say(HTTPStatus(code), {"error": message or explain or HTTPStatus(code).phrase})

    def _state(self, body: dict[str, Any]) -> _Answer:
        rater = self.server.rater or body.get("rater")
        sitting = self.server.sitting
        if rater is None:
            return HTTPStatus.OK, {"rater": None, "question": sitting.question}
        return HTTPStatus.OK, self._shown(sitting.state(_name(rater)))

    def _rate(self, body: dict[str, Any]) -> _Answer:
        rater, sitting = _name(self.server.rater or body.get("rater")), self.server.sitting
        try:
            return HTTPStatus.OK, self._shown(sitting.take(rater, _said(body)))
        except StaleError:
            return HTTPStatus.CONFLICT, {"error": "answered elsewhere", "state": self._shown(sitting.state(rater))}

    def _shown(self, state: dict[str, Any]) -> dict[str, Any]:
        """Say too whether the page may be another rater's."""
        return {**state, "is_fixed": self.server.rater is not None}

    def _require_known(self, shown: str | None) -> None:
        """Refuse whoever is not of this machine, not of this page, or without the token."""
        door, host = self.server.door, self.headers.get("Host")
        if len(self.headers.get_all("Host", [])) != 1 or not is_own_host(host, door.names):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "this page answers to its machine's own address alone")
        if not is_own_origin(self.headers.get("Origin"), host):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "another page may not ask here")
        if door.token is None or is_token(shown, door.token):
            return
        if not is_token(cookie_value(self.headers.get("Cookie"), door.cookie), door.token):
            raise _RefusedError(
                HTTPStatus.FORBIDDEN, "open the whole address that 'charter rate' printed, with its token"
            )

    def _body(self) -> dict[str, Any]:
        """Read a small JSON object, the only thing that is taken."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "say how long the request is")
        if len(length) > _MOST_DIGITS or int(length) > MOST_BYTES:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES} bytes are taken")
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        try:
            value = json.loads(self.rfile.read(int(length)), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "expected a JSON object") from error
        if not isinstance(value, dict):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "expected a JSON object")
        return value

    def _say(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        if status is not HTTPStatus.OK:
            self.close_connection = True  # what was not read of the request is not the next one
        # A lone surrogate has no UTF-8; as an escape JSON can hold it.
        self._send(status, json.dumps(value).encode("ascii"), "application/json", set_cookie=False)

    def _send(self, status: HTTPStatus, content: bytes, kind: str, *, set_cookie: bool) -> None:
        door = self.server.door
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        if set_cookie and door.token is not None:
            self.send_header("Set-Cookie", f"{door.cookie}={door.token}; Path=/; HttpOnly; SameSite=Strict")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: the terminal is for people."""


@cache
def _file(name: str) -> bytes:
    return files("charter.rating").joinpath("templates", name).read_bytes()


def _reachable(host: str) -> str:
    """Write an address that a browser opens; one that stands for all of a machine's is its name."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "expected the rater's name")
    return clean_name(value)


def _said(body: dict[str, Any]) -> Said:
    """Read what the page says of an item."""
    number, pressed, item, seconds = (body.get(key) for key in ("number", "pressed", "item", "seconds"))
    if type(number) is not int or not 1 <= number < 10**_MOST_DIGITS:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "expected a number from 1")
    if pressed not in PRESSED:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"expected one of {', '.join(PRESSED)}")
    if not (item is None or isinstance(item, str)) or (seconds is not None and type(seconds) not in {int, float}):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "expected an item's id, and seconds as a number")
    return Said(number, pressed, item, seconds)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON's")
