"""A report of 50,000 rows in a real browser: it opens at once, and its rows are searched in seconds."""

from __future__ import annotations

import itertools
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from run_folder import MODELS, measurements

from charter.records import Figures, Prompt, Response, make_prompt
from charter.reporting import RunData
from charter.reporting.page import render
from charter.seeds import row_id

pytestmark = pytest.mark.slow

N_PROMPTS = 16_667
_SYLLABLES = ("ba", "co", "di", "fen", "gor", "hu", "il", "jam", "ke", "lor", "mi", "nas", "op", "pra", "ros", "ti")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 50,001 responses of 150 words, from as many words, and as unequally often, as those of a language."""
    rng = random.Random(1)  # noqa: S311 - texts for a test
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(8000)]
    often = list(itertools.accumulate(1 / (place + 3) for place in range(len(words))))
    prompts = [make_prompt(_ask(number), "red_team", category=f"c{number % 12}") for number in range(N_PROMPTS)]
    responses = tuple(
        _response(prompt, model, " ".join(rng.choices(words, cum_weights=often, k=150)))
        for prompt in prompts
        for model in MODELS
    )
    data = RunData(
        path=Path("run"),
        name="large",
        prompts=tuple(prompts),
        responses=responses,
        evaluation=Figures(models=MODELS, measurements=tuple(measurements())),
    )
    path = tmp_path_factory.mktemp("large") / "report.html"
    path.write_text(render(data, max_rows=len(responses)), "utf-8")
    return path


def _ask(number: int) -> str:
    return f"Question number {number} of many"


def _response(prompt: Prompt, model: str, text: str) -> Response:
    return Response(
        id=row_id("response", prompt.id, model), prompt=prompt, model=model, text=text, finish="stop", n_tokens=200,
        label="compliance" if model == "base" else "objection", flags=(),
    )  # fmt: skip


def test_fifty_thousand_rows_open_and_are_searched(chromium: Any, page: Path) -> None:
    """The list stands before any text but its own is opened; a search goes through all; memory stays bounded."""
    tab = chromium.new_context().new_page()
    begun = time.perf_counter()
    tab.goto(page.as_uri(), wait_until="commit")
    settled = tab.locator("#rows-panel[aria-busy=false]")
    settled.wait_for(timeout=90_000)
    listed = time.perf_counter() - begun
    assert tab.evaluate("store.open.size") <= 2
    tab.locator("#tab-responses").click()
    settled.wait_for()
    begun = time.perf_counter()
    tab.get_by_label("Search").fill(_ask(12_345))
    settled.wait_for(timeout=90_000)
    searched = time.perf_counter() - begun
    assert tab.locator(".found").inner_text().startswith(f"3 of {3 * N_PROMPTS} rows")
    tab.locator(".rows a").first.click()
    tab.locator("#life").wait_for()
    painted = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
    heap = tab.evaluate("performance.memory.usedJSHeapSize / 1e6")
    print(json.dumps({"painted": painted, "listed": listed, "searched": searched, "heap": heap}))  # noqa: T201 - kept figures
    tab.context.close()
    assert page.stat().st_size < 60_000_000
    assert max(painted, listed) < 30, "seconds, on a machine that does much else"
    assert searched < 60
    assert heap < 500
