"""What every training does around its own part: look for an earlier result, load, build, train, and let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from charter.engines.memory import release_memory
from charter.errors import RecipeError
from charter.seeds import derive_seed
from charter.training import ranks
from charter.training.adapters import LoraSettings, Precision, Task, Trainee, load_trainee
from charter.training.checkpoints import open_workplace
from charter.training.data import Example, Examples
from charter.training.destinations import Logs
from charter.training.pace import OnStep, Pace, Stop, Watch
from charter.training.results import TrainingResult, earlier_result, training_identity
from charter.training.trainer import run_training

if TYPE_CHECKING:
    from charter.training.guard import GuardWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every training is told; the meanings are those of ``sft``'s arguments.

    Attributes:
        stage: which kind of training it is; random numbers are drawn from its name.
        task: what the model is loaded for.
    """

    stage: str
    task: Task = "text"
    model: str | Path
    out: Path
    seed: int
    pace: Pace
    max_length: int
    lora: LoraSettings | None
    dtype: Precision
    device: str
    trust_remote_code: bool
    resume: bool
    logs: Logs | None
    on_step: OnStep | None
    stop: Stop | None


@dataclass(frozen=True, slots=True)
class Begun(Generic[Example]):
    """A training whose model is loaded: what its trainer is built of.

    Attributes:
        trainee: the model.
        examples: what it is trained on, and what not.
        folder: the work folder, for checkpoints and what else is to outlive a sitting.
        seed: the training's own.
        watch: who looks on.
    """

    trainee: Trainee
    examples: Examples[Example]
    folder: Path
    seed: int
    watch: Watch


@dataclass(frozen=True, slots=True)
class Ready:
    """A training that may take its first step.

    Attributes:
        trainer: settled (see ``trainer.Habits``).
        guard: looks at the model's answers now and then.
        n_before: steps of another kind that who looks on has been told of, or will be, before the first.
    """

    trainer: Any
    guard: GuardWatch | None = None
    n_before: int = 0


def do_training(
    frame: Frame,
    rows: str,
    tokenise: Callable[[Any], Examples[Example]],
    build: Callable[[Begun[Example]], Ready],
    **settings: Any,
) -> TrainingResult:
    """Do a training, or give the result of the same one that was finished before; nothing of it stays in memory.

    Args:
        frame: what every training is told.
        rows: a hash of what of each row is trained on.
        tokenise: makes examples of the rows, with the model's tokenizer.
        build: makes the trainer.
        settings: all else that determines the result, as JSON values; ``opening_tokens`` among them, where responses
            are given, is how many of each one's first tokens are looked at.

    Raises:
        ModelError: if the model cannot be loaded or has no chat template, or the device is not there.
        RecipeError: if no row is left to train on.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
        Collapsed: if the guard ended the training.
    """
    identity = training_identity(
        frame.stage,
        frame.model,
        rows,
        pace=frame.pace,
        lora=frame.lora,
        trust_remote_code=frame.trust_remote_code,
        seed=frame.seed,
        max_length=frame.max_length,
        dtype=frame.dtype,
        **settings,
    )
    if frame.resume and (earlier := ranks.by_first(lambda: earlier_result(frame.out, identity))):
        return earlier
    result = _trained(frame, identity, tokenise, build)
    release_memory()  # here, where nothing holds the trainer any more
    return result


def _trained(
    frame: Frame,
    identity: dict[str, Any],
    tokenise: Callable[[Any], Examples[Example]],
    build: Callable[[Begun[Example]], Ready],
) -> TrainingResult:
    seed = derive_seed(frame.seed, frame.stage, "training")
    trainee = load_trainee(
        frame.model,
        lora=frame.lora,
        seed=seed,
        dtype=frame.dtype,
        device=frame.device,
        trust_remote_code=frame.trust_remote_code,
        task=frame.task,
    )
    examples = tokenise(trainee.tokenizer)
    require_examples(examples, frame.max_length, identity.get("opening_tokens"), stage=frame.stage)
    workplace = ranks.by_first(lambda: open_workplace(frame.out, identity, resume=frame.resume))
    begun = Begun(trainee, examples, workplace.folder, seed, Watch.of(frame.on_step, frame.stop))
    ready = build(begun)
    return run_training(
        ready.trainer,
        trainee,
        examples,
        workplace,
        begun.watch,
        n_before=ready.n_before,
        guard=ready.guard,
        logs=frame.logs,
    )


def require_examples(examples: Examples[Any], max_length: int, opening: int | None, stage: str) -> None:
    """Refuse to train on nothing.

    Args:
        examples: what there is to train on.
        max_length: what rows were held to.
        opening: how many tokens of each response of a pair were looked at.
        stage: whose setting that is.

    Raises:
        RecipeError: if no row is left, with the reasons counted and what to do about the commonest.
    """
    if examples.kept:
        return
    reasons = [row.reason for row in examples.rejected]
    counted = ", ".join(f"{reason} {reasons.count(reason)}" for reason in sorted(set(reasons))) or "none were given"
    remedy = "give more rows, or raise max_length if they are too long"
    if reasons.count("same_opening") * 2 > len(reasons):
        remedy = (
            f"most pairs differ only behind their first {opening} tokens: raise {stage}.opening_tokens, which is "
            f"{opening}, or leave it out"
        )
    raise RecipeError(f"no row is left to train on (rejected: {counted}; max_length is {max_length}); {remedy}")
