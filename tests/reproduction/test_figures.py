"""Which figures there are, what their points are, and what they leave in a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from charter.constitution import load_constitution
from charter.errors import UserError
from charter.files.tables import read_table
from charter.reproduction.claims import unmeasured
from charter.reproduction.drawing import draw
from charter.reproduction.figure import Figure, Made, Panel, Point, Trial, Value, points_of
from charter.reproduction.figures import FIGURES, find_figures, trials_of
from charter.reproduction.names import WANTS, check_data
from charter.reproduction.papers import PICTURES, POINTS, VALUES, keep, kept, read_told, write_page
from charter.reproduction.questions import points_by_sureness
from charter.reproduction.subsets import write_subset
from charter.statistics import mean_interval, rate_interval, reliability_bins

PAPERS = ("2", "3", "4", "5", "6", "7", "9", "10", "12")


def values(*shares: float) -> list[Value]:
    """Values of one line, several rows a place, two rows a group."""
    rng = np.random.default_rng(0)
    return [
        Value(panel="p", series="s", x=x, row=f"r{row}", group=f"g{row // 2}", value=float(rng.random() < share))
        for x, share in enumerate(shares)
        for row in range(30)
    ]


def test_the_papers_figures_are_there() -> None:
    """Those of the paper that are numbers, and three ablations."""
    assert tuple(FIGURES) == tuple(WANTS) == (*PAPERS, "soft-labels", "clamp", "chains")
    assert all(one.found.endswith(".") and one.title for one in FIGURES.values())


def test_figures_are_found_by_name() -> None:
    """In the paper's order, each once; 8 goes on with 3, and all are all."""
    assert [one.name for one in find_figures(["8", "2", "3"])] == ["2", "3"]
    assert [one.name for one in find_figures(["all", "5"])] == list(FIGURES)
    with pytest.raises(UserError, match=r"FIGURE is 'softlabels'.*did you mean .soft-labels"):
        find_figures(["softlabels"])
    for name in ("fig9", "figure9", "Figure 9", "fig. 9"):
        with pytest.raises(UserError, match='did you mean "9"'):
            find_figures([name])
    with pytest.raises(UserError, match=r"FIGURE is '99'; expected 2, .* 7, 8, 9, .* all$"):
        find_figures(["99"])


def test_a_run_is_done_once() -> None:
    """Figures that read the same run share it."""
    trials = trials_of(find_figures(["2", "3", "5", "7"]))
    assert [one.name for one in trials] == ["main", "revisions", "direct"]


def test_files_that_nobody_reads_are_refused() -> None:
    """Those that are read are named, with what each is."""
    check_data(["4"], ["choices"])
    with pytest.raises(UserError, match=r"--data kinds: is read by none.*choices"):
        check_data(["4"], ["kinds"])
    with pytest.raises(UserError, match="there are: none"):
        check_data(["5"], ["choices"])


def test_no_interval_of_a_share_reaches_above_one() -> None:
    """Shares right over three trainings, nearly all of them 1: their mean is no more than 1 at either end."""
    values = [
        Value(panel="p", series="s", x=0, row=str(n), group=str(n), value=1.0 if n < 8 else 2 / 3) for n in range(10)
    ]
    (bounded,) = points_of(values, (0.0, 1.0))
    (unbounded,) = points_of(values)
    assert bounded.high == 1.0 < unbounded.high
    assert bounded.low == unbounded.low


def test_answers_are_put_into_the_bins_of_the_calibration_error() -> None:
    """A probability that is 0.9 but for rounding is in one bin in both, and no answer is in none."""
    sure, right = [0.95, 0.8999999999999999, 0.31, 1.0], [1.0, 0.0, 1.0, 1.0]
    values = [
        Value(panel="p", series="s", x=x, row=str(n), group=str(n), value=value)
        for n, (x, value) in enumerate(zip(sure, right, strict=True))
    ]
    found = points_by_sureness(values)
    bins = reliability_bins(sure, right)
    assert [(one.n, one.value, one.x) for one in found] == [
        (one.n, one.frequency, pytest.approx(one.confidence)) for one in bins
    ]
    assert sum(one.n for one in points_by_sureness(values[1:2])) == 1


def test_points_are_intervals_over_groups() -> None:
    """Outcomes make rates, other numbers means; rows of one group are taken whole."""
    rows = values(0.2, 0.7)
    found = {one.x: one for one in points_of(rows)}
    expected = rate_interval(
        [one.value for one in rows if one.x == 1], groups=[one.group for one in rows if one.x == 1]
    )
    assert (found[1].value, found[1].low, found[1].high) == (expected.value, expected.low, expected.high)
    assert (found[1].n, found[1].n_groups) == (30, 15)
    doubled = [one.model_copy(update={"value": 2 * one.value}) for one in rows]
    mean = mean_interval([one.value for one in doubled if one.x == 1], groups=[one.group for one in rows if one.x == 1])
    assert {one.x: one.low for one in points_of(doubled)}[1] == mean.low


@pytest.fixture
def made() -> Made:
    """A figure of two panels, one of places with names and one of numbers."""
    rows = values(0.2, 0.7)
    other = [one.model_copy(update={"panel": "<b>q</b> $x$"}) for one in rows]
    panels = [
        Panel("p", "right", "model", ("small", "large"), is_share=True, level=(0.5, "chance")),
        Panel("<b>q</b> $x$", "share", "rounds"),
    ]
    return Made(
        panels, points_of([*rows, *other]), [*rows, *other], [unmeasured("It rises.", "one place")], ["A note."]
    )


def test_what_a_figure_leaves(made: Made, tmp_path: Path) -> None:
    """Tables that read back, pictures of the same bytes every time, a caption, and whether it is of these settings."""
    figure = Figure("5", "A title", "It rises.", lambda _: made)
    told = keep(tmp_path / "one", figure, made, {"n": 3})
    keep(tmp_path / "two", figure, made, {"n": 3})
    assert read_table(tmp_path / "one" / VALUES, Value) == list(made.values)
    assert read_table(tmp_path / "one" / POINTS, Point) == list(made.points)
    for name in PICTURES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    svg = (tmp_path / "one" / PICTURES[0]).read_text("utf-8")
    assert svg.lstrip().startswith("<?xml")
    assert "<b>q" not in svg
    assert "n 30 a point" in (tmp_path / "one" / "caption.md").read_text("utf-8")
    assert read_told([tmp_path / "one", tmp_path / "nothing"]) == [told]
    assert kept(tmp_path / "one", {"n": 3})
    assert not kept(tmp_path / "one", {"n": 4})
    assert not kept(tmp_path / "nothing", {"n": 3})


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"figure": "5", "title": "t", "paper": "p", "claims": [{}]}'])
def test_what_is_damaged_is_made_again(made: Made, tmp_path: Path, text: str) -> None:
    """A figure whose file says nothing, or what another version said, counts as not there."""
    keep(tmp_path, Figure("5", "A title", "It rises.", lambda _: made), made, {"n": 3})
    (tmp_path / "figure.json").write_text(text, "utf-8")
    assert not kept(tmp_path, {"n": 3})
    assert read_told([tmp_path]) == []


def test_long_labels_are_not_cut_off(made: Made, tmp_path: Path) -> None:
    """A label that is longer than its panel is high goes on in another line: nothing reaches the picture's edge."""
    long = "what is measured here, by whom it was measured, in which unit, and above what it is counted"
    panels = [replace(one, y=long, x=long) for one in made.panels]
    draw([tmp_path / "figure.png"], "A title", replace(made, panels=panels))
    picture = imread(tmp_path / "figure.png")[..., :3]
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 1.0).all()


def test_a_figure_of_nothing_is_drawn(tmp_path: Path) -> None:
    """Where nothing could be measured there is a picture that says so."""
    figure = Figure("5", "A title", "It rises.", lambda _: Made([], [], [], []))
    keep(tmp_path, figure, Made([], [], [], []), {})
    assert all((tmp_path / name).stat().st_size for name in PICTURES)


def test_the_page_adjusts_for_all_tests(tmp_path: Path) -> None:
    """Two p-values of 0.03 and 0.02 are 0.04 each by Holm's method."""
    figure = Figure("5", "A title", "It rises.", lambda _: Made([], [], [], []))
    claims = [unmeasured("a", "x").model_copy(update={"p_value": p, "shows": "yes"}) for p in (0.03, 0.02)]
    claims += [unmeasured("b", "y").model_copy(update={"p_value": p, "shows": "no"}) for p in (0.001, 0.04)]
    claims.append(unmeasured("c", "z").model_copy(update={"p_value": 0.5}))
    told = keep(tmp_path / "figure-5", figure, Made([], [], [], claims), {})
    write_page(tmp_path, [told])
    page = (tmp_path / "reproduction.md").read_text("utf-8")
    assert page.count("| a | shows, before adjusting | x | 0.08 |") == 1
    assert page.count("| b | does not show | y | 0.005 |") == 1
    assert page.count("| c | undecided | z | 0.5 |") == 1
    assert "5 tests" in page
    assert "(figure-5/figure.svg)" in page


def test_fewer_principles_are_among_more(tmp_path: Path) -> None:
    """Each subset loads, has as many as asked for, and keeps the worked examples; one that asks for more has all."""
    whole = load_constitution("harmless")
    subsets = [load_constitution(str(write_subset(tmp_path, "harmless", whole, n, seed=3))) for n in (1, 4, 999)]
    ids = [{one.id for one in subset.used_for("revise")} for subset in subsets]
    assert [len(one) for one in ids] == [1, 4, len(whole.used_for("revise"))]
    assert ids[0] < ids[1] < ids[2]
    assert all(subset.few_shots == whole.few_shots for subset in subsets)


def test_trials_tell_what_they_change() -> None:
    """A trial is a value: the same settings are the same run."""
    assert Trial("main", None) == Trial("main", None)
    assert json.dumps(Trial("a", "revise", ("b=1",)).settings) == '["b=1"]'
