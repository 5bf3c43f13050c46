"""``charter label --without``: what a run's labels would be if principles, or judges, had not voted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from charter.cli import console
from charter.cli.label_difference import plain_difference, read_labels, write_difference
from charter.cli.running import run_folder
from charter.errors import RunError, UserError

if TYPE_CHECKING:
    from charter.feedback.influence import Influence
    from charter.recipe import Recipe

_FLIPS_SHOWN = 10


def show_without(
    recipe_file: Path,
    overrides: Sequence[str],
    out: Path | None,
    names: Sequence[str],
    judges: Sequence[str],
    *,
    iteration: int = 1,
    as_json: bool,
) -> None:
    """Print how a run's labels differ from those that the other voters give, and what each of them carries.

    Nothing is asked, and nothing is written. Labels are made as the run made them.

    Raises:
        UserError: for a principle or a judge that voted on no pair.
        RunError: where there is no such run, or the recipe is to make labels otherwise than it did.
    """
    from charter.feedback.differences import compare_labels
    from charter.feedback.influence import influences_on, some_labels
    from charter.feedback.settling import label_without
    from charter.recipe import find_recipe, load_recipe
    from charter.records import OWN_JUDGE, Preference
    from charter.stages.label import settling_of
    from charter.status import read_run_recipe

    given = load_recipe(find_recipe(recipe_file), overrides)
    folder = run_folder(given.name, out)
    if out is None and not folder.exists():
        raise RunError(f"{folder}: there is no run of this recipe; name the folder of the run with --out")
    before, recipe = read_labels(folder, iteration), read_run_recipe(folder)
    _require_same_labelling(given, folder)
    principles = {verdict.principle for one in before for verdict in one.verdicts}
    voted = {verdict.judge or OWN_JUDGE for one in before for verdict in one.verdicts}
    _require_voters("--without", "principle", names, principles)
    _require_voters("--without-judge", "judge", judges, voted)
    settling, left_out = settling_of(recipe), {"" if name == OWN_JUDGE else name for name in judges}
    again = [label_without(one, set(names), settling, judges=left_out) for one in before]
    found = compare_labels(before, again, settlings=(settling, settling))
    every = [one for one in before if isinstance(one, Preference)]
    labels = some_labels(every)
    carried = influences_on(labels, settling, seed=recipe.seed)
    of_judges: Sequence[Influence] = ()
    if len(voted) > 1:
        several = influences_on(labels, settling, "judge", seed=recipe.seed)
        of_judges = [replace(one, principle=one.principle or OWN_JUDGE) for one in several]
    if as_json:
        plain = [
            {"judge" if key == "principle" else key: value for key, value in asdict(one).items()} for one in of_judges
        ]
        told = {"influence": [asdict(one) for one in carried], "influence_of_judges": plain}
        console.write_json({"without": [*names, *judges], **plain_difference(found), **told})
        return
    write_difference(found, _FLIPS_SHOWN, ("with all votes", "without these"))
    if len(labels) < len(every):
        console.write()
        console.write(f"over {len(labels):,} of {len(every):,} labels, drawn by their ids:")
    _write_influence("principle", carried)
    if of_judges:
        _write_influence("judge", of_judges)


def _write_influence(voter: str, several: Sequence[Influence]) -> None:
    console.write()
    console.write_columns(
        (voter, "pairs", "carries", "flips without it", "no label without it"),
        [
            (one.principle, f"{one.n:,}", f"{100 * one.carried:.1f} %", f"{one.turned:,}", f"{one.emptied:,}")
            for one in several
        ],
        right=(1, 2, 3, 4),
    )


def _require_same_labelling(recipe: Recipe, folder: Path) -> None:
    """Refuse a recipe that differs from the run's in how labels are made.

    Raises:
        RunError: naming the keys.
    """
    from charter.runs.recorded_recipe import changed_settings

    changed = [line for line in changed_settings(recipe, folder).splitlines() if line.startswith("  label.")]
    if changed:
        told = "\n".join(changed)
        raise RunError(
            f"{folder}: made its labels otherwise than this recipe would. Changed:\n{told}\n"
            f"Undo the change, or give the recipe that the run has: {folder / 'recipe.resolved.yaml'}"
        )


def _require_voters(option: str, what: str, names: Sequence[str], voters: Collection[str]) -> None:
    from charter.spelling import hint

    for name in names:
        if name not in voters:
            raise UserError(
                f"{option} {name!r}: no such {what} voted on a pair of this run; these did: "
                f"{', '.join(sorted(voters))}{hint(name, sorted(voters))}"
            )
