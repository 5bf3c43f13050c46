"""What a run has come to, as text: its stages' counts, and its figures, the worst news first."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.cli import console
from charter.cli.progress import clock_time
from charter.errors import RunError

if TYPE_CHECKING:
    from charter.records import Figures, Measurement
    from charter.reporting.reward_section import Bound


def write_run(folder: Path, stages: Sequence[str], following: str = "") -> None:
    """Print a run's stages, its figures if it has any, what comes next if told, and as the last line its folder."""
    write_stages(folder, stages)
    if "preference_model" in stages and (line := rewards_line(folder)):
        console.write("\n".join(_wrapped(line, console.width(), "  ")))
    if "evaluate" in stages:
        write_measurements(folder)
    if following:
        console.write(f"next: {following}")
    console.write(str(folder))


def write_stages(folder: Path, stages: Sequence[str]) -> None:
    """Print what became of the rows of those stages that are done, and what they cost where that is known."""
    from charter.status import add_money, money_of, read_summaries

    summaries = read_summaries(folder, stages)
    spent = {name: money_of(found) for name, found in summaries.items()}
    total = add_money(spent.values())
    header = ["stage", "rows", "done", "left out", "failed", "time", "tokens read", "from memory"]
    rows = [_stage_cells(name, found) for name, found in summaries.items()]
    if total is not None:
        header, rows = [*header, "money"], [(*row, money_cell(spent[row[0]])) for row in rows]
    console.write_columns(header, rows, right=tuple(range(1, len(header))))
    if total is not None:
        console.write(f"spent on servers: {total:.4g}")
    failed = failed_tries(summaries.values())
    if failed:
        causes = ", ".join(f"{cause} {n:,}" for cause, n in failed.most_common())
        console.write(f"failed tries of calls to servers: {causes}")


def failed_tries(summaries: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Count the tries of calls to servers that failed in stages, by cause, whatever became of the calls."""
    found: Counter[str] = Counter()
    for summary in summaries:
        for used in summary["usage"].values():
            found.update(used.get("failed_tries", {}))
    return found


def money_cell(money: float | None) -> str:
    """Write what was spent, with four figures; nothing where that is not known."""
    return "" if money is None else f"{money:.4g}"


def rewards_line(folder: Path) -> str:
    """Say what a run's preference model is worth on held-out pairs; nothing where that was not measured."""
    from charter.reporting import wording
    from charter.reporting.reward_section import figures_of
    from charter.status import read_summaries

    found = figures_of(read_summaries(folder, ["preference_model"]).get("preference_model", {}).get("held_out"))
    if found is None:
        return ""
    right, length = found.accuracy, found.length_correlation
    spoken = [f"accuracy {_bound(right, 'rate')}"] if right else []
    spoken += [
        f"calibration error {found.ece:.3f}",
        f"Brier score against the labels {_bound(found.brier, 'score')}",
        f"rank correlation of reward and tokens {_bound(length, 'score')}",
    ]
    return plain(f"preference model on {wording.counted(found.n, 'held-out pair')}: {', '.join(spoken)}")


def _bound(bound: Bound, unit: str) -> str:
    from charter.reporting import wording

    return f"{wording.value(bound.value, unit)} ({wording.interval(bound.low, bound.high, unit)})"


def run_json(folder: Path) -> dict[str, Any]:
    """Give what a run has come to as plain values."""
    from charter.recipe.stages import stages_of
    from charter.status import read_run_recipe, read_summaries

    figures = _figures(folder)
    return {
        "run": str(folder),
        "stages": read_summaries(folder, stages_of(read_run_recipe(folder))),
        "measurements": figures.model_dump(mode="json")["measurements"] if figures else [],
    }


def _figures(folder: Path) -> Figures | None:
    """Read a run's figures; there are none before its evaluation.

    Raises:
        RunError: where there are figures that cannot be read.
    """
    from charter.damage import find_damage, read_figures

    damage = find_damage(folder, ["evaluate"])
    if damage:
        raise RunError(str(damage[0]))
    path = folder / "evaluation.json"
    return read_figures(path) if path.exists() else None


def write_measurements(folder: Path) -> None:
    """Print the verdict, what to read it with, and every figure by model with the last one's change: worse first."""
    from charter.reporting import wording
    from charter.reporting.cautions import cautions
    from charter.reporting.reading import read_run
    from charter.reporting.verdict import weigh_run

    figures = _figures(folder)
    if figures is None or not figures.measurements:
        return
    data, (models, measurements) = read_run(folder), (figures.models, figures.measurements)
    findings = weigh_run(data)
    named = [
        (word, change.measurement)
        for word, changes in (
            ("worse", findings.worse),
            ("unclear", findings.unclear),
            ("better", findings.better),
            ("", findings.neutral),
        )
        for change in changes
    ]
    shown = {(one.name, one.subset) for _, one in named}
    rest = {(one.name, one.subset): ("", one) for one in measurements if (one.name, one.subset) not in shown}
    values = {(one.name, one.subset, one.model): one for one in measurements}
    console.write()
    width = console.width()
    care = cautions(data)
    said = ("Read this with care:", *(f"- {line}" for line in care), "") if care else ()
    for line in (findings.headline, *said):
        console.write("\n".join(_wrapped(plain(line), width, "  " if line.startswith("- ") else "")))
    for line in _figure_lines((*named, *rest.values()), models, values, width):
        console.write(line)
    if any(one.name == "drift" for one in measurements):
        console.write("\n".join(_wrapped(f"drift: {wording.DRIFT}", width, "  ")))


def _figure_lines(
    figures: Sequence[tuple[str, Measurement]],
    models: Sequence[str],
    values: Mapping[tuple[str, str, str], Measurement],
    width: int,
) -> list[str]:
    """Lay figures out for a width: a line each with all models, with first and last, or at last two lines each."""
    outer = models if len(models) == 1 else (models[0], models[-1])
    for shown in (models, outer):
        change = f"{models[-1]} - {models[0]}" if len(models) > 1 else ""
        header = ("", "figure", *shown, change, "95 % interval", "n")
        cells = [_figure_cells(word, one, shown, values) for word, one in figures]
        lines = console.columns(header, cells, right=tuple(range(2, 5 + len(shown))))
        if max(map(len, lines)) <= width:
            return lines
    first, *numbers = console.columns(header[2:], [row[2:] for row in cells], right=tuple(range(3 + len(outer))))
    lines = [f"  {first}"]
    for (word, subject, *_), line in zip(cells, numbers, strict=True):
        lines += [*_wrapped(f"{word}: {subject}" if word else subject, width, "  "), f"  {line}"]
    return lines


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]


def _stage_cells(name: str, summary: Mapping[str, Any]) -> tuple[str, ...]:
    left_out, failed = sum(summary["filtered"].values()), sum(summary["failed"].values())
    counts = (summary["n_in"], summary["n_done"], left_out, failed)
    return (name, *(str(count) for count in counts), clock_time(summary["seconds"]), *_prompt_cells(summary))


def _prompt_cells(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Say how many prompt tokens a stage's models were given, and the share that they had in memory already."""
    used = summary["usage"].values()
    n_read = sum(one["n_prompt_tokens"] for one in used)
    n_there = sum(one.get("n_prompt_tokens_from_prefix", 0) for one in used)
    return (f"{n_read:,}", f"{100 * n_there / n_read:.0f} %") if n_read else ("", "")


def _figure_cells(
    word: str, one: Measurement, models: Sequence[str], values: Mapping[tuple[str, str, str], Measurement]
) -> tuple[str, ...]:
    from charter.reporting import wording

    by_model = [values.get((one.name, one.subset, model)) for model in models]
    cells = ["" if found is None else plain(wording.value(found.value, found.unit)) for found in by_model]
    change, interval = "", ""
    if one.difference is not None:
        change = plain(wording.change(one.difference, one.unit))
        interval = plain(wording.change_interval(one.difference_low, one.difference_high, one.unit))
    else:
        interval = plain(wording.interval(one.low, one.high, one.unit))
    return (word, plain(wording.subject(one)), *cells, change, interval, str(one.n))


def size_cell(n: int, n_groups: int | None) -> str:
    """Write how many rows a figure is over, and in how many groups where rows hang together: ``60 in 20``."""
    return f"{n:,}" if n_groups is None else f"{n:,} in {n_groups:,}"


def plain(text: str) -> str:
    """Write a report's typography as a terminal has it: plain spaces, and minus signs as hyphens."""
    return (
        text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", "").replace("\N{MINUS SIGN}", "-")
    )
