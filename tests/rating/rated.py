"""Small things to be rated, and a server that serves them for as long as a test lasts."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from charter.evaluation.head_to_head import Match
from charter.rating import Item, RatingStore, Sitting
from charter.rating.records import Choice, Rating
from charter.rating.server import RatingServer
from charter.rating.sitting import Said
from charter.records import make_prompt


def make_item(number: int, *, gold: bool = False, kind: Any = "red_team") -> Item:
    """Make an item whose answers say whose they are."""
    prompt = make_prompt(f"Question number {number} about something?", kind)
    if gold:
        return Item(Match(prompt, "right", "wrong", f"right answer {number}", f"wrong answer {number}"), "model")
    return Item(Match(prompt, "dpo", "base", f"answer {number} of the one", f"answer {number} of another model"))


def make_items(n: int, **options: Any) -> list[Item]:
    """Make several items."""
    return [make_item(number, **options) for number in range(n)]


def make_rating(item: Item, rater: str, number: int, choice: Choice, **fields: Any) -> Rating:
    """Make a record as a sitting does."""
    match = item.match
    told = {"left": "model", "prompt": match.prompt.id, "model": match.model, "base": match.base, "gold": item.gold}
    return Rating(rater=rater, number=number, item=item.id, choice=choice, **{**told, **fields})


def say(sitting: Sitting, rater: str, pressed: Any) -> dict[str, Any]:
    """Say something of what is in view."""
    state = sitting.state(rater)
    item = None if state["item"] is None or pressed == "undo" else state["item"]["id"]
    return sitting.take(rater, Said(state["number"], pressed, item, 2.5))


@contextlib.contextmanager
def serving(items: list[Item], path: Path, **options: Any) -> Iterator[RatingServer]:
    """Serve items in a thread; ratings go to a file."""
    told = {name: options.pop(name) for name in ("question", "seed") if name in options}
    server = RatingServer(Sitting(items, RatingStore(path), **told), **options)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
        server.close()


def ask(
    server: RatingServer, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Ask a server over a real connection; its status, what it says, and its headers."""
    port = urlsplit(server.address).port
    assert port is not None
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} if content is not None else {}
    try:
        connection.request(method, path, content, {**sent, **(headers or {})})
        answer = connection.getresponse()
        told = answer.read()
        kind = answer.getheader("Content-Type", "")
        return answer.status, json.loads(told) if "json" in kind else told.decode(), dict(answer.getheaders())
    finally:
        connection.close()
