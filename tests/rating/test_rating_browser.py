"""The rating page in a real browser: by keys, by mouse, on a phone, with texts that try to break out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

from axe_findings import serious
from charter.evaluation.head_to_head import Match
from charter.rating import Item, read_ratings, standing
from charter.records import Message, make_prompt
from rating.payloads import PAYLOADS
from rating.rated import make_items, serving

pytestmark = pytest.mark.slow

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
HOLD = 450  # milliseconds: the page takes no choice sooner after an item appears
OVERFLOW = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.id || e.tagName)"""


class Page:
    """A rater's window, with everything that went wrong in it, and everything that reached it."""

    def __init__(self, chromium: Any, address: str, *, context: Any = None, **options: Any) -> None:
        self.context = context or chromium.new_context(viewport=options.pop("viewport", DESK), **options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.received: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("response", self._keep)
        self.page.goto(address)
        self.page.wait_for_load_state("networkidle")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def _keep(self, response: Any) -> None:
        if response.url.endswith(("/state", "/rate")):
            self.received.append(response.text())

    def begin(self, name: str) -> None:
        """Give a name, and see the first item."""
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Begin").click()
        self.page.locator("#bar").wait_for()

    def press(self, key: str) -> None:
        """Press a key once the page listens, and wait until what it says is kept."""
        self.page.wait_for_timeout(HOLD)
        with self.page.expect_response("**/rate"):
            self.page.keyboard.press(key)
        self.page.wait_for_timeout(50)

    def at(self) -> str:
        """Say how far the rater is."""
        text: str = self.page.locator("#progress-text").inner_text()
        return text


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_whole_flow_by_keys_and_by_mouse(chromium: Any, tmp_path: Path, size: dict[str, int], scheme: str) -> None:
    """Name, every choice, undo, the end: what was pressed is what is kept, and nothing is wrong on the page."""
    kept = tmp_path / "ratings.jsonl"
    items = make_items(5)
    with (
        serving(items, kept, question="Which answer is kinder?") as server,
        Page(chromium, server.address, viewport=size, color_scheme=scheme) as rater,
    ):
        assert rater.page.locator("h1").inner_text() == "Which answer is kinder?", "before anybody gives a name"
        rater.begin("Ann")
        assert rater.page.locator("h1").inner_text() == "Which answer is kinder?"
        assert rater.at() == "1 of 5"
        assert rater.page.evaluate(OVERFLOW) == []
        shown = rater.page.locator("#left").inner_text()
        rater.press("a")
        assert rater.at() == "2 of 5"
        rater.press("u")
        assert rater.page.locator("#left").inner_text() == shown, "an undone item comes back as it was"
        for name in ("B is better", "Tie", "Skip"):
            rater.page.wait_for_timeout(HOLD)
            with rater.page.expect_response("**/rate"):
                rater.page.get_by_role("button", name=name).click()
        for key in ("t", "A"):
            rater.press(key)
        assert rater.page.get_by_role("heading", name="All are rated").is_visible()
        assert rater.at() == "5 of 5"
        rater.press("u")
        assert rater.at() == "5 of 5"
        assert rater.page.locator("#item").is_visible()
        assert rater.problems == []
    told = read_ratings(kept)[0]["Ann"]
    sides = {"model": "left", "base": "left"}
    pressed = [one.choice if one.choice not in sides else "left" if one.choice == one.left else "right" for one in told]
    assert pressed == ["left", "undo", "right", "tie", "skip", "tie", "left", "undo"]
    assert all(one.seconds is not None and 0.2 < one.seconds < 60 for one in told if one.choice != "undo")
    by_id = {item.id: item.match for item in items}
    first = by_id[told[0].item]
    assert shown == (first.answer if told[0].left == "model" else first.base_answer)


def test_names_of_models_never_reach_the_browser(chromium: Any, tmp_path: Path) -> None:
    """Neither who answered nor which items are checks is in anything that the page receives."""
    items = [
        Item(Match(make_prompt(f"Ask {n}", "helpful"), "zz-dpo-model", "zz-base-model", f"one {n}", f"two {n}"), gold)
        for n, gold in enumerate((None, "model", None))
    ]
    with serving(items, tmp_path / "kept.jsonl") as server, Page(chromium, server.address) as rater:
        rater.begin("Ann")
        for key in ("a", "b", "t", "u"):
            rater.press(key)
        everything = " ".join([*rater.received, rater.page.content()])
        assert "Ask 1" in everything
        for secret in ("zz-", "gold", "comparison-", "prompt-", "kept.jsonl", "helpful"):
            assert secret not in everything.replace("prompt-title", "")


def test_double_click_reload_and_a_second_window(chromium: Any, tmp_path: Path) -> None:
    """A double click is one answer, a reload goes on, and a window left behind is told and shown what is next."""
    kept = tmp_path / "kept.jsonl"
    with serving(make_items(4), kept) as server, Page(chromium, server.address) as rater:
        rater.begin("Ann")
        rater.page.wait_for_timeout(HOLD)
        rater.page.get_by_role("button", name="A is better").dblclick()
        rater.page.wait_for_timeout(HOLD)
        assert rater.at() == "2 of 4"
        second = Page(chromium, server.address, context=rater.context)
        assert second.at() == "2 of 4", "the name is remembered"
        second.press("b")
        rater.press("a")
        assert rater.at() == "3 of 4"
        assert "Another window" in rater.page.locator("#news").inner_text()
        rater.press("t")
        rater.page.reload()
        rater.page.wait_for_load_state("networkidle")
        assert rater.at() == "4 of 4"
        assert [one for one in rater.problems if "409" not in one] == []
    told = read_ratings(kept)[0]["Ann"]
    assert [one.number for one in told] == [1, 2, 3]
    assert len(standing(told)) == 3


def test_two_raters_have_orders_of_their_own(chromium: Any, tmp_path: Path) -> None:
    """Each goes on where they were, and neither's answers are the other's."""
    kept = tmp_path / "kept.jsonl"
    items = make_items(12)
    with serving(items, kept) as server, Page(chromium, server.address) as rater:
        rater.begin("Ann")
        rater.press("a")
        rater.page.get_by_role("button", name="Somebody else").click()
        rater.begin("  Bob   the 2nd ")
        assert rater.at() == "1 of 12"
        rater.press("b")
        rater.press("b")
        rater.page.get_by_role("button", name="Somebody else").click()
        rater.begin("Ann")
        assert rater.at() == "2 of 12"
        assert rater.problems == []
    by_rater = read_ratings(kept)[0]
    assert {name: len(own) for name, own in by_rater.items()} == {"Ann": 1, "Bob the 2nd": 2}


def test_hostile_texts_stay_texts(chromium: Any, tmp_path: Path) -> None:
    """Prompts, answers, question and names that try to become markup or script are shown as they are."""
    assert len(PAYLOADS) >= 60
    items = [Item(Match(make_prompt(text, "red_team"), "m", "n", text, f"{text} and more")) for text in PAYLOADS]
    with (
        serving(items, tmp_path / "kept.jsonl", question=PAYLOADS[0]) as server,
        Page(chromium, server.address) as rater,
    ):
        rater.begin(PAYLOADS[1][:60])
        elements = rater.page.evaluate("document.querySelectorAll('*').length")
        seen = set()
        for _ in PAYLOADS:
            shown = [rater.page.locator(f"#{name}").evaluate("e => e.textContent") for name in ("left", "right")]
            seen.add(min(shown, key=len))
            assert rater.page.evaluate("document.querySelectorAll('*').length") == elements
            rater.page.evaluate("now.since = 0")
            with rater.page.expect_response("**/rate"):
                rater.page.keyboard.press("a")
            rater.page.wait_for_timeout(20)
        assert seen == set(PAYLOADS)
        assert rater.page.evaluate("window.broken") is None
        assert rater.problems == []


def start(folder: Path, port: int) -> tuple[subprocess.Popen[str], str]:
    """Start the command in a process of its own, and read the address that it prints."""
    command = ["rate", "pairs.jsonl", "--out", "kept.jsonl", "--port", str(port), "--no-browser", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "charter", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["address"]


def test_a_killed_server_loses_nothing(chromium: Any, tmp_path: Path) -> None:
    """The page says that nothing is kept yet; when the server is there again the same choice is sent, and kept once."""
    rows = [{"prompt": f"Ask {n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(3)]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    process, address = start(tmp_path, 0)
    try:
        with Page(chromium, address) as rater:
            rater.begin("Ann")
            rater.press("t")
            process.kill()
            process.communicate()
            rater.page.wait_for_timeout(HOLD)
            rater.page.keyboard.press("a")
            rater.page.locator("#trouble").wait_for()
            assert "Not kept yet" in rater.page.locator("#trouble").inner_text()
            process, again = start(tmp_path, int(address.rstrip("/").rpartition(":")[2]))
            assert again == address
            rater.press("b")
            assert rater.at() == "3 of 3"
            assert rater.page.locator("#trouble").is_hidden()
    finally:
        process.kill()
        process.communicate()
    told = read_ratings(tmp_path / "kept.jsonl")[0]["Ann"]
    assert [(one.number, one.choice == one.left) for one in told] == [(1, False), (2, True)], "the first that was said"


def test_the_page_is_for_keyboards_and_screen_readers(chromium: Any, tmp_path: Path) -> None:
    """Landmarks and names are there, focus begins at the prompt, tabbing reaches every choice, letters can be off."""
    turns = (Message(role="system", content="Be kind."), Message(role="user", content="Hello?"))
    prompt = make_prompt("x", "helpful").model_copy(update={"turns": turns})
    items = [Item(Match(prompt, "m", "n", "one", "two")), *make_items(2)]
    with serving(items, tmp_path / "kept.jsonl", rater="Ann") as server, Page(chromium, server.address) as rater:
        page = rater.page
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.get_by_role("button", name="Somebody else").count() == 0
        assert page.evaluate("document.activeElement.id") == "prompt-title"
        for name in ("Prompt", "Answer A", "Answer B"):
            assert page.get_by_role("region", name=name).is_visible()
        assert page.get_by_role("progressbar", name="1 of 3").is_visible()
        reached = []
        for _ in range(8):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.dataset.pressed ?? document.activeElement.id"))
        assert [one for one in reached if one][:6] == ["left", "tie", "right", "skip", "undo", "keys"]
        page.get_by_label("Keys").uncheck()
        page.wait_for_timeout(HOLD)
        page.keyboard.press("a")
        page.wait_for_timeout(200)
        assert rater.at() == "1 of 3", "letters do nothing once they are off"
        page.locator("[data-pressed=tie]").focus()
        with page.expect_response("**/rate"):
            page.keyboard.press("Enter")
        page.wait_for_timeout(50)
        assert rater.at() == "2 of 3"
        assert page.get_by_role("status").inner_text() == "A tie."


def test_a_token_opens_the_page_once(chromium: Any, tmp_path: Path) -> None:
    """The printed address opens the page, its token leaves the bar, and without it nothing opens."""
    with serving(make_items(2), tmp_path / "kept.jsonl", host="0.0.0.0") as server:  # noqa: S104 - what is tested
        port = server.address.partition("/?")[0].rpartition(":")[2]
        token = server.address.partition("?")[2]
        with Page(chromium, f"http://127.0.0.1:{port}/?{token}") as rater:
            rater.begin("Ann")
            rater.press("a")
            assert "token" not in rater.page.url
            rater.page.reload()
            rater.page.wait_for_load_state("networkidle")
            assert rater.at() == "2 of 2"
            assert rater.page.evaluate("document.cookie") == "", "no script reads it"
        with Page(chromium, f"http://127.0.0.1:{port}/") as stranger:
            assert "with its token" in stranger.page.content()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: Any, tmp_path: Path, axe: str, size: dict[str, int], scheme: str) -> None:
    """Before a name is given, with an item, and at the end."""
    with (
        serving(make_items(1), tmp_path / "kept.jsonl") as server,
        Page(chromium, server.address, viewport=size, color_scheme=scheme) as rater,
    ):
        assert serious(rater.page, axe) == []
        rater.begin("Ann")
        assert serious(rater.page, axe) == []
        rater.press("a")
        assert serious(rater.page, axe) == []
