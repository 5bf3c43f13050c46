"""What people preferred, read and mixed with the run's own preferences for a training on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.given import load_pairs
from charter.given.matching import draw_rows
from charter.given.preferences import GivenPreferences, preferences_of
from charter.recipe.settings import MixedSettings
from charter.records import PEOPLE, Preference, Prompt
from charter.runs.folder import Run
from charter.stages.prompts import held_out_prompts, read_prompts
from charter.training.helpfulness import Judgements, mix_people


@dataclass(frozen=True)
class Mixed:
    """Preferences to train on and held out ones, and what became of every other: ``n_in`` rows came in."""

    rows: Judgements
    n_in: int
    left_out: Mapping[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """How many were asked for of people, and how many there are on each side."""
        return {
            "asked for of people": self.rows.asked_for,
            "mixed in of people": _n_people(self.rows.train),
            "held out of people": _n_people(self.rows.held_out),
        }


def mix_in_people(run: Run, settings: MixedSettings, ai: tuple[Sequence[Preference], Sequence[Preference]]) -> Mixed:
    """Mix what people preferred, where the recipe says where that is, with the AI's preferences.

    Args:
        run: the run.
        settings: of the training.
        ai: the AI's preferences to train on, and its held out ones.
    """
    people = _people(settings)
    mixed = mix_people(
        ai,
        people.rows,
        asked=_asked(run),
        ratio=settings.helpfulness_ratio,
        held_out_share=run.recipe.label.held_out,
        evaluated=read_prompts(run, "evaluation"),
        near_duplicates=run.recipe.prompts.near_duplicates,
        seed=run.recipe.seed,
    )
    unused = Counter(people.left_out) + Counter(mixed.left_out)
    left_out = {"held out": len(mixed.held_out)} | {f"helpfulness: {reason}": n for reason, n in unused.items()}
    return Mixed(mixed, sum(map(len, ai)) + len(people.rows) + sum(people.left_out.values()), left_out)


def of_the_ai(ai: tuple[Sequence[Preference], Sequence[Preference]]) -> Mixed:
    """Take the AI's preferences alone, those to train on and those held out."""
    train, held_out = ai
    rows = Judgements(tuple(train), tuple(held_out), groups={}, asked_for=0, left_out={})
    return Mixed(rows, len(train) + len(held_out), {"held out": len(held_out)})


def _asked(run: Run) -> tuple[list[Prompt], list[Prompt]]:
    """Give the training prompts that are not held out, and those that are."""
    is_held_out, prompts = held_out_prompts(run), read_prompts(run, "train")
    return [one for one in prompts if not is_held_out[one.id]], [one for one in prompts if is_held_out[one.id]]


def _people(settings: MixedSettings) -> GivenPreferences:
    rows = settings.helpfulness
    if rows is None:
        return GivenPreferences((), {})
    found = preferences_of(load_pairs(rows.source, split=rows.split, kind="helpful"))
    drawn, over = draw_rows(found.rows, rows.limit, rows.seed)
    return GivenPreferences(drawn, dict(Counter(found.left_out) + over))


def _n_people(rows: Sequence[Preference]) -> int:
    return sum(row.source == PEOPLE for row in rows)
