"""Supervised fine-tuning, preference models and DPO, and what ends a training that collapses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from charter.recipe.settings.prompts import Given
from charter.recipe.settings.section import LIST_TO_TUPLE, Bound, Cutting, Settings, Share, ShortFor
from charter.records import PromptKind, ResponseLabel


class LoraSettings(Settings):
    """The adapter that is trained."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    targets: str | tuple[str, ...] = "all-linear"
    quantise: Literal["4bit"] | None = Field(
        default=None,
        description="train behind frozen weights of 4 bits (QLoRA, in every training); null leaves them whole",
    )


class TrainingSettings(Settings):
    """What all trainings share."""

    epochs: float = Field(default=1.0, gt=0.0)
    learning_rate: float = Field(default=2e-4, gt=0.0)
    batch_size: int = Field(default=8, ge=1)
    accumulation: int = Field(default=1, ge=1)
    warmup: Share = 0.03
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    max_length: int = Field(default=1024, ge=16)
    gradient_checkpointing: bool = False
    snapshots: int = Field(
        default=0,
        ge=0,
        le=100,
        description="models kept on the way, evenly spaced, in the trained model's folder `snapshots/STEP`",
    )


class TextTrainingSettings(TrainingSettings):
    """What the trainings on given texts share."""

    opening_tokens: int | None = Field(
        default=None,
        ge=1,
        description="train on so many of each response's first tokens, where it is decided; None trains on all",
    )


class LimitSettings(Settings):
    """How far answers may go from what they were before the first step, whatever is trained."""

    every: int = Field(
        default=100, ge=1, description="steps between two looks; a checkpoint is written at each that finds nothing"
    )
    n_prompts: int = Field(
        default=8, ge=1, description="red-team prompts that are answered, and as many others, of those trained on"
    )
    repetition: Share = Field(
        default=0.5, description="the share of the answers without loops that may get them; 1 looks at none"
    )
    endings: Share = Field(default=0.5, description="the same of answers that end as the most others do")
    boilerplate: Share = Field(default=0.5, description="the same of stock phrases")
    refusals: Share = Field(
        default=0.5, description="the same of refusals, in answers to prompts that are not red-team ones"
    )
    distinct: Share = Field(
        default=0.25,
        description="the least variety of all answers (distinct pairs of words), as a share of what it was",
    )
    length: Annotated[tuple[Bound, Bound], LIST_TO_TUPLE] = Field(
        default=(0.1, 3.0), description="the least and the most of the answers' mean length, as shares of what it was"
    )
    then: Literal["stop", "keep"] = Field(
        default="stop",
        description="'stop' ends the run with an error, the last good checkpoint kept; 'keep' makes that one the model",
    )


class GuardSettings(LimitSettings):
    """What ends a training whose answers degenerate (see ``training.collapse``)."""

    max_tokens: int = Field(default=64, ge=1, description="where an answer is cut")


Guard = Annotated[GuardSettings, ShortFor("every", int)]


class GuardedSettings(TextTrainingSettings):
    """What those share whose model answers."""

    guard: Guard | None = GuardSettings()


class SftSettings(GuardedSettings):
    """Supervised fine-tuning on revisions, mixed with helpful rows."""

    lora: LoraSettings | None = Field(
        default=LoraSettings(), description="the adapter that is trained; `null` trains all weights, in every training"
    )
    revisions: Literal["all", "last"] = "all"
    only_changed: bool = Field(default=False, description="leave out revisions equal to what they revise")
    only_confirmed: bool = Field(
        default=False,
        description="leave out the first revision that the judge did not find better, and all after it",
    )
    classes: tuple[ResponseLabel, ...] | None = Field(
        default=None, min_length=1, description="response classes of revisions that are trained on; None takes all"
    )
    helpful_ratio: float = Field(default=1.0, ge=0.0, description="helpful rows per revision row")
    twin_ratio: float = Field(default=0.5, ge=0.0, description="benign-twin rows per revision row")
    response_temperature: float = Field(default=0.7, ge=0.0, description="of the base's own helpful responses")
    max_tokens: int = Field(default=256, ge=1)
    on_cut: Cutting = "flag"


class MixedSettings(TextTrainingSettings):
    """What the trainings on preferences share."""

    helpfulness: Given | None = Field(
        default=None,
        description="pairs that people judged, mixed with the AI's preferences; `null` mixes in none",
    )
    helpfulness_ratio: float = Field(
        default=1.0, ge=0.0, description="people's pairs for each preference of the AI, at most"
    )


class PreferenceModelSettings(MixedSettings):
    """A preference model on soft labels. It trains on with what SFT trained, as ``sft.lora`` says."""


class DpoSettings(GuardedSettings, MixedSettings):
    """DPO on soft labels. It trains on with what SFT trained, as ``sft.lora`` says."""

    kinds: dict[PromptKind, Share] | None = Field(
        default=None,
        description="shares of the kinds of prompt among the pairs trained on, the rest left out; None trains on all",
    )
    loss: Literal["sigmoid", "geometric", "ipo"] = "sigmoid"
    beta: float = Field(default=0.1, gt=0.0)
    nll_weight: float = Field(default=0.0, ge=0.0)
    length_normalised: bool = Field(
        default=False, description="take log-ratios per token, so that length gains nothing; beta is then to be larger"
    )
    learning_rate: float = Field(default=5e-5, gt=0.0)
