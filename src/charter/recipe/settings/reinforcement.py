"""Reinforcement learning from AI feedback."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from charter.recipe.settings.section import LIST_TO_TUPLE, Bound, Settings, ShortFor
from charter.recipe.settings.training import LimitSettings, TrainingSettings
from charter.records import PromptKind


class RewardSettings(Settings):
    """The parts of the reward, by weight; 0 leaves one out."""

    preference_model: float = Field(default=1.0, ge=0.0, description="the run's preference model")
    judge: float = Field(
        default=0.0, ge=0.0, description="the judge itself, asked live which answers of a group are better"
    )
    length: float = Field(default=0.0, ge=0.0, description="takes off for tokens beyond `most_tokens`")
    repetition: float = Field(default=0.0, ge=0.0, description="takes off for what is said again")
    boilerplate: float = Field(default=0.0, ge=0.0, description="takes off for stock phrases")
    most_tokens: int = Field(default=96, ge=1, description="of an answer that nothing is taken off for its length")


class RlGuardSettings(LimitSettings):
    """What ends reinforcement learning: degenerate answers, KL, a second judge (see ``training.oversight``)."""

    every: int = Field(
        default=25, ge=1, description="steps between two looks; a checkpoint is written at each that finds nothing"
    )
    n_prompts: int = Field(
        default=8,
        ge=1,
        description="red-team prompts that are answered, and as many others, of those held out; trained ones where "
        "they are too few",
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="where an answer is cut; None cuts where `rl.max_tokens` does"
    )
    length: Annotated[tuple[Bound, Bound], LIST_TO_TUPLE] = Field(
        default=(0.3, 2.0), description="the least and the most of the answers' mean length, as shares of what it was"
    )
    kl: float = Field(
        default=0.5,
        gt=0.0,
        description="the most KL from the first model, per token in nats; not measured where `rl.beta` is 0",
    )
    second_judge: float = Field(
        default=0.15,
        ge=0.0,
        le=0.5,
        description="how far below 0.5 the second judge's mean P(better than before the first step) may be, at the "
        "upper end of its interval, while the reward has risen",
    )


RlGuard = Annotated[RlGuardSettings, ShortFor("every", int)]


class RlSettings(TrainingSettings):
    """Reinforcement learning from AI feedback. It trains on with the adapter of SFT or DPO."""

    method: Literal["grpo", "rloo"] = "grpo"
    start: Literal["sft", "dpo"] = Field(default="sft", description="the model that it begins from, and is held to")
    kinds: tuple[PromptKind, ...] = Field(
        default=("red_team", "helpful"), min_length=1, description="of prompts that are answered"
    )
    n: int | None = Field(
        default=None, ge=1, description="prompts that are answered, drawn by the seed; None takes all"
    )
    rewards: RewardSettings = RewardSettings()
    n_samples: int = Field(default=4, ge=2, description="answers to each prompt, compared with each other")
    beta: float = Field(default=0.05, ge=0.0, description="the weight of KL from the first model; 0 lets it go")
    temperature: float = Field(default=1.0, gt=0.0)
    max_tokens: int = Field(default=128, ge=1)
    n_updates: int = Field(default=1, ge=1, description="optimiser steps on the same answers")
    learn_from_cut: bool = Field(
        default=True, description="whether answers that came to `max_tokens` before their end are learnt from"
    )
    k_principles: int = Field(default=1, ge=1, description="drawn for each comparison of a judge")
    n_meetings: int = Field(
        default=1, ge=1, description="of an answer with those after it in its group, where the judge rewards"
    )
    learning_rate: float = Field(default=1e-5, gt=0.0)
    batch_size: int = Field(default=16, ge=2)
    guard: RlGuard | None = RlGuardSettings()
