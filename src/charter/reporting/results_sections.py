"""The sections that say what came out: verdict, measurements, figures, label quality."""

from __future__ import annotations

from charter.records import Measurement
from charter.reporting import wording
from charter.reporting.cautions import cautions, cut_sentence
from charter.reporting.charts import Chart
from charter.reporting.label_quality import SourceQuality, by_judge, by_source, invalid_reasons
from charter.reporting.layout import Column, rate, section, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.reading import RunData
from charter.reporting.verdict import Change, Findings
from charter.reporting.vote_tables import vote_tables

_GROUPS = (
    ("worse", "Got worse", "", "Nothing measured got worse beyond chance."),
    ("better", "Got better", "", "Nothing measured got better beyond chance."),
    (
        "unclear",
        "Unclear",
        "May be chance: the interval includes 0, there is none, or p (of a gain: the adjusted one) is not below 0.05.",
        "No measured change is unclear.",
    ),
)


def header(data: RunData, findings: Findings) -> Markup:
    """Write the page's head: the run's name, what was compared, when and with which version."""
    facts = []
    if findings.final and findings.base and findings.final != findings.base:
        facts.append(f"{findings.final} against {findings.base}")
    if data.environment and data.environment.started:
        facts.append(f"started {wording.moment(data.environment.started)}")
    if data.environment and data.environment.charter:
        facts.append(f"Charter {data.environment.charter}")
    return element(
        "header",
        element("p", "Report of a Constitutional AI run", class_="kicker"),
        element("h1", data.name),
        element("p", " · ".join(facts), class_="facts") if facts else None,
    )


def verdict(data: RunData, findings: Findings) -> Markup:
    """Write the verdict: what a reader must know first, then worse, better and unclear changes."""
    parts: list[object] = []
    if findings.alarm:
        parts.append(element("p", wording.tied(findings.headline), class_="alarm", role="note"))
    elif findings.n_changes:
        parts.append(element("p", wording.tied(findings.headline), class_="headline"))
    parts.append(_care(data))
    parts.append(_incomplete(data))
    if findings.n_changes:
        parts.append(element("div", [_group(findings, *group) for group in _GROUPS], class_="verdict"))
        parts.append(_neutral(findings))
        parts.append(_caution(findings))
    else:
        why = "" if data.evaluation else f" {data.why_missing('evaluation.json')}"
        parts.append(element("p", f"No change against a base model was measured.{why}", class_="missing"))
    return section("verdict", "Verdict", *parts)


def _care(data: RunData) -> Markup | None:
    lines = cautions(data)
    if not lines:
        return None
    items = element("ul", [element("li", wording.tied(line)) for line in lines])
    return element("div", element("h3", "Read this with care"), items, class_="care", role="note")


def _incomplete(data: RunData) -> Markup | None:
    notes = []
    if data.unfinished_stages:
        stages = wording.listing(list(data.unfinished_stages))
        notes.append(f"This run is not finished: there is no result of {stages}.")
    if data.left_out_stages:
        notes.append(f"The recipe leaves out {wording.listing(list(data.left_out_stages))}.")
    notes += [data.why_missing(part) for part in data.unreadable]
    return element("ul", [element("li", note) for note in notes], class_="notes") if notes else None


def _group(findings: Findings, outcome: str, title: str, meaning: str, nothing: str) -> Markup:
    changes: tuple[Change, ...] = getattr(findings, outcome)
    body = (
        element("ul", [element("li", wording.tied(change.sentence)) for change in changes])
        if changes
        else element("p", nothing, class_="nothing")
    )
    note = element("span", meaning, class_="under") if meaning and changes else None
    return element("div", element("h3", f"{title} ({len(changes)})", note), body, class_=f"outcome {outcome}")


def _neutral(findings: Findings) -> Markup | None:
    if not findings.neutral:
        return None
    unclear = element("span", "unclear", class_="mark unclear")
    items = [
        element("li", wording.tied(change.sentence), None if change.is_clear else [" ", unclear])
        for change in findings.neutral
    ]
    return element(
        "div", element("h3", "Neither good nor bad in itself"), element("ul", items), class_="outcome neutral"
    )


def _caution(findings: Findings) -> Markup:
    text = (
        "Worse is said of a change whose 95 % interval leaves 0 out and whose test gives p under 0.05, each by itself, "
        f"so that nothing is overlooked: of {findings.n_changes} comparisons up to {findings.n_changes / 20:.1f} would "
        "by chance alone if nothing had changed. Better asks for the same of p adjusted for all of them (Holm)."
    )
    if findings.uncompared:
        text += f" Measured without a comparison with base: {wording.listing(list(findings.uncompared))}."
    return element("p", wording.tied(text), class_="small")


def measurements(data: RunData, findings: Findings) -> Markup:
    """Write the table of measurements: a row a measurement, a column a model."""
    title = "Measurements"
    if data.evaluation is None or not data.evaluation.measurements:
        return section("measurements", title, element("p", data.why_missing("evaluation.json"), class_="missing"))
    found = data.evaluation.measurements
    models = [*data.evaluation.models, *sorted({m.model for m in found} - set(data.evaluation.models))]
    keys = list(dict.fromkeys((m.name, m.subset) for m in found))
    cells = {(m.name, m.subset, m.model): m for m in found}
    outcomes = {
        (c.measurement.name, c.measurement.subset): c.outcome
        for c in (*findings.worse, *findings.better, *findings.unclear, *findings.neutral)
    }
    rows = []
    for name, subset in keys:
        any_model = next(m for m in found if (m.name, m.subset) == (name, subset))
        row: list[object] = [_what(any_model)]
        for model in models:
            outcome = outcomes.get((name, subset)) if model == findings.final else None
            m = cells.get((name, subset, model))
            row.append(_cell(m, outcome) if m else _no_cell(name, model, findings))
        rows.append(row)
    columns = [Column("Measurement"), *(Column(model, numeric=True) for model in models)]
    return section(
        "measurements",
        title,
        element(
            "p",
            "Each cell: value, its 95 % interval, n (and in how many groups, where rows hang together); then the "
            f"difference from base, paired on rows. {cut_sentence(data)}".rstrip(),
            class_="lead",
        ),
        table(columns, rows),
        _provenance(found),
    )


def _what(m: Measurement) -> Markup:
    direction = {"higher": "higher is better", "lower": "lower is better"}.get(m.better, "neither is better")
    unit = {"nats": "nats per token, ", "tokens": "tokens, "}.get(m.unit, "")
    aside = f"; {wording.DRIFT}" if m.name == "drift" else ""
    return join(wording.subject(m), element("span", f"{unit}{direction}{aside}", class_="under"))


def _no_cell(name: str, model: str, findings: Findings) -> Markup:
    is_opponent = name.startswith("win_rate") and model == findings.base
    return element("span", "the other side" if is_opponent else "not measured", class_="under")


def _cell(m: Measurement, outcome: str | None) -> Markup:
    lines: list[object] = [
        element("span", wording.value(m.value, m.unit), class_="value"),
        element("span", _span(m), class_="under"),
    ]
    if m.difference is not None:
        span = wording.change_interval(m.difference_low, m.difference_high, m.unit)
        lines.append(element("span", f"{wording.change(m.difference, m.unit)} ({span})", class_="under difference"))
    if outcome in {"worse", "better", "unclear"}:
        lines.append(element("span", outcome, class_=f"mark {outcome}"))
    return join(*lines)


def _provenance(found: tuple[Measurement, ...]) -> Markup:
    rows = [
        [
            wording.subject(m),
            m.model,
            m.method or "none",
            "none" if m.p_value is None else wording.p_value(m.p_value),
            element("code", m.rows) if m.rows else "not named",
        ]
        for m in found
    ]
    columns = [Column("Measurement"), Column("Model"), Column("Test"), Column("p", numeric=True), Column("Rows")]
    return element(
        "details", element("summary", "Tests, p-values and the rows behind each figure"), table(columns, rows)
    )


def figures(charts: list[Chart]) -> Markup:
    """Write the figures; one that cannot be drawn says why in its place."""
    drawn = [
        element(
            "figure",
            element("h3", chart.title),
            Markup(chart.svg),
            element("figcaption", wording.tied(chart.caption)),
            id=f"figure-{chart.name}",
        )
        for chart in charts
        if chart.svg
    ]
    gaps = [element("li", f"{chart.title}. {chart.caption}") for chart in charts if not chart.svg]
    return section(
        "figures",
        "Figures",
        element("div", drawn, class_="figures") if drawn else None,
        element("ul", gaps, class_="missing") if gaps else None,
    )


def label_quality(data: RunData) -> Markup:
    """Write what the labels are worth: per source, per principle, and why verdicts are invalid."""
    title = "Label quality"
    if not data.judged:
        why = data.why_missing("data/preferences.parquet")
        return section("labels", title, element("p", why, class_="missing"))
    sources = [
        [
            row.source,
            wording.count(row.n),
            _agreement(row),
            "none" if row.p_chosen is None else f"{row.p_chosen:.2f}",
            "none" if row.position_bias is None else f"{row.position_bias:.2f}",
            "none" if row.option_mass is None else f"{row.option_mass:.2f}",
            f"{wording.count(row.n_invalid)} of {wording.count(row.n_verdicts)}",
        ]
        for row in by_source(data.judged)
    ]
    columns = [Column("Source"), Column("Preferences", numeric=True), Column("Agrees with intention", numeric=True)]
    columns += [Column(name, numeric=True) for name in ("Mean p_chosen", "Mean position bias")]
    columns += [Column(name, numeric=True) for name in ("Median option mass", "Invalid verdicts")]
    reasons = invalid_reasons(data.judged)
    invalid = wording.listing([f"{reason} ({wording.count(n)})" for reason, n in reasons.items()])
    return section(
        "labels",
        title,
        element(
            "p",
            "Agreement, option mass and verdicts are over every pair that was judged, with a label or without; p_chosen"
            " and position bias over the preferences that the label stage kept. Agreement: how often the judge sided "
            "with the side that the pair's source meant to be better, with its 95 % interval; pairs where it favours "
            "neither side are not counted there. Why pairs were left out is under Data.",
            class_="lead",
        ),
        table(columns, sources),
        element("p", f"Invalid verdicts: {invalid}." if invalid else "No verdict is invalid."),
        _chains(data),
        vote_tables(data),
    )


def _chains(data: RunData) -> Markup | None:
    """Say how many chains of thought, of each judge, are in no verdict; nothing where none was asked for."""
    found = [one for one in by_judge(data.judged) if one.n_chains]
    told = [f"{one.name} {wording.count(one.n_chains_lost)} of {wording.count(one.n_chains)}" for one in found]
    text = "Chains of thought that could not be drawn, or behind which the letters could not be read"
    return element("p", f"{text}: {wording.listing(told)}.") if told else None


def _agreement(row: SourceQuality) -> object:
    asides = [
        f"{wording.count(n)} {what}" for n, what in ((row.n_left_out, "left out"), (row.n_undecided, "undecided")) if n
    ]
    notes = element("span", wording.listing(asides), class_="under") if asides else None
    if row.agreement is None:
        return join("none decided", notes) if notes else "no side intended"
    return join(rate(row.agreement), notes) if notes else rate(row.agreement)


def _span(m: Measurement) -> str:
    return wording.tied(wording.span(m.low, m.high, m.unit, m.n, m.n_groups))
