"""What stages and machines told of themselves, as a report reads it: typed, and open to keys that it does not know."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field


class Lenient(BaseModel):
    """A part of a run folder: keys that a newer version adds are no reason to refuse the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Usage(Lenient):
    """Calls to one model in one stage. ``n_prompt_tokens_from_prefix`` are among ``n_prompt_tokens``.

    ``money`` is what they cost, where a price is known; ``failed_tries`` counts tries of calls to a server that failed,
    by cause.
    """

    n_calls: int = 0
    n_cached: int = 0
    n_prompt_tokens: int = 0
    n_prompt_tokens_from_prefix: int = 0
    n_completion_tokens: int = 0
    money: float | None = None
    failed_tries: dict[str, int] = {}


def _by_reason(rejected: Any) -> Any:
    """Count rejected rows, each ``(id, reason, detail)``, by reason; counts stay as they are."""
    return dict(Counter(row[1] for row in rejected)) if isinstance(rejected, list | tuple) else rejected


class Training(Lenient):
    """What a training stage logged; ``steps`` are its log lines (``step``, ``loss``, for DPO ``accuracy``, ``margin``).

    ``rejected`` counts by reason the rows that could not be trained on, ``skipped`` says why nothing was trained.
    ``looks`` are the figures of the model's answers that its guard saw (``step``, shares of ``repetition``, ...), and
    the model is that of step ``n_steps``: a look behind it saw the answers degenerate, and ended the training.
    """

    n_rows: int = 0
    n_steps: int | None = None
    n_tokens: int = 0
    n_loss_tokens: int = 0
    seconds: float = 0.0
    steps: tuple[dict[str, Any], ...] = ()
    rejected: Annotated[dict[str, int], BeforeValidator(_by_reason)] = {}
    notes: tuple[str, ...] = ()
    looks: tuple[dict[str, Any], ...] = ()
    skipped: str = ""


class StageResult(Lenient):
    """What one stage did with its rows; ``filtered`` and ``failed`` count rows by reason.

    ``held_out`` and ``trained_on`` are what a preference model is worth on such pairs (see ``reward_section``).
    """

    stage: str
    seconds: float = 0.0
    n_in: int = 0
    n_done: int = 0
    filtered: dict[str, int] = {}
    failed: dict[str, int] = {}
    usage: dict[str, Usage] = {}
    counts: dict[str, Any] = {}
    held_out: dict[str, Any] | None = None
    trained_on: dict[str, Any] | None = None
    training: Training | None = None

    @property
    def n_unaccounted(self) -> int:
        """Rows that went in and are neither done, filtered nor failed (negative: counted twice); 0 is right."""
        return self.n_in - self.n_done - sum(self.filtered.values()) - sum(self.failed.values())


def ended_by_guard(training: Training) -> tuple[float, float] | None:
    """Say at which step the model is that a guard kept, and at which it saw limits passed; None where it saw none."""
    steps = [one for look in training.looks if isinstance(one := look.get("step"), int | float)]
    if training.n_steps is None or not steps or steps[-1] <= training.n_steps:
        return None
    return training.n_steps, steps[-1]


class ModelUsed(Lenient):
    """A model by name and by the fingerprint of its weights."""

    name: str = ""
    fingerprint: str = ""


class Environment(Lenient):
    """Where and with what the run ran."""

    python: str = ""
    platform: str = ""
    processor: str = Field(default="", validation_alias=AliasChoices("processor", "cpu"))
    n_cpus: int | None = None
    gpus: list[str] = []
    charter: str = ""
    started: str = ""
    packages: dict[str, str] = {}
    models: dict[str, ModelUsed] = {}
