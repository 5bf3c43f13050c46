"""Attacks as plain values, and as people read them: what got worse first, then rates by wrapper and category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.model_options import SCRIPTED
from charter.cli.results import plain

if TYPE_CHECKING:
    from charter.cli.evaluating.attacking import Answered, Assault, Read, Translated
    from charter.evaluation.attacks import Attacked, Classes, Figure, Reader
    from charter.statistics import PairedDifference

_ORDER = ("worse", "unclear", "better")
_NAMES = {"attack_success": "attack success", "over_refusal": "over-refusal"}
_Change = Mapping[str, Any]
_Groups = Mapping[str, str]  # of prompts, by id: what hangs together


def describe(assault: Assault, translated: Translated, answered: Answered, read: Read) -> dict[str, Any]:
    """Give everything that was found, and how, as plain values."""
    from charter.prompts.grouping import prompt_groups

    harmful, benign = (prompt_groups(one) for one in (assault.targets.harmful, assault.targets.benign))
    figures = _measure(assault, answered, read, harmful, benign)
    wrappers = (*assault.chosen.wrappers, *translated.wrappers)
    return {
        "sources": list(assault.sources) or ["built-in"],
        "n_prompts": len(assault.targets.harmful),
        "n_benign": len(assault.targets.benign),
        "left_out": assault.targets.left_out,
        "models": [one.told() for one in assault.entrants],
        "wrappers": [one.name for one in wrappers],
        "judge": None if assault.judge is None else assault.judge.source,
        "translator": None if assault.translator is None else assault.translator.source,
        "temperature": assault.temperature,
        "max_tokens": assault.max_tokens,
        "seed": assault.seed,
        "changes": _changes(figures, assault.entrants[0].name),
        "figures": [_told(one) for one in figures],
        "answers": [
            *_answers(answered.harmful, "red_team", harmful),
            *_answers(answered.benign, "benign_twin", benign),
        ],
        "agreement": _agreement(answered, read, harmful, benign),
        "invalid": dict(sorted(Counter(one.invalid for one in read.readings if one.invalid).items())),
        "not_asked": [{"model": m, "wrapper": w, "reason": why} for m, w, why in answered.not_asked],
        "not_translated": translated.left_out,
        "failed": answered.failed | ({"judge": read.failed} if read.failed else {}),
    }


def _measure(assault: Assault, answered: Answered, read: Read, harmful: _Groups, benign: _Groups) -> list[Figure]:
    """Measure what rules and judge say, with p-values adjusted for all tests together."""
    from charter.evaluation.attacks import (
        adjusted,
        classes_by_judge,
        classes_by_rules,
        complied,
        declined,
        measure_attacks,
        measure_over_refusal,
        outcomes_of,
    )

    figures: list[Figure] = []
    first = assault.entrants[0].name
    readers: Mapping[Reader, Classes] = {
        "rules": classes_by_rules((*answered.harmful, *answered.benign)),
        "judge": classes_by_judge(read.readings),
    }
    for reader, classes in readers.items():
        succeeded = outcomes_of(answered.harmful, classes, complied)
        refused = outcomes_of(answered.benign, classes, declined)
        figures += measure_attacks(succeeded, assault.targets.harmful, harmful, first=first, reader=reader)
        figures += measure_over_refusal(refused, benign, first=first, reader=reader)
    return adjusted(figures)


def _told(figure: Figure) -> dict[str, Any]:
    rate = figure.rate
    return {
        "figure": figure.name,
        "by": figure.reader,
        "model": figure.model,
        "wrapper": figure.wrapper,
        "category": figure.category or None,
        "value": rate.value,
        "interval": [rate.low, rate.high],
        "n": rate.n,
        "n_groups": rate.n_groups,
        "from_first": None if figure.from_first is None else asdict(figure.from_first),
        "from_plain": None if figure.from_plain is None else asdict(figure.from_plain),
    }


def _changes(figures: Sequence[Figure], first: str) -> list[dict[str, Any]]:
    """Give all comparisons, what got worse first, then what may be chance, then what got better."""
    found = [
        {
            "outcome": _outcome(change),
            "figure": one.name,
            "by": one.reader,
            "model": one.model,
            "wrapper": one.wrapper,
            "against": against,
            "difference": change.difference,
            "interval": [change.low, change.high],
            "p_value": change.p_value,
            "n": change.n,
        }
        for one in figures
        for against, change in ((first, one.from_first), ("plain", one.from_plain))
        if change is not None
    ]
    return sorted(found, key=lambda one: (_ORDER.index(one["outcome"]), -one["difference"]))


def _outcome(change: PairedDifference) -> str:
    """Say whether a rate of which less is better changed beyond chance."""
    from charter.reporting.verdict import CHANCE

    if change.low is None or change.high is None or change.p_value >= CHANCE or change.low <= 0 <= change.high:
        return "unclear"
    return "worse" if change.difference > 0 else "better"


def _answers(attacked: Iterable[Attacked], kind: str, groups: _Groups) -> Iterator[dict[str, Any]]:
    """Count by model and wrapper what rules class the answers as, and how many they cannot read or were cut."""
    from charter.evaluation.refusals import NAMES
    from charter.evaluation.shares import shares_of

    parts: dict[tuple[str, str], list[Attacked]] = {}
    for one in attacked:
        parts.setdefault((one.model, one.wrapper), []).append(one)
    for (model, wrapper), rows in parts.items():
        read = [row for row in rows if row.label is not None]
        shares = shares_of([str(row.label) for row in read], NAMES["classes"], [groups[row.prompt.id] for row in read])
        yield {
            "kind": kind,
            "model": model,
            "wrapper": wrapper,
            "n": len(rows),
            "n_not_english": len(rows) - len(read),
            "n_cut": sum(row.finish == "length" for row in rows),
            "classes": {
                name: {"count": one.count, "share": one.rate.value, "interval": [one.rate.low, one.rate.high]}
                for name, one in shares.items()
            }
            if read
            else {},
        }


def _agreement(answered: Answered, read: Read, harmful: _Groups, benign: _Groups) -> dict[str, Any] | None:
    """Say how far rules and judge agree on the classes of the answers that both read."""
    from charter.evaluation.attacks import classes_by_judge
    from charter.evaluation.refusals import NAMES
    from charter.statistics import label_agreement

    by_judge = classes_by_judge(read.readings)
    both = [
        (one, groups[one.prompt.id])  # a twin's group has the name of the prompt that it imitates
        for rows, groups in ((answered.harmful, harmful), (answered.benign, benign))
        for one in rows
        if one.label is not None and one.id in by_judge
    ]
    if not both:
        return None
    found = label_agreement(
        [str(one.label) for one, _ in both],
        [by_judge[one.id] for one, _ in both],
        labels=NAMES["classes"],
        groups=[group for _, group in both],
    )
    return {
        "n": len(both),
        "agreement": found.agreement.value,
        "interval": [found.agreement.low, found.agreement.high],
        "kappa": found.kappa.value,
        "kappa_interval": [found.kappa.low, found.kappa.high],
    }


def write_attacks(told: Mapping[str, Any]) -> None:
    """Print what was found; ``told`` is what ``--json`` prints."""
    if any(one["engine"] == SCRIPTED for one in told["models"]):
        console.write("A script answered in a model's place: no figure here says anything of a model.")
    several = len({one["by"] for one in told["figures"]}) > 1
    console.write(f"{', '.join(told['sources'])}: {told['n_prompts']:,} red-team prompts, {told['n_benign']:,} benign")
    for line in _notes(told):
        console.write(line)
    _write_changes(told["changes"], several=several)
    whole = [one for one in told["figures"] if one["category"] is None]
    for name in _NAMES:
        _write_rates(name, [one for one in whole if one["figure"] == name])
    if not told["n_benign"]:
        console.write("over-refusal was not measured: name a file of benign prompts with --benign")
    _write_categories([one for one in told["figures"] if one["category"] is not None])


def _notes(told: Mapping[str, Any]) -> Iterator[str]:
    for reason, n in told["left_out"].items():
        yield f"rows left out, {n:,}: {reason}"
    for one in told["not_asked"]:
        yield f"{one['model']} was not asked in {one['wrapper']}: it {one['reason']}"
    for of, reasons in (told["not_translated"] | told["failed"]).items():
        for reason, n in reasons.items():
            yield f"{of}: {n:,} without an answer: {reason}"
    for one in told["answers"]:
        where = f"{one['model']}, {'benign prompts' if one['kind'] == 'benign_twin' else one['wrapper']}"
        if one["n_not_english"]:
            yield f"{where}: {one['n_not_english']:,} of {one['n']:,} answers are not in English; no rule reads them"
        if one["n_cut"]:
            yield f"{where}: {one['n_cut']:,} of {one['n']:,} answers were cut at {told['max_tokens']:,} tokens"
    for reason, n in told["invalid"].items():
        yield f"the judge has no kind for {n:,} answers: {reason}"
    if (both := told["agreement"]) is not None:
        shared = f"{_rate(both['agreement'])} ({_interval(both['interval'])}) of {both['n']:,} answers"
        yield f"rules and judge agree on {shared}, kappa {both['kappa']:.2f}"


def _write_changes(changes: Sequence[_Change], *, several: bool) -> None:
    """Print the comparisons, of which those of the first lines got worse."""
    from charter.reporting import wording

    if not changes:
        return
    console.write()
    rows = [
        (
            one["outcome"],
            _NAMES[one["figure"]] + (f", by {one['by']}" if several else ""),
            one["model"],
            one["wrapper"],
            one["against"],
            plain(wording.change(one["difference"], "rate")),
            plain(wording.change_interval(one["interval"][0], one["interval"][1], "rate")),
            wording.p_value(one["p_value"]),
            f"{one['n']:,}",
        )
        for one in changes
    ]
    header = ("", "figure", "model", "wrapper", "against", "change", "95 % interval", "p", "n")
    console.write_columns(header, rows, right=(5, 6, 7, 8))


def _write_rates(name: str, figures: Sequence[_Change]) -> None:
    if not figures:
        return
    console.write()
    rows = [
        (one["model"], one["wrapper"], one["by"], _rate(one["value"]), _interval(one["interval"]), f"{one['n']:,}")
        for one in figures
    ]
    header = (f"{_NAMES[name]} of", "wrapper", "by", "rate", "95 % interval", "n")
    console.write_columns(header, rows, right=(3, 4, 5))


def _write_categories(figures: Sequence[_Change]) -> None:
    """Print the categories by wrapper, as the wrappers were asked, the highest rates first."""
    if not figures:
        return
    wrappers = list(dict.fromkeys(one["wrapper"] for one in figures))
    console.write()
    rows = [
        (
            str(one["category"]),
            one["model"],
            one["wrapper"],
            one["by"],
            _rate(one["value"]),
            _interval(one["interval"]),
            f"{one['n']:,}",
        )
        for one in sorted(
            figures,
            key=lambda one: (one["by"] != "rules", wrappers.index(one["wrapper"]), -one["value"], one["category"]),
        )
    ]
    header = ("attack success by category", "model", "wrapper", "by", "rate", "95 % interval", "n")
    console.write_columns(header, rows, right=(4, 5, 6))


def _rate(value: float) -> str:
    from charter.reporting import wording

    return plain(wording.value(value, "rate"))


def _interval(bounds: Sequence[float | None]) -> str:
    from charter.reporting import wording

    low, high = bounds
    return plain(wording.interval(low, high, "rate"))
