"""Rewards from a trained preference model: of conversations, and of judged pairs."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from charter.engines.devices import choose_device
from charter.engines.padding import by_length, padded
from charter.engines.quiet import quiet_libraries
from charter.engines.tokenizers import load_tokenizer
from charter.engines.weights import ModelFolder, resolve_model
from charter.errors import ModelError
from charter.records import Message, Preference
from charter.training.adapters import Precision, load_base, put_adapter, training_precision
from charter.training.checkpoints import account_of
from charter.training.data import ConversationTokens, PreferenceExample, RejectedRow, preference_examples
from charter.training.reward_head import HEAD
from charter.training.rollouts import Rollout

_TOKENS_AT_ONCE = {"cpu": 2**11}  # padding included; 2**13 is too much for the caches, and takes 1.8 times as long
_TOKENS_AT_ONCE_ELSEWHERE = 2**16


class Conversation(NamedTuple):
    """What is given a reward: a prompt's turns and the response to it; one that is not whole was left open."""

    turns: tuple[Message, ...]
    response: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A judged pair's tokens and the rewards of both its sides."""

    example: PreferenceExample
    chosen: float
    rejected: float

    @property
    def margin(self) -> float:
        """How much higher the chosen side's reward is."""
        return self.chosen - self.rejected


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Judged pairs with their rewards, in the rows' order, and the rows without; together all that were given."""

    pairs: tuple[ScoredPair, ...]
    rejected: tuple[RejectedRow, ...]


class RewardModel:
    """A preference model, loaded to give rewards.

    Args:
        model: the folder that ``preference_model`` wrote, or another of a classifier with one output.
        dtype: the precision of the products; ``auto`` is bfloat16 where the hardware computes in it, else float32. The
            reward itself is computed in float32 at least.
        device: ``auto`` is a GPU where there is one; else a torch device such as ``cpu`` or ``cuda:1``.
        trust_remote_code: whether code that the model brings may be run.

    Attributes:
        opening_tokens: so many of each response's first tokens it was trained on, and reads; None reads all.

    Raises:
        ModelError: where the folder holds no preference model, or cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        dtype: Precision = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self._device = choose_device(device)
        folder = resolve_model(str(model), trust_remote_code=trust_remote_code)
        _require_head(folder)
        self._name = folder.name
        self.opening_tokens = _opening_of(folder)
        self.tokenizer = load_tokenizer(folder)
        with quiet_libraries():
            base = load_base(folder, training_precision(dtype, self._device), self.tokenizer, "reward")
            loaded = base if folder.adapter is None else put_adapter(base, folder.adapter, "reward", is_trainable=False)
        self.model: Any = loaded.to(self._device).eval()
        self._tokens = ConversationTokens(self.tokenizer)

    def rewards(self, conversations: Sequence[Conversation]) -> list[float]:
        """Give each conversation its reward, in their order; any number, of which differences alone mean something.

        Of a model that was trained on openings the openings count, as in its training.

        Raises:
            EngineError: where the chat template refuses the turns.
            ModelError: where a reward is no number.
        """
        return self.rewards_of_tokens([self._tokenise(one) for one in conversations])

    def rewards_of_tokens(
        self, rows: Sequence[Sequence[int]], *, on_batch: Callable[[], None] | None = None
    ) -> list[float]:
        """Give each row of token ids its reward; rows of similar length share a forward pass.

        Args:
            rows: what the model reads.
            on_batch: called before each forward pass; what it raises goes on to the caller.

        Raises:
            ModelError: where a reward is no number.
        """
        found = [0.0] * len(rows)
        most = _TOKENS_AT_ONCE.get(self._device.type, _TOKENS_AT_ONCE_ELSEWHERE)
        for batch in by_length([len(row) for row in rows], most):
            if on_batch is not None:
                on_batch()
            for place, reward in zip(batch, self._forward([rows[place] for place in batch]), strict=True):
                found[place] = reward
        if not all(map(math.isfinite, found)):
            raise ModelError(
                f"the preference model {self._name!r} gives rewards that are no numbers: its training diverged; train "
                "it again with a lower preference_model.learning_rate, in a new folder (--out)"
            )
        return found

    def score(
        self,
        preferences: Sequence[Preference],
        *,
        max_length: int = 1024,
        opening_tokens: int | None = None,
        on_batch: Callable[[], None] | None = None,
    ) -> ScoredPairs:
        """Give both sides of judged pairs their rewards, on the tokens that a training reads.

        Args:
            preferences: the rows.
            max_length: as in ``preference_model``, as is ``opening_tokens``: what does not fit is rejected.
            opening_tokens: so many of each response's first tokens are looked at; None looks at all.
            on_batch: called before each forward pass; what it raises goes on to the caller.
        """
        examples = preference_examples(
            preferences, self.tokenizer, max_length=max_length, opening_tokens=opening_tokens
        )
        sides = [(*one.prompt_ids, *one.chosen_ids) for one in examples.kept]
        sides += [(*one.prompt_ids, *one.rejected_ids) for one in examples.kept]
        rewards = self.rewards_of_tokens(sides, on_batch=on_batch)
        both = zip(examples.kept, rewards, rewards[len(examples.kept) :], strict=False)
        return ScoredPairs(tuple(ScoredPair(*one) for one in both), examples.rejected)

    def _tokenise(self, one: Conversation) -> tuple[int, ...]:
        prompt = self._tokens.prompt(one.turns)
        answer = self._tokens.answer(one.turns, prompt, one.response, whole=one.whole)
        return (*prompt, *answer[: self.opening_tokens])

    def _forward(self, rows: Sequence[Sequence[int]]) -> list[float]:
        ids, mask = padded(rows, self.tokenizer.pad_token_id)
        with torch.inference_mode():
            inputs = {"input_ids": ids.to(self._device), "attention_mask": mask.to(self._device)}
            logits = self.model(**inputs, use_cache=False).logits
        rewards: list[float] = logits.squeeze(-1).tolist()
        return rewards


def rollout_rewards(rollouts: Sequence[Rollout], *, model: RewardModel) -> list[float]:
    """Give what a policy drew its rewards; an answer that was cut is read without an end."""
    return model.rewards([Conversation(one.prompt.turns, one.text, whole=not one.is_cut) for one in rollouts])


def late_rewards(
    model: str | Path, on_load: Callable[[], None] = lambda: None
) -> Callable[[Sequence[tuple[tuple[Message, ...], str]]], list[float]]:
    """Give what gives turns and their last response rewards, from any thread: a model that is loaded when first asked.

    Args:
        model: a preference model.
        on_load: called before it is loaded.
    """
    # Rows ask in threads of their own: transformers may load one model at a time, and passes gain nothing side by side.
    alone = threading.Lock()

    @cache
    def loaded() -> RewardModel:
        on_load()
        return RewardModel(model)

    def rewards(asked: Sequence[tuple[tuple[Message, ...], str]]) -> list[float]:
        with alone:
            return loaded().rewards([Conversation(turns, response) for turns, response in asked])

    return rewards


def score_rewards(
    model: str | Path,
    preferences: Sequence[Preference],
    *,
    max_length: int = 1024,
    opening_tokens: int | None = None,
    dtype: Precision = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
) -> ScoredPairs:
    """Load a preference model, and give both sides of judged pairs their rewards (see ``RewardModel``)."""
    loaded = RewardModel(model, dtype=dtype, device=device, trust_remote_code=trust_remote_code)
    return loaded.score(preferences, max_length=max_length, opening_tokens=opening_tokens)


def _opening_of(folder: ModelFolder) -> int | None:
    """Read how many tokens of each response a preference model was trained on; None where nothing says so."""
    told = account_of(folder.adapter or folder.path)
    found = told["identity"].get("opening_tokens") if told else None
    return found if isinstance(found, int) else None


def _require_head(folder: ModelFolder) -> None:
    """Refuse a model that goes on from texts: a head of zeros would be put on it, and every reward be 0."""
    from safetensors import safe_open

    where = folder.adapter or folder.path
    for file in sorted(where.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            if any(name.rpartition(".weight")[0].endswith(HEAD) for name in weights.keys()):  # noqa: SIM118 - no dict
                return
    raise ModelError(
        f"{where} is no preference model: its weights have no head {HEAD!r}; name a folder that preference_model "
        "wrote, such as RUN/models/preference_model"
    )
