"""One stage of a plan, and what all stages are planned from. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from charter.constitution import Constitution
from charter.engines.base import CompletionRequest
from charter.evaluation.adherence import Probes
from charter.planning.rates import Rates
from charter.planning.sizing import Load, Sizer
from charter.recipe import Recipe
from charter.recipe.settings import TrainingSettings
from charter.recipe.stages import policies_of
from charter.records import Pair, Preference, Prompt, PromptKind, Trace

_ANSWER_TOKENS = 420  # of a mean answer without a limit, so that a limit of 256 tokens is used to three quarters
MAX_RENDERED = 200  # prompts of a kind that are rendered; the others are taken to be like them
_REFERENCE = 1 / 3  # of a step on the same tokens: a forward pass alone
_LONGEST = 2.0  # times the mean: about the longest sequence

Kinds = Mapping[PromptKind, Sequence[Prompt]]


def answer_tokens(limit: int) -> float:
    """Estimate the tokens of a mean answer under a limit: short limits are used up, long ones are not.

    Lengths are taken to fall off exponentially. Limits of 24, 40, 48 and 80 tokens were used to 97 % and more.
    """
    return _ANSWER_TOKENS * -math.expm1(-limit / _ANSWER_TOKENS)


@dataclass(frozen=True)
class Training:
    """Tokens that a model is trained on and the optimiser's steps, over all epochs.

    ``scored`` of the tokens bear loss, ``longest`` is about the most of one sequence; ``reference`` tokens are read
    besides: by DPO's reference, or where held-out pairs get their rewards.
    """

    tokens: float = 0.0
    steps: float = 0.0
    reference: float = 0.0
    scored: float = 0.0
    longest: float = 0.0


@dataclass(frozen=True)
class Demand:
    """What a stage asks of a machine: loads by role, rows at once, a training, and loadings of the policy besides."""

    loads: Mapping[str, Load] = field(default_factory=dict)
    at_once: float = 0.0
    training: Training = Training()
    n_loads: int = 0

    @property
    def asked(self) -> tuple[str, ...]:
        """The roles that are asked anything."""
        return tuple(role for role, load in self.loads.items() if load.calls)


@dataclass(frozen=True)
class StagePlan:
    """One stage: rows, calls to models, tokens read, written and trained on, and seconds."""

    stage: str
    rows: int
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trained_tokens: int = 0
    seconds: float = 0.0
    demand: Demand = Demand()

    def to_dict(self) -> dict[str, Any]:
        """Give the counts as JSON holds them."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "demand"}


@dataclass(frozen=True)
class ToWrite:
    """Calls by which prompts of a kind are written: their number, the requests of some, and how each is repaired."""

    n: int
    requests: tuple[CompletionRequest, ...]
    repairs: tuple[CompletionRequest, ...]


@dataclass(frozen=True)
class Brought:
    """What a run has beside prompts that are there: what a user brought, and prompts to write.

    ``people`` are preferences that a training, by its stage's name, may have beside the AI's.
    """

    traces: tuple[Trace, ...] = ()
    pairs: tuple[Pair, ...] = ()
    people: Mapping[str, tuple[Preference, ...]] = field(default_factory=dict)
    probes: tuple[Probes, ...] = ()
    written: tuple[ToWrite, ...] = ()


NOTHING_BROUGHT = Brought()


@dataclass(frozen=True)
class Given:
    """What a plan is made from; ``spreads`` says whether processes share the weights that they train."""

    recipe: Recipe
    constitution: Constitution
    helpful: Constitution
    rates: Mapping[str, Rates]
    sizer: Sizer
    train: Kinds
    held_out: Kinds
    brought: Brought = NOTHING_BROUGHT
    scale: float = 1.0  # of everything that is trained on
    spreads: bool = False

    @property
    def to_revise(self) -> list[Prompt]:
        """Prompts that have no given trace."""
        there = {trace.prompt.id for trace in self.brought.traces}
        return [prompt for prompt in self.train["red_team"] if prompt.id not in there]

    @property
    def n_traces(self) -> int:
        """Traces that the revise stage makes, beside those that were given."""
        return len(self.to_revise) * self.recipe.revise.n_samples

    @property
    def n_models(self) -> int:
        """Models that are evaluated: base, SFT and, where the recipe does them, DPO and RL of every iteration."""
        return 1 + len(policies_of(self.recipe))

    def plain(self, prompts: Sequence[Prompt]) -> float:
        """Tokens of a mean prompt, put as it is."""
        return self.sizer.mean_prompt(prompts[:MAX_RENDERED])

    def training(
        self,
        rows: float,
        tokens: float,
        scored: float,
        settings: TrainingSettings,
        *,
        sides: float = 0.0,
        read: float = 0.0,
    ) -> Training:
        """Sum up a training on so many rows and their tokens, some of which bear loss.

        Args:
            rows: that are trained on.
            tokens: of all rows, once.
            scored: of those, the ones that bear loss.
            settings: epochs, batches, and the longest row that is taken.
            sides: of pairs, the tokens of both sides, each behind a prompt of its own: the rows that memory is to hold.
            read: tokens that are read besides, without being trained on.
        """
        steps = math.ceil(rows * self.scale / (settings.batch_size * settings.accumulation)) * settings.epochs
        passes = settings.epochs * self.scale
        return Training(
            tokens * passes,
            steps,
            read * self.scale,
            scored * passes,
            min(settings.max_length, _LONGEST * (sides / 2 or tokens) / rows) if rows else 0.0,
        )

    def stage(
        self,
        name: str,
        rows: int,
        loads: Mapping[str, Load],
        *,
        training: Training | None = None,
        at_once: int | None = None,
        n_loads: int = 0,
        is_scaled: bool = True,
    ) -> StagePlan:
        """Sum up a stage: its loads on the roles' models, and what the policy is trained on.

        Args:
            name: of the stage.
            rows: that go in.
            loads: by role; each of their models is loaded once.
            training: of the policy, scaled already.
            at_once: rows that can run at once; None for all rows.
            n_loads: how often the policy is loaded besides.
            is_scaled: whether there is more of it where more is trained on.
        """
        if is_scaled:
            rows, at_once = round(rows * self.scale), None if at_once is None else round(at_once * self.scale)
            loads = {role: load.scaled(self.scale) for role, load in loads.items()}
        training = training or Training()
        policy = self.rates["policy"]
        n_trained = training.tokens + training.reference * _REFERENCE
        seconds = n_trained / policy.training + training.steps * policy.step + n_loads * policy.loading
        used = {id(self.rates[role]): self.rates[role] for role, load in loads.items() if load.calls}
        seconds += sum(rates.loading for rates in used.values())
        for role, load in loads.items():
            seconds += self.rates[role].seconds(
                load.prompt_tokens,
                load.completion_tokens,
                n_rows=rows if at_once is None else at_once,
                attended=load.attended,
            )
        return StagePlan(
            name,
            rows,
            calls=round(sum(load.calls for load in loads.values())),
            prompt_tokens=round(sum(load.prompt_tokens for load in loads.values())),
            completion_tokens=round(sum(load.completion_tokens for load in loads.values())),
            trained_tokens=round(training.tokens),
            seconds=seconds,
            demand=Demand(loads, float(rows if at_once is None else at_once), training, n_loads),
        )
