"""A model that is loaded when it is first asked, and what a journal knows of it before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.errors import EngineError, ModelError, RunError

if TYPE_CHECKING:
    from charter.engines.base import (
        Capability,
        Choice,
        ChoiceRequest,
        Completion,
        CompletionRequest,
        Engine,
        Score,
        ScoreRequest,
    )
    from charter.engines.pool import Counted
    from charter.engines.usage import Usage
    from charter.journal.store import Journal


class Known:
    """What a journal knows of a model that was asked: its identity, and what it can do.

    Args:
        journal: that knows it.
        kept_as: under which name.
        target: the file that the model's answers go into.
    """

    def __init__(self, journal: Journal, kept_as: str, target: Path) -> None:
        self._journal = journal
        self._kept_as = kept_as
        self._target = target
        kept = journal.tally(kept_as)
        self.told: dict[str, Any] | None = None if kept is None else json.loads(kept)

    def meet(self, engine: Engine) -> None:
        """Remember a model, or hold it against what is remembered.

        Raises:
            RunError: where it is another one.
        """
        if self.told is None:
            self.told = {"identity": engine.identity, "capabilities": sorted(engine.capabilities)}
            self._journal.keep_tally(self._kept_as, json.dumps(self.told))
        elif self.told["identity"] != engine.identity:
            raise RunError(
                f"{self._target}: was begun with another model of this name ({self.told['identity']}, and it is "
                f"{engine.identity} now); name another folder, or remove {self._journal.path.name} to begin anew"
            )


class LateEngine:
    """An engine that is made when it is first asked something; what is known of it needs no asking.

    Args:
        make: makes the engine.
        close: closes one that was made.
        known: of the model, before it is made; None where nothing is to be remembered.
    """

    def __init__(
        self, make: Callable[[], Counted], close: Callable[[Engine], None], known: Known | None = None
    ) -> None:
        self._make = make
        self._close = close
        self._made: Counted | None = None
        self._known = known
        self._since = 0.0

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            try:
                self._made = self._make()
            except EngineError as error:  # of a row it would be one failure of many, and the next row would try again
                raise ModelError(str(error)) from error
            self._since = time.monotonic()
            if self._known is not None:
                self._known.meet(self._made)
        return self._made

    @property
    def identity(self) -> str:
        """The model's own; it is loaded where it is not remembered."""
        told = self._known.told if self._known and self._made is None else None
        return self._engine.identity if told is None else str(told["identity"])

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The model's own; it is loaded where they are not remembered."""
        told = self._known.told if self._known and self._made is None else None
        return self._engine.capabilities if told is None else frozenset(told["capabilities"])

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text."""
        return await self._engine.complete(request)

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities."""
        return await self._engine.choose(request)

    async def score(self, request: ScoreRequest) -> Score:
        """Read a continuation's log-probability."""
        return await self._engine.score(request)

    def usage(self) -> Usage:
        """Tell what was asked so far."""
        from charter.engines.usage import Usage

        return Usage() if self._made is None else self._made.usage

    def seconds(self) -> float:
        """Tell how long the model is there."""
        return 0.0 if self._made is None else time.monotonic() - self._since

    def close(self) -> None:
        """Close the engine, where it was made."""
        if self._made is not None:
            self._close(self._made)
