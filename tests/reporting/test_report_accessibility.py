"""The report as axe-core sees it: in light and dark, on a desk and a phone, with a row open and without."""

from __future__ import annotations

from typing import Any

import pytest
from run_folder import build

from axe_findings import serious
from charter.reporting import report

pytestmark = pytest.mark.slow

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a complete run's page."""
    return report(build(tmp_path_factory.mktemp("run"))).as_uri()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: Any, address: str, axe: str, size: dict[str, int], scheme: str) -> None:
    """The page with everything unfolded, and a row of each kind."""
    context = chromium.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    settled = page.locator("#rows-panel[aria-busy=false]")
    settled.wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert serious(page, axe) == []
    for tab in ("traces", "preferences", "models"):
        page.locator(f"#tab-{tab}").click()
        settled.wait_for()
        page.locator(".rows a").first.click()
        page.locator("#life").wait_for()
        for against in page.get_by_label("Compare with").all():
            against.select_option(index=1)
        assert serious(page, axe) == []
        page.keyboard.press("Escape")
        page.locator("#life").wait_for(state="hidden")
    context.close()


def test_axe_finds_what_is_there(chromium: Any, address: str, axe: str) -> None:
    """A picture without words and pale letters are found, so that nothing found means something."""
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    page.locator("#rows-panel[aria-busy=false]").wait_for()
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any(one.startswith("image-alt") for one in serious(page, axe))
    context.close()
