"""Runs side by side: those that differ in their seed alone are one arm, and every arm is held against the first.

Each row of the evaluations, such as a prompt, is paired with itself: an arm's value of a row is the mean of its runs'.
Where all runs are one arm, what is held against each other is the base and the final model of it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import RunError
from charter.evaluation.measuring import RowValues, adjusted, measure
from charter.recipe import Recipe
from charter.recipe.faults import shown
from charter.recipe.secrets import HIDDEN, is_secret
from charter.recipe.writing import flat_settings, recipe_values
from charter.records import Figures, MeasuredRow, Measurement
from charter.statistics import PairedDifference, seed_averaged_difference

#: A figure's name and the rows that it is over.
Figure = tuple[str, str]
_NOT_THE_METHOD = ("name", "seed")  # settings that may differ within an arm


@dataclass(frozen=True)
class MeasuredRun:
    """A run with its evaluation: the models measured, base first, their figures, and the values behind these."""

    folder: Path
    recipe: Recipe
    figures: Figures
    rows: Sequence[MeasuredRow]

    @functools.cached_property
    def by_figure(self) -> dict[tuple[Figure, str], dict[str, MeasuredRow]]:
        """The rows of every figure and model, by their ids."""
        found: dict[tuple[Figure, str], dict[str, MeasuredRow]] = {}
        for row in self.rows:
            found.setdefault(((row.name, row.subset), row.model), {})[row.row] = row
        return found

    @functools.cached_property
    def method(self) -> dict[str, Any]:
        """The settings that runs of one arm share, by their dotted keys."""
        settings = flat_settings(recipe_values(self.recipe))
        return {key: value for key, value in settings.items() if key not in _NOT_THE_METHOD}


@dataclass(frozen=True)
class Arm:
    """Runs of one recipe, and which of their models is looked at."""

    name: str
    model: str
    runs: tuple[MeasuredRun, ...]

    def rows_of(self, figure: Figure) -> list[Mapping[str, MeasuredRow]]:
        """Give a figure's rows, run by run; nothing where one of the runs has none."""
        found = [run.by_figure.get((figure, self.model), {}) for run in self.runs]
        return [dict(one) for one in found] if all(found) else []

    def values_of(self, figure: Figure) -> RowValues:
        """Give the mean over the runs of each row that all of them measured."""
        found = self.rows_of(figure)
        shared = [row for row in found[0] if all(row in one for one in found)] if found else []
        return {row: sum(one[row].value for one in found) / len(found) for row in shared}


@dataclass(frozen=True)
class Contrast:
    """One figure of an arm held against the first arm's, over the rows that both have.

    Attributes:
        before: of the first arm.
        after: of the other, with the paired difference; its ``p_value`` is adjusted for all the tests that are made
            beside it (see ``statistics.holm``).
        per_seed: the difference between each run and the run beside it, where the arms have equally many of them.
        rows: by how much each row differs.
    """

    before: Measurement
    after: Measurement
    per_seed: tuple[float, ...]
    rows: Mapping[str, float]

    @property
    def figure(self) -> Figure:
        """Its name and the rows that it is over."""
        return self.after.name, self.after.subset


@dataclass(frozen=True)
class SideBySide:
    """Arms, each but the first held against the first.

    ``uncompared`` names, for each arm, the figures that it shares no row of with the first arm, and those of which no
    rows are kept, such as calibration errors.
    """

    arms: tuple[Arm, ...]
    contrasts: Mapping[str, tuple[Contrast, ...]]
    uncompared: Mapping[str, tuple[Figure, ...]]

    @property
    def n_tests(self) -> int:
        """How many tests the p-values were adjusted for."""
        return sum(one.after.p_value is not None for several in self.contrasts.values() for one in several)


def arms_of(runs: Sequence[MeasuredRun], model: str | None = None) -> list[Arm]:
    """Put runs into arms, in the order of each arm's first; of a single arm, its base stands before it.

    Args:
        runs: of any recipes.
        model: which model of each is looked at; None takes each run's final one.

    Raises:
        RunError: where a run is named twice, has no such model, or would be held against itself.
    """
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise RunError("the same run is named twice; name each once")
    alike: list[list[MeasuredRun]] = []
    for run in runs:
        of_its_kind = next((arm for arm in alike if arm[0].method == run.method), None)
        alike.append([run]) if of_its_kind is None else of_its_kind.append(run)
    arms = [Arm(name, _model(arm, model), tuple(arm)) for name, arm in zip(_names(alike), alike, strict=True)]
    if len(arms) > 1:
        return arms
    base, (arm,) = runs[0].figures.models[0], arms
    if arm.model == base:
        raise RunError(f"these runs are of one recipe, and {base!r} is what its models are held against; name another")
    return [Arm(base, base, arm.runs), replace(arm, name=arm.model)]


def _names(alike: Sequence[Sequence[MeasuredRun]]) -> list[str]:
    """Call arms by their runs' folders: by whole paths where the last names do not tell them apart."""
    names = [", ".join(run.folder.name for run in arm) for arm in alike]
    return names if len(set(names)) == len(names) else [", ".join(str(run.folder) for run in arm) for arm in alike]


def _model(runs: Sequence[MeasuredRun], wanted: str | None) -> str:
    models = runs[0].figures.models
    if wanted is None:
        return models[-1]
    for run in runs:
        if wanted not in run.figures.models:
            raise RunError(f"{run.folder}: measured no model {wanted!r}; it has {', '.join(run.figures.models)}")
    return wanted


def differing_settings(arms: Sequence[Arm]) -> dict[str, list[str]]:
    """Name the settings in which arms differ, with the value of each arm in turn."""
    settings = [arm.runs[0].method for arm in arms]
    keys = {key: None for one in settings for key in one}
    left_out = tuple(f"{key}." for one in settings for key, value in one.items() if value is None)
    return {
        key: [_value(key, one) for one in settings]
        for key in keys
        if not key.startswith(left_out)  # a section that an arm leaves out is named, and its keys say no more
        and any(one.get(key) != settings[0].get(key) or (key in one) != (key in settings[0]) for one in settings)
    }


def _value(key: str, settings: Mapping[str, Any]) -> str:
    if key not in settings:
        return "set" if any(one.startswith(f"{key}.") for one in settings) else "not set"
    return HIDDEN if is_secret(key) and settings[key] is not None else shown(settings[key])


def compare_arms(arms: Sequence[Arm]) -> SideBySide:
    """Hold every arm against the first, row by row; values and differences are over the rows that both have."""
    first = arms[0]
    figures = [*dict.fromkeys((one.name, one.subset) for one in _own(first))]
    found = {arm.name: [_contrast(figure, first, arm) for figure in figures] for arm in arms[1:]}
    made = {arm: [one for one in several if one is not None] for arm, several in found.items()}
    return SideBySide(
        tuple(arms),
        _adjusted(made),
        {
            arm: tuple(figure for figure, one in zip(figures, several, strict=True) if one is None)
            for arm, several in found.items()
        },
    )


def _adjusted(contrasts: Mapping[str, Sequence[Contrast]]) -> dict[str, tuple[Contrast, ...]]:
    """Adjust the p-values of all arms together."""
    after = iter(adjusted([one.after for several in contrasts.values() for one in several]))
    return {arm: tuple(replace(one, after=next(after)) for one in several) for arm, several in contrasts.items()}


def _own(arm: Arm) -> Iterator[Measurement]:
    return (one for run in arm.runs for one in run.figures.measurements if one.model == arm.model)


def _contrast(figure: Figure, first: Arm, other: Arm) -> Contrast | None:
    before, after = first.values_of(figure), other.values_of(figure)
    shared = [row for row in before if row in after]
    if not shared:
        return None
    like = next(one for one in _own(first) if (one.name, one.subset) == figure)
    groups = _groups(figure, first, shared)
    # a mean of several runs' outcomes is none
    unit = "score" if like.unit == "rate" and max(len(first.runs), len(other.runs)) > 1 else like.unit
    found = measure(
        like.name,
        {arm.name: {row: values[row] for row in shared} for arm, values in ((first, before), (other, after))},
        subset=like.subset,
        base=first.name,
        unit=unit,
        better=like.better,
        rows=like.rows,
        groups=groups,
    )
    ours, theirs = (one.model_copy(update={"unit": like.unit}) for one in found)
    by_seed = _over_seeds(figure, first, other, shared, groups)
    return Contrast(
        ours,
        theirs if by_seed is None else _with(theirs, by_seed),
        per_seed=() if by_seed is None else by_seed.per_seed,
        rows={row: after[row] - before[row] for row in shared},
    )


def _over_seeds(
    figure: Figure, first: Arm, other: Arm, rows: Sequence[str], groups: Mapping[str, str] | None
) -> PairedDifference | None:
    """Average over the seeds, where both arms have several and equally many; else there is nothing to put together."""
    if not 1 < len(first.runs) == len(other.runs):
        return None
    before, after = ([[one[row].value for row in rows] for one in arm.rows_of(figure)] for arm in (first, other))
    return seed_averaged_difference(before, after, groups=None if groups is None else [groups[row] for row in rows])


def _with(measurement: Measurement, found: PairedDifference) -> Measurement:
    return measurement.model_copy(
        update={
            "difference": found.difference,
            "difference_low": found.low,
            "difference_high": found.high,
            "p_value": found.p_value,
            "method": f"paired on {found.n} rows; {found.method}",
        }
    )


def _groups(figure: Figure, arm: Arm, rows: Sequence[str]) -> dict[str, str] | None:
    """Give the groups of rows as an arm's first run has them; None where each row stands for itself."""
    found = arm.rows_of(figure)[0]
    if all(found[row].group is None for row in rows):
        return None
    return {row: found[row].group or row for row in rows}
