"""Preference data as plain values and as people read it: what would spoil a training first, then figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charter.cli import console

if TYPE_CHECKING:
    from charter.evaluation.preference_data import DataQuality, PreferenceData

_MOST = 10  # names of a part that are shown; the rest are in --json
_BOUNDED = ("95 % interval", "n")


def describe(
    data: PreferenceData, found: DataQuality, flagged: Sequence[Mapping[str, Any]], *, threshold: float, seed: int
) -> dict[str, Any]:
    """Give everything that was found as plain values; an interval is ``value``, ``low``, ``high``, ``n``, ``n_groups``.

    ``n_groups`` is null where each row stands for itself.
    """
    return {
        "source": data.source,
        "layout": data.layout,
        "near_duplicates": threshold,
        "seed": seed,
        "left_out": dict(data.left_out),
        "warnings": list(found.warnings),
        "lengths": [asdict(one) for one in found.lengths],
        "styles": [asdict(one) for one in found.styles],
        "guesses": None if found.guesses is None else asdict(found.guesses),
        "repeats": {name: asdict(share) for name, share in found.repeats.shares.items()},
        "coverage": asdict(found.coverage),
        "labels": asdict(found.labels),
        "n_flagged": len(flagged),
    }


def write_preferences(told: Mapping[str, Any]) -> None:
    """Print what was found; ``told`` is what ``--json`` prints."""
    coverage = told["coverage"]
    console.write(
        f"{told['source']} ({told['layout']}): {coverage['n']:,} pairs of {coverage['n_prompts']:,} prompts in "
        f"{coverage['n_groups']:,} groups, {coverage['most_pairs']:,} at most of one prompt"
    )
    for reason, n in told["left_out"].items():
        console.write(f"  left out, {n:,}: {reason}")
    console.write()
    for warning in told["warnings"] or ["nothing found that would spoil a training"]:
        console.write(f"{'warning: ' if told['warnings'] else ''}{warning}")
    _write_rules(told)
    _write_styles(told["styles"])
    _write_shares("repeats", told["repeats"])
    _write_labels(told["labels"])
    for part, shares in coverage["parts"].items():
        _write_shares(part, shares)


def _write_rules(told: Mapping[str, Any]) -> None:
    """Print how often rules that read nothing give the label."""
    console.write()
    rows = []
    for one in told["lengths"]:
        of_unit = f"({one['unit']})"
        rows += [
            (f"chosen is longer {of_unit}", *_bounded(one["chosen_longer"]), ""),
            (f"longer is better {of_unit}", *_bounded(one["longer_is_better"]), _p(one["p_value"])),
            (f"shorter is better {of_unit}", *_bounded(one["shorter_is_better"]), _p(one["p_value"])),
        ]
    for name, guess in (told["guesses"] or {}).items():
        rows.append((f"guessed from {name} alone", *_bounded(guess["accuracy"]), _p(guess["p_value"])))
    console.write_columns(("rule", "gives the label", *_BOUNDED, "p against 50 %, adjusted"), rows, right=(1, 2, 3, 4))
    if told["guesses"] is None:
        console.write("labels are not guessed from words: too few prompts for folds")


def _write_styles(styles: Sequence[Mapping[str, Any]]) -> None:
    console.write()
    rows = [
        (
            one["name"],
            _percent(one["chosen"]["value"]),
            _percent(one["rejected"]["value"]),
            f"{100 * one['difference']['difference']:+.1f}",
            _interval(one["difference"], signed=True),
            _p(one["difference"]["p_value"]),
            f"{one['difference']['n']:,}",
            f"{one['n_apart']:,}",
            "" if one["with_it"] is None else _percent(one["with_it"]["value"]),
        )
        for one in styles
    ]
    header = ("style", "chosen", "rejected", "change", "95 % interval", "p, adjusted", "n", "apart", "chosen has it")
    console.write_columns(header, rows, right=range(1, len(header)))


def _write_labels(labels: Mapping[str, Any]) -> None:
    if labels["are_hard"]:
        console.write()
        console.write("every label is certain (p_chosen is 1)")
        return
    _write_shares("p_chosen", labels["bins"])
    rows = [("ties", *_bounded(labels["ties"]["rate"])), ("mean p_chosen", *_bounded(labels["p_chosen"]))]
    if labels["intended"] is not None:
        rows.append(("judge prefers the intended side", *_bounded(labels["intended"])))
    console.write()
    console.write_columns(("labels", "mean", *_BOUNDED), rows, right=(1, 2, 3))
    if not labels["principles"]:
        return
    console.write()
    votes = [
        (
            name,
            f"{one['n']:,}",
            _percent(one["share"]["value"]),
            _interval(one["share"]),
            *(("", "") if one["sides"] is None else (_percent(one["sides"]["value"]), _interval(one["sides"]))),
        )
        for name, one in labels["principles"].items()
    ]
    header = ("principle", "votes", "of all", "95 % interval", "sides with the label", "95 % interval")
    console.write_columns(header, votes[:_MOST], right=range(1, 6))
    _write_rest(len(votes))


def _write_shares(heading: str, shares: Mapping[str, Any]) -> None:
    console.write()
    rows = [(name, f"{one['count']:,}", *_bounded(one["rate"])) for name, one in shares.items()]
    console.write_columns((heading, "pairs", "share of pairs", *_BOUNDED), rows[:_MOST], right=(1, 2, 3, 4))
    _write_rest(len(rows))


def _write_rest(n: int) -> None:
    if n > _MOST:
        console.write(f"and {n - _MOST:,} more, in --json")


def _bounded(found: Mapping[str, Any]) -> tuple[str, str, str]:
    groups = "" if found["n_groups"] is None else f" in {found['n_groups']:,} groups"
    return _percent(found["value"]), _interval(found), f"{found['n']:,}{groups}"


def _interval(found: Mapping[str, Any], *, signed: bool = False) -> str:
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return "no interval"
    form = "+.1f" if signed else ".1f"
    return f"{100 * low:{form}} to {100 * high:{form}}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _p(value: float) -> str:
    from charter.reporting import wording

    return wording.p_value(value)
