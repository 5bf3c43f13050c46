"""The report in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Self

import pytest
from run_folder import HOSTILE, build

from charter.files.tables import write_table
from charter.records import Figures, Pair, Preference, SftRow, Trace, make_prompt
from charter.reporting import RunData, read_run, report
from charter.reporting.page import render
from rating.payloads import PAYLOADS

pytestmark = pytest.mark.slow

SIZES = {"narrow": {"width": 390, "height": 844}, "wide": {"width": 1280, "height": 900}}
OVERFLOW = """
() => [...document.querySelectorAll("body *")]
  .filter((e) => !e.closest("pre") && e.getBoundingClientRect().right > innerWidth + 1)
  .filter((e) => e.checkVisibility() && !e.classList.contains("skip"))
  .map((e) => e.tagName + "." + e.className)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A run with more rows than a page of the browser holds, and its report."""
    folder = build(tmp_path_factory.mktemp("run"), n_red_team=48, n_helpful=12)
    report(folder)
    return read_run(folder)


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    """A phone's and a desk's window."""
    return SIZES[request.param]


class Reader:
    """A page, with everything that went wrong on it."""

    def __init__(self, chromium: Any, run: RunData, *, row: str = "", **options: Any) -> None:
        self.context = chromium.new_context(viewport=options.pop("viewport", SIZES["wide"]), **options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((run.path / "report.html").as_uri() + row)
        self.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def tab(self, name: str) -> None:
        """Open a tab of the row browser."""
        self.page.locator(f"#tab-{name}").click()
        self.settle()

    def open_first(self) -> None:
        """Open the first row that is listed."""
        self.page.locator(".rows a").first.click()
        self.dialog.wait_for()

    def close(self) -> None:
        """Close the opened row by the keyboard."""
        self.page.keyboard.press("Escape")
        self.dialog.wait_for(state="hidden")

    @property
    def found(self) -> str:
        """What the browser says it found."""
        self.settle()
        text: str = self.page.locator(".found").inner_text()
        return text

    def settle(self) -> None:
        """Wait until the list is what was asked for."""
        self.page.locator("#rows-panel[aria-busy=false]").wait_for()

    @property
    def dialog(self) -> Any:
        """The opened row."""
        return self.page.locator("dialog")


def test_the_page_opens_without_an_error_or_a_request(chromium: Any, run: RunData, size: dict[str, int]) -> None:
    """Nothing on the console, nothing loaded but the page itself."""
    with Reader(chromium, run, viewport=size) as reader:
        assert reader.page.title() == "small-run: report"
        reader.open_first()
        assert reader.problems == []
        assert len(reader.requests) == 1


def test_hostile_text_stays_text(chromium: Any, run: RunData) -> None:
    """No row's text became an element or ran, in the list and in every opened row of every tab."""
    with Reader(chromium, run) as reader:
        seen = ""
        for tab in ("traces", "preferences", "responses"):
            reader.tab(tab)
            seen += reader.page.locator(".rows").text_content()
            reader.open_first()
            for _ in range(12):
                seen += reader.dialog.text_content()
                reader.dialog.get_by_role("button", name="Next").click()
            reader.close()
        for hostile in HOSTILE:
            assert hostile in seen
        assert reader.page.evaluate("window.broken") is None
        assert reader.page.locator("main img, dialog img, main script, dialog script, dialog b").count() == 0
        assert reader.problems == []


def test_search_filters_and_order_narrow_the_list(chromium: Any, run: RunData) -> None:
    """The counts that are shown are those of the data."""
    with Reader(chromium, run) as reader:
        n = len(run.responses)
        reader.tab("responses")
        assert reader.found.startswith(f"{n} of {n} rows, page 1 of ")
        reader.page.get_by_label("Model").select_option("sft")
        assert reader.found.startswith(f"{n // 3} of {n} rows")
        reader.page.locator("#rows").get_by_label("Category").select_option("privacy")
        own = [r for r in run.responses if r.model == "sft" and r.prompt.category == "privacy"]
        assert reader.found.startswith(f"{len(own)} of {n} rows")
        reader.page.get_by_label("Search").fill(own[0].prompt.text[:24].upper())
        assert reader.found.startswith("1 of ")
        for sought in (own[0].id, own[0].prompt.id, next(c.id for c in run.comparisons if c.prompt == own[0].prompt)):
            reader.page.get_by_label("Search").fill(sought)
            assert reader.found.startswith("1 of "), sought
        reader.page.get_by_label("Search").fill("no row says this")
        assert reader.found == "No row matches."
        reader.tab("preferences")
        assert reader.page.get_by_label("Search").input_value() == ""
        reader.page.get_by_label("Order").select_option("least sure first")
        first = reader.page.locator(".rows a").first.inner_text()
        assert f"p_chosen {min(p.p_chosen for p in run.preferences):.2f}" in first


def test_paging_shows_every_row_once(chromium: Any, run: RunData) -> None:
    """Next leads through all rows, previous back; both end where there is no more."""
    with Reader(chromium, run) as reader:
        reader.tab("responses")
        seen = []
        following = reader.page.get_by_role("button", name="Next page").first
        while True:
            seen += [link.get_attribute("href") for link in reader.page.locator(".rows a").all()]
            if following.is_disabled():
                break
            following.click()
        assert len(seen) == len(set(seen)) == len(run.responses)
        reader.page.get_by_role("button", name="Previous page").last.click()
        assert not following.is_disabled()


def test_an_opened_row_shows_its_prompts_whole_life(chromium: Any, run: RunData) -> None:
    """Prompt, initial response, every round with its differences, the pair, verdicts in both orders, the label."""
    trace = next(t for t in run.traces if t.rounds[0].revision != t.initial)
    preference = next(p for p in run.preferences if p.prompt.id == trace.prompt.id)
    with Reader(chromium, run, row=f"#row={trace.id}") as reader:
        shown = reader.dialog.text_content()
        for text in (trace.prompt.text, trace.initial, trace.rounds[0].critique, trace.rounds[0].critique_request):
            assert text in shown
        assert f"principle {trace.rounds[0].principle}" in shown
        for text in (preference.chosen, preference.rejected, "a shown first", "b shown first", preference.id):
            assert text in shown
        assert f"p_chosen {preference.p_chosen:.2f}" in shown
        step = reader.page.locator(".step", has_text="Round 1: revision").locator(".text").first
        removed, kept = (
            step.evaluate(
                f"e => {{ const c = e.cloneNode(true); c.querySelectorAll('{tag}').forEach(x => x.remove()); "
                "return c.textContent; }"
            )
            for tag in ("ins", "del")
        )
        assert (removed, kept) == (trace.initial, trace.rounds[0].revision)
        assert step.locator("ins").count() > 0


def test_an_opened_row_shows_checks_judges_and_weights(chromium: Any, tmp_path: Path) -> None:
    """Whether a revision was confirmed, whose each verdict is, and how much the label counts."""
    folder = build(tmp_path)
    run = read_run(folder)
    trace = next(t for t in run.traces if any(p.prompt.id == t.prompt.id for p in run.preferences))
    preference = next(p for p in run.preferences if p.prompt.id == trace.prompt.id)
    votes = (preference.verdicts[0], preference.verdicts[0].model_copy(update={"judge": "large"}))
    changed = [p.model_copy(update={"verdicts": votes, "weight": 0.25}) for p in run.preferences]
    write_table(folder / "data/preferences.parquet", changed, Preference)
    found = {"verdicts": votes[:1], "p_better": 0.25}
    rounds = [tuple(one.model_copy(update=found) for one in t.rounds) for t in run.traces]
    traces = [t.model_copy(update={"rounds": some}) for t, some in zip(run.traces, rounds, strict=True)]
    write_table(folder / "data/traces.parquet", traces, Trace)
    report(folder)
    with Reader(chromium, read_run(folder), row=f"#row={trace.id}") as reader:
        shown = reader.dialog.text_content()
        assert "not confirmed, p 0.25" in shown
        assert f"{votes[0].principle}, judge large" in shown
        assert "trained on with weight 0.25" in shown


def test_an_undecided_judge_is_not_a_missing_intention(chromium: Any, tmp_path: Path) -> None:
    """Where a side was meant and the judge favours neither, the list and the opened row say so."""
    folder = build(tmp_path)
    preferences = list(read_run(folder).preferences)
    place = next(place for place, one in enumerate(preferences) if one.intended is not None)
    preferences[place] = preferences[place].model_copy(update={"agrees": None})
    write_table(folder / "data/preferences.parquet", preferences, Preference)
    report(folder)
    with Reader(chromium, read_run(folder), row=f"#row={preferences[place].id}") as reader:
        label = reader.dialog.get_by_text("Label: chosen").first.text_content()
        assert label.endswith("judge undecided.")
        reader.close()
        reader.tab("preferences")
        reader.page.locator("select", has_text="judge undecided").select_option("judge undecided")
        assert reader.found.startswith("1 of ")
        assert reader.problems == []


def test_what_was_left_open_is_said_to_be(chromium: Any, tmp_path: Path) -> None:
    """A row that SFT trained on and a side of a pair, cut at the token limit, do not look finished."""
    folder = build(tmp_path)
    run = read_run(folder)
    pair = run.pairs[0]
    first = next(one for one in run.sft if one.prompt.id == pair.prompt.id)
    sft = [one.model_copy(update={"whole": one.id != first.id}) for one in run.sft]
    write_table(folder / "data/sft.parquet", sft, SftRow)
    write_table(folder / "data/pairs.parquet", [pair.model_copy(update={"whole_b": False}), *run.pairs[1:]], Pair)
    report(folder)
    with Reader(chromium, run, row=f"#row={pair.id}") as reader:
        sides = reader.dialog.locator(".part.current h4").all_inner_texts()
        assert sides == ["Response a", "Response b, left open"]
        trained = reader.dialog.locator(".part", has_text="What SFT trained on").inner_text()
        assert f"{first.origin}, left open" in trained
        assert trained.count("left open") == 1
        assert reader.problems == []


def test_the_judges_reading_is_part_of_a_life(chromium: Any, run: RunData) -> None:
    """A reading's id opens the life that it belongs to; its answer's row says what the judge read."""
    reading = next(one for one in run.readings if one.p_complied is not None)
    said = "judged to comply" if (reading.p_complied or 0) > 0.5 else "judged not to comply"
    with Reader(chromium, run, row=f"#row={reading.id}") as reader:
        shown = reader.dialog.locator(".part.current").text_content()
        assert shown.startswith(f"The judge's reading: {reading.model}{said}; by the rules: ")
        assert f"P(complied) {reading.p_complied:.2f}" in shown
        reader.close()
        reader.tab("responses")
        reader.page.get_by_label("Judge's reading").select_option(said)
        assert not reader.found.startswith("No row")
        assert reader.problems == []


def test_models_answers_stand_side_by_side_in_order(chromium: Any, run: RunData) -> None:
    """Base first, the final model last; the opened one is marked, the head to head below."""
    response = next(r for r in run.responses if r.model == "dpo" and r.prompt.kind == "red_team")
    with Reader(chromium, run, row=f"#row={response.id}") as reader:
        side = reader.page.locator(".part", has_text="Responses of the measured models")
        assert side.locator("h4").all_inner_texts() == ["base", "sft", "dpo"]
        assert response.text in side.locator(".step.current .text").text_content()
        tops = {round(box["y"]) for step in side.locator(".step").all() if (box := step.bounding_box())}
        assert len(tops) == 1
        assert "Head to head: dpo against base" in reader.dialog.text_content()


@pytest.mark.parametrize("kind", ["traces", "pairs", "preferences", "responses", "comparisons", "prompts"])
def test_every_kind_of_id_is_a_deep_link(chromium: Any, run: RunData, kind: str) -> None:
    """An address with a row's id opens that row; closing takes the id from the address."""
    row = getattr(run, kind)[0]
    with Reader(chromium, run, row=f"#row={row.id}") as reader:
        prompt = row if kind == "prompts" else row.prompt
        assert prompt.text in reader.dialog.text_content()
        reader.dialog.get_by_role("button", name="Close").click()
        reader.dialog.wait_for(state="hidden")
        assert "#" not in reader.page.url
        assert reader.problems == []


def test_an_unknown_id_says_so(chromium: Any, run: RunData) -> None:
    """A link to a row outside the sample is answered, its text as text."""
    with Reader(chromium, run, row="#row=%3Cimg%20src%3Dx%3E%") as reader:
        assert "is not in this report" in reader.dialog.text_content()
        assert reader.problems == []


def test_the_keyboard_is_enough(chromium: Any, run: RunData) -> None:
    """Tabs by arrows, rows by Enter, back by Escape to where one was."""
    with Reader(chromium, run) as reader:
        keyboard = reader.page.keyboard
        reader.page.locator("#tab-traces").focus()
        keyboard.press("ArrowRight")
        assert reader.page.locator("#tab-preferences").get_attribute("aria-selected") == "true"
        link = reader.page.locator(".rows a").nth(2)
        link.focus()
        keyboard.press("Enter")
        reader.dialog.wait_for()
        assert reader.page.evaluate("document.activeElement.textContent") == "Close"
        reader.close()
        assert reader.page.evaluate("document.activeElement.getAttribute('href')") == link.get_attribute("href")


def test_differences_can_be_hidden(chromium: Any, run: RunData) -> None:
    """Without them the revision alone is read."""
    trace = next(t for t in run.traces if t.rounds[0].revision != t.initial)
    with Reader(chromium, run, row=f"#row={trace.id}") as reader:
        assert reader.page.locator("del").first.is_visible()
        reader.page.get_by_label("Differences").uncheck()
        assert not reader.page.locator("del").first.is_visible()
        assert reader.page.locator("ins").first.is_visible()


def test_cells_on_a_phone_stand_under_one_another(chromium: Any, run: RunData) -> None:
    """Each begins where its row does, and what is under a value follows it however long the column's name is."""
    with Reader(chromium, run, viewport=SIZES["narrow"]) as reader:
        indented = """() => [...document.querySelectorAll("main td[data-label]")]
          .filter((cell) => cell.offsetHeight && parseFloat(getComputedStyle(cell).paddingLeft) > 0)
          .map((cell) => cell.dataset.label)"""
        assert reader.page.evaluate(indented) == []
        torn = """() => [...document.querySelectorAll("main td[data-label]")]
          .filter((cell) => cell.offsetHeight && cell.firstChild.nodeType === Node.TEXT_NODE)
          .filter((cell) => cell.firstElementChild?.className === "under")
          .map((cell) => {
            const value = document.createRange();
            value.selectNode(cell.firstChild);
            const end = value.getBoundingClientRect().bottom;
            return [cell.dataset.label, cell.firstElementChild.getBoundingClientRect().top - end];
          })"""
        gaps = reader.page.evaluate(torn)
        assert len(gaps) > 20
        assert [label for label, gap in gaps if gap > 8] == []


def test_nothing_is_wider_than_the_window(chromium: Any, run: RunData, size: dict[str, int]) -> None:
    """The page with everything unfolded, and an opened row of each kind, need no horizontal scrolling."""
    with Reader(chromium, run, viewport=size) as reader:
        page = reader.page
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(OVERFLOW) == []
        for tab in ("traces", "preferences", "responses"):
            reader.tab(tab)
            reader.open_first()
            page.evaluate("document.querySelectorAll('dialog details').forEach((d) => { d.open = true; })")
            assert page.evaluate("e => e.scrollWidth <= e.clientWidth", reader.dialog.element_handle())
            reader.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_figures_follow_the_colour_scheme(chromium: Any, run: RunData, scheme: str) -> None:
    """Ink on paper has at least 7 to 1 contrast, muted text 4.5 to 1, in the page and in its figures."""
    luminance = """
    (selector) => {
      const value = (colour) => {
        const [r, g, b] = colour.match(/[0-9.]+/g).map((v) => v / 255)
          .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const element = document.querySelector(selector);
      const style = getComputedStyle(element);
      const ink = value(element.closest("svg") ? style.fill : style.color);
      const paper = value(getComputedStyle(document.body).backgroundColor);
      return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    }
    """
    with Reader(chromium, run, color_scheme=scheme) as reader:
        for selector, least in (("h1", 7), (".drawing text", 7), ("figcaption", 4.5), (".mark.worse", 4.5)):
            assert reader.page.evaluate(luminance, selector) >= least, selector
        dark = reader.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(253, 253, 252)"
        assert dark == (scheme == "dark")


def test_differences_rebuild_both_texts(chromium: Any, run: RunData) -> None:
    """For any two texts: without insertions the first, without deletions the second; equal texts have none."""
    pairs = [
        ["", ""],
        ["", "one two"],
        ["one two", ""],
        ["the cat sat", "the dog sat"],
        ["a b c d e f", "a x c y e z"],
        ["  leading\n\nand  spaces ", "leading and\tspaces"],
        ["caf\u00e9 na\u00efve \u05e9\u05dc\u05d5\u05dd", "cafe naive \u05e9\u05dc\u05d5\u05dd"],
        ["\U0001d54f emoji-free", "\U0001d550 emoji-free"],
        ["word " * 4000, "other " * 4000],
    ]
    with Reader(chromium, run) as reader:
        for before, after in pairs:
            runs = reader.page.evaluate("([a, b]) => wordDifferences(a, b)", [before, after])
            assert "".join(text for kind, text in runs if kind != "ins") == before
            assert "".join(text for kind, text in runs if kind != "del") == after
        same = reader.page.evaluate("wordDifferences('no change at all', 'no change at all')")
        assert same == [["same", "no change at all"]]
        words = reader.page.evaluate("wordDifferences('we saw the cat sit down', 'we saw the dog sit down')")
        assert words == [["same", "we saw the "], ["del", "cat"], ["ins", "dog"], ["same", " sit down"]]


def test_a_view_is_a_deep_link(chromium: Any, run: RunData) -> None:
    """Tab, filters, search, order and page stand in the address, and an address leads to what it names."""
    with Reader(chromium, run) as reader:
        reader.tab("preferences")
        reader.page.get_by_label("Source").select_option("guided_vs_plain")
        reader.page.get_by_label("Order").select_option("least sure first")
        reader.page.get_by_label("Search").fill("red-team")
        reader.settle()
        found, address = reader.found, reader.page.url
        listed = [link.get_attribute("href") for link in reader.page.locator(".rows a").all()]
    with Reader(chromium, run, row=f"#{address.partition('#')[2]}") as reader:
        assert reader.page.locator("#tab-preferences").get_attribute("aria-selected") == "true"
        assert reader.page.get_by_label("Search").input_value() == "red-team"
        assert reader.page.get_by_label("Source").input_value() == "guided_vs_plain"
        assert reader.found == found
        assert [link.get_attribute("href") for link in reader.page.locator(".rows a").all()] == listed
    with Reader(chromium, run, row=str(listed[1])) as reader:
        reader.dialog.wait_for()
        before = reader.dialog.locator("h2 .id").inner_text()
        reader.dialog.get_by_role("button", name="Previous").click()
        reader.dialog.get_by_text("Row").and_(reader.page.locator(f"h2:not(:has-text('{before}'))")).wait_for()
        reader.close()
        assert reader.page.url.partition("#")[2] == address.partition("#")[2]
        assert reader.problems == []


def test_an_address_that_says_nonsense_is_the_first_view(chromium: Any, run: RunData) -> None:
    """Unknown tabs, filters, values, orders and pages are passed over."""
    nonsense = "#tab=__proto__&f.Kind=none&f.constructor=x&order=toString&page=-7"
    with Reader(chromium, run, row=nonsense) as reader:
        assert reader.found.startswith(f"{len(run.traces)} of {len(run.traces)} rows, page 1 of ")
        assert reader.problems == []


def test_models_side_by_side_are_found_by_what_they_did(chromium: Any, run: RunData) -> None:
    """Prompts where the base complied and the last model objects; differences rebuild both answers."""
    classes: dict[str, dict[str, str]] = {}
    for one in run.responses:
        classes.setdefault(one.prompt.id, {})[one.model] = one.label
    turned = {key for key, of in classes.items() if (of["base"], of["dpo"]) == ("compliance", "objection")}
    with Reader(chromium, run) as reader:
        reader.tab("models")
        reader.page.get_by_label("Class of base").select_option("compliance")
        reader.page.get_by_label("Class of dpo").select_option("objection")
        assert reader.found.startswith(f"{len(turned)} of {len(classes)} rows")
        reader.open_first()
        side = reader.page.locator(".part", has_text="Responses of the measured models")
        plain = [step.text_content() for step in side.locator(".step .text").all()]
        side.get_by_label("Compare with").select_option("base")
        last = side.locator(".step .text").nth(2)
        for tag, text in (("ins", plain[0]), ("del", plain[2])):
            kept = f"e => {{ const c = e.cloneNode(true); c.querySelectorAll('{tag}').forEach(x => x.remove()); "
            assert last.evaluate(kept + "return c.textContent; }") == text
        assert side.locator(".step").first.locator("ins, del").count() == 0
        reader.dialog.get_by_role("button", name="Next").click()
        side.locator("ins").first.wait_for()
        assert side.get_by_label("Compare with").input_value() == "base"
        assert reader.problems == []


def test_letters_lead_through_the_rows(chromium: Any, run: RunData) -> None:
    """Search, rows, pages, an opened row's neighbours and differences; letters in a field are letters."""
    with Reader(chromium, run) as reader:
        keyboard = reader.page.keyboard
        reader.tab("responses")
        hrefs = [link.get_attribute("href") for link in reader.page.locator(".rows a").all()]
        focused = "document.activeElement.getAttribute('href')"
        for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
            keyboard.press(key)
            assert reader.page.evaluate(focused) == hrefs[place]
        keyboard.press("Enter")
        reader.dialog.wait_for()
        keyboard.press("j")
        second = hrefs[2].partition("row=")[2]
        reader.page.locator(f"h2 .id:text-is('{second}')").wait_for()
        keyboard.press("d")
        assert not reader.page.locator("#differences").is_checked()
        reader.close()
        keyboard.press("n")
        assert "page 2 of" in reader.found
        keyboard.press("/")
        keyboard.type("jk?")
        assert reader.page.get_by_label("Search").input_value() == "jk?"
        reader.page.locator("h1").click()
        keyboard.press("?")
        reader.page.get_by_label("Letters do this").uncheck()
        reader.page.locator("h1").click()
        keyboard.press("j")
        assert reader.page.evaluate("document.activeElement.tagName") == "BODY"
        assert reader.problems == []


def test_what_is_found_is_marked_and_shown(chromium: Any, run: RunData) -> None:
    """A word of a critique, which the list does not show, is shown with what is around it."""
    with Reader(chromium, run) as reader:
        critique = run.traces[0].rounds[0].critique
        reader.page.get_by_label("Search").fill(critique[:40])
        assert reader.found.startswith("1 of ")
        assert critique[:40] in reader.page.locator(".rows .elsewhere").inner_text()
        assert reader.page.evaluate("CSS.highlights.get('found-list').size") == 1


def test_print_shows_the_opened_row_or_the_report(chromium: Any, run: RunData) -> None:
    """On paper there are no controls; an opened row is printed in place of the page."""
    with Reader(chromium, run) as reader:
        reader.page.emulate_media(media="print")
        assert reader.page.locator("#verdict").is_visible()
        assert not reader.page.locator("#rows").is_visible()
        reader.page.goto(reader.page.url + f"#row={run.traces[0].id}")
        reader.dialog.wait_for()
        assert not reader.page.locator("#verdict").is_visible()
        assert reader.dialog.get_by_role("button").count() == 0


def test_sixty_payloads_stay_text(chromium: Any, tmp_path: Path) -> None:
    """In prompt, every answer, category, source, flags, names of models and principles, listed and opened."""
    folder = build(tmp_path)
    data = read_run(folder)
    response, trace, pair = data.responses[0], data.traces[0], data.pairs[0]
    prompts = [
        make_prompt(f"{n} {text}", "red_team", category=text, source=text, split="evaluation")
        for n, text in enumerate(PAYLOADS)
    ]
    fields = [
        {"id": f"x-{n}", "prompt": prompt, "text": text, "flags": (text,), "finish": "stop"}
        for n, (prompt, text) in enumerate(zip(prompts, PAYLOADS, strict=True))
    ]
    responses = [response.model_copy(update={**some, "model": "base"}) for some in fields]
    responses += [one.model_copy(update={"id": f"{one.id}-b", "model": PAYLOADS[0]}) for one in responses]
    traces = [
        trace.model_copy(
            update={
                "id": f"t-{n}", "prompt": prompt, "initial": text, "flags": (text,),
                "rounds": tuple(
                    one.model_copy(update=dict.fromkeys(("principle", "critique", "revision"), text))
                    for one in trace.rounds
                ),
            }
        )
        for n, (prompt, text) in enumerate(zip(prompts, PAYLOADS, strict=True))
    ]  # fmt: skip
    pairs = [
        pair.model_copy(update={"id": f"p-{n}", "prompt": prompt, "a": text, "b": f"{text} b", "source": text})
        for n, (prompt, text) in enumerate(zip(prompts, PAYLOADS, strict=True))
    ]
    evaluation = Figures(models=("base", PAYLOADS[0]), measurements=())
    hostile = dataclasses.replace(
        data, prompts=tuple(prompts), responses=tuple(responses), traces=tuple(traces), pairs=tuple(pairs),
        preferences=(), comparisons=(), readings=(), sft=(), evaluation=evaluation,
    )  # fmt: skip
    (folder / "report.html").write_bytes(render(hostile).encode("utf-8", "backslashreplace"))
    with Reader(chromium, hostile) as reader:
        tags = "document.querySelectorAll('img, iframe, object, embed, base, link, plaintext, form, b, i').length"
        for tab in ("traces", "preferences", "responses", "models"):
            reader.tab(tab)
            reader.page.get_by_label("Search").fill("broken=1")
            reader.settle()
            reader.open_first()
            for _ in range(25):
                assert reader.page.evaluate(tags) == 0
                reader.dialog.get_by_role("button", name="Next").click()
            reader.close()
            reader.page.locator("#rows").get_by_label("Category").select_option(PAYLOADS[2])
            assert reader.found.split()[0] == ("2" if tab == "responses" else "1"), tab
        assert reader.page.evaluate("window.broken") is None
        assert reader.problems == []
