"""Which models read two responses behind one prompt as they read each behind a prompt of its own: found by trying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from charter.training.data import PreferenceExample
from charter.training.pair_batches import PairCollator, answers_of, model_inputs, worth_sharing

#: How far what is hidden in either layout may be apart, as a share of its size. Rounding in bfloat16 makes a hundredth;
#: a layer that looks past the mask, or counts tokens by itself, most of it.
_ALIKE = 0.1
_PROMPT_TOKENS, _TOKENS = 6, (4, 7)  # of the pairs that are tried: with padding in both layouts


def may_share_prompts(model: Any, examples: Sequence[PreferenceExample]) -> bool:
    """Tell whether it pays that pairs share their prompts, and the model reads them so.

    Args:
        model: of transformers, without what shares it among processes; an adapter may be on it.
        examples: that it is to be trained on.
    """
    return (
        worth_sharing(examples)
        and not _looks_through_a_window(model, max(one.n_tokens for one in examples))
        and _reads_alike(model)
    )


def _looks_through_a_window(model: Any, longest: int) -> bool:
    """Tell whether layers see the last tokens alone, which those of another response would be among."""
    text = model.config.get_text_config()
    windows = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return any(isinstance(window, int) and window < longest for window in windows)


def _reads_alike(model: Any) -> bool:
    """Compare what is hidden at the tokens that predict answers, of two small pairs in both layouts."""
    device = model.get_input_embeddings().weight.device
    hidden = []
    was_training = model.training
    model.eval()
    try:
        for shares in (False, True):
            collator = PairCollator(padding=0)
            collator.shares = shares
            batch = {name: values.to(device) for name, values in collator(_small_pairs()).items()}
            asked, _ = answers_of(batch)
            with torch.no_grad():
                outputs = model.base_model(**model_inputs(batch, mask_dtype(model)), use_cache=False)
            hidden.append(outputs.last_hidden_state[asked.rows, asked.positions].float())
    except (TypeError, ValueError, RuntimeError, AttributeError):  # a model that takes no mask or no positions says so
        return False
    finally:
        model.train(was_training)
    apart, shared = hidden
    return bool(((shared - apart).norm(dim=1) <= _ALIKE * apart.norm(dim=1)).all())


def mask_dtype(model: Any) -> torch.dtype:
    """Say which numbers a model adds to the scores of attention."""
    dtype: torch.dtype = model.get_input_embeddings().weight.dtype
    return dtype


def _small_pairs() -> list[dict[str, list[int]]]:
    ids = iter(range(3, 99))

    def draw(n: int) -> list[int]:
        return [next(ids) for _ in range(n)]

    return [
        {"prompt_ids": draw(_PROMPT_TOKENS + n), "chosen_ids": draw(_TOKENS[n]), "rejected_ids": draw(_TOKENS[1 - n])}
        for n in range(2)
    ]
