"""How labels differ, as text and as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.errors import RunError

if TYPE_CHECKING:
    from charter.feedback.differences import Changed, LabelDifference
    from charter.records import Preference, Unlabelled

_PROMPT = 60  # characters of it that are shown
_WHY = {
    "principles": "other principles were asked",
    "judges": "other judges were asked",
    "invalid": "a verdict can be read in one run alone",
    "verdicts": "a judge said otherwise",
    "reading": "it was read in another way (calibrator, clamp)",
    "weights": "votes counted otherwise beside each other",
    "intention": "the pair's intention was weighed in another way (prior, on_disagreement)",
    "tie": "a tie was taken for another side (on_disagreement)",
    "margin": "it counts otherwise in training (min_margin, on_low_margin)",
}


def read_labels(folder: Path, iteration: int = 1) -> list[Preference | Unlabelled]:
    """Read what the judged pairs of a run's iteration came to, with a label or without.

    Raises:
        RunError: where the folder is no run, has no such iteration, or has no labels yet.
    """
    from charter.files.tables import read_table
    from charter.recipe.stages import in_iteration
    from charter.records import Preference, Unlabelled
    from charter.status import read_run_recipe

    n = read_run_recipe(folder).iterations  # which says so where the folder is no run
    if iteration > n:
        raise RunError(f"{folder}: has no iteration {iteration}; expected --iteration {'1' if n == 1 else f'1 to {n}'}")
    labels, without = (
        folder / "data" / f"{in_iteration(name, iteration)}.parquet" for name in ("preferences", "unlabelled")
    )
    # Runs of earlier versions kept no votes on pairs that got no label.
    return [*read_table(labels, Preference), *(read_table(without, Unlabelled) if without.exists() else ())]


def plain_difference(found: LabelDifference) -> dict[str, Any]:
    """Give a difference as plain values."""
    rate, shift = found.flip_rate, found.shift
    return {
        "n_common": len(found.changed),
        "n_flipped": len(found.flips),
        "flip_rate": None if rate is None else asdict(rate),
        "shift": None if shift is None else asdict(shift),
        "by_reason": dict(found.by_reason),
        "by_principle": dict(found.by_principle),
        "only_before": [{"pair": pair, "why": why} for pair, why in found.only_before.items()],
        "only_after": [{"pair": pair, "why": why} for pair, why in found.only_after.items()],
        "changed": [
            {
                "pair": one.before.pair,
                "prompt": one.before.prompt.id,
                "p_before": one.p_before,
                "p_after": one.p_after,
                "flipped": one.flipped,
                "reasons": list(one.reasons),
                "crossed": list(one.crossed),
            }
            for one in found.changed
            if one.reasons or one.flipped
        ],
    }


def write_difference(
    found: LabelDifference, n_rows: int, sides: tuple[str, str] = ("in the first run", "in the second")
) -> None:
    """Print a difference, and its furthest flips; ``sides`` says where the labels are that are compared."""
    from charter.feedback.differences import NOT_THERE

    alone = f"{len(found.only_before):,} only {sides[0]}, {len(found.only_after):,} only {sides[1]}"
    console.write(f"{len(found.changed):,} pairs have a label both {sides[0]} and {sides[1]}, {alone}")
    for side, reasons in zip(sides, (found.only_before, found.only_after), strict=True):
        for reason, n in sorted(Counter(reasons.values()).items()):
            console.write(f"  {n:,} only {side}: {reason}")
    rate, shift = found.flip_rate, found.shift
    if rate is None or shift is None:
        strange = NOT_THERE in {*found.only_before.values(), *found.only_after.values()}
        why = ": of one recipe and seed, pairs have the same ids and texts" if strange else ""
        console.write(f"no label can be compared{why}")
        return
    bounds = "" if rate.low is None or rate.high is None else f" ({100 * rate.low:.1f} to {100 * rate.high:.1f} %)"
    console.write(
        f"flipped: {len(found.flips):,}, {100 * rate.value:.1f} %{bounds}; P(a) moved by {shift.value:.3f} on average"
    )
    for reason, n in found.by_reason.items():
        console.write(f"  {n:,} of them: {_WHY[reason]}")
    if found.by_principle:
        console.write()
        console.write_columns(("principle", "flips in which its vote changed sides"), _counts(found), right=(1,))
    if shown := found.flips[:n_rows]:
        console.write()
        console.write_columns(("pair", "P(a) before", "after", "why", "prompt"), list(map(_row, shown)), right=(1, 2))


def _counts(found: LabelDifference) -> list[tuple[str, str]]:
    return [(name, f"{n:,}") for name, n in found.by_principle.items()]


def _row(one: Changed) -> tuple[str, str, str, str, str]:
    text = " ".join(one.before.prompt.text.split())
    short = text if len(text) <= _PROMPT else f"{text[: _PROMPT - 1]}…"
    return one.before.pair, f"{one.p_before:.3f}", f"{one.p_after:.3f}", ", ".join(one.reasons), short
