"""Constitutional AI as a toolkit: the public names, each imported when it is first used.

Importing this package imports nothing else of it: ``charter.revise`` brings what revision needs, and no more.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.constitution import (
        Constitution,
        Principle,
        check_constitution,
        diff_constitutions,
        list_constitutions,
        load_constitution,
        write_constitution,
    )
    from charter.engines.base import ChoiceRequest, CompletionRequest, Engine, Sampling, ScoreRequest
    from charter.engines.cache import CachedEngine
    from charter.engines.scripted import ScriptedEngine
    from charter.engines.transformers import TransformersEngine
    from charter.engines.weights import resolve_model
    from charter.errors import (
        CapabilityError,
        CharterError,
        Collapsed,
        ConstitutionError,
        EngineError,
        Interrupted,
        JournalError,
        ModelError,
        PromptError,
        RecipeError,
        RunError,
        TooManyFailures,
        UserError,
    )
    from charter.evaluation import evaluate
    from charter.feedback import label, pairs
    from charter.feedback.audit import audit_judge
    from charter.feedback.auditing import as_judged_pairs
    from charter.feedback.calibration import calibrate
    from charter.feedback.differences import compare_labels
    from charter.feedback.ensemble import FurtherJudge
    from charter.feedback.influence import influences_on
    from charter.feedback.judge import Judging
    from charter.feedback.labels import judge_pairs
    from charter.feedback.settling import Settling
    from charter.files.tables import read_table, write_table
    from charter.given import balance_lengths, length_confound, load_pairs, load_sft_rows, load_traces
    from charter.journal.store import Journal
    from charter.lookup import find_row
    from charter.pipeline import run_stages
    from charter.planning.plan import make_plan
    from charter.prompts import load_prompts, split_prompts
    from charter.publishing import export_run
    from charter.recipe import Recipe, load_recipe
    from charter.records import (
        Comparison,
        Judged,
        Measurement,
        Message,
        Pair,
        Preference,
        Prompt,
        Response,
        Round,
        SftRow,
        Trace,
        Unlabelled,
        Verdict,
        make_prompt,
    )
    from charter.release import export_model
    from charter.reporting import report
    from charter.revision import revise
    from charter.rows import Filtered, Mapped, map_rows
    from charter.runs.folder import open_run
    from charter.status import read_status
    from charter.training.adapters import LoraSettings
    from charter.training.collapse import Guard
    from charter.training.dpo import dpo
    from charter.training.oversight import RlGuard
    from charter.training.pace import Pace
    from charter.training.preference_model import preference_model
    from charter.training.rewards import RewardModel, score_rewards
    from charter.training.rl import rl
    from charter.training.rl_trainer import Rolling
    from charter.training.rollouts import Reward, Rollout
    from charter.training.sft import sft

    __version__: str

_HOMES = {
    "charter.constitution": (
        "Constitution", "Principle", "check_constitution", "diff_constitutions", "list_constitutions",
        "load_constitution", "write_constitution",
    ),
    "charter.engines.base": ("ChoiceRequest", "CompletionRequest", "Engine", "Sampling", "ScoreRequest"),
    "charter.engines.cache": ("CachedEngine",),
    "charter.engines.scripted": ("ScriptedEngine",),
    "charter.engines.transformers": ("TransformersEngine",),
    "charter.engines.weights": ("resolve_model",),
    "charter.errors": (
        "CapabilityError", "CharterError", "Collapsed", "ConstitutionError", "EngineError", "Interrupted",
        "JournalError", "ModelError", "PromptError", "RecipeError", "RunError", "TooManyFailures", "UserError",
    ),
    "charter.evaluation": ("evaluate",),
    "charter.feedback": ("label", "pairs"),
    "charter.feedback.audit": ("audit_judge",),
    "charter.feedback.auditing": ("as_judged_pairs",),
    "charter.feedback.calibration": ("calibrate",),
    "charter.feedback.differences": ("compare_labels",),
    "charter.feedback.ensemble": ("FurtherJudge",),
    "charter.feedback.influence": ("influences_on",),
    "charter.feedback.judge": ("Judging",),
    "charter.feedback.labels": ("judge_pairs",),
    "charter.feedback.settling": ("Settling",),
    "charter.given": ("balance_lengths", "length_confound", "load_pairs", "load_sft_rows", "load_traces"),
    "charter.lookup": ("find_row",),
    "charter.pipeline": ("run_stages",),
    "charter.planning.plan": ("make_plan",),
    "charter.prompts": ("load_prompts", "split_prompts"),
    "charter.publishing": ("export_run",),
    "charter.recipe": ("Recipe", "load_recipe"),
    "charter.records": (
        "Comparison", "Judged", "Measurement", "Message", "Pair", "Preference", "Prompt", "Response", "Round", "SftRow",
        "Trace", "Unlabelled", "Verdict", "make_prompt",
    ),
    "charter.release": ("export_model",),
    "charter.reporting": ("report",),
    "charter.revision": ("revise",),
    "charter.rows": ("Filtered", "Mapped", "map_rows"),
    "charter.runs.folder": ("open_run",),
    "charter.status": ("read_status",),
    "charter.journal.store": ("Journal",),
    "charter.files.tables": ("read_table", "write_table"),
    "charter.training.adapters": ("LoraSettings",),
    "charter.training.collapse": ("Guard",),
    "charter.training.dpo": ("dpo",),
    "charter.training.oversight": ("RlGuard",),
    "charter.training.pace": ("Pace",),
    "charter.training.preference_model": ("preference_model",),
    "charter.training.rewards": ("RewardModel", "score_rewards"),
    "charter.training.rl": ("rl",),
    "charter.training.rl_trainer": ("Rolling",),
    "charter.training.rollouts": ("Reward", "Rollout"),
    "charter.training.sft": ("sft",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CachedEngine",
    "CapabilityError",
    "CharterError",
    "ChoiceRequest",
    "Collapsed",
    "Comparison",
    "CompletionRequest",
    "Constitution",
    "ConstitutionError",
    "Engine",
    "EngineError",
    "Filtered",
    "FurtherJudge",
    "Guard",
    "Interrupted",
    "Journal",
    "JournalError",
    "Judged",
    "Judging",
    "LoraSettings",
    "Mapped",
    "Measurement",
    "Message",
    "ModelError",
    "Pace",
    "Pair",
    "Preference",
    "Principle",
    "Prompt",
    "PromptError",
    "Recipe",
    "RecipeError",
    "Response",
    "Reward",
    "RewardModel",
    "RlGuard",
    "Rolling",
    "Rollout",
    "Round",
    "RunError",
    "Sampling",
    "ScoreRequest",
    "ScriptedEngine",
    "Settling",
    "SftRow",
    "TooManyFailures",
    "Trace",
    "TransformersEngine",
    "Unlabelled",
    "UserError",
    "Verdict",
    "__version__",
    "as_judged_pairs",
    "audit_judge",
    "balance_lengths",
    "calibrate",
    "check_constitution",
    "compare_labels",
    "diff_constitutions",
    "dpo",
    "evaluate",
    "export_model",
    "export_run",
    "find_row",
    "influences_on",
    "judge_pairs",
    "label",
    "length_confound",
    "list_constitutions",
    "load_constitution",
    "load_pairs",
    "load_prompts",
    "load_recipe",
    "load_sft_rows",
    "load_traces",
    "make_plan",
    "make_prompt",
    "map_rows",
    "open_run",
    "pairs",
    "preference_model",
    "read_status",
    "read_table",
    "report",
    "resolve_model",
    "revise",
    "rl",
    "run_stages",
    "score_rewards",
    "sft",
    "split_prompts",
    "write_constitution",
    "write_table",
]


if not TYPE_CHECKING:  # a type checker is to see the imports above, and no name beyond them

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("charter")
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'charter' has no attribute {name!r}")
        return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
