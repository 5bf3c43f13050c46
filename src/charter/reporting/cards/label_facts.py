"""What a run's labels are worth, as the card of its preferences tells it."""

from __future__ import annotations

from charter.feedback.settling import EXACT_TIE
from charter.feedback.votes import both_orders
from charter.reporting import wording
from charter.reporting.cards.facts import Facts
from charter.reporting.cards.markdown import Markdown, bullets, heading, line, paragraphs, table
from charter.reporting.label_quality import SourceQuality, by_source, invalid_reasons, same_position
from charter.reporting.reading import RunData
from charter.statistics import Interval, mean_interval, rate_interval

_EVEN = 0.5


def tell_labels(facts: Facts) -> Markdown:
    """Tell agreement with intentions, position bias, ties, calibration and how far length tells the chosen side."""
    data = facts.data
    told = [_position(data), *_means(data), _invalid(data), _ties(data), _calibration(facts), _length(data)]
    return paragraphs(
        heading("What the labels are worth"),
        line(
            f"Every pair was put to the judge ({facts.model('judge').told}) in both orders. Verdicts are over all ",
            wording.counted(len(data.judged), "judged pair"),
            ", with a label or without; intervals are of 95 % and take pairs of one prompt together. ",
            Markdown("`charter label RUN/recipe.resolved.yaml --out RUN`"),
            " makes the labels, and ",
            Markdown("`charter audit`"),
            " holds the judge against people.",
        ),
        _sources(data),
        bullets([one for one in told if one]),
    )


def _sources(data: RunData) -> Markdown:
    header = ["source", "preferences", "judge agrees with the intention", "verdicts that cannot be read"]
    return table(header, [_source(one) for one in by_source(data.judged)], right=(1,))


def _source(one: SourceQuality) -> list[str]:
    return [
        one.source,
        wording.count(one.n),
        "no side is meant" if one.agreement is None else _share(one.agreement),
        f"{wording.count(one.n_invalid)} of {wording.counted(one.n_verdicts, 'verdict')}",
    ]


def _share(found: Interval) -> str:
    return (
        f"{wording.value(found.value, 'rate')} ({wording.span(found.low, found.high, 'rate', found.n, found.n_groups)})"
    )


def _position(data: RunData) -> str:
    found = same_position(both_orders(data.judged))
    if found is None:
        return "No verdict was read in both orders: whether the judge follows position is not known."
    told = f"Asked in both orders, the judge picked the same place, not the same response, in {_share(found)}"
    return f"{told}; a coin would in half."


def _means(data: RunData) -> list[str]:
    """Give how sure the labels are, and how far the judge's word depends on the place of a response."""
    figures = {
        "How sure the labels are, mean p_chosen (0.5: the judge cannot tell)": [
            one.p_chosen for one in data.preferences
        ],
        "Position bias, mean difference of P(better) between the two places": [
            one.position_bias for one in data.preferences
        ],
    }
    groups = [one.prompt.id for one in data.preferences]
    means = {name: mean_interval(values, groups=groups) for name, values in figures.items() if values}
    return [
        f"{name}: {one.value:.3f} ({wording.span(one.low, one.high, 'score', one.n, one.n_groups)})."
        for name, one in means.items()
    ]


def _invalid(data: RunData) -> str:
    found = invalid_reasons(data.judged)
    told = ", ".join(f"{reason} {wording.count(n)}" for reason, n in found.items())
    return (
        f"Verdicts that could not be read count for neither side: {told}." if told else "Every verdict could be read."
    )


def _ties(data: RunData) -> str:
    even = sum(one.p_chosen == _EVEN for one in data.preferences)
    left_out = sum(one.reason == EXACT_TIE for one in data.unlabelled)
    return (
        f"Ties: {wording.counted(even, 'preference')} with p_chosen 0.5, and {wording.counted(left_out, 'pair')} "
        "without a label because the judge finds both sides equal."
    )


def _calibration(facts: Facts) -> str:
    calibrator = facts.section("label").get("calibrator")
    how = "read through a calibrator that was fitted beforehand" if calibrator else "as the letters say it"
    return f"Probabilities are {how}; how often a label of 0.8 is right in 8 of 10 cases was not measured in the run."


def _length(data: RunData) -> str:
    lengths = [(len(one.chosen), len(one.rejected)) for one in data.preferences]
    if not lengths:
        return ""
    groups = [one.prompt.twin_of or one.prompt.id for one in data.preferences]
    longer = rate_interval([chosen > rejected for chosen, rejected in lengths], groups=groups)
    return f"The chosen response is the longer one in {_share(longer)}; 50 % where length tells nothing."
