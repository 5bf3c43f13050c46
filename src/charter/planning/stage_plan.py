"""One stage of a plan, and what all stages are planned from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.constitution import Constitution
from charter.planning.rates import Rates
from charter.planning.sizing import Load, Sizer
from charter.recipe import Recipe
from charter.records import Prompt, PromptKind

FILL = 0.75  # the share of its token limit that an answer is taken to use
MAX_RENDERED = 200  # prompts of a kind that are rendered; the others are taken to be like them
N_MODELS = 3  # that are evaluated: base, SFT, DPO

Kinds = Mapping[PromptKind, Sequence[Prompt]]


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


@dataclass(frozen=True)
class Given:
    """What a plan is made from."""

    recipe: Recipe
    constitution: Constitution
    helpful: Constitution
    rates: Mapping[str, Rates]
    sizer: Sizer
    train: Kinds
    held_out: Kinds

    @property
    def n_traces(self) -> int:
        """Traces that the revise stage makes."""
        return len(self.train["red_team"]) * self.recipe.revise.n_samples

    def plain(self, prompts: Sequence[Prompt]) -> float:
        """Tokens of a mean prompt, put as it is."""
        return self.sizer.mean_prompt(prompts[:MAX_RENDERED])

    def stage(self, name: str, rows: int, loads: Mapping[str, Load], *, trained: float = 0.0) -> StagePlan:
        """Sum up a stage: its loads on the roles' models, and the tokens that the policy is trained on."""
        seconds = trained / self.rates["policy"].training
        for role, load in loads.items():
            rates = self.rates[role]
            seconds += rates.seconds(load.prompt_tokens, load.completion_tokens, n_rows=rows)
        return StagePlan(
            name,
            rows,
            calls=round(sum(load.calls for load in loads.values())),
            prompt_tokens=round(sum(load.prompt_tokens for load in loads.values())),
            completion_tokens=round(sum(load.completion_tokens for load in loads.values())),
            trained_tokens=round(trained),
            seconds=seconds,
        )
