"""A preference model: a reward for each response, fitted to soft labels by Bradley and Terry's model (CAI §4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.records import Preference
from charter.training.adapters import LoraSettings, Precision
from charter.training.data import Examples, PreferenceExample, preference_examples
from charter.training.destinations import Logs
from charter.training.frame import Begun, Frame, Ready, do_training
from charter.training.pace import OnStep, Pace, Stop
from charter.training.results import TrainingResult, preferences_digest
from charter.training.reward_trainer import reward_trainer


def preference_model(
    preferences: Sequence[Preference],
    model: str | Path,
    *,
    out: Path,
    seed: int,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    max_length: int = 1024,
    opening_tokens: int | None = None,
    lora: LoraSettings | None = LoraSettings(),  # noqa: B008 - frozen
    dtype: Precision = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    resume: bool = True,
    logs: Logs | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
) -> TrainingResult:
    """Train a model to give the likelier better response of a pair the higher reward, by as much as is likely.

    With r the reward, a label p costs -p·log sigmoid(r_c - r_r) - (1-p)·log sigmoid(r_r - r_c). The reward is read off
    the last token of prompt and response. The head is new, all zeros and trained as a whole, beside an adapter or all
    weights. Given an SFT adapter's folder, that adapter is trained on, so that the result is one adapter that loads on
    the base alone; merged into the base it would want weights that lie nowhere.

    An adapter's folder loads by ``AutoPeftModelForSequenceClassification``, which has to be told ``num_labels=1`` and
    the ``pad_token_id`` of the tokenizer that lies there, for both stand in the base's configuration; a whole model's
    by ``AutoModelForSequenceClassification`` as it is. ``rewards.RewardModel`` loads both.

    Args:
        preferences: what to train on.
        model: an adapter's or a model's folder, an embedded name, or a hub id.
        out: the folder to write; it must not exist.
        seed: what a new adapter's first weights, the order of the rows and dropout are drawn from.
        pace: epochs, learning rate, batches (of pairs), and how often a checkpoint is written.
        max_length: the most tokens of a prompt with either response, or its opening; other rows are rejected, and
            reported.
        opening_tokens: look at so many of each response's first tokens; a pair whose sides open alike is rejected. None
            looks at all.
        lora: the adapter to put on a model that has none; None trains the whole model. An adapter that is trained on
            keeps its own shape.
        dtype: the precision of the products (see ``load_trainee``); rewards are computed in float32 at least.
        device: ``auto`` is a GPU where there is one; else a torch device such as ``cpu`` or ``cuda:1``.
        trust_remote_code: whether code that the model brings may be run.
        resume: whether to go on from the newest whole checkpoint of the same training, where there is one.
        logs: where the figures go as they come, beside the result (see ``logs.Logs``); None hands them to nobody.
        on_step: called after every step with its number, the number of steps, and its figures (``loss``, ``margin``,
            ``accuracy``, ``reward_chosen``, ``reward_rejected``).
        stop: asked after every step; if it says True, a checkpoint is written and ``Interrupted`` raised.

    Returns:
        What was trained, with every step's figures and all rejected rows.

    Raises:
        ModelError: if the model cannot be loaded, has no chat template or no head that rewards can be read off, or the
            device is not there.
        RecipeError: if no row is left to train on.
        RunError: if ``out`` exists.
        Interrupted: if ``stop`` said so.
    """

    def tokenise(tokenizer: Any) -> Examples[PreferenceExample]:
        return preference_examples(preferences, tokenizer, max_length=max_length, opening_tokens=opening_tokens)

    def build(begun: Begun[PreferenceExample]) -> Ready:
        return Ready(reward_trainer(begun.examples.kept, begun.trainee, begun.folder, seed=begun.seed, pace=pace))

    frame = Frame(
        stage="preference_model",
        task="reward",
        model=model,
        out=out,
        seed=seed,
        pace=pace,
        max_length=max_length,
        lora=lora,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        resume=resume,
        logs=logs,
        on_step=on_step,
        stop=stop,
    )
    return do_training(frame, preferences_digest(preferences), tokenise, build, opening_tokens=opening_tokens)
