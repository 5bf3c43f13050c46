"""An engine with no model: every answer follows from the request alone. For tests, examples and dry runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Request,
    Score,
    ScoreRequest,
)
from charter.errors import CapabilityError, EngineError
from charter.seeds import canonical_json, digest

_WORD = re.compile(r"\S+")
_END_TURN = "\n<end of turn>"
_HASH_BITS = 64

_OPENINGS = (
    "In practice", "As a rule", "For most people", "On a quiet day", "With some care", "Over the years", "At first",
    "In my experience", "Before anything else", "When time allows", "To begin with", "In the long run",
)  # fmt: skip
_SUBJECTS = (
    "a patient gardener", "the local library", "a good teacher", "an honest friend", "the morning train",
    "a small workshop", "the harbour office", "a careful cook", "the older bridge", "a travelling musician",
    "the village baker", "a curious student", "the night watch", "a retired engineer",
)  # fmt: skip
_VERBS = (
    "explains", "repairs", "considers", "prepares", "compares", "describes", "measures", "collects", "arranges",
    "questions", "improves", "remembers", "organises", "examines",
)  # fmt: skip
_ADJECTIVES = (
    "useful", "ordinary", "simple", "colourful", "reliable", "unusual", "modest", "practical", "forgotten", "wooden",
    "little", "handsome", "familiar", "delicate",
)  # fmt: skip
_OBJECTS = (
    "maps", "recipes", "letters", "instruments", "questions", "tools", "stories", "plans", "seeds", "records",
    "lessons", "clocks", "sketches", "journeys",
)  # fmt: skip
_NEARBY = ("near", "behind", "beside", "not far from", "on the way to", "at the back of", "across from", "inside")
_PLACES = (
    "market", "river", "station", "orchard", "museum", "square", "lighthouse", "mill", "schoolyard", "theatre",
    "courtyard", "canal",
)  # fmt: skip


class ScriptedEngine:
    """Answer deterministically, with prose that a hash of the request draws, or with a script of your own.

    A request with another seed gets another text (at temperature 0 the seed does not count); tokens are words.

    Args:
        reply: writes the text for a completion in place of the drawn prose; ``max_tokens`` and ``stop`` cut it
            afterwards. It may raise ``EngineError`` to play a failing model.
        preference: gives the options' probabilities, in their order, in place of drawn ones.
        script: the script's name, part of the engine's identity; by default the functions' own names. Name it anew
            when a script's answers change.
        option_mass: the options' summed probability, in (0, 1], where no ``preference`` is given.
        option_spread: the standard deviation of the options' drawn logits, in nats.
        latency_s: how long a call takes, in seconds.

    Attributes:
        n_calls: the calls answered or failed so far, by kind.
        max_in_flight: how many calls were in flight at once, at most.
    """

    def __init__(
        self,
        reply: Callable[[CompletionRequest], str] | None = None,
        *,
        preference: Callable[[ChoiceRequest], Sequence[float]] | None = None,
        script: str | None = None,
        option_mass: float = 0.95,
        option_spread: float = 1.5,
        latency_s: float = 0.0,
    ) -> None:
        if not 0.0 < option_mass <= 1.0:
            raise ValueError(f"option_mass is a probability in (0, 1], not {option_mass}")
        self._reply = reply
        self._preference = preference
        self._script = script if script is not None else _name_script(reply, preference)
        self._option_mass = option_mass
        self._option_spread = option_spread
        self._latency_s = latency_s
        self._n_in_flight = 0
        self._closed = False
        self.n_calls: Counter[str] = Counter()
        self.max_in_flight = 0

    @property
    def identity(self) -> str:
        """The script's name, and the settings that its answers depend on."""
        return f"scripted:{self._script}:mass={self._option_mass}:spread={self._option_spread}"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything."""
        return frozenset(("complete", "choose", "score", "chat", "text", "prefill"))

    async def complete(self, request: CompletionRequest) -> Completion:
        """Write the scripted text, cut at ``max_tokens`` words and before the first stop string."""
        async with self._call("complete"):
            if request.json_schema is not None:
                raise CapabilityError("a script is held to no schema; ask it without")
            text = self._reply(request) if self._reply is not None else draw_prose(_text_seed(self.identity, request))
            cut, is_cut = _first_words(text, request.sampling.max_tokens)
            ends = [found for stop in request.sampling.stop if (found := cut.find(stop)) >= 0]
            kept = cut[: min(ends)] if ends else cut
            return Completion(
                text=kept,
                finish="length" if is_cut and not ends else "stop",
                n_prompt_tokens=_n_shown_words(request),
                n_completion_tokens=_n_words(kept),
            )

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Give each option its scripted or drawn log-probability."""
        async with self._call("choose"):
            logprobs = self._option_logprobs(request)
            return Choice(
                logprobs=logprobs,
                mass=min(1.0, math.fsum(math.exp(value) for value in logprobs)),
                n_prompt_tokens=_n_shown_words(request),
            )

    async def score(self, request: ScoreRequest) -> Score:
        """Add up the words' drawn log-probabilities; a word's depends on all that stands before it."""
        async with self._call("score"):
            hasher = hashlib.sha256(f"{self.identity}\n{_shown(request)}".encode("utf-8", "surrogatepass"))
            words = re.findall(r"\s*\S+|\s+$", request.continuation)
            if request.end_turn:
                words.append(_END_TURN)
            logprobs = []
            for word in words:
                hasher.update(word.encode("utf-8", "surrogatepass"))
                logprobs.append(-math.exp(_standard_normal(hasher.hexdigest())))
            return Score(logprob=math.fsum(logprobs), n_tokens=len(words), n_prompt_tokens=_n_shown_words(request))

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True

    @contextlib.asynccontextmanager
    async def _call(self, kind: str) -> AsyncIterator[None]:
        if self._closed:
            raise EngineError(f"the engine {self.identity!r} is closed; make a new one")
        self.n_calls[kind] += 1
        self._n_in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._n_in_flight)
        try:
            await asyncio.sleep(self._latency_s)
            yield
        finally:
            self._n_in_flight -= 1

    def _option_logprobs(self, request: ChoiceRequest) -> tuple[float, ...]:
        if self._preference is not None:
            return _checked_logprobs(self._preference(request), request.options)
        shown = _shown(request)
        logits = [
            self._option_spread * _standard_normal(digest([self.identity, shown, option])) for option in request.options
        ]
        log_total = math.log(math.fsum(math.exp(logit) for logit in logits))
        return tuple(math.log(self._option_mass) + logit - log_total for logit in logits)


def draw_prose(seed: str) -> str:
    """Write two to five plain sentences, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return " ".join(_sentence(draw) for _ in range(draw.randint(2, 5)))


def _sentence(draw: random.Random) -> str:
    acts = " ".join(draw.choice(words) for words in (_SUBJECTS, _VERBS, _ADJECTIVES, _OBJECTS))
    sentence = f"{acts} {draw.choice(_NEARBY)} the {draw.choice(_ADJECTIVES)} {draw.choice(_PLACES)}"
    if draw.random() < 0.5:
        return f"{draw.choice(_OPENINGS)}, {sentence}."
    return f"{sentence[0].upper()}{sentence[1:]}."


def _name_script(*functions: Callable[..., Any] | None) -> str:
    names = [f"{given.__module__}.{given.__qualname__}" for given in functions if given is not None]
    return "+".join(names) or "prose"


def _text_seed(identity: str, request: CompletionRequest) -> str:
    # max_tokens and stop cut a text and are no part of what determines it: a longer one begins with the shorter.
    sampling = request.sampling
    drawn = [sampling.seed, sampling.temperature, sampling.top_p] if sampling.temperature > 0 else []
    return digest([identity, _shown(request), drawn])


def _shown(request: Request) -> str:
    if request.text is not None:
        return request.text + request.prefill
    turns = ",".join([_write_turn(turn.role, turn.content)[0] for turn in request.messages or ()])
    return f"[{turns}]{request.prefill}"


def _n_shown_words(request: Request) -> int:
    if request.text is not None:
        return _n_words(_shown(request))
    # Between two turns there is no space: the last word of one is the first of the next.
    n_spaces = sum([_write_turn(turn.role, turn.content)[1] for turn in request.messages or ()])
    return n_spaces + _n_words(f"]{request.prefill}")


@lru_cache(maxsize=512)
def _write_turn(role: str, content: str) -> tuple[str, int]:
    # A run's worked examples are in every request.
    written = canonical_json([role, content])
    return written, _n_words(written) - 1


def _first_words(text: str, limit: int) -> tuple[str, bool]:
    if _n_words(text) <= limit:
        return text, False
    ends = [word.end() for word in _WORD.finditer(text)]
    return text[: ends[limit - 1]], True


def _n_words(text: str) -> int:
    return len(text.split())


def _standard_normal(hexadecimal: str) -> float:
    # The middle of the hash's interval is never 0 or 1, where the inverse is infinite.
    share = (int(hexadecimal[: _HASH_BITS // 4], 16) + 0.5) / 2**_HASH_BITS
    return NormalDist().inv_cdf(min(share, 1.0 - 2.0**-53))


def _checked_logprobs(probabilities: Sequence[float], options: tuple[str, ...]) -> tuple[float, ...]:
    legal = len(probabilities) == len(options) and all(value > 0.0 for value in probabilities)
    if not legal or math.fsum(probabilities) > 1.0 + 1e-9:
        raise ValueError(
            f"a preference gives {len(options)} positive probabilities that add up to 1 at most, one for each of "
            f"{options}, not {tuple(probabilities)}"
        )
    return tuple(math.log(value) for value in probabilities)
