"""The calls of critique and revision as a plain script makes them: what the alternatives to ``charter.revise`` do.

A chain is a generator: it gives a request, is sent the text that came of it, and gives the next. Whoever drives it
decides how calls are put to a model: one after another, in waves over all rows, or each row in a coroutine. The
requests are those of ``charter.revise`` to the last seed, as long as the texts are the same (a test holds that).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from charter.constitution import load_constitution
from charter.constitution.model import Constitution
from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Sampling,
    Score,
    ScoreRequest,
)
from charter.prompts import load_prompts
from charter.records import Prompt, Trace
from charter.revision import revise
from charter.revision.chain import principle_of_round
from charter.revision.layouts import make_layout
from charter.seeds import derive_seed, row_id

Chain = Generator[CompletionRequest, str, None]
Ask = Callable[[Sequence[CompletionRequest]], list[str]]


@dataclass(frozen=True)
class Task:
    """What every side does: so many revision rounds for each prompt, in the chat layout."""

    prompts: Sequence[Prompt]
    constitution: Constitution
    rounds: int
    n_few_shots: int
    max_tokens: int
    max_critique_tokens: int
    temperature: float = 1.0

    @property
    def n_calls(self) -> int:
        """How many calls one prompt takes."""
        return 1 + 2 * self.rounds

    def chain(self, prompt: Prompt, seed: int) -> Chain:
        """Make one prompt's calls."""
        layout = make_layout("chat", self.constitution, n_few_shots=self.n_few_shots)
        trace = row_id("trace", prompt.id, 0)

        def sampling(purpose: str, max_tokens: int) -> Sampling:
            drawn = derive_seed(seed, trace, purpose)
            return Sampling(temperature=self.temperature, max_tokens=max_tokens, seed=drawn)

        response = (yield layout.initial(prompt, sampling("initial", self.max_tokens))).strip()
        for number in range(1, self.rounds + 1):
            principle = principle_of_round(self.constitution, trace, number, seed)
            drawn = sampling(f"round {number} critique", self.max_critique_tokens)
            critique = (yield layout.critique(prompt, response, principle, drawn)).strip()
            drawn = sampling(f"round {number} revision", self.max_tokens)
            response = (yield layout.revision(prompt, response, principle, critique, drawn)).strip()

    def revise(self, engine: Engine, seed: int) -> tuple[Trace, ...]:
        """Have ``charter.revise`` do it."""
        mapped = revise(
            self.prompts,
            self.constitution,
            engine,
            rounds=self.rounds,
            n_few_shots=self.n_few_shots,
            max_tokens=self.max_tokens,
            max_critique_tokens=self.max_critique_tokens,
            temperature=self.temperature,
            seed=seed,
        )
        if mapped.failed:
            raise RuntimeError(f"rows failed: {mapped.reasons['failed']}")
        return mapped.done


class Counted:
    """An engine whose completions are counted, as it tells of them itself.

    Args:
        engine: the engine that answers.

    Attributes:
        counts: calls, and tokens read and drawn.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.counts = {"n_calls": 0, "n_prompt": 0, "n_drawn": 0}

    @property
    def identity(self) -> str:
        """That of the engine."""
        return self._engine.identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the engine."""
        return self._engine.capabilities

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text, and count it."""
        drawn = await self._engine.complete(request)
        self.counts["n_calls"] += 1
        self.counts["n_prompt"] += drawn.n_prompt_tokens
        self.counts["n_drawn"] += drawn.n_completion_tokens
        return drawn

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Pass on."""
        return await self._engine.choose(request)

    async def score(self, request: ScoreRequest) -> Score:
        """Pass on."""
        return await self._engine.score(request)

    def close(self) -> None:
        """Leave the engine to whoever made it."""


def in_waves(chains: Sequence[Chain], ask: Ask) -> None:
    """Make all first calls, then all second ones, and so on: every row waits for the slowest."""
    requests = [next(chain) for chain in chains]
    while requests:
        texts = ask(requests)
        further = [go_on(chain, text) for chain, text in zip(chains, texts, strict=True)]
        requests = [request for request in further if request is not None]  # of all chains or of none


def go_on(chain: Chain, text: str) -> CompletionRequest | None:
    """Take what came of a chain's request to its next one; None where that was the last."""
    try:
        return chain.send(text)
    except StopIteration:
        return None


def add_flags(parser: ArgumentParser, *, prompts: int = 64) -> None:
    """Add what a task is made of to a command line."""
    parser.add_argument("--prompts", "--n", type=int, default=prompts, help="red-team prompts")
    parser.add_argument("--revision-rounds", type=int, default=4, help="critiques and revisions of each prompt")
    parser.add_argument("--few-shots", type=int, default=4, help="worked examples before each of them")
    parser.add_argument("--max-tokens", type=int, default=48, help="of each response and revision")
    parser.add_argument("--max-critique-tokens", type=int, default=32, help="of each critique")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 draws the likeliest token")


def make_task(given: Namespace) -> Task:
    """Make the task that a command line asks for: the built-in harmless constitution over built-in prompts."""
    return Task(
        prompts=load_prompts("built-in", "red_team", limit=given.prompts).prompts,
        constitution=load_constitution("harmless"),
        rounds=given.revision_rounds,
        n_few_shots=given.few_shots,
        max_tokens=given.max_tokens,
        max_critique_tokens=given.max_critique_tokens,
        temperature=given.temperature,
    )
