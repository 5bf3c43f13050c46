"""An engine that stands for a model where none may be asked."""

from __future__ import annotations

from typing import NoReturn

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Score,
    ScoreRequest,
)
from charter.errors import EngineError

#: What the identity of a model begins with that stands in for one where only records count.
UNASKED = "unasked:"


class Unasked:
    """An engine that tells of a model, and refuses to be asked.

    Args:
        identity: what it says of itself.
        capabilities: what the model could do.
        where: what the refusal says of the place, such as ``where only records count``.
    """

    def __init__(self, identity: str, capabilities: frozenset[Capability], where: str) -> None:
        self.identity = identity
        self.capabilities = capabilities
        self._where = where

    async def complete(self, request: CompletionRequest) -> Completion:
        """Refuse."""
        self._refuse(request)

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Refuse."""
        self._refuse(request)

    async def score(self, request: ScoreRequest) -> Score:
        """Refuse."""
        self._refuse(request)

    def close(self) -> None:
        """There is nothing to close."""

    def _refuse(self, request: object) -> NoReturn:
        raise EngineError(f"{self.identity} was asked ({type(request).__name__}) {self._where}")
