"""An engine lent to lm-eval: a model object of its own interface, whose requests are rows of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from charter.engines.base import Engine
from charter.errors import RunError
from charter.evaluation.lm_eval_tasks.asking import (
    Continuation,
    Drawn,
    Likelihood,
    Opening,
    Passage,
    draw_one,
    read_sampling,
    score_one,
    score_passage_one,
)
from charter.rows import RowMapper

RowT = TypeVar("RowT", Continuation, Passage, Opening)
AnswerT = TypeVar("AnswerT", Likelihood, Drawn)

_LONGEST = 256  # tokens of a drawn text where the task says nothing: lm-eval's own default


@dataclass(frozen=True)
class Lent:
    """A model lent to lm-eval.

    Attributes:
        model: its name.
        engine: that is asked.
        mapper: maps requests, so that they are journaled and gone on from.
        seed: of texts that are drawn.
        greedy_tasks: the tasks that ask whether a text is what the model itself would say, which takes a call more.
    """

    model: str
    engine: Engine
    mapper: RowMapper
    seed: int = 0
    greedy_tasks: Collection[str] = ()

    def score(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Answer lm-eval's ``loglikelihood``."""
        rows = [
            Continuation(text, continuation, one.task_name in self.greedy_tasks)
            for one in requests
            for text, continuation in [one.args]
        ]
        found = self._map(lambda row: score_one(row, self.engine), rows, Likelihood)
        return [(one.logprob, bool(one.is_greedy)) for one in found]

    def score_passages(self, requests: Sequence[Any]) -> list[float]:
        """Answer lm-eval's ``loglikelihood_rolling``."""
        rows = [Passage(*one.args) for one in requests]
        found = self._map(lambda row: score_passage_one(row, self.engine), rows, Likelihood)
        return [one.logprob for one in found]

    def draw(self, requests: Sequence[Any]) -> list[str]:
        """Answer lm-eval's ``generate_until``."""
        from lm_eval.models.utils import normalize_gen_kwargs

        seen: Counter[str] = Counter()
        rows = []
        for one in requests:
            text, asked = one.args
            row = Opening(text, read_sampling(dict(normalize_gen_kwargs(asked, _LONGEST))))
            if row.sampling.temperature:
                seen[row.id] += 1
                row = Opening(row.text, row.sampling, seen[row.id])
            rows.append(row)
        return [one.text for one in self._map(lambda row: draw_one(row, self.engine, seed=self.seed), rows, Drawn)]

    def _map(
        self, fn: Callable[[RowT], Awaitable[AnswerT]], rows: Sequence[RowT], result: type[AnswerT]
    ) -> list[AnswerT]:
        """Answer every row, equal ones once.

        Raises:
            RunError: where one could not be answered: lm-eval has no figure over some of the answers.
        """
        ids = [row.id for row in rows]
        mapped = self.mapper(
            fn, list(dict(zip(ids, rows, strict=True)).values()), f"evaluate/lm-eval/{self.model}", result=result
        )
        if mapped.failed:
            reason = next(iter(mapped.failed.values()))
            raise RunError(
                f"{self.model}: {len(mapped.failed):,} of {mapped.n_in:,} requests of lm-eval failed ({reason}), and a "
                "task is only told whole; ask for fewer --few-shots where texts are too long, or run the same command "
                "again, which asks these alone where --out is given"
            )
        answers = {one.id: one for one in mapped.done}
        return [answers[one] for one in ids]


def as_lm(lent: Lent) -> Any:
    """Make the object that lm-eval takes for a model."""
    from lm_eval.api.model import LM

    class LentLM(LM):  # type: ignore[misc] # lm-eval takes what inherits from its class, and nothing else
        """A model of lm-eval's interface, whose answers are an engine's."""

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return lent.score(requests)

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            return lent.score_passages(requests)

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            return lent.draw(requests)

    return LentLM()
