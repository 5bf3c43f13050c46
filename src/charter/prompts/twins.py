"""Whether benign twins know the red-team prompts that they imitate: a twin that does not may cross the split."""

from __future__ import annotations

from collections.abc import Mapping

from charter.errors import PromptError
from charter.prompts.sources import LoadedPrompts
from charter.records import BUILT_IN, PromptKind
from charter.spelling import hint

_IDS_SHOWN = 3


def check_twins(loaded: Mapping[PromptKind, LoadedPrompts]) -> None:
    """Check that every ``twin_of`` names a red-team prompt of the source that the run reads.

    One that ``where``, ``limit`` or an equal text left out may be named. Built-in twins beside red-team prompts of
    another source are a set of their own, and imitate none of them. Links that a layout found are sound by themselves.

    Raises:
        PromptError: naming the twin's place, the id and the remedy.
    """
    red_team, twins = loaded.get("red_team"), loaded.get("benign_twin")
    if red_team is None or twins is None or (twins.source == BUILT_IN != red_team.source):
        return
    if twins.links_within:
        return
    there = red_team.given_ids | {prompt.id for prompt in red_team.prompts}
    lost = [twin for twin in twins.prompts if twin.twin_of is not None and twin.twin_of not in there]
    if lost:
        place = twins.places.get(lost[0].id, f"{twins.source}: {lost[0].id}")
        others = f" (as in {len(lost) - 1} more rows)" if len(lost) > 1 else ""
        raise PromptError(
            f"{place}: twin_of is {lost[0].twin_of!r}, which is the id of no prompt in {red_team.source}{others}; "
            f"{_remedy(str(lost[0].twin_of), red_team)}"
        )


def _remedy(lost: str, red_team: LoadedPrompts) -> str:
    if not red_team.given_ids and "id" in red_team.columns:
        return (
            "its column 'id' was not taken unasked, because a row has none, or an id occurs twice or in another kind's "
            "source: set prompts.red_team.id_column to 'id', or to another column that holds the ids"
        )
    if not red_team.given_ids:
        columns = ", ".join(red_team.columns)
        return (
            "it gives no ids in a column 'id': set prompts.red_team.id_column to the one that holds the ids (its "
            f"columns are {columns}), or take twin_of out, and the twins are split on their own"
        )
    ids = sorted(red_team.given_ids)
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    there = f"its ids are {', '.join(map(repr, ids[:_IDS_SHOWN]))}{more}"
    return f"{there}{hint(lost, ids)}; mend twin_of, or name the column of other ids with prompts.red_team.id_column"


def describe_unlinked(twins: LoadedPrompts) -> str:
    """Say of twins that name no red-team prompt what becomes of them; nothing where all name one."""
    n_without = sum(twin.twin_of is None for twin in twins.prompts)
    if not n_without:
        return ""
    of = "no row has" if n_without == len(twins.prompts) else f"{n_without} of {len(twins.prompts)} rows have no"
    return (
        f"{twins.source}: {of} 'twin_of': such twins are split on their own, so that one may be trained on while the "
        "red-team prompt that it imitates is held out; add a column 'twin_of' with that prompt's id"
    )
