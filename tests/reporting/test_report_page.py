from __future__ import annotations

import base64
import hashlib
import html
import json
import shutil
from pathlib import Path

import pytest
from run_folder import HOSTILE, build, edit_json

from charter.feedback.agreement import agreements
from charter.feedback.influence import influences, votes_on
from charter.files.tables import write_json, write_table
from charter.records import Measurement, Preference, Trace
from charter.reporting import read_run, report
from charter.reporting.markup import Markup, element, fill, json_text
from report_pages import Page, rows_in

DATA_PARTS = ("prompts", "traces", "sft", "pairs", "preferences", "responses", "comparisons", "readings")


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run folder with its report."""
    folder = build(tmp_path_factory.mktemp("run"))
    report(folder)
    return folder


@pytest.fixture(scope="module")
def page(complete: Path) -> Page:
    """Its page."""
    return Page((complete / "report.html").read_text("utf-8"))


@pytest.fixture
def folder(complete: Path, tmp_path: Path) -> Path:
    """A copy of a complete run folder."""
    return Path(shutil.copytree(complete, tmp_path / "run"))


def _page(folder: Path) -> Page:
    return Page(report(folder).read_text("utf-8"))


def test_the_page_is_one_file_that_loads_nothing(page: Page) -> None:
    """No element refers to anything but the page itself."""
    assert {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "base", "form"} == set()
    for tag, attributes in page.elements:
        assert "src" not in attributes, tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    for kind, text in page.raw:
        if kind == "style":
            assert "url(" not in text
            assert "@import" not in text
    assert page.open == []


def test_the_policy_allows_this_style_and_this_script_only(page: Page) -> None:
    """The hashes are those of the inline texts, and nothing unsafe is allowed."""
    policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    style = next(text for kind, text in page.raw if kind == "style")
    script = [text for kind, text in page.raw if kind == "script"][-1]
    for directive, text in (("style-src", style), ("script-src", script)):
        wanted = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{wanted}'" in policy


def test_nothing_is_left_to_inline_attributes(page: Page) -> None:
    """The policy would block them: no style and no handlers."""
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name == "style" or name.startswith("on")}, tag


def test_hostile_texts_arrive_verbatim_and_as_text(page: Page, complete: Path) -> None:
    """What a row says is in the data unchanged, and none of it became an element."""
    payload = rows_in(page)
    texts = payload["texts"]
    data = read_run(complete)
    for hostile in HOSTILE:
        assert any(hostile in text for text in texts)
    for trace in data.traces:
        life = next(life for life in payload["lives"] if life["id"] == trace.prompt.id)
        assert texts[life["traces"][0]["initial"]] == trace.initial
        assert [texts[step["revision"]] for step in life["traces"][0]["rounds"]] == [r.revision for r in trace.rounds]
    assert len(page.of("script")) == 3
    assert "window.broken = 3" in page.text  # from the recipe's comment, as text
    assert "An old one <b>fast</b>" in page.text


def test_every_row_is_in_the_browser_once(page: Page, complete: Path) -> None:
    """A pair and its preference are one entry; a pair without a label stays."""
    data, lives = read_run(complete), rows_in(page)["lives"]
    assert sum(len(life["traces"]) for life in lives) == len(data.traces)
    assert sum(len(life["pairs"]) for life in lives) == len(data.pairs)
    assert sum(len(life["responses"]) for life in lives) == len(data.responses)
    unlabelled = [pair for life in lives for pair in life["pairs"] if pair["label"] is None]
    assert len(unlabelled) == len(data.pairs) - len(data.preferences) == 1


def test_sections_come_in_order_with_the_bad_news_first(page: Page) -> None:
    """The alarm is the first thing under the verdict, worse comes before better before unclear."""
    sections = [attributes["id"] for attributes in page.of("section")]
    assert sections == [
        "verdict",
        "measurements",
        "categories",
        "figures",
        "revisions",
        "labels",
        "data",
        "rows",
        "recipe",
        "environment",
        "costs",
    ]
    marks = ["Harmlessness was bought with helpfulness", "Got worse (2)", "Got better (4)", "Unclear (4)"]
    places = [page.text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_links_within_the_page_lead_somewhere(page: Page) -> None:
    """Every anchor's target is there."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.of("a")} <= {f"#{i}" for i in ids}
    assert {a["aria-labelledby"] for a in page.of("section")} <= set(ids)


def test_measurements_show_value_interval_n_and_difference(page: Page) -> None:
    """One cell says it all."""
    assert "69.0 % 61.0 to 77.0 %; n 120 +51.0 (+43.0 to +59.0) better" in page.text
    assert "< 0.001" in page.text
    assert "data/responses.parquet#model=dpo" in page.text


def test_counts_of_every_stage_are_accounted_for(page: Page) -> None:
    """Filtered and failed rows stand with their reasons."""
    assert "near duplicate: 3" in page.text
    assert "EngineError: context too long: 1" in page.text
    assert page.text.count("missing") == page.text.count("counted twice") == 0


def test_rows_that_a_training_rejected_are_counted(page: Page, folder: Path) -> None:
    """By reason, whether the stage wrote the rows or their counts."""
    assert "2 rows rejected: too_long" in page.text
    assert "went on from step 10" in page.text
    edit_json(folder / "stages/sft.json", training={"rejected": {"template": 4}})
    assert "4 rows rejected: template" in _page(folder).text


def test_what_servers_cost_is_shown(page: Page, folder: Path) -> None:
    """By stage and model, and in all; where no price is known there is no word of money."""
    assert "Money" not in page.text
    for stage, model, money in (("revise", "critic", 0.01875), ("label", "judge", 0.25)):
        summary = folder / f"stages/{stage}.json"
        usage = json.loads(summary.read_text("utf-8"))["usage"]
        edit_json(summary, usage={**usage, model: {**usage[model], "money": money}})
    found = _page(folder).text
    assert "critic 32 3 19 200 14 400 2 880 0.01875 " in found
    assert " 0.2687 Money is what" in found


def test_rows_that_nobody_accounts_for_are_pointed_out(folder: Path) -> None:
    """A stage whose counts do not add up says by how much."""
    edit_json(folder / "stages/revise.json", n_in=100)
    assert "no: 91 missing" in _page(folder).text


def test_a_second_report_replaces_the_first_whole(folder: Path) -> None:
    """The same run gives the same bytes, and no temporary file stays."""
    before = (folder / "report.html").read_bytes()
    assert report(folder).read_bytes() == before
    assert {path.name for path in folder.iterdir() if "report" in path.name} == {"report.html"}


@pytest.mark.parametrize("last", ["prompts", "revise", "sft", "pairs", "label", "dpo"])
def test_a_run_that_stopped_says_what_is_missing(folder: Path, last: str) -> None:
    """Whatever stage a run stopped after, the page stands and names the rest."""
    stages = ["prompts", "revise", "sft", "pairs", "label", "dpo", "evaluate"]
    files = {"revise": ["traces"], "sft": ["sft"], "pairs": ["pairs"], "label": ["preferences"], "dpo": []}
    files |= {"evaluate": ["responses", "comparisons"]}
    for stage in stages[stages.index(last) + 1 :]:
        (folder / f"stages/{stage}.json").unlink()
        for name in files[stage]:
            (folder / f"data/{name}.parquet").unlink()
    (folder / "evaluation.json").unlink()
    page = _page(folder)
    assert "This run is not finished: there is no result of" in page.text
    assert "evaluation.json is not in the run folder." in page.text
    assert "evaluate: not finished." in page.text
    assert len(page.of("section")) == 10


def test_damaged_tables_are_no_crash(folder: Path) -> None:
    """Every table may be damaged; each is named."""
    for part in DATA_PARTS:
        (folder / f"data/{part}.parquet").write_bytes(b"PAR1")
    text = _page(folder).text
    for part in DATA_PARTS:
        assert f"data/{part}.parquet could not be read" in text


def test_a_recipe_without_sft_is_complete_without_it(folder: Path) -> None:
    """What the recipe leaves out is not called unfinished."""
    (folder / "stages/sft.json").unlink()
    (folder / "data/sft.parquet").unlink()
    resolved = (folder / "recipe.resolved.yaml").read_text("utf-8")
    (folder / "recipe.resolved.yaml").write_text(resolved.replace("sft: {}\n", ""), "utf-8")
    text = _page(folder).text
    assert "The recipe leaves out sft." in text
    assert "not finished" not in text


def test_a_folder_with_a_recipe_only_is_reported(tmp_path: Path) -> None:
    """A run that has just begun has a page too."""
    (tmp_path / "recipe.yaml").write_text("name: just-begun\n", "utf-8")
    page = _page(tmp_path)
    assert "No change against a base model was measured." in page.text
    assert "just-begun" in page.text


def test_the_recipe_says_how_many_rows_the_page_holds(folder: Path) -> None:
    """``report.max_rows`` of the resolved recipe is the limit."""
    resolved = (folder / "recipe.resolved.yaml").read_text("utf-8")
    (folder / "recipe.resolved.yaml").write_text(resolved.replace("max_rows: 5000", "max_rows: 9"), "utf-8")
    assert "A sample: " in _page(folder).text


def test_a_lone_surrogate_is_written_as_its_escape(tmp_path: Path) -> None:
    """JSON may hold half a character; the page stays valid UTF-8."""
    (tmp_path / "environment.json").write_text(json.dumps({"processor": "half \ud800"}), "utf-8")
    assert "half \\ud800" in _page(tmp_path).text


def test_measurements_of_unknown_names_are_shown(tmp_path: Path) -> None:
    """A measurement that this version has no words for is shown under its own name."""
    one = Measurement(name="x<y>", model="dpo", subset="some_rows", value=1.5, low=1, high=2, n=3, unit="score")
    write_json(tmp_path / "evaluation.json", {"models": ["dpo"], "measurements": [one.model_dump(mode="json")]})
    assert "X<y> on some rows" in _page(tmp_path).text


def test_elements_escape_text_and_attributes() -> None:
    """Only what was built as markup is markup."""
    built = element("p", "<b>", Markup("<i>ok</i>"), None, ["&", 3], title='"<', hidden=True, class_=None)
    assert built == '<p title="&quot;&lt;" hidden>&lt;b&gt;<i>ok</i>&amp;3</p>'


def test_slots_are_filled_once_and_verbatim() -> None:
    """What goes into a slot is not searched for slots; a missing or unknown slot is an error."""
    template = "<!-- slot: one -->|[[slot: two]]"
    assert (
        fill(template, {"one": "[[slot: two]]\\1", "two": "<!-- slot: one -->"})
        == "[[slot: two]]\\1|<!-- slot: one -->"
    )
    with pytest.raises(ValueError, match="slots"):
        fill(template, {"one": ""})


def test_embedded_json_cannot_end_its_element() -> None:
    """No angle bracket or ampersand survives, and the value does."""
    value = ["</script><!--", "&amp;", "\u2028"]
    text = json_text(value)
    assert not set(text) & set("<>&")
    assert json.loads(text) == value
    assert html.unescape(text) == text


def test_principles_are_diagnosed(page: Page, complete: Path) -> None:
    """What each changed, carried, and how far they agree: the figures are those of the rows, each with its n."""
    data = read_run(complete)
    votes = {one.pair: votes_on(one) for one in data.preferences}
    first, *_ = influences(votes)
    assert f"{first.principle} {first.n} {100 * first.carried:.1f} % {first.turned} {first.emptied}" in page.text
    (both,) = agreements(data.preferences)
    assert both.same is not None
    assert f"{both.one} and {both.other} {100 * both.same.value:.1f} %" in page.text
    assert f"n {both.same.n} in " in page.text or f"n {both.same.n} {both.n_tied}" in page.text
    rounds = [one for trace in data.traces for one in trace.rounds]
    for principle in {one.principle for one in rounds}:
        n = sum(one.principle == principle for one in rounds)
        assert f"{principle} {n} " in page.text
    assert "Confirmed" not in page.text
    assert "What each judge says" not in page.text


def test_checks_and_further_judges_are_shown_where_there_are_some(folder: Path) -> None:
    """With rates of their own; nothing of it stands in the report of a run that had none (see above)."""
    data = read_run(folder)
    verdicts = data.preferences[0].verdicts
    found = {"verdicts": verdicts, "p_better": 0.8}
    checked = [
        trace.model_copy(update={"rounds": tuple(one.model_copy(update=found) for one in trace.rounds)})
        for trace in data.traces
    ]
    write_table(folder / "data/traces.parquet", checked, Trace)
    judged = [
        one.model_copy(
            update={"verdicts": (*one.verdicts, *(v.model_copy(update={"judge": "other"}) for v in one.verdicts))}
        )
        for one in data.preferences
    ]
    write_table(folder / "data/preferences.parquet", judged, Preference)
    text = _page(folder).text
    n = sum(len(trace.rounds) for trace in checked)
    assert "Confirmed" in text
    assert f"0 of {sum(one.number == 1 for trace in checked for one in trace.rounds)}" in text
    assert n > 0
    assert "What each judge says" in text
    assert "judge and other 100.0 %" in text
    assert f"other {sum(len(one.verdicts) for one in data.preferences)} " in text


def test_a_run_without_rounds_or_votes_says_so(folder: Path) -> None:
    """In the places of the tables."""
    data = read_run(folder)
    write_table(folder / "data/traces.parquet", [one.model_copy(update={"rounds": ()}) for one in data.traces], Trace)
    write_table(
        folder / "data/preferences.parquet",
        [one.model_copy(update={"verdicts": one.verdicts[:2]}) for one in data.preferences],
        Preference,
    )
    text = _page(folder).text
    assert "No trace has a round." in text
    assert "No pair has votes of two principles." in text
    assert "Not drawn: no pair has votes of two principles." in text
