"""People's ratings in the report: figures of a real run held against counting, and what is gone, damaged or hostile."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from run_folder import HOSTILE, build

from axe_findings import serious
from charter.files.tables import read_table, write_table
from charter.rating import RatingStore, Sitting, assess, gold_items, read_ratings, run_items, standing
from charter.rating.records import Rating
from charter.records import Comparison, Response
from charter.reporting import RunData, read_run, report
from charter.reporting.browsing import gather
from charter.reporting.ratings_section import ratings
from rating.rated import make_rating, say
from report_pages import Page
from run_examples import SMALL_STAGES, small_run

GOLD = [{"prompt": f"Check {n}", "chosen": f"A good and long answer {n}", "rejected": f"Bad {n}"} for n in range(6)]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
OVERFLOW = """() => [...document.querySelectorAll("body *")]
  .filter((e) => !e.closest("pre") && e.getBoundingClientRect().right > innerWidth + 1)
  .filter((e) => e.checkVisibility() && !e.classList.contains("skip"))
  .map((e) => e.tagName + "." + e.className)"""


def rate_all(sitting: Sitting, rater: str, *, n_ties: int = 0, n_skips: int = 0) -> None:
    """Rate everything, the longer answer being better, after some ties and skips."""
    while (item := sitting.state(rater)["item"]) is not None:
        n_done = sitting.state(rater)["n_done"]
        longer = "left" if len(item["left"]) >= len(item["right"]) else "right"
        say(sitting, rater, "tie" if n_done < n_ties else "skip" if n_done < n_ties + n_skips else longer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on a scripted model that two people rated, one of them with ties and skips, and its report."""
    place = tmp_path_factory.mktemp("rated")
    run = small_run(place, SMALL_STAGES)
    (place / "gold.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in GOLD), "utf-8")
    items = [*run_items(run, unnamed="every").items, *gold_items(str(place / "gold.jsonl")).items]
    sitting = Sitting(items, RatingStore(run / "ratings.jsonl"), question="Which is <i>kinder</i>?")
    rate_all(sitting, "Ann")
    rate_all(sitting, "Bob <b>", n_ties=5, n_skips=2)
    report(run)
    return run


@pytest.fixture(scope="module")
def data(folder: Path) -> RunData:
    """The run, read."""
    return read_run(folder)


@pytest.fixture(scope="module")
def section(data: RunData) -> str:
    """The section of it."""
    return str(ratings(data))


def kept_of(data: RunData) -> list[Rating]:
    """What stands of people's comparisons of the run's own answers."""
    every = [one for own in data.ratings.values() for one in standing(own).values()]
    return [one for one in every if one.gold is None and one.win is not None]


def words(markup: str) -> str:
    """What a reader sees of some markup."""
    return " ".join(
        html.unescape(re.sub(r"<[^>]+>", " ", markup)).replace("\u00a0", " ").replace("\u202f", " ").split()
    )


def cells(markup: str, title: str) -> dict[str, dict[str, str]]:
    """Read the table under a heading: cells by row and column."""
    found = re.search(rf"<h3>{re.escape(title)}</h3>.*?<table>(.*?)</table>", markup, re.DOTALL)
    assert found is not None, title
    head, *rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    columns = [words(one) for one in re.findall(r"<th[^>]*>(.*?)</th>", head, re.DOTALL)][1:]
    read = {}
    for row in rows:
        name, *others = (words(one) for _, one in re.findall(r"<(t[hd])[^>]*>(.*?)</t[hd]>", row, re.DOTALL))
        read[name] = dict(zip(columns, others, strict=True))
    return read


def test_win_rates_are_those_that_were_given(folder: Path, data: RunData, section: str) -> None:
    """Of each kind of prompts, and of all: a tie is half a win, and n counts comparisons; p-values are adjusted."""
    items = run_items(folder, unnamed="every")
    sides = assess(items.items, items.names, data.ratings).sides
    adjusted = {
        kind: next(one.p_adjusted for one in side.met if (one.name, one.other) == ("dpo", "base"))
        for kind, side in sides.items()
    }
    shown = cells(section, "Whose answers people prefer")
    kinds = {one.prompt.id: one.prompt.kind for one in data.responses}
    titles = {"Red-team prompts": "red_team", "Benign twins": "benign_twin", "Helpful prompts": "helpful"}
    told = [one for one in kept_of(data) if {one.model, one.base} == {"base", "dpo"}]
    assert {kinds[one.prompt] for one in told} == set(titles.values())
    for title, kind in {"All prompts": None, **titles}.items():
        own = [one for one in told if kind in {None, kinds[one.prompt]}]
        wins = [one.win if one.model == "dpo" else 1 - (one.win or 0.0) for one in own]
        n_ties = sum(one.win == 0.5 for one in own)
        cell = shown["dpo against base"][title]
        assert cell.startswith(f"{100 * sum(one or 0.0 for one in wins) / len(own):.1f} %"), title
        assert f"; n {len(own)}" in cell
        p = adjusted[kind or "all"]
        assert f" p {'< 0.001' if p < 0.001 else f'{p:.3f}'}, adjusted " in cell
        assert cell.endswith(f"{n_ties} tie" if n_ties == 1 else f"{n_ties} ties")
    assert list(shown) == ["sft against base", "dpo against base", "dpo against sft", "The longer answer"]
    assert shown["The longer answer"]["All prompts"].startswith("9")


def test_figures_are_those_of_the_command(folder: Path, section: str) -> None:
    """Points, raters and agreement are what ``charter rate --results`` says."""
    items = run_items(folder, unnamed="every")
    comparisons = read_table(folder / "data/comparisons.parquet", Comparison)
    found = assess(items.items, items.names, read_ratings(folder / "ratings.jsonl")[0], comparisons)
    points = cells(section, "Points above base")["dpo"]
    assert list(points) == ["Red-team prompts", "Benign twins", "Helpful prompts"], "all together are not one scale"
    red_team = {one.name: one for one in found.sides["red_team"].ratings}["dpo"]
    assert points["Red-team prompts"].replace("\u2212", "-").startswith(f"{red_team.bradley_terry.value:+.0f} ")
    assert f"Elo {red_team.elo.value:+.0f} (" in points["Red-team prompts"].replace("\u2212", "-")
    raters = cells(section, "Raters")
    ann, bob = found.raters
    assert (raters["Ann"]["Ties"], raters["Bob <b>"]["Skipped"]) == ("0", str(bob.n_skipped))
    assert bob.n_skipped > 0
    assert raters["Ann"]["Compared"] == str(ann.n)
    assert raters["Ann"]["Right of known answers"].startswith("100.0 %")
    assert raters["Ann"]["Right of known answers"].endswith("n 6")
    assert raters["Ann"]["Median time"].startswith("2.5 s")
    assert found.left is not None
    assert raters["all raters"]["Prefers the first answer"].startswith(f"{100 * found.left.value:.1f} %")
    agreement = cells(section, "Agreement")
    (together,) = found.agreement
    assert agreement["Ann and Bob <b>"]["The same"].startswith(f"{100 * together.same.value:.1f} %")
    assert agreement["Ann and Bob <b>"]["Beyond chance (kappa)"].startswith(f"{together.kappa.value:.2f} ")
    assert found.alpha is not None
    assert agreement["all raters, Krippendorff's alpha"]["Beyond chance (kappa)"].startswith(f"{found.alpha.value:.2f}")
    assert found.judge is not None
    assert agreement["people and judge"]["The same"].startswith(f"{100 * found.judge.same.value:.1f} %")
    n_skipped = bob.n_skipped
    assert f"{ann.n + bob.n} ratings of {found.n_rated} of {found.n_items} pairs of answers, by 2 raters." in words(
        section
    )
    assert f"In no figure: {n_skipped} skipped." in words(section)


def test_names_and_questions_stay_text(folder: Path) -> None:
    """A rater's name and the question are of people, and nothing of them becomes an element."""
    page = Page((folder / "report.html").read_text("utf-8"))
    assert "Bob <b>" in page.text
    assert "The question was: Which is <i>kinder</i>?" in page.text
    assert not page.of("b")
    assert not page.of("i")


def test_the_menu_leads_to_every_section(folder: Path, tmp_path: Path) -> None:
    """Each section has its entry, by category and ratings too; what is not there has none."""
    for path, has_ratings in ((folder / "report.html", True), (report(build(tmp_path / "run")), False)):
        page = Page(path.read_text("utf-8"))
        sections = [one["id"] for one in page.of("section")]
        menu = re.search(r"<nav[^>]*>(.*?)</nav>", path.read_text("utf-8"), re.DOTALL)
        assert menu is not None
        assert re.findall(r'href="#([^"]+)"', menu[1]) == sections
        assert "By category" in words(menu[1])
        assert ("ratings" in sections) == ("People's ratings" in words(menu[1])) == has_ratings


def test_answers_that_are_gone_and_damaged_lines_are_counted(folder: Path, tmp_path: Path) -> None:
    """Ratings of answers that the run has made anew are in no figure, nor is a line that was torn."""
    run = Path(shutil.copytree(folder, tmp_path / "run"))
    table = run / "data/responses.parquet"
    rows = read_table(table, Response)
    changed = {one.prompt.id for one in rows if one.prompt.kind == "helpful"}
    anew = [one.model_copy(update={"text": f"{one.text} again"}) if one.prompt.id in changed else one for one in rows]
    write_table(table, anew, Response)
    with (run / "ratings.jsonl").open("a", encoding="utf-8") as file:
        file.write('0123456789abcdef {"rater": "An')
    data = read_run(run)
    every = [one for own in data.ratings.values() for one in standing(own).values() if one.gold is None]
    n_gone = sum(one.prompt in changed for one in every)
    n_skipped = sum(one.choice == "skip" and one.prompt not in changed for one in every)
    told = f"{n_gone} of answers that are no longer the run's and 1 in damaged lines."
    shown = str(ratings(data))
    assert n_gone > 0
    assert f"In no figure: {f'{n_skipped} skipped, ' if n_skipped else ''}{told}" in words(shown)
    assert "Helpful prompts" not in cells(shown, "Whose answers people prefer")["dpo against base"]


def test_one_kind_of_prompts_is_named(data: RunData) -> None:
    """Where people rated prompts of one kind no column speaks of all."""
    kinds = {one.prompt.id: one.prompt.kind for one in data.responses}
    some = {rater: [one for one in own if kinds.get(one.prompt) == "helpful"] for rater, own in data.ratings.items()}
    shown = str(ratings(dataclasses.replace(data, ratings=some)))
    assert set(cells(shown, "Whose answers people prefer")["dpo against base"]) == {"Helpful prompts"}
    helpful = tuple(one for one in data.responses if one.prompt.kind == "helpful")
    alone = str(ratings(dataclasses.replace(data, ratings=some, responses=helpful)))
    assert set(cells(alone, "Whose answers people prefer")["dpo against base"]) == {"Helpful prompts"}
    assert cells(alone, "Raters")["Ann"]["Right of known answers"] == "none asked"


def test_what_is_not_there_is_said(folder: Path, data: RunData, tmp_path: Path) -> None:
    """No ratings, no section; without answers the section says why; another file's lines are named in the verdict."""
    assert ratings(dataclasses.replace(data, ratings={})) is None
    assert "data/responses.parquet: has answers of nobody" in words(
        str(ratings(dataclasses.replace(data, responses=())))
    )
    run = Path(shutil.copytree(folder, tmp_path / "run"))
    (run / "ratings.jsonl").write_text("rater,choice\nAnn,a\n", "utf-8")
    page = Page(report(run).read_text("utf-8"))
    assert "ratings.jsonl could not be read" in page.text
    assert "ratings" not in {one["id"] for one in page.of("section")}


def test_one_who_only_skipped_has_no_win_rate(folder: Path, data: RunData) -> None:
    """Nothing was preferred, and the tables that would say so are not there."""
    item = run_items(folder).items[0]
    shown = str(ratings(dataclasses.replace(data, ratings={"Eve": [make_rating(item, "Eve", 1, "skip")]})))
    assert "Whose answers people prefer" not in shown
    assert "Agreement" not in shown
    assert cells(shown, "Raters")["Eve"]["Skipped"] == "1"


def test_many_raters_are_folded(folder: Path, data: RunData) -> None:
    """Every two of six raters are fifteen rows, which a reader opens."""
    items = run_items(folder).items
    many = {
        name: [make_rating(item, name, number, "model") for number, item in enumerate(items, start=1)]
        for name in "ABCDEF"
    }
    shown = str(ratings(dataclasses.replace(data, ratings=many)))
    assert list(cells(shown, "Agreement")) == ["all raters, Krippendorff's alpha", "people and judge"]
    assert "<details><summary>Every two of 6 raters</summary>" in shown
    assert shown.count("A and ") == 5


def test_each_row_has_what_people_said_of_it(data: RunData) -> None:
    """A prompt's life holds each rating that stands of its answers, and no known answers."""
    lives = gather(data, classify=lambda _prompt, _response: "compliance").chunks[0]["lives"]
    shown = {
        (life["id"], one["rater"], one["model"], one["base"], one["win"]) for life in lives for one in life["ratings"]
    }
    every = [one for own in data.ratings.values() for one in standing(own).values() if one.gold is None]
    assert shown == {(one.prompt, one.rater, one.model, one.base, one.win) for one in every}
    assert None in {win for *_, win in shown}, "what was skipped is told too"


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(chromium: Any, axe: str, folder: Path, size: dict[str, int], scheme: str) -> None:
    """The menu leads to the section, nothing is cut off, and an opened row says what people said of it."""
    context = chromium.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((folder / "report.html").as_uri())
    page.locator("#rows-panel[aria-busy=false]").wait_for()
    page.get_by_role("link", name="People's ratings", exact=True).click()
    assert page.url.endswith("#ratings")
    assert page.evaluate(OVERFLOW) == []
    assert serious(page, axe) == []
    page.locator("#tab-models").click()
    page.locator("#rows-panel[aria-busy=false]").wait_for()
    page.locator(".rows a").first.click()
    said = page.locator("#life .part", has_text="People's ratings")
    assert said.get_by_role("rowheader").all_inner_texts().count("Ann") == 3
    assert "Which is <i>kinder</i>?" in said.inner_text()
    assert page.evaluate(OVERFLOW) == []
    assert serious(page, axe) == []
    assert problems == []
    context.close()


@pytest.mark.slow
def test_hostile_names_stay_text_in_an_opened_row(chromium: Any, tmp_path: Path) -> None:
    """A name or question that tries to break out is text in the section and in the row."""
    run = build(tmp_path / "run")
    store = RatingStore(run / "ratings.jsonl")
    items = [one for one in run_items(run).items if one.match.prompt.kind == "helpful"]
    for number, hostile in enumerate(HOSTILE):
        store.add(make_rating(items[0], f"{number} {hostile}", 1, "tie", question=hostile))
    page = chromium.new_context().new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.goto(f"{report(run).as_uri()}#row={items[0].match.prompt.id}")
    page.locator("#life .part", has_text="People's ratings").wait_for()
    for place in ("#ratings", "#life"):
        text = page.locator(place).text_content()
        assert all(hostile in text for hostile in HOSTILE[:3]), place
        assert page.locator(f"{place} img, {place} script, {place} b").count() == 0
    assert page.evaluate("window.broken") is None
    assert problems == []
    page.context.close()
