"""What lm-eval asks of a model, as rows put to an engine: how likely texts are, and texts drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.engines.base import CompletionRequest, Engine, Sampling, Score, ScoreRequest
from charter.errors import CapabilityError, EngineError, RunError, Unreachable
from charter.records import Record
from charter.seeds import derive_seed, row_id

_SHORTEST = 400  # characters: what is refused below this is not refused for its length
_DRAWN_BY = frozenset({"until", "max_gen_toks", "do_sample", "temperature", "top_p"})


@dataclass(frozen=True)
class Continuation:
    """A text and what may come behind it; ``wants_greedy`` asks whether it is what the model itself would go on with.

    Blanks at the end of the text are the continuation's, as in lm-eval: they are the beginning of its first word.
    """

    text: str
    continuation: str
    wants_greedy: bool = False

    @property
    def id(self) -> str:
        """What determines the answer."""
        return row_id("continuation", self.text, self.continuation, self.wants_greedy)

    @property
    def request(self) -> ScoreRequest:
        """What an engine is asked."""
        text = self.text.rstrip()
        return ScoreRequest(text=text, continuation=self.text[len(text) :] + self.continuation)


@dataclass(frozen=True)
class Passage:
    """A text that is scored from its beginning."""

    text: str

    @property
    def id(self) -> str:
        """What determines the answer."""
        return row_id("passage", self.text)


@dataclass(frozen=True)
class Opening:
    """A text that the model goes on with; ``number`` tells apart those that are drawn several times."""

    text: str
    sampling: Sampling
    number: int = 0

    @property
    def id(self) -> str:
        """What determines the answer."""
        return row_id("opening", self.text, self.sampling.model_dump(mode="json", exclude={"seed"}), self.number)


class Likelihood(Record):
    """How likely a text is; ``is_greedy`` is None where nobody asked."""

    id: str
    logprob: float
    n_tokens: int
    is_greedy: bool | None = None


class Drawn(Record):
    """A text that was drawn."""

    id: str
    text: str


async def score_one(row: Continuation, engine: Engine) -> Likelihood:
    """Score a continuation; it is greedy where as many likeliest tokens say the same."""
    request = row.request
    score = await engine.score(request)
    is_greedy = None
    if row.wants_greedy:
        sampling = Sampling(max_tokens=max(score.n_tokens, 1), temperature=0)
        drawn = await engine.complete(CompletionRequest(text=request.text, sampling=sampling))
        is_greedy = drawn.text == request.continuation
    return Likelihood(id=row.id, logprob=score.logprob, n_tokens=score.n_tokens, is_greedy=is_greedy)


async def score_passage_one(row: Passage, engine: Engine) -> Likelihood:
    """Score a text from its beginning, in pieces where it is longer than the model reads."""
    scores = await _score_pieces("", row.text, engine)
    return Likelihood(
        id=row.id, logprob=sum(one.logprob for one in scores), n_tokens=sum(one.n_tokens for one in scores)
    )


async def _score_pieces(before: str, text: str, engine: Engine) -> list[Score]:
    """Score a text, or its halves where it is refused: the second half behind the last word of the first."""
    try:
        return [await engine.score(ScoreRequest(text=before, continuation=text))]
    except (CapabilityError, Unreachable):
        raise
    except EngineError:
        cut = text.rfind(" ", 0, len(text) // 2)
        if len(text) < _SHORTEST or cut <= 0:
            raise
    last_word = text[:cut].split()[-1:]
    return [
        *await _score_pieces(before, text[:cut], engine),
        *await _score_pieces("".join(last_word), text[cut:], engine),
    ]


async def draw_one(row: Opening, engine: Engine, *, seed: int) -> Drawn:
    """Draw what comes behind a text, up to where a task has it stop."""
    sampling = row.sampling.model_copy(update={"seed": derive_seed(seed, row.id, "lm-eval")})
    completion = await engine.complete(CompletionRequest(text=row.text, sampling=sampling))
    return Drawn(id=row.id, text=completion.text)


def read_sampling(asked: dict[str, Any]) -> Sampling:
    """Read how lm-eval has a text drawn, from its normalised keywords.

    Raises:
        RunError: for a way of drawing that engines do not know.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if unknown := sorted(given.keys() - _DRAWN_BY):
        raise RunError(
            f"a task draws texts with {unknown[0]}={given[unknown[0]]!r}; expected "
            f"{', '.join(sorted(_DRAWN_BY))}: leave the task out, or include one without it"
        )
    return Sampling(
        max_tokens=given["max_gen_toks"],
        temperature=given.get("temperature", 1.0) if given.get("do_sample") else 0.0,
        top_p=given.get("top_p", 1.0),
        stop=tuple(one for one in given.get("until", ()) if one),
    )
