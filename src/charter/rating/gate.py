"""Who may ask the page's server: which host, which origin, with which token. Pure."""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]@/\s]+)(?::([0-9]{1,5}))?")
_HOME = "localhost"


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches no further than this machine."""
    if host == _HOME:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_names() -> frozenset[str]:
    """Give the names that this machine goes by, in lower case."""
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0], f"{name.partition('.')[0]}.local"} - {""})


def is_own_host(header: str | None, names: Collection[str] = ()) -> bool:
    """Tell whether a ``Host`` names this machine: by an address, as ``localhost``, or by a name of its own.

    A page elsewhere whose name is made to point here (DNS rebinding) comes with that name. Ports may differ, since one
    may be forwarded.
    """
    found = _AUTHORITY.fullmatch(header or "")
    if found is None:
        return False
    host = found[1].strip("[]").lower()
    if host == _HOME or host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_own_origin(origin: str | None, host: str | None) -> bool:
    """Tell whether a request comes from our page: browsers say where it comes from, others need not."""
    return origin is None or origin in {f"http://{host}", f"https://{host}"}


def is_token(given: str | None, token: str) -> bool:
    """Compare a token in a time that says nothing of it."""
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8"))


def cookie_value(header: str | None, name: str) -> str | None:
    """Read one cookie; None where there is none, or nothing that can be read."""
    try:
        found = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return None if found is None else found.value
