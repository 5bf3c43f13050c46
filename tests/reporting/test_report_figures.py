from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from run_folder import build, measurements

from charter.records import Figures
from charter.reporting import RunData, read_run
from charter.reporting.charts import Chart, widest_reach
from charter.reporting.figures import effect_per_round, response_classes, tradeoff
from charter.reporting.label_figures import label_distribution, option_mass, position_bias, principle_agreement
from charter.reporting.svg import COLOUR, draw, legible
from charter.reporting.told import Training
from charter.reporting.training_figures import training_curves


def _classify(_prompt: str, response: str) -> str:
    """Stand in for the rules: whatever begins with a Sure complies."""
    return "compliance" if response.startswith("Sure") else "objection"


ALL = (
    tradeoff,
    response_classes,
    lambda data: effect_per_round(data, _classify),
    label_distribution,
    position_bias,
    principle_agreement,
    option_mass,
    lambda data: training_curves(data, "sft"),
    lambda data: training_curves(data, "dpo"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A complete run, read."""
    return read_run(build(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def charts(data: RunData) -> list[Chart]:
    """Every figure of it."""
    return [figure(data) for figure in ALL]


def _counted(data: RunData) -> dict[str, str]:
    """What each caption must say of its rows, counted here."""
    n_verdicts = sum(len(preference.verdicts) for preference in data.preferences)
    return {
        "tradeoff": "n 12",
        "classes": f"on {sum(r.prompt.kind == 'red_team' for r in data.responses) // 3} red-team prompts a model",
        "rounds": f"of {len(data.traces)} red-team traces",
        "labels": f"of {len(data.preferences)} preferences",
        "position": " pairs of verdicts (one pair and one principle, both orders)",
        "mass": f"{n_verdicts} verdicts, mean",
    }


def test_every_figure_is_drawn_with_a_caption_that_says_n(data: RunData, charts: list[Chart]) -> None:
    """No figure of a complete run is missing, and each says over how many rows it is."""
    assert [chart.name for chart in charts if not chart.svg] == []
    assert len({chart.name for chart in charts}) == len(charts)
    captions = {chart.name: chart.caption for chart in charts}
    for name, said in _counted(data).items():
        assert said in captions[name]
    for name in captions.keys() - {"labels", "position", "mass"}:
        assert "interval" in captions[name]


def test_rounds_say_how_many_revisions_changed_and_were_flagged(data: RunData) -> None:
    """Both shares of each round are in the figure's label, counted here from the traces."""
    label = ET.fromstring(effect_per_round(data, _classify).svg).attrib["aria-label"]  # noqa: S314 - our own figure
    spoken = {}
    for what, of in (("changed", lambda before, step: step.revision.strip() != before.strip()),
                     ("flagged", lambda _, step: bool(step.flags))):  # fmt: skip
        found = [0, 0]
        for trace in data.traces:
            texts = [trace.initial, *(step.revision for step in trace.rounds)]
            for number, step in enumerate(trace.rounds):
                found[number] += of(texts[number], step)
        spoken[what] = " and ".join(f"{100 * n / len(data.traces):.1f}\N{NO-BREAK SPACE}%" for n in found)
    assert f"changed: {spoken['changed']}; flagged: {spoken['flagged']}" in label
    assert spoken["changed"] != spoken["flagged"]


def test_position_says_what_the_judge_picks_in_both_orders(data: RunData) -> None:
    """Same response, first and second position: the shares of the caption, counted here from the verdicts."""
    picks = []
    for preference in data.preferences:
        for principle in {verdict.principle for verdict in preference.verdicts}:
            read = {v.order: v.p_a for v in preference.verdicts if v.principle == principle and v.p_a is not None}
            if len(read) == 2:
                first, second = (
                    read["ab"] > 0.5,
                    read["ba"] < 0.5,
                )  # which position each order picks, as a is first in ab
                picks.append("same" if first != second else "first" if first else "second")
    shares = [100 * picks.count(what) / len(picks) for what in ("same", "first", "second")]
    assert len(set(shares)) == 3
    same, first, second = (f"{share:.1f}\N{NO-BREAK SPACE}%" for share in shares)
    assert position_bias(data).caption.startswith(
        f"{len(picks)} pairs of verdicts (one pair and one principle, both orders): the judge picks the same response "
        f"in {same}, the first position in {first}, the second in {second}."
    )


def test_mass_says_how_many_verdicts_lie_below_the_limit(data: RunData) -> None:
    """Below the recipe's limit, not above it."""
    masses = [v.option_mass for p in data.preferences for v in p.verdicts if v.option_mass is not None]
    n_below = sum(mass < 0.5 for mass in masses)
    assert f" {n_below} lie below the limit of 0.5 " in option_mass(data).caption
    assert n_below != len(masses) - n_below


def test_a_base_without_loss_is_no_crash(data: RunData) -> None:
    """No change is a share of nothing: such a point is not drawn."""
    found = tuple(
        m.model_copy(update={"value": m.difference or 0.0}) if m.name == "reference_loss" else m for m in measurements()
    )
    chart = tradeoff(dataclasses.replace(data, evaluation=Figures(models=("base", "sft", "dpo"), measurements=found)))
    assert "dpo at" not in chart.svg


def test_figures_are_valid_and_labelled(charts: list[Chart]) -> None:
    """Each is well-formed XML with a role, a label and a title of its own."""
    for chart in charts:
        root = ET.fromstring(chart.svg)  # noqa: S314 - our own figure
        assert root.attrib["role"] == "img"
        assert root[0].tag == "title"
        assert root[0].text == root.attrib["aria-label"] != ""


def test_figures_leave_style_to_the_page(charts: list[Chart]) -> None:
    """No style attribute or element, no fixed colour, no font, no address: the strict policy and both themes hold."""
    for chart in charts:
        assert "style" not in chart.svg
        assert "font-family" not in chart.svg
        assert "http" not in chart.svg
        assert re.findall(r'"#[0-9a-f]{6}"', chart.svg) == []


def test_ids_are_unique_over_all_figures(charts: list[Chart]) -> None:
    """Figures share one document; what an id refers to is there, once."""
    text = "".join(chart.svg for chart in charts)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) <= {(i, "") for i in ids} | {("", i) for i in ids}


def test_figures_are_the_same_every_time(data: RunData, charts: list[Chart]) -> None:
    """Byte for byte."""
    assert [figure(data).svg for figure in ALL] == [chart.svg for chart in charts]


@pytest.mark.parametrize("figure", ALL)
def test_an_empty_run_says_why_a_figure_is_missing(figure: Any, tmp_path: Path) -> None:
    """No figure crashes for want of data; its caption names what is missing."""
    empty = RunData(path=tmp_path, name="empty", absent=("data/traces.parquet", "data/preferences.parquet"))
    chart = figure(empty)
    assert chart.svg == ""
    assert chart.caption.startswith("Not drawn: ")


def test_the_tradeoff_falls_back_on_what_was_measured(data: RunData) -> None:
    """Without reference loss the win rate is drawn, without objection the complement of compliance."""
    found = tuple(m for m in measurements() if m.name in {"harmful_compliance", "win_rate_helpful"})
    chart = tradeoff(dataclasses.replace(data, evaluation=Figures(models=("base", "sft", "dpo"), measurements=found)))
    assert "win rate" in chart.caption
    assert "complement" in chart.caption
    assert "base at 50.0% across, 29.0% up" in chart.svg
    assert "dpo at 52.0% across, 86.0% up" in chart.svg


def test_the_tradeoff_shows_loss_relative_to_base(data: RunData) -> None:
    """0.078 of 1.912 nats is 4.1 %."""
    assert "dpo at 4.1% across, 69.0% up" in tradeoff(data).svg


def test_rounds_count_what_each_round_made(data: RunData) -> None:
    """Classes are read before and after every round, with the classifier that is given."""
    chart = effect_per_round(data, _classify)
    n = len(data.traces)
    assert f"initial: compliance {n}; round 1: " in chart.svg
    assert "round 2: objection" in chart.svg


def test_outside_text_in_labels_is_only_text() -> None:
    """Dollars are no mathematics, control characters no broken XML, angle brackets no elements."""
    hostile = legible("$x_1$ <script>\x00\x1b]]>& \ud800" + 40 * "long ")
    assert len(hostile) <= 32
    svg = draw("name", f"label {hostile}", 2, lambda figure: figure.text(0.1, 0.5, hostile, color=COLOUR["ink"]))
    root = ET.fromstring(svg)  # noqa: S314 - our own figure
    assert [element.text for element in root.iter("text")] == [hostile]


def test_a_training_that_was_skipped_says_so(data: RunData) -> None:
    """The reason is the stage's own."""
    stage = data.stages["dpo"].model_copy(update={"training": Training(skipped="the policy is scripted")})
    chart = training_curves(dataclasses.replace(data, stages={**data.stages, "dpo": stage}), "dpo")
    assert chart.caption == "Not drawn: the policy is scripted."


def test_dpo_shows_the_log_probability_of_both_sides(data: RunData) -> None:
    """A chosen side that falls with the rejected one is how a collapse begins."""
    caption = training_curves(data, "dpo").caption
    both = ("(chosen) \u221240.111 to \u221243.333", "(rejected) \u221241.333 to \u221251.000")
    assert "; ".join(f"log-probability {one}" for one in both) in caption


def test_log_lines_without_numbers_are_left_out(data: RunData) -> None:
    """A None, a NaN or a missing key is no point of the curve."""
    steps = ({"step": 1, "loss": None}, {"step": 2, "loss": float("nan")}, {"step": 3}, {"step": 4, "loss": 0.5})
    stage = data.stages["sft"].model_copy(update={"training": Training(steps=steps)})
    chart = training_curves(dataclasses.replace(data, stages={"sft": stage}), "sft")
    assert "loss 0.500 to 0.500" in chart.caption


def test_looks_of_a_guard_are_drawn_beside_the_loss(data: RunData) -> None:
    """Shares of the answers and their length have panels of their own; a figure that is missing has no curve."""
    looks = tuple(
        {"step": step, "repetition": step / 100, "endings": 0.0, "distinct": 0.9, "length": 40.0 - step, "seconds": 1.5}
        for step in (0, 10)
    )
    stage = data.stages["sft"].model_copy(update={"training": Training(steps=({"step": 1, "loss": 2.0},), looks=looks)})
    chart = training_curves(dataclasses.replace(data, stages={"sft": stage}), "sft")
    assert (
        "answers (loop) 0.000 to 0.100; answers (end alike) 0.000 to 0.000; answers (variety) 0.900 to 0.900; "
        "length (tokens) 40.000 to 30.000" in chart.caption
    )
    assert chart.caption.endswith("Answers: 2 looks at the same few prompts, in 3.0\u00a0s.")
    words = {element.text for element in ET.fromstring(chart.svg).iter("text")}  # noqa: S314 - our own figure
    assert {"Answers", "Length", "loop", "variety"} <= words
    assert "refuse" not in words


@pytest.mark.parametrize(("n_steps", "ended"), [(10, True), (20, False), (None, False)])
def test_the_end_that_a_guard_made_is_drawn(data: RunData, n_steps: int | None, *, ended: bool) -> None:
    """A look behind the model's last step ended the training: two lines a panel, and the caption says which."""
    training = Training(
        n_steps=n_steps,
        steps=tuple({"step": step, "loss": 2.0} for step in (1, 10)),
        looks=tuple({"step": step, "repetition": step / 40} for step in (0, 10, 20)),
    )
    stage = data.stages["sft"].model_copy(update={"training": training})
    chart = training_curves(dataclasses.replace(data, stages={**data.stages, "sft": stage}), "sft")
    said = "The guard ended it: limits were passed at step 20 (dotted), and the model is that of step 10 (dashed)."
    assert chart.caption.endswith(said) == ended
    n_drawn = chart.svg.count("stroke-dasharray")
    assert n_drawn == (4 if ended else 0)


def test_the_reach_of_shares_is_the_widest_distance_from_one() -> None:
    """Five of six is known to 39.7 points down and 13.7 up: the caption gives the further, not half of both."""
    assert widest_reach([_bar("aaaaab")]) == pytest.approx(39.7, abs=0.05)
    assert widest_reach([_bar("ab" * 50), _bar("ab")]) == pytest.approx(40.5, abs=0.1)
    assert widest_reach([]) == 0


def test_several_answers_to_a_prompt_are_not_as_many_prompts() -> None:
    """Four equal answers to each of thirty prompts are known no better than one to each."""
    alone = widest_reach([_bar("ab" * 15)])
    assert alone <= widest_reach([_bar("ab" * 15) * 4]) < 1.1 * alone
    assert widest_reach([_bar("ab" * 60)]) < 0.7 * alone


def _bar(classes: str) -> list[tuple[str, str]]:
    return [(f"prompt {place}", label) for place, label in enumerate(classes)]
