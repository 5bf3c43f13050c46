"""Preferences whose data is checked: a run's, or those of a file, with what was left out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from charter.errors import PromptError
from charter.given.loaded import LoadedPairs
from charter.given.preferences import preferences_of
from charter.prompts.grouping import prompt_groups
from charter.records import Preference, Unlabelled


@dataclass(frozen=True)
class PreferenceData:
    """Preferences, and what is known of where they come from.

    Attributes:
        rows: one at least, chosen and rejected told apart.
        groups: of each row, the name of what its prompt shares with others.
        source: the file or the run.
        layout: how the file was understood; ``run`` of a run's.
        left_out: how many other rows there were, by reason.
        places: where rows stand in their file, by row id; empty of a run.
    """

    rows: tuple[Preference, ...]
    groups: tuple[str, ...]
    source: str
    layout: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


def data_of_pairs(loaded: LoadedPairs) -> PreferenceData:
    """Take the pairs of a file that say which side is better.

    Raises:
        PromptError: where none does.
    """
    found = preferences_of(loaded)
    places = {row.id: loaded.places[row.pair] for row in found.rows}
    return _data(found.rows, loaded.source, loaded.layout, found.left_out, places)


def data_of_labels(labels: Sequence[Preference | Unlabelled], source: str) -> PreferenceData:
    """Take the labelled pairs of a run; those without a label are counted by why they have none.

    Raises:
        PromptError: where none has a label.
    """
    rows = tuple(one for one in labels if isinstance(one, Preference))
    left_out = Counter(one.reason for one in labels if isinstance(one, Unlabelled))
    return _data(rows, source, "run", dict(left_out), {})


def _data(
    rows: tuple[Preference, ...], source: str, layout: str, left_out: Mapping[str, int], places: Mapping[str, str]
) -> PreferenceData:
    if not rows:
        told = ", ".join(f"{n:,}: {reason}" for reason, n in left_out.items())
        raise PromptError(f"{source}: no pair says which answer is better{f' ({told})' if told else ''}")
    names = prompt_groups(row.prompt for row in rows)
    return PreferenceData(rows, tuple(names[row.prompt.id] for row in rows), source, layout, left_out, places)
