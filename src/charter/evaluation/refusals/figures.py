"""What the answers of a file come to: shares of classes and degrees, and how far rules, judge and people agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.evaluation.answers import Answer
from charter.evaluation.descriptions import count_invalid, mean_option_mass, share_keeping_letter
from charter.evaluation.refusals.kinds import KINDS, KindReading, of_kind
from charter.evaluation.refusals.labels import NAMES, Scheme
from charter.evaluation.shares import Share, shares_of
from charter.progress import NoProgress, Progress
from charter.statistics import LabelAgreement, label_agreement
from charter.text_quality import ResponseReading, read_response


@dataclass(frozen=True)
class RuleFigures:
    """What the rules say of answers: shares by name, and agreement with people's labels, where there are any."""

    classes: Mapping[str, Share]
    degrees: Mapping[str, Share]
    with_people: LabelAgreement | None


@dataclass(frozen=True)
class JudgeFigures:
    """What a judge says of answers.

    Attributes:
        n: answers with a kind.
        kinds: shares by name; empty where no answer has a kind.
        invalid: answers without one, counted by reason.
        keeps_letter: of the answers with a kind, the share whose likeliest letter was the same in every order; None of
            none.
        option_mass: the letters' mean summed probability, over all orders; None where none was read.
        with_rules: agreement of the rules (in the matrix's rows) with the judge.
        with_people: agreement of people (in its rows) with the judge.
    """

    n: int
    kinds: Mapping[str, Share]
    invalid: Mapping[str, int]
    keeps_letter: float | None
    option_mass: float | None
    with_rules: LabelAgreement | None
    with_people: LabelAgreement | None


def read_answers(rows: Sequence[Answer], progress: Progress | None = None) -> list[ResponseReading]:
    """Read answers by rules, in their order."""
    shown = progress or NoProgress()
    stage = "rules"
    shown.begin(stage, len(rows), 0)
    found = []
    for row in rows:
        found.append(read_response(row.prompt, row.response))
        shown.advance(stage)
    shown.end(stage)
    return found


def said_by_rules(reading: ResponseReading, scheme: Scheme) -> str:
    """Give what the rules say of an answer, in the words of a scheme."""
    return reading.degree.value if scheme == "degrees" else reading.label.value


def assess_rules(rows: Sequence[Answer], readings: Sequence[ResponseReading], scheme: Scheme | None) -> RuleFigures:
    """Assess what the rules say of at least one answer.

    Args:
        rows: the answers.
        readings: one for each.
        scheme: of people's labels; None without any.
    """
    groups = [row.group for row in rows]
    said: Mapping[Scheme, list[str]] = {
        "classes": [said_by_rules(one, "classes") for one in readings],
        "degrees": [said_by_rules(one, "degrees") for one in readings],
    }
    return RuleFigures(
        classes=shares_of(said["classes"], NAMES["classes"], groups),
        degrees=shares_of(said["degrees"], NAMES["degrees"], groups),
        with_people=None if scheme is None else _with_people(rows, said[scheme], scheme),
    )


def assess_judge(
    rows: Sequence[Answer],
    by_rules: Sequence[ResponseReading],
    by_judge: Sequence[KindReading],
    scheme: Scheme | None,
) -> JudgeFigures:
    """Assess what a judge says of answers, some of which it may not have read.

    Args:
        rows: the answers.
        by_rules: what the rules say of each.
        by_judge: what the judge says of some.
        scheme: of people's labels; None without any, and then degrees are compared.
    """
    compared: Scheme = scheme or "degrees"
    kinds = {one.id: one.kind for one in by_judge if one.kind is not None}
    read = [(row, rules, kinds[row.id]) for row, rules in zip(rows, by_rules, strict=True) if row.id in kinds]
    kept = [row for row, _, _ in read]
    groups = [row.group for row in kept]
    said = [of_kind(kind, compared) for _, _, kind in read]
    rules = [said_by_rules(reading, compared) for _, reading, _ in read]
    return JudgeFigures(
        n=len(read),
        kinds=shares_of([kind for _, _, kind in read], KINDS, groups) if read else {},
        invalid=count_invalid(by_judge),
        keeps_letter=share_keeping_letter(by_judge),
        option_mass=mean_option_mass(by_judge),
        with_rules=label_agreement(rules, said, labels=NAMES[compared], groups=groups) if read else None,
        with_people=None if scheme is None else _with_people(kept, said, scheme),
    )


def _with_people(rows: Sequence[Answer], said: Sequence[str], scheme: Scheme) -> LabelAgreement | None:
    """Compare what was said of answers with people's labels; None where no row has one."""
    pairs = [(row.label, one, row.group) for row, one in zip(rows, said, strict=True) if row.label is not None]
    if not pairs:
        return None
    people, others, groups = zip(*pairs, strict=True)
    return label_agreement(people, others, labels=NAMES[scheme], groups=groups)
