"""How a run was made, as its cards tell it: constitution, models, stages, settings, seeds, machine, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.recipe.stages import POLICY_STAGES, TRAINING_STAGES, in_iteration, parted
from charter.reporting import wording
from charter.reporting.cards.facts import Facts, part_of
from charter.reporting.cards.markdown import Markdown, bullets, heading, line, paragraphs, table
from charter.reporting.told import StageResult

_WHAT = {
    "prompts": "chose and divided prompts",
    "revise": "answered, criticised and revised",
    "sft": "fine-tuned on revisions and helpful answers",
    "pairs": "made pairs of responses",
    "label": "had the judge label the pairs",
    "preference_model": "trained a preference model on the labels",
    "dpo": "trained on the soft preferences by DPO",
    "rl": "trained by reinforcement learning",
}
_PACE = ("epochs", "learning_rate", "batch_size", "accumulation", "schedule", "max_length", "opening_tokens")
#: The settings of each stage that a reader of a card wants; others stay in the recipe.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "revise": ("rounds", "layout", "few_shots", "temperature", "n_samples", "check"),
    "sft": (*_PACE, "lora.r", "lora.alpha", "lora.quantise", "revisions", "helpful_ratio", "twin_ratio"),
    "pairs": ("n", "temperature", "balance_lengths", "guided_by"),
    "label": ("k_principles", "chains", "clamp", "min_option_mass", "on_disagreement", "min_margin", "held_out"),
    "preference_model": _PACE,
    "dpo": (*_PACE, "loss", "beta", "nll_weight", "length_normalised"),
    "rl": ("method", "start", "n", "learning_rate", "batch_size", "n_samples", "beta", "temperature", "max_tokens"),
}


def lineage(facts: Facts, stage: str) -> list[StageResult]:
    """Give the stages that led to a stage's model, in order and with it: no training that it does not build on."""
    iteration = parted(stage).iteration
    names = list(facts.data.stages)
    before = [name for name in names if parted(name).stage in POLICY_STAGES and parted(name).iteration < iteration]
    last = {parted(name).iteration: name for name in before if name != "sft"}
    trained = {"sft", stage, *last.values()}
    if facts.section("rl").get("start") == "dpo":
        trained |= {in_iteration("dpo", parted(one).iteration) for one in trained if parted(one).stage == "rl"}
    trained |= {in_iteration("preference_model", parted(one).iteration) for one in trained if parted(one).stage == "rl"}
    led = names[: names.index(stage) + 1]
    return [facts.data.stages[one] for one in led if parted(one).stage not in TRAINING_STAGES or one in trained]


def tell_making(facts: Facts, stages: Sequence[StageResult]) -> Markdown:
    """Tell how a model or a dataset was made, by the stages that led to it."""
    seconds = sum(one.seconds for one in stages)
    return paragraphs(
        heading("How it was made"),
        bullets([*_constitution(facts), *_models(facts), *_seeds(facts), *_machine(facts)]),
        _stages(stages),
        line(
            f"These stages took {wording.duration(seconds)} in all. Filtered rows are told by reason; nothing is "
            "dropped silently."
        ),
        _settings(facts, stages),
    )


def tell_constitution(facts: Facts) -> str:
    """Name the constitution by name, version and fingerprint."""
    found = facts.constitution
    name = "a constitution that the run folder no longer holds" if found is None else f"{found.name} {found.version}"
    return f"{name} (sha256 {facts.fingerprint})" if facts.fingerprint else name


def _constitution(facts: Facts) -> list[Markdown]:
    found = facts.constitution
    told = [line(Markdown("**Constitution**: "), tell_constitution(facts))]
    if found is None:
        return told
    about = f" {wording.counted(len(found.principles), 'principle')}, language {found.language}"
    licence = f", licence {found.licence}" if found.licence else ", licence not told"
    description = line(" In its own words: ", found.description) if found.description else ""
    return [line(*told, ":", about, licence, ".", description)]


def _models(facts: Facts) -> list[Markdown]:
    told = [line(Markdown("**Base model**: "), facts.base.told, _hash(facts, "policy"), ". ", facts.base.note)]
    told.append(line(Markdown("**Judge**: "), facts.model("judge").told, _hash(facts, "judge"), _judges(facts), "."))
    return told


def _hash(facts: Facts, role: str) -> str:
    found = facts.fingerprints.get(role)
    return f", fingerprint {found}" if found else ""


def _judges(facts: Facts) -> str:
    n = len(part_of(facts.section("label"), "judges"))
    return f", and {wording.counted(n, 'judge')} beside it" if n else ""


def _seeds(facts: Facts) -> list[Markdown]:
    seed, split = facts.recipe.get("seed"), facts.section("prompts").get("split_seed")
    told = [f"run {seed}" if seed is not None else "", f"split of prompts {split}" if split is not None else ""]
    named = [one for one in told if one]
    return [line(Markdown("**Seeds**: "), wording.listing(named), ".")] if named else []


def _machine(facts: Facts) -> list[Markdown]:
    found = facts.data.environment
    if found is None:
        return []
    cores = [] if found.n_cpus is None else [wording.counted(found.n_cpus, "core")]
    machine = ", ".join([found.processor or "processor not recorded", *cores, *found.gpus])
    packages = ", ".join(f"{name} {version}" for name, version in sorted(found.packages.items()))
    return [
        line(Markdown("**Machine**: "), machine, "; ", found.platform, "."),
        line(Markdown("**Software**: "), f"Charter {found.charter}, Python {found.python}; {packages}."),
        line(Markdown("**Begun**: "), found.started or "not recorded", "."),
    ]


def _stages(stages: Sequence[StageResult]) -> Markdown:
    rows = [
        [
            one.stage,
            _WHAT.get(parted(one.stage).stage, ""),
            wording.count(one.n_in),
            wording.count(one.n_done),
            reasons(one.filtered),
            wording.count(sum(one.failed.values())),
            wording.duration(one.seconds),
        ]
        for one in stages
    ]
    return table(["stage", "what it did", "rows in", "done", "filtered", "failed", "time"], rows, right=(2, 3, 5, 6))


def reasons(counts: Mapping[str, int]) -> str:
    """Write how many rows there are by reason, the commonest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{reason}: {wording.count(n)}" for reason, n in ordered) or "0"


def _settings(facts: Facts, stages: Sequence[StageResult]) -> Markdown | str:
    rows = []
    for name in dict.fromkeys(parted(one.stage).stage for one in stages):
        section = facts.section(name)
        found = {key: _value(section, key) for key in _SETTINGS.get(name, ())}
        told = ", ".join(f"{key} {_told(value)}" for key, value in found.items() if value is not None)
        if told:
            rows.append([name, told])
    return table(["section", "key settings"], rows) if rows else ""


def _value(section: Mapping[str, Any], key: str) -> Any:
    holder, _, inner = key.rpartition(".")
    return (part_of(section, holder) if holder else section).get(inner)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return wording.listing([_told(one) for one in value])
    return f"{value:g}" if isinstance(value, float) else str(value)
