"""Which models read two responses behind one prompt as they read each behind a prompt of its own: found by trying."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from charter.training.data import PreferenceExample
from charter.training.logprobs import Asked
from charter.training.pair_batches import PairCollator, answers_of, model_inputs
from charter.training.pair_lengths import side_length

#: How far what is hidden in either layout may be apart, as a share of its size, by how products are computed: rounding
#: in bfloat16 makes a hundredth, in float32 a millionth.
_ALIKE, _ALIKE_IN_HALF = 1e-3, 0.05
_OF_A_SIDE = 3 / 4  # of a row of both sides, in the first pairs that are tried: half of it are prompt
_SHORTER = 0.6  # the other pair: with padding in both layouts
#: What configurations call it how many tokens a layer sees.
_WINDOWS = (
    "sliding_window",
    "sliding_window_size",
    "window_size",
    "attention_window_size",
    "attention_chunk_size",
    "keep_window_size",
    "local_attention_window_len",
)
_FAILURES = (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError)

_SEES_THE_LAST = "layers of the model see the last tokens alone"
_READS_OTHERWISE = "the model does not read two responses behind one prompt as it reads each behind its own"


def why_apart(model: Any, examples: Sequence[PreferenceExample]) -> str | None:
    """Say why the two sides of a pair may not share its prompt; None where they may.

    Args:
        model: of transformers, without what shares it among processes; an adapter may be on it. It is asked under the
            caller's autocast.
        examples: that it is to be trained on.
    """
    if _looks_through_a_window(model, max(one.n_tokens for one in examples)):
        return _SEES_THE_LAST
    readings = [_readings(model, pairs) for pairs in _trials(model, examples)]  # ours: what fails here is no model's
    try:
        return None if all(_reads_alike(model, *both) for both in readings) else _READS_OTHERWISE
    except torch.OutOfMemoryError:
        raise
    except _FAILURES as error:  # a model that takes no mask or no positions says so, each in its own way
        return f"{_READS_OTHERWISE} ({type(error).__name__}: {str(error).partition(chr(10))[0]})"


def _looks_through_a_window(model: Any, longest: int) -> bool:
    """Tell whether layers see the last tokens alone, which those of another response would be among."""
    told = model.config.get_text_config().to_dict()
    slides = told.get("use_sliding_window") is not False  # what Qwen's configurations have beside the size
    sizes = [told.get(name) for name in _WINDOWS if slides or not name.startswith("sliding")]
    return any(type(size) is int and 0 < size < longest for size in sizes)


def _trials(model: Any, examples: Sequence[PreferenceExample]) -> Iterator[list[dict[str, list[int]]]]:
    """Give the pairs of each trial; none has a token at a position where no row of the training has one.

    The first have both sides within the length of the longest one, so that a model that counts positions by places in
    the row finds them all: on a GPU it would else leave a device on which nothing can be computed any more. The others
    are as long as rows will be: what a layer does not see of a long row shows in no short one.
    """
    side = max(map(side_length, examples))
    side = min(side, getattr(model.config.get_text_config(), "max_position_embeddings", None) or side)
    yield _pairs(max(2, int(side * _OF_A_SIDE)), side)
    yield _pairs(side, max(one.n_tokens for one in examples))


class _Reading(NamedTuple):
    """What a model reads of some pairs in a layout, and the tokens that are asked for."""

    inputs: dict[str, torch.Tensor]
    asked: Asked


def _readings(model: Any, pairs: list[dict[str, list[int]]]) -> tuple[_Reading, _Reading]:
    """Lay pairs out apart, and behind their prompts."""
    device, dtype = model.get_input_embeddings().weight.device, mask_dtype(model)

    def reading(*, shares: bool) -> _Reading:
        collator = PairCollator(padding=0)
        collator.shares = shares
        batch = {name: values.to(device) for name, values in collator(pairs).items()}
        return _Reading(model_inputs(batch, dtype), answers_of(batch)[0])

    return reading(shares=False), reading(shares=True)


def _reads_alike(model: Any, *both: _Reading) -> bool:
    """Compare what is hidden at the tokens that predict answers, in both layouts."""
    was_training = model.training
    model.eval()
    try:
        apart, shared = (_hidden(model, one) for one in both)
    finally:
        model.train(was_training)
    weight = model.get_input_embeddings().weight
    alike = _ALIKE if _precision(weight).itemsize >= torch.float32.itemsize else _ALIKE_IN_HALF
    return bool(((shared - apart).norm(dim=1) <= alike * apart.norm(dim=1)).all())


def _hidden(model: Any, one: _Reading) -> torch.Tensor:
    with torch.no_grad():
        outputs = model.base_model(**one.inputs, use_cache=False)
    found: torch.Tensor = outputs.last_hidden_state[one.asked.rows, one.asked.positions].float()
    return found


def _precision(weight: torch.Tensor) -> torch.dtype:
    """Say in which precision products with a weight are computed here."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def mask_dtype(model: Any) -> torch.dtype:
    """Say which numbers a model adds to the scores of attention."""
    dtype: torch.dtype = model.get_input_embeddings().weight.dtype
    return dtype


def _pairs(side: int, row: int) -> list[dict[str, list[int]]]:
    """Make a pair whose sides have ``side`` tokens each, and a row of both ``row``, and a shorter one."""
    ids = itertools.cycle(range(3, 99))
    answer = min(max(1, row - side), side - 1)
    lengths = {"prompt_ids": side - answer, "chosen_ids": answer, "rejected_ids": answer}
    return [
        {name: [next(ids) for _ in range(max(1, int(length * of_all)))] for name, length in lengths.items()}
        for of_all in (1.0, _SHORTER)
    ]
