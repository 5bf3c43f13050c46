"""What each stage asks of the engine behind each role, known from the recipe alone. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from charter.engines.base import Capability
from charter.recipe import Recipe
from charter.recipe.stages import stages_of
from charter.records import GENERATED
from charter.revision.layouts import ChatLayout, LayoutName, TranscriptLayout
from charter.runs.roles import judge_role

_READS: dict[LayoutName, Capability] = {"chat": ChatLayout.needs, "transcript": TranscriptLayout.needs}
_LACKS: dict[Capability, str] = {
    "chat": "has no chat template; take a model that was tuned for chat, or one whose tokenizer has a template",
    "text": "reads no raw text",
    "complete": "draws no text",
    "choose": "gives no log-probabilities of option letters",
    "score": "gives no log-probabilities of texts",
}


@dataclass(frozen=True)
class Need:
    """A capability that a stage needs of a role."""

    stage: str
    role: str
    capability: Capability


def list_needs(recipe: Recipe) -> Iterator[Need]:
    """List what the stages of a recipe need; a judge without a chat template is asked in plain text, and needs none."""
    if any(source.source == GENERATED for source in recipe.prompts.sources().values()):
        yield Need("prompts", "red_team", "chat")
        yield Need("prompts", "red_team", "complete")
    for role, capability in _of_revise(recipe):
        yield Need("revise", role, capability)
    # A conversation is rendered by the template whether it is answered or trained on.
    for stage in ("sft", "pairs", "preference_model", "dpo", "rl", "evaluate"):
        if stage in stages_of(recipe):
            yield Need(stage, "policy", "chat")
    for stage in ("sft", "pairs", "evaluate"):
        yield Need(stage, "policy", "complete")
    yield Need("evaluate", "policy", "score")
    if recipe.evaluate.multiple_choice:
        yield Need("evaluate", "policy", "choose")
        yield Need("evaluate", "policy", "text")
    yield from _of_judging(recipe)


def _of_judging(recipe: Recipe) -> Iterator[Need]:
    """List what judges are asked: labels of all of them, the evaluation's questions of the run's own alone."""
    of_rl = [("rl", "judge")] if recipe.rl is not None and recipe.rl.rewards.judge else []
    if recipe.rl is not None and recipe.rl.guard is not None and recipe.models.second_judge is not None:
        of_rl.append(("rl", "second_judge"))
    asked = [("label", "judge"), *of_rl, *(("label", judge_role(name)) for name in recipe.label.judges)]
    for stage, role in (*asked, *([("evaluate", "judge")] if _judges(recipe) else [])):
        yield Need(stage, role, "choose")
        if recipe.label.chains:
            yield Need(stage, role, "complete")


def _judges(recipe: Recipe) -> bool:
    """Whether the evaluation asks a judge anything."""
    settings = recipe.evaluate
    return bool(settings.head_to_head or settings.judge_reading or (settings.judge_adherence and settings.probes))


def _of_revise(recipe: Recipe) -> Iterator[tuple[str, Capability]]:
    settings = recipe.revise
    yield "policy", _READS[settings.initial_layout or settings.layout]
    revising = ("critic", "reviser") if settings.critique else ("reviser",)
    for role in revising:
        yield role, _READS[settings.layout]
    for role in ("policy", *revising):
        yield role, "complete"
    if settings.check:
        yield "judge", "choose"
        if recipe.label.chains:
            yield "judge", "complete"


def missing(needs: Collection[Need], role: str, has: frozenset[Capability], stages: Collection[str]) -> Iterator[str]:
    """Say what a role's model lacks for the stages that are to be done; sentences that go on from its name."""
    for capability, lacks in _LACKS.items():
        named = [one.stage for one in needs if (one.role, one.capability) == (role, capability) and one.stage in stages]
        if named and capability not in has:
            by_layout = capability == "chat" and named == ["revise"]
            remedy = ", or set revise.layout and revise.initial_layout to transcript" if by_layout else ""
            yield f"{lacks}{remedy} (needed by {', '.join(named)})"
