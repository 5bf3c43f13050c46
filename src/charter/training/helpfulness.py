"""People's preferences for helpfulness, mixed with those of the AI (CAI §4.1): which are trained on and which held out.

A preference of people is on the side of the run's prompts that its own hangs together with, so that nothing held out is
trained on by another door; where there are none, a hash of its group's name decides, as it does for the AI's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.prompts.grouping import group_of, join_groups
from charter.prompts.near_duplicates import near_links
from charter.records import Preference, Prompt
from charter.seeds import derive_seed

Side = Literal["train", "held out"]

EVALUATED = "its prompt is held out for evaluation"
ON_BOTH_SIDES = "its prompt hangs together with some of both sides"
OVER_THE_RATIO = "over the ratio"


@dataclass(frozen=True)
class Judgements:
    """Preferences to train on and held out ones, the AI's before people's, with the groups that they are of.

    Attributes:
        train: to train on.
        held_out: to measure on.
        groups: the name of each preference's group, by its id.
        asked_for: people's preferences that the ratio asks for among those to train on.
        left_out: people's that are neither, by reason.
    """

    train: tuple[Preference, ...]
    held_out: tuple[Preference, ...]
    groups: Mapping[str, str]
    asked_for: int
    left_out: Mapping[str, int]


def mix_people(
    ai: tuple[Sequence[Preference], Sequence[Preference]],
    people: Sequence[Preference],
    *,
    asked: tuple[Sequence[Prompt], Sequence[Prompt]] = ((), ()),
    ratio: float,
    held_out_share: float,
    evaluated: Sequence[Prompt],
    near_duplicates: float | None,
    seed: int,
) -> Judgements:
    """Mix people's preferences with the AI's at a ratio, on both sides; which of them is drawn by the seed.

    Args:
        ai: the AI's preferences to train on, and its held out ones.
        people: theirs.
        asked: the run's training prompts that trainings on feedback may have, and those that all of them hold out.
        ratio: people's preferences for each of the AI's.
        held_out_share: the share of groups that are held out.
        evaluated: the prompts that are held out for evaluation: none that hangs together with them is taken.
        near_duplicates: the similarity from which prompts hang together; None goes by their writing alone.
        seed: of the run.
    """
    rest = without_evaluated(people, evaluated, near_duplicates)
    every = [*ai[0], *ai[1], *rest]
    prompts = [*(one.prompt for one in every), *asked[0], *asked[1]]
    names = join_groups(prompts, near_links(prompts, near_duplicates))
    groups = {one.id: names[group_of(one.prompt)] for one in every}
    sides: dict[str, set[Side]] = defaultdict(set)
    given: tuple[tuple[Side, Sequence[Preference]], ...] = (("train", ai[0]), ("held out", ai[1]))
    for (side, some), of_side in zip(given, asked, strict=True):
        for prompt in (*(one.prompt for one in some), *of_side):
            sides[names[group_of(prompt)]].add(side)
    left_out = Counter({EVALUATED: len(people) - len(rest)})
    found: dict[Side, list[Preference]] = {"train": [], "held out": []}
    for one in rest:
        name = groups[one.id]
        if len(sides[name]) > 1:
            left_out[ON_BOTH_SIDES] += 1
            continue
        is_held_out = derive_seed(seed, name, "held out") < held_out_share * 2**56
        found[next(iter(sides[name]), "held out" if is_held_out else "train")].append(one)
    drawn = {side: _draw(found[side], round(ratio * len(some)), seed) for side, some in given}
    left_out[OVER_THE_RATIO] = len(rest) - left_out[ON_BOTH_SIDES] - sum(map(len, drawn.values()))
    return Judgements(
        train=(*ai[0], *drawn["train"]),
        held_out=(*ai[1], *drawn["held out"]),
        groups=groups,
        asked_for=round(ratio * len(ai[0])),
        left_out={reason: n for reason, n in left_out.items() if n},
    )


def without_evaluated(
    people: Sequence[Preference], evaluated: Sequence[Prompt], near_duplicates: float | None
) -> list[Preference]:
    """Leave out the preferences whose prompts hang together with prompts that are held out for evaluation."""
    prompts = [*(one.prompt for one in people), *evaluated]
    names = join_groups(prompts, near_links(prompts, near_duplicates))
    held_out = {names[group_of(prompt)] for prompt in evaluated}
    return [one for one in people if names[group_of(one.prompt)] not in held_out]


def _draw(rows: Sequence[Preference], n: int, seed: int) -> list[Preference]:
    """Draw some rows by a hash of the seed, whatever order they came in."""
    return sorted(rows, key=lambda row: (derive_seed(seed, row.id, "helpfulness mixture"), row.id))[:n]
