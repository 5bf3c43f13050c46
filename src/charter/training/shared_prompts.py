"""Which models read two responses behind one prompt as they read each behind a prompt of its own: found by trying."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import torch

from charter.training.data import PreferenceExample
from charter.training.pair_batches import PairCollator, answers_of, model_inputs, worth_sharing

#: How far what is hidden in either layout may be apart, as a share of its size, by how weights are kept: rounding in
#: bfloat16 makes a hundredth, in float32 a millionth.
_ALIKE, _ALIKE_IN_HALF = 1e-3, 0.05
_PARTS = (1 / 4, 1 / 2, 1 / 4)  # of the longest row that is tried: prompt, chosen and rejected
_SHORTER = 0.6  # the other pair: with padding in both layouts
_SEEN = re.compile("window|chunk")  # what a configuration calls it that a layer sees the last tokens alone
_FAILURES = (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError)


def may_share_prompts(model: Any, examples: Sequence[PreferenceExample]) -> bool:
    """Tell whether it pays that pairs share their prompts, and the model reads them so.

    Args:
        model: of transformers, without what shares it among processes; an adapter may be on it.
        examples: that it is to be trained on.
    """
    longest = max(one.n_tokens for one in examples)
    return worth_sharing(examples) and not _looks_through_a_window(model, longest) and _reads_alike(model, longest)


def _looks_through_a_window(model: Any, longest: int) -> bool:
    """Tell whether layers see the last tokens alone, which those of another response would be among."""
    told = model.config.get_text_config().to_dict()
    return any(_SEEN.search(name) and type(value) is int and 0 < value < longest for name, value in told.items())


def _reads_alike(model: Any, longest: int) -> bool:
    """Compare what is hidden at the tokens that predict answers, of two pairs in both layouts.

    One is as long as rows will be: what a layer does not see of a long row shows in no short one.
    """
    hidden = []
    was_training = model.training
    model.eval()
    try:
        weight = model.get_input_embeddings().weight
        for shares in (False, True):
            collator = PairCollator(padding=0)
            collator.shares = shares
            batch = {name: values.to(weight.device) for name, values in collator(_pairs(longest)).items()}
            asked, _ = answers_of(batch)
            with torch.no_grad():
                outputs = model.base_model(**model_inputs(batch, mask_dtype(model)), use_cache=False)
            hidden.append(outputs.last_hidden_state[asked.rows, asked.positions].float())
    except torch.OutOfMemoryError:
        raise
    except _FAILURES:  # a model that takes no mask or no positions says so, each in its own way
        return False
    finally:
        model.train(was_training)
    apart, shared = hidden
    alike = _ALIKE if weight.dtype.itemsize >= torch.float32.itemsize else _ALIKE_IN_HALF
    return bool(((shared - apart).norm(dim=1) <= alike * apart.norm(dim=1)).all())


def mask_dtype(model: Any) -> torch.dtype:
    """Say which numbers a model adds to the scores of attention."""
    dtype: torch.dtype = model.get_input_embeddings().weight.dtype
    return dtype


def _pairs(longest: int) -> list[dict[str, list[int]]]:
    ids = itertools.cycle(range(3, 99))
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return [
        {
            name: [next(ids) for _ in range(max(2, int(longest * of_all * part)))]
            for name, part in zip(names, _PARTS, strict=True)
        }
        for of_all in (1.0, _SHORTER)
    ]
