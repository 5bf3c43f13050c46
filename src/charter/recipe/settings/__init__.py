"""A recipe's keys: their types, defaults and meanings.

Top keys are the stages in order, plus ``name``, ``seed``, ``constitution`` and ``models``. Stages never see these
objects: ``stages`` passes them plain arguments.
"""

from charter.recipe.settings.evaluation import EvaluateSettings, ProbeSettings, ReportSettings
from charter.recipe.settings.feedback import JudgeSettings, LabelSettings, PairSettings, ReviseSettings
from charter.recipe.settings.models import Model, Models, ModelSettings
from charter.recipe.settings.prompts import (
    ConstitutionSettings,
    GenerateSettings,
    GivenRows,
    PromptSettings,
    PromptSource,
)
from charter.recipe.settings.recipe import Recipe
from charter.recipe.settings.reinforcement import RewardSettings, RlGuardSettings, RlSettings
from charter.recipe.settings.running import BudgetSettings, LaunchSettings, MemorySettings, RaySettings
from charter.recipe.settings.section import (
    KEY_NAME,
    MOST_ITERATIONS,
    RUN_NAME,
    RUN_NAME_IN_WORDS,
    Settings,
    Stage,
)
from charter.recipe.settings.training import (
    DpoSettings,
    GuardedSettings,
    GuardSettings,
    LoraSettings,
    MixedSettings,
    PreferenceModelSettings,
    SftSettings,
    TextTrainingSettings,
    TrainingSettings,
)

__all__ = [
    "KEY_NAME",
    "MOST_ITERATIONS",
    "RUN_NAME",
    "RUN_NAME_IN_WORDS",
    "BudgetSettings",
    "ConstitutionSettings",
    "DpoSettings",
    "EvaluateSettings",
    "GenerateSettings",
    "GivenRows",
    "GuardSettings",
    "GuardedSettings",
    "JudgeSettings",
    "LabelSettings",
    "LaunchSettings",
    "LoraSettings",
    "MemorySettings",
    "MixedSettings",
    "Model",
    "ModelSettings",
    "Models",
    "PairSettings",
    "PreferenceModelSettings",
    "ProbeSettings",
    "PromptSettings",
    "PromptSource",
    "RaySettings",
    "Recipe",
    "ReportSettings",
    "ReviseSettings",
    "RewardSettings",
    "RlGuardSettings",
    "RlSettings",
    "Settings",
    "SftSettings",
    "Stage",
    "TextTrainingSettings",
    "TrainingSettings",
]
