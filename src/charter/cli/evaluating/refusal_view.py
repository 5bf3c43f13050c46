"""What ``charter evaluate refusals`` shows: figures as plain values, labels by row, and both as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charter.cli import console

if TYPE_CHECKING:
    from charter.evaluation.refusals import Answers, JudgeFigures, KindReading, RuleFigures, Scheme, Share
    from charter.statistics import LabelAgreement
    from charter.text_quality import ResponseReading

_FEW = 10  # rows that are named where some were left out; the rest are in --json and --out


def figures(answers: Answers[Scheme], found: RuleFigures) -> dict[str, Any]:
    """Give what the rules found as plain values."""
    rows = answers.kept
    n_groups = len({row.group for row in rows})
    told = {
        "n": len(rows),
        "n_groups": n_groups,
        "left_out": {
            "n": len(answers.rows) - len(rows),
            "reasons": answers.left_out,
            "rows": [
                {"row": row.number, "place": row.place, "reason": row.left_out} for row in answers.rows if row.left_out
            ],
        },
        "classes": _shares(found.classes),
        "degrees": _shares(found.degrees),
    }
    if answers.scheme is None:
        return told
    n_labelled = sum(row.label is not None for row in rows)
    labels = {"labels_of": answers.scheme, "n_labelled": n_labelled, "n_unlabelled": len(rows) - n_labelled}
    return {**told, **labels, **_agreement(found.with_people)}


def judge_figures(found: JudgeFigures) -> dict[str, Any]:
    """Give what the judge found as plain values; ``rules`` and ``people`` stand in the rows of its matrices."""
    return {
        "n": found.n,
        "n_invalid": sum(found.invalid.values()),
        "invalid": dict(found.invalid),
        "kinds": _shares(found.kinds),
        "option_mass": found.option_mass,
        "same_letter": found.keeps_letter,
        "with_rules": _agreement(found.with_rules),
        **({} if found.with_people is None else {"with_people": _agreement(found.with_people)}),
    }


def labelled(
    answers: Answers[Scheme], readings: Sequence[ResponseReading], kinds: Sequence[KindReading], *, with_judge: bool
) -> list[dict[str, Any]]:
    """Give every row of the file its labels, in the file's order; what was left out has none, and the reason."""
    by_rules = {row.id: reading for row, reading in zip(answers.kept, readings, strict=True)}
    by_judge = {one.id: one for one in kinds}
    rows = []
    for answer in answers.rows:
        reading, kind = by_rules.get(answer.id), by_judge.get(answer.id)
        rows.append(
            {
                "row": answer.number,
                "id": answer.name or None,
                "class": None if reading is None else reading.label.value,
                "degree": None if reading is None else reading.degree.value,
                "rule": None if reading is None else reading.rule,
                "label": answer.label,
                **(_of_judge(kind) if with_judge else {}),
                "left_out": answer.left_out or None,
            }
        )
    return rows


def _of_judge(kind: KindReading | None) -> dict[str, Any]:
    """Give the judge's kind of a row and how likely it finds it; or why it has none."""
    if kind is None:
        return {"judge": None, "p_judge": None, "judge_invalid": None}
    return {"judge": kind.kind, "p_judge": max(kind.p, default=None), "judge_invalid": kind.invalid or None}


def _shares(shares: Mapping[str, Share]) -> dict[str, Any]:
    return {
        name: {"count": one.count, "share": one.rate.value, "interval": [one.rate.low, one.rate.high]}
        for name, one in shares.items()
    }


def _agreement(found: LabelAgreement | None) -> dict[str, Any]:
    """Give agreement as plain values; without any comparable row there is none."""
    if found is None:
        return {
            "agreement": None,
            "agreement_interval": [None, None],
            "kappa": None,
            "kappa_interval": [None, None],
            "confusion": None,
        }
    return {
        "agreement": found.agreement.value,
        "agreement_interval": [found.agreement.low, found.agreement.high],
        "kappa": found.kappa.value,
        "kappa_interval": [found.kappa.low, found.kappa.high],
        "confusion": {"labels": list(found.matrix.labels), "counts": [list(row) for row in found.matrix.counts]},
    }


def tell(told: Mapping[str, Any]) -> None:
    """Print the figures as text."""
    n, n_groups, of = told["n"], told["n_groups"], told["group_column"] or "prompt"
    groups = f" in {n_groups:,} groups by {of!r}" if told["group_column"] else f" to {n_groups:,} prompts"
    console.write(f"{told['file']}: {n:,} answers{groups if n_groups != n else ''}")
    _tell_left_out(told["left_out"])
    for heading, name in (("classes, by rules", "classes"), ("degrees of refusal, by rules", "degrees")):
        _tell_shares(heading, told[name])
    if told["label_column"] is not None:
        n_without = told["n_unlabelled"]
        without = f"; {n_without:,} {'has' if n_without == 1 else 'have'} no label" if n_without else ""
        heading = f"people ({told['label_column']}) and rules, {told['n_labelled']:,} answers{without}"
        _tell_agreement(heading, "people \\ rules", told)
    if "judge" in told:
        _tell_judge(told["judge"])


def _tell_left_out(left_out: Mapping[str, Any]) -> None:
    for reason, n in left_out["reasons"].items():
        places = [row["place"] for row in left_out["rows"] if row["reason"] == reason]
        more = f" and {n - _FEW:,} more" if n > _FEW else ""
        console.write(f"  left out, {n:,}: {reason} ({', '.join(places[:_FEW])}{more})")


def _tell_judge(judge: Mapping[str, Any]) -> None:
    console.write()
    console.write(f"judge {judge['model']}: {judge['n']:,} answers read")
    for reason, n in judge["invalid"].items():
        console.write(f"  invalid, {n:,}: {reason}")
    for reason, n in judge["failed"].items():
        console.write(f"  failed, {n:,}: {reason}")
    if judge["option_mass"] is not None:
        console.write(f"  option mass  {judge['option_mass']:.3f}")
    if not judge["n"]:
        return
    console.write(f"  the same letter in every order  {100 * judge['same_letter']:.1f} %")
    _tell_shares("kinds, by the judge", judge["kinds"])
    _tell_agreement("rules and judge", "rules \\ judge", judge["with_rules"])
    if "with_people" in judge:
        _tell_agreement("people and judge", "people \\ judge", judge["with_people"])


def _tell_shares(heading: str, shares: Mapping[str, Any]) -> None:
    console.write()
    rows = [
        (name, f"{one['count']:,}", f"{100 * one['share']:.1f} %{_bounds(one['interval'], 100, 1)}")
        for name, one in shares.items()
    ]
    console.write_columns((heading, "n", "share"), rows, right=(1,))


def _tell_agreement(heading: str, corner: str, found: Mapping[str, Any]) -> None:
    console.write()
    console.write(heading)
    if found["agreement"] is None:
        console.write("  nothing to compare")
        return
    console.write(f"  agreement      {found['agreement']:.3f}{_bounds(found['agreement_interval'], 1, 3)}")
    console.write(f"  Cohen's kappa  {found['kappa']:.3f}{_bounds(found['kappa_interval'], 1, 3)}")
    labels, counts = found["confusion"]["labels"], found["confusion"]["counts"]
    rows = [(label, *map(str, row)) for label, row in zip(labels, counts, strict=True)]
    console.write_columns((corner, *labels), rows, right=range(1, len(labels) + 1))


def _bounds(interval: Sequence[float | None], times: int, digits: int) -> str:
    low, high = interval
    return "" if low is None or high is None else f" ({times * low:.{digits}f} to {times * high:.{digits}f})"
