"""A whole recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from charter.recipe.settings.evaluation import EvaluateSettings, ReportSettings
from charter.recipe.settings.feedback import LabelSettings, PairSettings, ReviseSettings
from charter.recipe.settings.models import Models
from charter.recipe.settings.prompts import ConstitutionSettings, PromptSettings
from charter.recipe.settings.reinforcement import RlSettings
from charter.recipe.settings.running import BudgetSettings, LaunchSettings, MemorySettings, RaySettings
from charter.recipe.settings.section import MOST_ITERATIONS, RUN_NAME, Settings, ShortFor
from charter.recipe.settings.training import DpoSettings, PreferenceModelSettings, SftSettings


class Recipe(Settings):
    """A whole run."""

    name: str = Field(pattern=RUN_NAME)
    seed: int = Field(default=0, ge=0)
    data_dir: str | None = Field(
        default=None,
        description="a folder with red_team.json, sft.json and preferences.json: prompts, revisions and pairs",
    )
    scale: float = Field(
        default=1.0,
        gt=0.0,
        description="what every number of prompts, pairs and rows to be made is multiplied by; what is resolved holds "
        "the products",
    )
    iterations: int = Field(
        default=1,
        ge=1,
        le=MOST_ITERATIONS,
        description="how often pairs are made, judged and trained on; each time from the policy of the time before",
    )
    constitution: Annotated[ConstitutionSettings, ShortFor("source")]
    models: Models
    prompts: PromptSettings = PromptSettings()
    revise: ReviseSettings = ReviseSettings()
    sft: SftSettings = SftSettings()
    pairs: PairSettings = PairSettings()
    label: LabelSettings = LabelSettings()
    preference_model: PreferenceModelSettings | None = Field(
        default=None, description="a preference model on the soft labels; `null` trains none, `{}` one by the defaults"
    )
    dpo: DpoSettings | None = Field(
        default=DpoSettings(), description="training on the soft labels; `null` leaves it out"
    )
    rl: RlSettings | None = Field(
        default=None,
        description="reinforcement learning towards rewards; `null` does none, `{}` some by the defaults, which want a "
        "`preference_model`",
    )
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()
    training: LaunchSettings = LaunchSettings()
    budget: BudgetSettings = BudgetSettings()
    memory: MemorySettings = MemorySettings()
    ray: RaySettings = RaySettings()
