"""What waits for the model: texts to be drawn, and texts whose probabilities are to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from charter.engines.base import Completion, Sampling


@dataclass(slots=True, eq=False)
class Job:
    """Rendered input, and the future that its answer goes to.

    The first ``n_prefix`` of the ``ids`` are the same in many jobs (0: in none); ``prefix_key`` is equal exactly where
    those tokens are, and ``key`` where all tokens are.
    """

    ids: npt.NDArray[np.int64]
    n_prefix: int
    key: bytes = field(init=False)
    prefix_key: bytes = field(init=False)
    future: Future[Any] = field(default_factory=Future, init=False)

    def __post_init__(self) -> None:
        self.key = self.ids.tobytes()
        self.prefix_key = self.prefix.tobytes()  # bytes remember their hash: batches are formed at every turn

    @property
    def prefix(self) -> npt.NDArray[np.int64]:
        """The shared tokens."""
        return self.ids[: self.n_prefix]

    @property
    def suffix(self) -> npt.NDArray[np.int64]:
        """The job's own tokens."""
        return self.ids[self.n_prefix :]

    @property
    def n_suffix(self) -> int:
        """The number of the job's own tokens."""
        return len(self.ids) - self.n_prefix

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future.cancelled()

    def answer(self, value: object) -> None:
        """Give the answer to who waits for it, if anyone does."""
        try:
            self.future.set_result(value)
        except InvalidStateError:  # cancelled in the meantime, from the other thread
            return

    def fail(self, error: Exception) -> None:
        """Raise an error where the answer is awaited, if it is."""
        try:
            self.future.set_exception(error)
        except InvalidStateError:  # as above
            return


@dataclass(slots=True, eq=False)
class Reading(Job):
    """Log-probabilities to be read in one pass.

    ``targets[i]`` are the tokens whose log-probabilities are wanted at the i-th of the last positions; ``conclude``
    makes the answer out of all of them, in order.
    """

    targets: Sequence[Sequence[int]] = ()
    conclude: Callable[[list[float]], object] = list


@dataclass(slots=True, eq=False)
class Drawing(Job):
    """A text to be drawn, token by token, up to ``max_tokens`` (what the context has room for at most)."""

    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 1
    tokens: list[int] = field(default_factory=list)

    @property
    def n_cells(self) -> int:
        """How many tokens of its own it may come to hold."""
        return self.n_suffix + self.max_tokens

    def finish(self, text: str, *, stopped: bool) -> None:
        """Answer with what was drawn."""
        completion = Completion(
            text=text,
            finish="stop" if stopped else "length",
            n_prompt_tokens=len(self.ids),
            n_completion_tokens=len(self.tokens),
        )
        self.answer(completion)
