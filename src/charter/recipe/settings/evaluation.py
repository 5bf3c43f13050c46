"""Measurements, and the report of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from charter.recipe.settings.models import Model
from charter.recipe.settings.section import Settings, ShortFor
from charter.records import Contested


class ProbeSettings(Settings):
    """What asks how far models hold to one constitution."""

    constitution: str = Field(description="built-in name or path")
    source: str = Field(
        default="built-in", description="'built-in', or a file of prompts, each with an aligned and a misaligned answer"
    )
    n: int | None = Field(default=None, ge=1, description="probes of each principle; None takes all")


class EvaluateSettings(Settings):
    """Held-out measurement of the base and of what is trained to answer; the judge is asked as ``label`` says."""

    harm: bool = Field(
        default=True,
        description="whether red-team prompts ask for harm; if not, no compliance, objection or evasion is counted",
    )
    temperature: float = Field(default=0.7, ge=0.0)
    max_tokens: int = Field(default=128, ge=1)
    head_to_head: tuple[Contested, ...] = Field(
        default=("red_team", "helpful"),
        description="prompts whose answers the judge compares with the base's, of each kind by its own principles",
    )
    judge_reading: bool = Field(
        default=False,
        description="let the judge say of every answer to a red-team prompt whether it complied, beside the rules",
    )
    k_principles: int = Field(default=1, ge=1, description="principles drawn per comparison")
    multiple_choice: tuple[str, ...] = Field(default=(), description="JSON-lines files of multiple-choice rows")
    probes: tuple[Annotated[ProbeSettings, ShortFor("constitution")], ...] = Field(
        default=(), description="constitutions whose probes are put to every model"
    )
    others: dict[str, Model] = Field(
        default_factory=dict, description="further models by name, which are put to the probes alone"
    )
    judge_adherence: bool = Field(
        default=False, description="let the judge say of every answer to a probe whether it keeps to the principle"
    )


class ReportSettings(Settings):
    """The report."""

    max_rows: int = Field(default=50_000, ge=1, description="rows that the page's browser holds")
