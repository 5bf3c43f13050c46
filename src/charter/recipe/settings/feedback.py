"""Revisions, pairs and labels: what AI feedback is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from charter.constitution.model import FewShotChoice
from charter.recipe.settings.models import Model
from charter.recipe.settings.prompts import Given
from charter.recipe.settings.section import Cutting, Settings, Share, ShortFor
from charter.records import AnyPairSource, PairSource, PromptKind, ResponseLabel


class ReviseSettings(Settings):
    """Critique and revision (CAI §3.1)."""

    rounds: int = Field(default=2, ge=1, le=8)
    layout: Literal["chat", "transcript"] = "chat"
    initial_layout: Literal["chat", "transcript"] | None = Field(
        default=None, description="of the initial response; None takes the layout of the rounds"
    )
    few_shots: FewShotChoice = Field(
        default="all", description="all worked examples, or those whose revision changed the response"
    )
    n_few_shots: int | None = Field(default=None, ge=0, description="worked examples shown; None shows all")
    critique: bool = Field(
        default=True,
        description="write a critique before each revision; without, the response is revised at once (CAI §3.5)",
    )
    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=256, ge=1)
    max_critique_tokens: int = Field(default=128, ge=1)
    on_cut: Cutting = "flag"
    n_samples: int = Field(
        default=1, ge=0, description="chains per prompt that has no given one, each from its own seed; 0 makes none"
    )
    check: bool = Field(
        default=False, description="let the judge say of every revision whether it is better than what it replaced"
    )
    given: Given | None = Field(default=None, description="revisions that are taken as they are")


class PairSettings(Settings):
    """Pairs by kind of prompt: shares of each source add up to 1 within a kind."""

    n: int = Field(default=400, ge=0, description="pairs that are made, over all kinds; 0 makes none")
    given: Given | None = Field(default=None, description="pairs that are judged beside those that are made")
    balance_lengths: Literal["drop", "trim"] | None = Field(
        default=None, description="take the length confound out of given pairs: leave pairs out, or shorten answers"
    )
    kinds: dict[PromptKind, Share] = Field(default={"red_team": 0.5, "benign_twin": 0.25, "helpful": 0.25})
    sources: dict[PromptKind, dict[PairSource, Share]] = Field(
        default={
            "red_team": {"guided_vs_plain": 0.5, "revision_vs_initial": 0.25, "on_policy": 0.25},
            "benign_twin": {"on_policy": 1.0},
            "helpful": {"on_policy": 1.0},
        }
    )
    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=256, ge=1)
    on_cut: Cutting = "flag"
    intended_classes: tuple[ResponseLabel, ...] | None = Field(
        default=None,
        min_length=1,
        description="on red-team prompts, classes that an intended side must be of; None takes all",
    )
    n_tries: int = Field(default=4, ge=2, le=64, description="the most samples drawn for one pair of 'contrast'")
    few_shots: FewShotChoice = Field(default="all", description="which worked examples the guided side is shown")
    guided_by: Literal["sft", "base"] = Field(default="sft", description="the model that answers with the constitution")


class JudgeSettings(Settings):
    """A judge beside ``models.judge``."""

    model: Model = Field(description="who judges")
    weight: float = Field(default=1.0, gt=0.0, description="of its votes; those of `models.judge` weigh 1")
    calibrator: str | None = Field(default=None, description="the file of its own calibrator")


class LabelSettings(Settings):
    """AI feedback: soft labels from both orders and k principles (CAI §4.1)."""

    k_principles: int = Field(default=2, ge=1)
    n_few_shots: int | None = Field(default=None, ge=0)
    min_option_mass: Share = 0.5
    chains: int = Field(default=0, ge=0, description="chains of thought per verdict; 0 asks for the letter at once")
    clamp: tuple[Share, Share] = (0.4, 0.6)
    max_chain_tokens: int = Field(default=160, ge=1)
    calibrator: str | None = Field(
        default=None, description="a file that 'charter audit' wrote: the judge's temperature and bias to an option"
    )
    judges: dict[str, Annotated[JudgeSettings, ShortFor("model")]] = Field(
        default_factory=dict, description="further judges by name, whose votes on pairs count beside `models.judge`'s"
    )
    prior: dict[AnyPairSource, Annotated[float, Field(gt=0.0, lt=1.0)]] = Field(
        default_factory=dict,
        description="P(the intended side is better) that a source carries of itself; 0.5 leaves it to the judge",
    )
    on_disagreement: Literal["swap", "drop", "keep"] = "swap"
    min_margin: float = Field(
        default=0.0, ge=0.0, le=0.5, description="a label is unsure where `p_chosen` is less than this above 0.5"
    )
    on_low_margin: Literal["keep", "weigh", "drop"] = Field(
        default="keep",
        description="unsure labels are trained on as any other, by a weight that grows with the margin, or not at all",
    )
    held_out: Share = Field(default=0.1, description="share of prompts whose preferences are not trained on")
