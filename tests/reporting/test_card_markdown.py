"""Texts from outside in a card: whatever they hold, they are text."""

from __future__ import annotations

import html
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from charter.reporting.cards.markdown import (
    Markdown,
    blotted,
    bullets,
    fence,
    heading,
    inert,
    line,
    paragraphs,
    plain,
    quoted,
    table,
)

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> <!-- hidden",
    "![pixel](http://evil.example/p.png) [click](javascript:alert(1)) <http://evil.example> https://evil.example",
    "---\nlicense: mit\n---\n# Taken over",
    "```\nout of the fence\n```` and ~~~",
    "| a | b |\n|---|---|\n| c | d |",
    "1. one\n2) two\n- three\n+ four\n* five\n> six",
    "&lt;b&gt; &#60; **bold** _it_ ~~gone~~ $x^2$ :smile: @somebody #12 [^1] www.evil.example",
    "- ---",
    "=== \\ ends with a backslash \\",
    "\u202eturned\u202c \x00 \x1b[31m \u2028 \ud800 \U000e0001",
    "{{ jinja }} {% raw %} ${HOME} {braces}",
)
words = st.text(max_size=60) | st.sampled_from(HOSTILE)


def read(text: str) -> list[Token]:
    """Read Markdown as pages that show cards do: CommonMark, with tables and crossed-out text."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)


def flat(tokens: list[Token]) -> list[Token]:
    """Give tokens with those inside them."""
    return [one for token in tokens for one in (token, *flat(token.children or []))]


def said(tokens: list[Token]) -> str:
    """Give what a reader sees."""
    return "".join(one.content for one in flat(tokens) if one.type in {"text", "code_inline", "text_special"})


@given(words)
@example("- x")
@example("1.")
@example("a\\")
def test_an_inert_text_says_itself(text: str) -> None:
    """It is a paragraph of text alone, and a reader sees what was written, its breaks and unseen marks apart."""
    found = read(f"{inert(text)}")
    expected = plain(text).strip(" ")
    assert [one.type for one in found] == (["paragraph_open", "inline", "paragraph_close"] if expected.strip() else [])
    assert {one.type for one in flat(found)} <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}
    assert said(found).strip() == expected.strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_in_its_block(text: str) -> None:
    """In headings, lists, quotations and cells alike: nothing but these blocks comes of it."""
    page = paragraphs(heading(text, 1), quoted(text), bullets([text, text]), table(["a", text], [[text, "b"]]), text)
    kinds = [one.type for one in flat(read(page))]
    assert not {"html_block", "html_inline", "image", "link_open", "fence", "code_inline", "hr", "strong_open"} & set(
        kinds
    )
    counts = {"heading_open": 1, "blockquote_open": 1, "list_item_open": 2, "table_open": 1, "td_open": 2, "th_open": 2}
    assert {kind: kinds.count(kind) for kind in counts} == counts
    assert kinds.count("ordered_list_open") == 0


def test_the_marks_are_what_makes_it_inert() -> None:
    """The same texts as Markdown do all of that: the test can fail."""
    kinds = {one.type for text in HOSTILE for one in flat(read(Markdown(text)))}
    assert {
        "html_block",
        "image",
        "link_open",
        "fence",
        "hr",
        "heading_open",
        "strong_open",
        "bullet_list_open",
    } <= kinds


@given(words)
def test_a_fence_holds_its_text(text: str) -> None:
    """One block of code, with the text in it but for unseen marks."""
    found = [one for one in read(f"{fence(text, 'json')}\n\nafter") if one.type != "inline"]
    assert [one.type for one in found] == ["fence", "paragraph_open", "paragraph_close"]
    assert "after" not in found[0].content or "after" in text


def test_json_in_a_fence_is_still_json() -> None:
    """Unseen marks are written as JSON writes them."""
    value = {"text": HOSTILE[9].replace("\ud800", ""), "other": "\u00e4\u0219"}
    shown = read(fence(json.dumps(value, ensure_ascii=False), "json"))[0].content
    assert json.loads(shown) == value
    assert "\u0219" in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    "secret",
    [
        "/home/anna/models/x", "/root/.cache", "~/keys/id_rsa", "../../private/x.yaml", "./data/mine.csv",
        "C:\\Users\\Anna\\x.txt", "\\\\server\\share\\x", "file:///tmp/x", "https://anna:hunter2@host.example/x",
        "hf_AbCdEfGhIjKlMnOpQrStUvWx", "sk-proj-0123456789abcdefghij", "AKIAABCDEFGHIJKLMNOP",
        "ghp_0123456789abcdefghij", "Bearer abcdefghijklmnop", "api_key=abc123", "PASSWORD=abc123",
        "OPENAI_API_KEY=abc123", "$HOME", "${SECRET_NAME}", "anna@example.org", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc",
    ],
)  # fmt: skip
def test_paths_and_secrets_are_blotted_out(secret: str) -> None:
    """Wherever they stand in a sentence."""
    told = html.unescape(inert(f"see {secret} there").replace("\\", ""))
    assert "anna" not in told.lower()
    assert all(part not in told for part in ("hunter2", "abc123", "AbCdEf", "0123456789", "ABCDEFG", "HOME", "SECRET"))
    assert re.search(r"\[an? [a-z]+\]", told)
    assert told.startswith("see ")
    assert told.endswith(" there")


@pytest.mark.parametrize(
    "text",
    [
        "and/or",
        "50 %/year",
        "https://host.example/a/b",
        "owner/name",
        "3/4",
        "skip_special_tokens=True",
        "a $100 bill",
        "~5",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Words with a stroke, addresses of pages, names of the hub."""
    assert blotted(text) == text


def test_parts_of_a_line_keep_their_spaces() -> None:
    """Markdown of ours is taken as it is, texts are made inert, and nothing runs together."""
    assert line(Markdown("**A**: "), "b_c", " d") == r"**A**: b\_c d"
