"""The page's server over real connections: who is let in, what is taken, and what is said of the rest."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from charter.errors import UserError
from charter.rating import RatingStore, Sitting, read_ratings
from charter.rating.gate import is_loopback, is_own_host, is_own_origin
from charter.rating.server import MOST_BYTES, RatingServer
from rating.rated import ask, make_items, serving


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where ratings go."""
    return tmp_path / "kept.jsonl"


@pytest.fixture
def server(kept: Path) -> Iterator[RatingServer]:
    """A server for this machine alone."""
    with serving(make_items(3), kept) as found:
        yield found


@pytest.fixture
def open_server(kept: Path) -> Iterator[RatingServer]:
    """A server that others may reach."""
    with serving(make_items(3), kept, host="0.0.0.0") as found:  # noqa: S104 - what is tested
        yield found


def host_of(server: RatingServer) -> str:
    """Name the server as a browser here does."""
    return f"127.0.0.1:{urlsplit(server.address).port}"


def rating(server: RatingServer, **changed: Any) -> dict[str, Any]:
    """Say something of what Ann sees."""
    _, state, _ = ask(server, "POST", "/state", {"rater": "Ann"})
    told = {"rater": "Ann", "number": state["number"], "pressed": "left", "item": state["item"]["id"], "seconds": 1.5}
    return {**told, **changed}


def test_the_page_lets_nothing_else_in(server: RatingServer) -> None:
    """Each file comes with a policy under which only our own files run, and nothing is remembered or framed."""
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        status, text, headers = ask(server, "GET", path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
        assert "Set-Cookie" not in headers
        assert "http://" not in text
        assert "https://" not in text
    page = ask(server, "GET", "/")[1]
    assert "onclick" not in page
    assert " style=" not in page


def test_ratings_are_kept_before_they_are_acknowledged(server: RatingServer, kept: Path) -> None:
    """A rating that was answered is in the file; said again it is there once, said otherwise it is refused."""
    said = rating(server)
    status, state, _ = ask(server, "POST", "/rate", said)
    assert (status, state["number"], state["n_done"]) == (200, 2, 1)
    assert [one.seconds for one in read_ratings(kept)[0]["Ann"]] == [1.5]
    assert ask(server, "POST", "/rate", said)[:2] == (200, state)
    status, told, _ = ask(server, "POST", "/rate", {**said, "pressed": "right"})
    assert (status, told["state"]) == (409, state)
    assert len(read_ratings(kept)[0]["Ann"]) == 1


def test_a_fixed_rater_is_who_rates(kept: Path) -> None:
    """Whatever name the page gives."""
    with serving(make_items(2), kept, rater="Ann") as server:
        state = ask(server, "POST", "/state", {"rater": "Bob"})[1]
        assert (state["rater"], state["is_fixed"]) == ("Ann", True)
        ask(server, "POST", "/rate", {**rating(server), "rater": "Bob"})
    assert set(read_ratings(kept)[0]) == {"Ann"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "localhost.evil.example", "", "a b", "[::1", "me@127.0.0.1", "127.0.0.1:x"],
)
def test_foreign_hosts_are_refused(server: RatingServer, kept: Path, host: str) -> None:
    """A name elsewhere that was made to point here opens nothing."""
    for method, path, body in (("GET", "/", None), ("POST", "/state", {}), ("POST", "/rate", rating(server))):
        assert ask(server, method, path, body, headers={"Host": host})[0] == 403
    assert read_ratings(kept)[0] == {}


def test_own_hosts_are_known() -> None:
    """By address, as localhost, by the machine's name; a forwarded port is one's own."""
    for host in ("localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8417", "192.168.1.7:8417"):
        assert is_own_host(host), host
    assert is_own_host("Desk:8417", {"desk"})
    assert not is_own_host(None)
    assert [is_loopback(one) for one in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.1", "desk")] == (  # noqa: S104 - compared
        [True, True, True, False, False, False]
    )


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "x"])
def test_foreign_origins_are_refused(server: RatingServer, kept: Path, origin: str) -> None:
    """Another page in the same browser may not rate."""
    said = rating(server)
    assert ask(server, "POST", "/rate", said, headers={"Origin": origin})[0] == 403
    assert read_ratings(kept)[0] == {}
    assert ask(server, "POST", "/rate", said, headers={"Origin": f"http://{host_of(server)}"})[0] == 200
    assert is_own_origin("https://desk:8417", "desk:8417"), "behind a proxy that encrypts"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[" * 4000, {}, 400),
        (b'{"rater": 3}', {}, 400),
        (b'{"rater": ""}', {}, 400),
        (b'{"rater": "\\u0000"}', {}, 400),
        (b'{"rater": "\\ud800"}', {}, 400),
        (b" " * (MOST_BYTES + 1), {}, 413),
        (b"{}", {"Content-Length": "99999999999999999999"}, 413),
        (b"{}", {"Content-Length": "-1"}, 411),
        (b"{}", {"Content-Length": "2x"}, 411),
        (b"{}", {"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_malformed_requests_are_refused(
    server: RatingServer, content: bytes, headers: dict[str, str], status: int
) -> None:
    """Each with its status and a reason as JSON, and the server goes on."""
    found, told, _ = ask(server, "POST", "/state", content, headers=headers)
    assert (found, list(told)) == (status, ["error"])
    assert ask(server, "POST", "/state", {"rater": "Ann"})[0] == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 0}, {"number": "1"}, {"number": True}, {"number": 10**12}, {"number": None}, {"pressed": "model"},
        {"pressed": None}, {"pressed": ["left"]}, {"item": 3}, {"seconds": "1"}, {"seconds": True}, {"rater": None},
        {"rater": ["Ann"]},
    ],
)  # fmt: skip
def test_ratings_that_say_nothing_are_refused(server: RatingServer, kept: Path, changed: dict[str, Any]) -> None:
    """Wrong types and unknown choices keep nothing."""
    assert ask(server, "POST", "/rate", rating(server, **changed))[0] == 400
    assert read_ratings(kept)[0] == {}


@pytest.mark.parametrize(("seconds", "found"), [(-5, 0.0), (10**9, 86_400.0), (None, None), (0.123456, 0.12)])
def test_seconds_are_held_to_a_day(server: RatingServer, kept: Path, seconds: Any, found: Any) -> None:
    """A clock that was set back, and a window that was left open; what is no number is refused."""
    assert ask(server, "POST", "/rate", rating(server, seconds=seconds))[0] == 200
    assert read_ratings(kept)[0]["Ann"][0].seconds == found
    broken = json.dumps(rating(server)).replace('"seconds": 1.5', '"seconds": NaN').encode()
    assert ask(server, "POST", "/rate", broken)[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404), ("GET", "/../server.py", 404), ("GET", "/page.html", 404), ("GET", "/rate", 404),
        ("POST", "/", 404), ("POST", "/rate?x=1", 404), ("PUT", "/rate", 501), ("DELETE", "/", 501),
        ("OPTIONS", "/rate", 501), ("GET", "/" + "a" * 70_000, 414), ("GET", "/?" + "a=1&" * 50, 400),
    ],
)  # fmt: skip
def test_there_is_nothing_else(server: RatingServer, method: str, path: str, status: int) -> None:
    """Three files and two questions; whatever else is asked has a status and a reason."""
    found, told, headers = ask(server, method, path, {} if method == "POST" else None)
    assert (found, list(told)) == (status, ["error"])
    assert "Access-Control-Allow-Origin" not in headers


def test_noise_does_not_end_the_server(server: RatingServer) -> None:
    """Bytes that are no HTTP, and connections that say nothing."""
    address = ("127.0.0.1", urlsplit(server.address).port or 0)
    for noise in (
        b"\x16\x03\x01\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"",
        b"POST /rate HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
    ):
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(noise)
    assert ask(server, "GET", "/")[0] == 200


def test_only_this_machine_reaches_the_usual_page(server: RatingServer, kept: Path) -> None:
    """The port is bound to the loopback address, and the address holds no token."""
    assert urlsplit(server.address).query == ""
    assert server._server.server_address[0] == "127.0.0.1"
    del kept


def test_others_need_the_token(open_server: RatingServer, kept: Path) -> None:
    """Without it nothing opens; with it a cookie is set that scripts and other sites cannot use."""
    token = parse_qs(urlsplit(open_server.address).query)["token"][0]
    assert len(token) >= 32
    for method, path, body in (("GET", "/", None), ("GET", "/page.js", None), ("POST", "/state", {"rater": "Ann"})):
        assert ask(open_server, method, path, body)[0] == 403
    for wrong in ("", token[:-1], f"{token}x", token.swapcase(), "%00", "%C3%A9", "%ED%A0%80"):
        assert ask(open_server, "GET", f"/?token={wrong}")[0] == 403
    status, _, headers = ask(open_server, "GET", f"/?token={token}")
    assert status == 200
    cookie, *rest = headers["Set-Cookie"].split("; ")
    assert set(rest) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert ask(open_server, "GET", f"/page.js?token={token}")[0] == 403, "it is shown to the page alone"
    shown = {"Cookie": cookie}
    assert ask(open_server, "GET", "/page.js", headers=shown)[0] == 200
    assert ask(open_server, "POST", "/state", {"rater": "Ann"}, headers=shown)[0] == 200
    for broken in ("x", f"{cookie}x", cookie.replace("charter-rate", "other"), "=;;=", f"{cookie[:-1]}"):
        assert ask(open_server, "GET", "/", headers={"Cookie": broken})[0] == 403
    assert ask(open_server, "POST", "/rate", {}, headers={**shown, "Origin": "http://evil.example"})[0] == 403
    assert ask(open_server, "GET", "/", headers={**shown, "Host": "evil.example"})[0] == 403
    assert read_ratings(kept)[0] == {}


def test_each_server_has_its_own_token(kept: Path) -> None:
    """A token of yesterday opens nothing today."""
    sitting = Sitting(make_items(1), RatingStore(kept))
    servers = [RatingServer(sitting, host="0.0.0.0") for _ in range(3)]  # noqa: S104 - what is tested
    assert len({urlsplit(one.address).query for one in servers}) == 3
    for one in servers:
        one.close()


def test_a_port_that_is_taken_is_said(server: RatingServer, kept: Path) -> None:
    """With what to do."""
    port = urlsplit(server.address).port or 0
    with pytest.raises(UserError, match=rf"--port {port}: cannot be listened at .*0 for any that is free"):
        RatingServer(Sitting(make_items(1), RatingStore(kept)), port=port)


def test_hosts_of_either_family(kept: Path) -> None:
    """An IPv6 address stands in brackets; a name that is nobody's is said."""
    sitting = Sitting(make_items(1), RatingStore(kept))
    if socket.has_ipv6:
        server = RatingServer(sitting, host="::1")
        assert server.address.startswith("http://[::1]:")
        server.close()
    with pytest.raises(UserError, match="cannot be listened at"):
        RatingServer(sitting, host="203.0.113.9")


def test_what_cannot_be_kept_is_not_acknowledged(server: RatingServer, kept: Path) -> None:
    """The page is told, and the same rating is taken when there is room again."""
    said = rating(server)
    kept.unlink()
    kept.mkdir()
    status, told, _ = ask(server, "POST", "/rate", said)
    assert status == 507
    assert "cannot be written" in told["error"]
    kept.rmdir()
    assert ask(server, "POST", "/rate", said)[0] == 200
    assert len(read_ratings(kept)[0]["Ann"]) == 1
