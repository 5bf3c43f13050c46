"""``charter label --without``: what a run's labels would be if principles had not voted, from what is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charter.cli import console
from charter.cli.label_difference import plain_difference, read_labels, write_difference
from charter.cli.running import run_folder
from charter.errors import UserError

if TYPE_CHECKING:
    from charter.records import Preference

_FLIPS_SHOWN = 10


def show_without(
    recipe_file: Path, overrides: Sequence[str], out: Path | None, names: Sequence[str], *, as_json: bool
) -> None:
    """Print how a run's labels differ from those that the other principles give, and what each principle carries.

    Nothing is asked, and nothing is written.

    Raises:
        UserError: for a principle that voted on no pair.
    """
    from dataclasses import asdict

    from charter.feedback.differences import compare_labels
    from charter.feedback.influence import influences, votes_on
    from charter.feedback.settling import label_without
    from charter.recipe import find_recipe, load_recipe
    from charter.records import Preference
    from charter.stages.label import settling_of

    recipe = load_recipe(find_recipe(recipe_file), overrides)
    before = read_labels(run_folder(recipe.name, out))
    _require_voters(before, names)
    settling = settling_of(recipe)
    again = [label_without(one, set(names), settling) for one in before]
    found = compare_labels(before, [one for one in again if isinstance(one, Preference)])
    carried = influences({one.pair: votes_on(one) for one in before}, seed=recipe.seed)
    if as_json:
        influence = [asdict(one) for one in carried]
        console.write_json({"without": list(names), **plain_difference(found), "influence": influence})
        return
    write_difference(found, _FLIPS_SHOWN)
    console.write()
    console.write_columns(
        ("principle", "pairs", "carries", "flips without it", "no vote without it"),
        [
            (one.principle, f"{one.n:,}", f"{100 * one.carried:.1f} %", f"{one.turned:,}", f"{one.emptied:,}")
            for one in carried
        ],
        right=(1, 2, 3, 4),
    )


def _require_voters(preferences: Iterable[Preference], names: Sequence[str]) -> None:
    from charter.spelling import hint

    voters = {verdict.principle for one in preferences for verdict in one.verdicts}
    for name in names:
        if name not in voters:
            raise UserError(
                f"--without {name!r}: no such principle voted on a pair of this run; these did: "
                f"{', '.join(sorted(voters))}{hint(name, sorted(voters))}"
            )
