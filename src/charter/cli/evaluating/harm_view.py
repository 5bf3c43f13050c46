"""Scores of harm as plain values, and as people read them: what the regressor is worth first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.evaluating.figure_table import write_figures
from charter.cli.evaluating.harm_scoring import FIGURES, SCORES

if TYPE_CHECKING:
    from charter.cli.evaluating.harm_scoring import Found, Instrument, ScoredReplies, SourceOfReplies
    from charter.evaluation.harm import Regressor

_QUALITY = (
    ("states", "the regressor"),
    ("words", "words alone"),
    ("length", "length alone"),
    ("constant", "one grade for all"),
)


def describe(source: SourceOfReplies, instrument: Instrument, found: Found) -> dict[str, Any]:
    """Give everything that was found, and how, as plain values."""
    judge = instrument.judge
    return {
        "file": source.file,
        "columns": {name.lstrip("-"): value for name, value in source.columns.items()} if source.file else None,
        "models": [one.told() for one in source.models],
        "prompts": None if source.file else source.prompts or "built-in",
        "left_out_prompts": dict(found.left_out_prompts),
        "judge": None if judge is None else {"model": judge.source, "engine": judge.engine},
        "regressor": None if found.regressor is None else _told_regressor(found.regressor),
        "scored": [_figures(one, with_judge=judge is not None) for one in found.scored],
        "measurements": _measurements(source, found),
    }


def _told_regressor(regressor: Regressor) -> dict[str, Any]:
    names = ("model", "identity", "layer", "pooling", "rows")
    return {
        **{name: getattr(regressor, name) for name in names},
        "strength": regressor.line.strength,
        "quality": asdict(regressor.quality),
        "is_better": regressor.quality.is_better,
    }


def _figures(one: ScoredReplies, *, with_judge: bool) -> dict[str, Any]:
    from charter.evaluation.descriptions import count_invalid, mean_option_mass, share_keeping_letter
    from charter.evaluation.harm import assess_scores

    found = assess_scores(one.replies.rows, one.scores, one.replies.grades)
    of_judge = {"option_mass": mean_option_mass(one.scores), "same_letter": share_keeping_letter(one.scores)}
    return {
        "name": one.replies.name,
        "n_replies": len(one.replies.rows),
        "n_graded": len(one.replies.grades),
        **({"mean": None, "grades": {}, "quartiles": [], "with_grades": None} if found is None else asdict(found)),
        **(of_judge if with_judge else {}),
        "left_out": dict(one.replies.left_out),
        "invalid": count_invalid(one.scores),
        "failed": {
            **{f"reply: {reason}": n for reason, n in one.replies.failed.items()},
            **{f"score: {reason}": n for reason, n in one.failed.items()},
        },
    }


def _measurements(source: SourceOfReplies, found: Found) -> list[dict[str, Any]]:
    """Measure the mean score of each model, and how far others are from the first, prompt by prompt."""
    from charter.evaluation.harm import GRADES
    from charter.evaluation.measuring import adjusted, measure

    if not source.models:
        return []
    values = {
        one.replies.name: {one.replies.pairs[row.id]: row.score for row in one.scores if row.score is not None}
        for one in found.scored
    }
    groups = {one.replies.pairs[row.id]: row.group for one in found.scored for row in one.replies.rows}
    base = source.models[0].name
    figures = measure(
        "harm_score",
        values,
        subset="replies",
        base=base,
        unit="score",
        limits=(GRADES[0], GRADES[-1]),
        better="lower",
        rows=SCORES,
        groups=groups,
    )
    return [one.model_dump(mode="json") for one in adjusted(figures)]


def rows_of(found: Found) -> list[dict[str, Any]]:
    """Give every reply with its score."""
    return [row for one in found.scored for row in _rows(one)]


def _rows(one: ScoredReplies) -> Iterator[dict[str, Any]]:
    from charter.evaluation.harm.scores import nearest_grade
    from charter.records import transcript

    scores = {score.id: score for score in one.scores}
    for reply in one.replies.rows:
        score = scores.get(reply.id)
        yield {
            "name": one.replies.name,
            "id": one.replies.pairs[reply.id],
            "prompt": transcript(reply.turns),
            "response": reply.response,
            "score": None if score is None else score.score,
            "grade": None if score is None or score.score is None else nearest_grade(score.score),
            "p": list(score.p) if score is not None and score.p else None,
            "people": one.replies.grades.get(reply.id),
            "invalid": None if score is None else score.invalid or None,
        }


def keep(folder: Path, told: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the figures, and every reply with its score."""
    from charter.files.tables import write_json, write_json_lines

    write_json_lines(folder / SCORES, rows)
    write_json(folder / FIGURES, told)


def write_harm(told: Mapping[str, Any]) -> None:
    """Print what was found; ``told`` is what ``--json`` prints."""
    if told["regressor"] is not None:
        _write_regressor(told["regressor"])
    else:
        console.write(f"judge {told['judge']['model']}")
    for reason, n in told["left_out_prompts"].items():
        console.write(f"prompts left out, {n:,}: {reason}")
    for one in told["scored"]:
        console.write()
        _write_scored(one)
    if told["measurements"]:
        console.write()
        write_figures(told["measurements"])


def _write_regressor(regressor: Mapping[str, Any]) -> None:
    quality = regressor["quality"]
    console.write(
        f"regressor on {regressor['model']}, layer {regressor['layer']}, of {quality['n']:,} graded replies to "
        f"{quality['n_prompts']:,} prompts"
    )
    rows = []
    for name, said in _QUALITY:
        found = quality[name]
        error = found if name == "constant" else found["error"]
        rank = "" if name == "constant" else _bounded(found["rank_correlation"])
        rows.append((said, rank, _bounded(error)))
    console.write_columns(("on prompts that it has not seen", "rank correlation", "mean absolute error"), rows)
    for name, said in (("less_than_words", "words"), ("less_than_constant", "one grade for all")):
        found = quality[name]
        console.write(f"  its error less that of {said}  {_bounded({**found, 'value': found['difference']})}")
    if not regressor["is_better"]:
        console.write("  It is not shown to be better than those: do not go by its scores.")


def _write_scored(one: Mapping[str, Any]) -> None:
    console.write(f"{one['name']}: {one['n_replies']:,} replies")
    if one["mean"] is not None:
        mean = one["mean"]
        groups = "" if mean["n_groups"] is None else f" in {mean['n_groups']:,} groups"
        console.write(f"  harm (0 to 4)  {_bounded(mean)}, n {mean['n']:,}{groups}")
        console.write(f"  least, quartiles, greatest  {', '.join(f'{value:.2f}' for value in one['quartiles'])}")
        rows = [
            (f"  nearest to {grade}", f"{share['count']:,}", _bounded(share["rate"], 100, 1, " %"))
            for grade, share in one["grades"].items()
        ]
        console.write_columns(("  score", "n", "share"), rows, right=(1,))
    if one.get("option_mass") is not None:
        console.write(f"  option mass  {one['option_mass']:.3f}")
    if one.get("same_letter") is not None:
        console.write(f"  the same letter in every order  {100 * one['same_letter']:.1f} %")
    _write_agreement(one)
    for what, reasons in (("left out", one["left_out"]), ("invalid", one["invalid"]), ("failed", one["failed"])):
        for reason, n in reasons.items():
            console.write(f"  {what}, {n:,}: {reason}")


def _write_agreement(one: Mapping[str, Any]) -> None:
    found = one["with_grades"]
    if found is None:
        return
    console.write(f"  against people's grades, n {found['error']['n']:,}")
    console.write(f"    rank correlation     {_bounded(found['rank_correlation'])}")
    console.write(f"    mean absolute error  {_bounded(found['error'])}")
    console.write(f"    mean bias            {_bounded(found['bias'])}")


def _bounded(found: Mapping[str, Any], times: int = 1, digits: int = 2, unit: str = "") -> str:
    """Write a figure with its interval."""
    value, low, high = found["value"], found["low"], found["high"]
    bounds = "" if low is None or high is None else f" ({times * low:.{digits}f} to {times * high:.{digits}f})"
    return f"{times * value:.{digits}f}{unit}{bounds}"
