"""How large a run is begun, and the settings of each size: what is not set here has the recipe's own default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from charter.beginning.answers import Answers
from charter.constitution import load_constitution
from charter.engines.embedded import EMBEDDED
from charter.errors import PromptError
from charter.files.yaml_reading import read_yaml
from charter.prompts import load_prompts
from charter.prompts.ids import settle_ids
from charter.prompts.selection import Selection, select_prompts
from charter.recipe import built_in_recipes
from charter.records import BUILT_IN, Prompt, PromptKind

Settings = dict[str, dict[str, Any]]
"""A recipe's values by section and key."""

# What a recipe says first; a published one's other sections are its settings.
_HEAD = ("name", "seed", "constitution", "models")
_HELPFUL = "helpful"
_TUNED = ("smollm2-135m", "harmless")  # the model and the constitution of the published recipe of its name
_PAIRS_PER_PROMPT = 4  # the most: an eighth of them each want a trace of their own


@dataclass(frozen=True)
class Size:
    """A size: what it is in a few words, what is to be known of it, and its settings."""

    about: str
    said: str
    settings: Callable[[Answers], Settings]


def _published(name: str) -> Settings:
    """Give the settings of a recipe that comes with Charter."""
    sections = read_yaml(built_in_recipes()[name]).data
    return {section: values for section, values in sections.items() if section not in _HEAD}


def _smoke(answers: Answers) -> Settings:
    settings = _published("smoke")
    if answers.model not in EMBEDDED:
        del settings["revise"]["layout"], settings["revise"]["initial_layout"]
    return settings


def _laptop(answers: Answers) -> Settings:
    if is_tuned(answers):
        return _published(answers.model)
    settings: Settings = {
        "prompts": {"n_evaluation": 60, "n_train": 140, "n_evaluation_helpful": 60, "n_train_helpful": 140},
        "revise": {"rounds": 1, "temperature": 0.7, "max_tokens": 96, "max_critique_tokens": 48, "on_cut": "trim"},
        "sft": {
            "helpful_ratio": 0.5,
            "max_tokens": 96,
            "on_cut": "trim",
            "batch_size": 4,
            "lora": {"r": 16, "alpha": 32},
        },
        "pairs": {"n": 200, "temperature": 0.8, "max_tokens": 64, "on_cut": "trim"},
        "label": {"k_principles": 1},
        "dpo": {"learning_rate": 1e-4, "nll_weight": 0.1, "batch_size": 4, "accumulation": 2},
        "evaluate": {"max_tokens": 96},
    }
    if answers.model in EMBEDDED:
        settings["revise"] |= {"layout": "transcript", "initial_layout": "chat", "few_shots": "changed"}
        settings["label"]["prior"] = {"guided_vs_plain": 0.8, "revision_vs_initial": 0.9}
    return settings


def _one_gpu(answers: Answers) -> Settings:
    limits = {"n_train": 1000} if answers.has_own_prompts else {}
    return {
        "prompts": {"n_evaluation": 100, **limits, "n_evaluation_helpful": 80},
        "revise": {"rounds": 2, "max_tokens": 256, "max_critique_tokens": 128, "on_cut": "trim"},
        "sft": {"batch_size": 8, "accumulation": 2, "gradient_checkpointing": True, "lora": {"r": 16, "alpha": 32}},
        "pairs": {"n": 600, "max_tokens": 256, "on_cut": "trim"},
        "label": {"k_principles": 2},
        "dpo": {"learning_rate": 2e-5, "batch_size": 4, "accumulation": 4, "gradient_checkpointing": True},
        "evaluate": {"max_tokens": 256},
    }


SIZES: Mapping[str, Size] = {
    "smoke": Size(
        "shows in minutes that all works",
        "Small enough to show in minutes that everything works, and far too small to show that training helps.",
        _smoke,
    ),
    "laptop": Size(
        "enough rows to measure, for a model of up to half a billion parameters",
        "Enough rows to measure something, for a model of up to half a billion parameters on a processor.",
        _laptop,
    ),
    "gpu": Size(
        "one GPU, a model of 1 to 8 billion parameters",
        "For a model of 1 to 8 billion parameters on one GPU; where its memory is too small, see sft.lora.quantise.",
        _one_gpu,
    ),
}


def settings_of(answers: Answers) -> Settings:
    """Give the settings of a recipe that is begun, fitted to the prompts that there are.

    Raises:
        UserError: where the prompts are too few, or cannot be read.
    """
    settings = SIZES[answers.size].settings(answers)
    if answers.has_own_prompts:
        _fit(settings, answers)
    return settings


def is_tuned(answers: Answers) -> bool:
    """Tell whether the settings are a published recipe's, which was tuned for what was answered."""
    is_plain = answers.size == "laptop" and not answers.has_own_prompts and not answers.n_principles
    return is_plain and (answers.model, answers.constitution) == _TUNED


def reasons_of(answers: Answers) -> dict[str, str]:
    """Say why some of the settings are as they are, by section and key (``sft.twin_ratio``)."""
    reasons = {}
    if answers.has_own_prompts:
        reasons["prompts.benign_twin"] = "There are none yet: write one for each prompt before a run that counts"
        reasons["sft.twin_ratio"] = "There are no twins"
    if answers.model in EMBEDDED:
        reasons["revise.layout"] = "Through its chat template a model this small echoes the critique"
        reasons["label.prior"] = "As a judge a model this small is close to chance"
    return reasons


def _fit(settings: Settings, answers: Answers) -> None:
    """Ask no more of somebody's own prompts, which have no twins yet, than there is."""
    loaded = settle_ids({"red_team": answers.red_team(), "helpful": load_prompts(BUILT_IN, "helpful")})
    prompts: dict[PromptKind, tuple[Prompt, ...]] = {kind: one.prompts for kind, one in loaded.items()}
    constitutions = [one for one in (answers.base(), load_constitution(_HELPFUL)) if one is not None]
    numbers = settings["prompts"]
    numbers["n_evaluation"] = max(1, min(numbers["n_evaluation"], len(prompts["red_team"]) // 4))
    n_train = _count(select_prompts(prompts, constitutions, **numbers))
    if n_train < numbers.get("n_train", 0):
        del numbers["n_train"]
        n_train = _count(select_prompts(prompts, constitutions, **numbers))
    if not n_train:
        raise PromptError(f"{answers.prompts}: leaves no prompt to train on beside those held out; bring more")
    settings["prompts"] = {"red_team": _source(answers), "benign_twin": None, **numbers}
    settings["sft"]["twin_ratio"] = 0.0
    settings["pairs"] |= {
        "n": min(settings["pairs"]["n"], _PAIRS_PER_PROMPT * n_train),
        "kinds": {"red_team": 0.5, "helpful": 0.5},
    }


def _count(selection: Selection) -> int:
    """Count the red-team prompts to train on."""
    return sum((prompt.kind, prompt.split) == ("red_team", "train") for prompt in selection.prompts)


def _source(answers: Answers) -> dict[str, str]:
    return {"source": answers.prompts} | ({} if answers.column is None else {"column": answers.column})
