"""One entry of ``extends``: which constitution is a base, in which versions, and what is taken over of it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from charter.constitution.model import Principle
from charter.records import Record
from charter.spelling import hint


class Extension(Record):
    """A base, and what is taken over of it.

    ``source`` is a built-in name, or a path relative to the file that extends it. ``version`` is a range of semantic
    versions, ``weight`` multiplies the weights. ``only`` and ``without`` name principles by id or category.
    """

    source: str = Field(min_length=1, description="A built-in name, or a path from this file")
    version: str = Field(default="", description="The versions that will do, such as `>=1.2,<2`; any if left out")
    weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False, description="What its weights are multiplied by")
    only: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Ids or categories that alone are taken over; all if left out"
    )
    without: tuple[str, ...] = Field(default=(), description="Ids or categories that are left out")

    def selects(self, principle: Principle) -> bool:
        """Tell whether a principle of the base is taken over."""
        names = {principle.id, principle.category} - {""}
        return (self.only is None or bool(names & set(self.only))) and not names & set(self.without)

    def unknown(self, principles: tuple[Principle, ...]) -> Iterator[tuple[str, int, str]]:
        """Name what is neither an id nor a category of the base: the key, the position there, and why."""
        ids = [one.id for one in principles]
        categories = dict.fromkeys(one.category for one in principles if one.category)
        known = dict.fromkeys((*ids, *categories))
        for key, names in (("only", self.only or ()), ("without", self.without)):
            for position, name in enumerate(names):
                if name not in known:
                    said = f" (categories: {', '.join(categories)})" if categories else ""
                    yield key, position, f'"{name}" is no id or category of the base{said}{hint(name, known)}'
