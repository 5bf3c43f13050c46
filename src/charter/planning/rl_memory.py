"""What reinforcement learning holds beside the model that it trains: all of it at once, for as long as it lasts. Pure.

Its reference, the preference model, the judge and the second judge: none of them can make room for another, for each
step asks them all.
"""

from __future__ import annotations

from collections.abc import Iterator

from charter.engines.specs import ModelSpec
from charter.planning.costs import Conditions, Played
from charter.planning.hardware import Machine
from charter.planning.memory import Memory, Setup, generating
from charter.planning.shapes import Shape
from charter.planning.sizing import Work
from charter.planning.stage_plan import StagePlan
from charter.recipe import Recipe
from charter.runs.roles import role_key

_JUDGES = ("judge", "second_judge")
_FULL = 4  # bytes of a number of a whole model's reference, and of an adapter's


def held_together(training: Memory, plan: StagePlan, recipe: Recipe, conditions: Conditions, setup: Setup) -> Memory:
    """Add to what the training holds what lies on its device besides; judges with a cache for one row, at the least.

    Args:
        training: what the policy's own training holds.
        plan: of the stage.
        recipe: that is planned.
        conditions: the machine and the models.
        setup: how the policy is trained.
    """
    policy = conditions.models["policy"]
    shape = policy.shape
    if recipe.rl is None or shape is None:
        return training
    parts = dict(training.parts)
    if recipe.rl.beta:
        parts["the reference"] = _FULL * setup.trained(shape)
    if recipe.rl.rewards.preference_model:  # a base of its own, in whole numbers whatever sft.lora.quantise says
        parts["the preference model"] = shape.parameters * policy.number_bytes
    return Memory(parts | dict(_judges(plan, conditions)))


def for_serving(held: Memory) -> str:
    """Say which of the models that a training lies beside servers could run; nothing where there are none."""
    judges = [f"{key}: engine http" for key in held.parts if key.startswith("models.")]
    return f"ask a server ({', '.join(judges)}), or " if judges else ""


def _judges(plan: StagePlan, conditions: Conditions) -> Iterator[tuple[str, float]]:
    """Give what each judge holds on the policy's device, by its key; one model that judges twice lies there once."""
    seen: set[ModelSpec] = set()
    for role in (one for one in _JUDGES if one in plan.demand.asked):
        works = plan.demand.loads[role].works
        played = conditions.models[role]
        if played.spec in seen or played.shape is None or _is_elsewhere(played, conditions.models["policy"]):
            continue
        seen.add(played.spec)
        yield role_key(role), _held(played, played.shape, works, conditions.machine)


def _held(played: Played, shape: Shape, works: list[Work], machine: Machine) -> float:
    if played.spec.is_vllm and machine.device.kind == "gpu":
        return played.spec.memory_share * machine.device.memory  # which it takes at its start, whatever it needs
    largest = max(works, key=lambda work: work.shared + work.read + work.written)
    parts = generating(shape, machine.device, largest, 1, played.number_bytes).parts
    return sum(size for part, size in parts.items() if part != "libraries") / played.n_devices


def _is_elsewhere(played: Played, policy: Played) -> bool:
    """Whether a model lies on another device than the policy, because the recipe says so of both."""
    named = {played.spec.device, policy.spec.device}
    return len(named) > 1 and "auto" not in named
