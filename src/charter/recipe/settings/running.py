"""How and where a run is done; it changes nothing of what is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from charter.recipe.settings.section import LIST_TO_TUPLE, Settings


class LaunchSettings(Settings):
    """How the processes of trainings are started, and who is told of their figures."""

    launch: str | None = Field(
        default=None,
        min_length=1,
        description="one-gpu, several-gpus, fsdp2, zero3, cpu-2, or a file of accelerate's; None starts none",
    )
    n_processes: int | None = Field(
        default=None, ge=1, description="of a launch; None takes its file's number, or one for each GPU"
    )
    logs: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...] | None, LIST_TO_TUPLE] = Field(
        default=None,
        description="what gets each step's figures as they come; None takes tensorboard where it is installed, and "
        "[] nothing",
    )


class BudgetSettings(Settings):
    """What calls to servers may come to over a whole run; models in this process cost nothing."""

    money: float | None = Field(
        default=None, gt=0.0, description="the most that they may cost, as the prices are given"
    )
    tokens: int | None = Field(default=None, ge=1, description="the most tokens that they may read and write")
    prices: str | None = Field(default=None, description="a file of prices per million tokens, by model")

    @property
    def is_set(self) -> bool:
        """Whether there is an end to what may be spent."""
        return self.money is not None or self.tokens is not None


class MemorySettings(Settings):
    """What models take of the machine; what they answer does not depend on it."""

    models_at_once: int | None = Field(
        default=None, ge=1, description="models in memory at once, at most; `null` takes as many as fit"
    )


class RaySettings(Settings):
    """Where and how ``charter run --on ray`` does rows; it changes nothing of what is made."""

    address: str | None = Field(
        default=None,
        description="of the cluster: its head's host and port, or 'auto' on one of its nodes; None starts a cluster of "
        "this machine alone, for as long as the run lasts",
    )
    n_actors: int = Field(
        default=2, ge=1, description="actors that do rows, each with engines and a journal of its own"
    )
    cpus_per_actor: float = Field(default=1.0, gt=0.0, description="CPUs that the cluster keeps for each actor")
    gpus_per_actor: float = Field(
        default=0.0, ge=0.0, description="GPUs that the cluster keeps for each actor, which sees no other"
    )
    rows_per_actor: int = Field(default=256, ge=1, description="rows under way at once in each actor, at most")
    deadline_seconds: float = Field(
        default=300.0, gt=0.0, description="how long actors are waited for, at the beginning and where none is left"
    )
