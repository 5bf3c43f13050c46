"""What a file calls the principle that a prompt presses on, as the id that a constitution gives it."""

from __future__ import annotations

from functools import cached_property

from charter.constitution import load_constitution
from charter.errors import PromptError
from charter.spelling import hint


class PrincipleNames:
    """Names or positions of principles, and the ids that stand for them.

    Args:
        source: a constitution; empty leaves every name as it is.
        is_indexed: names are positions in its list of principles, counted from 0.

    Raises:
        ConstitutionError: where the constitution cannot be read.
    """

    def __init__(self, source: str = "", *, is_indexed: bool = False) -> None:
        self._source = source
        self._is_indexed = is_indexed
        if source:
            self._constitution = load_constitution(source)

    def id_of(self, name: str, place: str) -> str:
        """Give the id of a principle by its position, or by its id, its name in its source, or its title.

        Raises:
            PromptError: where the constitution has no such principle, naming the row's place.
        """
        if not self._source or not name:
            return name
        found = self._by_position(name) if self._is_indexed else self._by_name.get(name)
        if found is None:
            raise PromptError(f"{place}: {self._source} has no principle {self._problem(name)}")
        return found

    @cached_property
    def _by_name(self) -> dict[str, str]:
        """Every name that is one principle's alone; an id goes before a title."""
        names: dict[str, str] = {}
        for attribute in ("title", "source_id", "id"):
            given = [getattr(one, attribute) for one in self._constitution.principles]
            names |= {
                name: one.id
                for name, one in zip(given, self._constitution.principles, strict=True)
                if name and given.count(name) == 1
            }
        return names

    def _by_position(self, name: str) -> str | None:
        ids = self._constitution.ids
        return ids[int(name)] if name.isascii() and name.isdigit() and int(name) < len(ids) else None

    def _problem(self, name: str) -> str:
        ids = self._constitution.ids
        if self._is_indexed:
            return (
                f"at position {name}: it has {len(ids)}, counted from 0; name the constitution that the prompts are for"
            )
        return f"{name!r}{hint(name, self._by_name)}; mend it, or name the constitution that the prompts are for"
