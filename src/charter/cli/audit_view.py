"""An audit as people read it: what the judge is worth first, then what it does, then what it costs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.feedback.advice import BEST_AGREEMENT, SAME_POSITION, advise, grade
from charter.feedback.auditing import cost_of_labels

if TYPE_CHECKING:
    from charter.feedback.audit import Audit, Part
    from charter.feedback.auditing import Sitting
    from charter.feedback.calibration import LabelQuality
    from charter.statistics import Interval

_WIDTH = 110  # columns of a sentence
_NO_PEOPLE = (
    "These labels are not people's, but those of {whose}: agreement with them says how far the two are alike, not what "
    "either is worth. There is no grade, no yardstick and no calibrator for that; audit the judge on pairs that people "
    "have labelled."
)


def describe(found: Audit, subject: Mapping[str, Any], sitting: Sitting) -> dict[str, Any]:
    """Give everything as plain values; a grade, advice and yardsticks where the labels are people's."""
    by_people = subject["labels_by"] == "people"
    return {
        **subject,
        "grade": grade(found) if by_people else None,
        "advice": list(advise(found)) if by_people else [],
        "yardsticks": {"agreement": BEST_AGREEMENT, "same_position": dict(SAME_POSITION)} if by_people else None,
        **asdict(found),
        "cost_of_1000_labels": cost_of_labels(sitting),
    }


def write_audit(found: Audit, told: Mapping[str, Any]) -> None:
    """Print an audit."""
    _write_head(found, told)
    _write_figures(found, told)
    for title, parts in (("principle", found.by_principle), ("category", found.by_category)):
        if parts:
            console.write()
            console.write_columns(
                (title, "pairs", "without a label", "agreement", "same position"), _parts(parts), right=(1, 2)
            )
    if found.by_author:
        console.write()
        by = f"by {told['labels_by']}"
        console.write_columns(("author of answers", "pairs", "preferred", by), _authors(found), right=(1,))
    if cost := told["cost_of_1000_labels"]:
        console.write()
        console.write(
            f"1,000 labels take {cost['calls']:,} calls, {cost['prompt_tokens']:,} tokens read "
            f"({cost['prompt_tokens_from_prefix']:,} of them from memory), {cost['completion_tokens']:,} written, and "
            f"{cost['seconds'] / 60:.1f} minutes here"
            + ("" if cost["money"] is None else f"; by the given prices they cost {cost['money']:.4g}")
        )


def _write_head(found: Audit, told: Mapping[str, Any]) -> None:
    """Print what was audited, what is not in the figures, and what to do."""
    if told["scripted"]:
        console.write("A script answered in the judge's place: no figure here is of a model.")
    console.write(f"{told['judge']} on {found.n_pairs:,} pairs of {found.n_contexts:,} contexts ({told['labels']})")
    for reason, n in told["rejected_rows"].items():
        console.write(f"left out of the file, {n:,}: {reason}")
    for reason, n in told["failed_pairs"].items():
        console.write(f"failed, {n:,}: {reason}")
    if told["unused_columns"]:
        console.write(f"columns of the file that nothing was taken from: {', '.join(told['unused_columns'])}")
    said = told["advice"] or [_NO_PEOPLE.format(whose=told["labels_by"])]
    if told["grade"]:
        console.write(f"grade: {told['grade']}")
    for sentence in said:
        console.write(textwrap.fill(sentence, _WIDTH, initial_indent="- ", subsequent_indent="  "))


def _write_figures(found: Audit, told: Mapping[str, Any]) -> None:
    console.write()
    lines = [(name.replace("people", told["labels_by"]), value, said) for name, value, said in _lines(found)]
    if told["yardsticks"]:
        console.write_columns(("", "", "published (harmless dialogue)"), lines)
    else:
        console.write_columns(("", ""), [(name, value) for name, value, _ in lines])


def _lines(found: Audit) -> Iterator[tuple[str, str, str]]:
    quality, position, length, calibration = found.quality, found.position, found.length, found.calibration
    if quality is not None:
        yield (
            "agreement with people",
            _percent(quality.accuracy),
            f"{100 * BEST_AGREEMENT:.0f} % at best",
        )
        yield "Brier score", _number(quality.brier), ""
        yield "calibration error", _error(quality), ""
    if calibration is not None:
        after, scaling = calibration.after, calibration.scaling
        yield "once calibrated", "", ""
        yield "  Brier score", _number(after.brier), ""
        yield "  calibration error", _error(after), ""
        yield "  agreement with people", _percent(after.accuracy), ""
        yield "  temperature", f"{scaling.temperature:.2f}", ""
        yield "  bias to the first option", f"{scaling.bias:+.2f} in log-odds", ""
    if position is not None:
        said = ", ".join(f"{100 * share:.0f} % {size}" for size, share in SAME_POSITION.items())
        yield "same position in both orders", _percent(position.same_position), said
        yield "  of those, the first", _percent(position.first), ""
        yield "shift between the orders", _number(position.shift), ""
    yield "agreement where shorter is better", _percent(length.where_shorter), ""
    yield "agreement where longer is better", _percent(length.where_longer), ""
    yield "takes the longer", _percent(length.longer), ""
    yield "people take the longer", _percent(length.longer_by_people), ""
    if (met := found.self_preference) is not None:
        yield f"pairs with one answer of its own: {met.n:,}", "", ""
        yield "  agreement with people", _percent(met.agreement), ""
        yield "  takes its own", _percent(met.own), ""
        yield "  people take its own", _percent(met.own_by_people), ""
        yield "  takes its own where people do not", _percent(met.own_against_people), ""
        yield "  takes the other where people do not", _percent(met.other_against_people), ""
    yield "invalid verdicts", _percent(found.invalid), ""
    yield "pairs without a label", f"{found.n_unlabelled:,}, {_percent(found.unlabelled)}", ""
    if found.n_chains:
        yield "chains of thought in no verdict", f"{found.n_chains_lost:,} of {found.n_chains:,}", ""


def _parts(parts: Sequence[Part]) -> list[tuple[str, str, str, str, str]]:
    return [
        (one.name, f"{one.n:,}", f"{one.n_invalid:,}", _percent(one.agreement), _percent(one.same_position))
        for one in parts
    ]


def _authors(found: Audit) -> list[tuple[str, str, str, str]]:
    return [(one.name, f"{one.n:,}", _percent(one.chosen), _percent(one.chosen_by_people)) for one in found.by_author]


def _percent(found: Interval | None) -> str:
    return _written(found, lambda value: f"{100 * value:.1f}", " %")


def _number(found: Interval | None) -> str:
    return _written(found, lambda value: f"{value:.3f}", "")


def _error(quality: LabelQuality) -> str:
    """Write a calibration error with its n, and what it is to be held against: it has no interval around it."""
    mean, most = quality.ece_by_chance
    return f"{quality.ece:.3f} (n {quality.n:,}; true probabilities: {mean:.3f}, at most {most:.3f} in 95 %)"


def _written(found: Interval | None, write: Any, unit: str) -> str:
    """Write a figure with its interval and its n."""
    if found is None:
        return "none"
    bounds = "no interval" if found.low is None or found.high is None else f"{write(found.low)} to {write(found.high)}"
    return f"{write(found.value)}{unit} ({bounds}; n {found.n:,})"
