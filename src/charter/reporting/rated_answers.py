"""Which of a run's answers people rated, and what stands of what they said of these."""

from __future__ import annotations

from charter.errors import UserError
from charter.rating.items import Items, response_items
from charter.rating.records import Rating, standing
from charter.reporting.reading import RunData

_ANSWERS = "data/responses.parquet"


def rated_items(data: RunData) -> Items:
    """Pair the answers of the models that were rated; of all models where those are gone.

    Raises:
        UserError: where there are no two models' answers to one prompt.
    """
    rated = {name for own in data.ratings.values() for one in own for name in (one.model, one.base)}
    there = dict.fromkeys(one.model for one in data.responses)
    names = [name for name in there if name in rated]
    return response_items(data.responses, names if len(names) > 1 else (), source=_ANSWERS)


def standing_ratings(data: RunData) -> tuple[Rating, ...]:
    """Give what stands of everybody's ratings of answers that are still the run's, what was skipped among it."""
    if not data.ratings:
        return ()
    try:
        known = {item.id for item in rated_items(data).items}
    except UserError:  # the section says so
        return ()
    every = (one for own in data.ratings.values() for one in standing(own).values())
    return tuple(one for one in every if one.item in known)
