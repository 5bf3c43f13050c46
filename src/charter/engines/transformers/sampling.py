"""Drawing tokens: each row by its own random numbers, so that no row depends on who shares its batch.

A row's random numbers at a step are hashes of its seed and the step (a counter-based generator: nothing is carried
from step to step). The token is found by descending a tree over the vocabulary, 16 branches a level, each level with
a number of its own. One walk along the whole cumulative distribution would do the same, but there the rounding errors
by which two batches differ add up over 50,000 tokens and decide between unlikely ones; in a tree they stay where they
are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

_BRANCHES = 16
_LEVELS = 4  # the first level takes what 16 x 16 x 16 tokens a branch leave over: 12 branches for 49,152 tokens
_NUCLEUS_SIZES = (64, 768)  # how many of the likeliest tokens are looked at before the whole vocabulary is sorted

# splitmix64's constants (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Draws:
    """How each row of a batch is drawn: arrays of shape (n_rows,).

    ``temperature`` 0 is greedy; ``top_p`` 1 leaves the distribution whole; ``uniform`` holds the
    row's numbers in [0, 1), (n_rows, 4).
    """

    temperature: npt.NDArray[np.float32]
    top_p: npt.NDArray[np.float32]
    uniform: npt.NDArray[np.float64]


def uniforms(seeds: npt.NDArray[np.uint64], steps: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Give each row its random numbers in [0, 1) for one step, (n_rows, 4): hashes of seed and step alone."""
    with np.errstate(over="ignore"):  # wrapping around is the generator
        counters = np.add.outer(steps * np.uint64(_LEVELS), np.arange(1, _LEVELS + 1, dtype=np.uint64))
        mixed = _mix(_mix(seeds + _GAMMA)[:, None] + (counters * _GAMMA).astype(np.uint64))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw(logits: torch.Tensor, draws: Draws) -> npt.NDArray[np.int64]:
    """Draw one token per row.

    Args:
        logits: (n_rows, n_tokens), of any floating dtype; the distribution is computed in float32.
        draws: how each row is drawn.

    Returns:
        Token ids, (n_rows,).
    """
    sampled = np.flatnonzero(draws.temperature > 0)
    if len(sampled) == 0:
        return _ids(logits.float().argmax(-1))
    if len(sampled) == len(draws.temperature):
        return _ids(_sample(logits, draws))
    ids = _ids(logits.float().argmax(-1))
    index = torch.from_numpy(sampled).to(logits.device)
    chosen = Draws(draws.temperature[sampled], draws.top_p[sampled], draws.uniform[sampled])
    ids[sampled] = _ids(_sample(logits.index_select(0, index), chosen))
    return ids


def _sample(logits: torch.Tensor, draws: Draws) -> torch.Tensor:
    device = logits.device
    scaled = logits.float()
    if (draws.temperature != 1).any():
        scaled = scaled / torch.from_numpy(draws.temperature).to(device).unsqueeze(-1)
    weights = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    nucleus = np.flatnonzero(draws.top_p < 1)
    if len(nucleus):
        index = torch.from_numpy(nucleus).to(device)
        kept = _keep_nucleus(weights.index_select(0, index), torch.from_numpy(draws.top_p[nucleus]).to(device))
        weights.index_copy_(0, index, kept)
    return _descend(weights, torch.from_numpy(draws.uniform).to(device))


def _keep_nucleus(weights: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Set to 0 all but the likeliest tokens that together reach ``top_p`` (Holtzman et al. 2019, §3.1)."""
    wanted = top_p * weights.sum(-1)
    for size in (*(size for size in _NUCLEUS_SIZES if size < weights.shape[-1]), weights.shape[-1]):
        largest = weights.topk(size, -1).values
        cumulative = largest.cumsum(-1)
        if bool((cumulative[:, -1] >= wanted).all()):
            break
    last = (cumulative < wanted.unsqueeze(-1)).sum(-1, keepdim=True).clamp(max=size - 1)
    return torch.where(weights >= largest.gather(-1, last), weights, 0.0)


def _descend(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Find each row's token, branch by branch."""
    n_rows, n_tokens = weights.shape
    leaf = _BRANCHES ** (_LEVELS - 1)
    if n_tokens % leaf:
        weights = torch.nn.functional.pad(weights, (0, leaf - n_tokens % leaf))
    rows = torch.arange(n_rows, device=weights.device)
    blocks = weights.view(n_rows, -1, _BRANCHES * _BRANCHES)
    sums = blocks.sum(-1).view(n_rows, -1, _BRANCHES)
    first = _pick(sums.sum(-1), uniform[:, 0])
    block = first * _BRANCHES + _pick(sums[rows, first], uniform[:, 1])
    inside = blocks[rows, block].view(n_rows, _BRANCHES, _BRANCHES)
    third = _pick(inside.sum(-1), uniform[:, 2])
    fourth = _pick(inside[rows, third], uniform[:, 3])
    return (block * _BRANCHES + third) * _BRANCHES + fourth


def _pick(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Invert each row's cumulative distribution over a few branches."""
    cumulative = weights.double().cumsum(-1)
    passed = (cumulative <= (uniform * cumulative[:, -1]).unsqueeze(-1)).sum(-1)
    # A rounding error may pass them all: then the last branch that has any weight is meant.
    last = torch.where(weights > 0, torch.arange(weights.shape[1], device=weights.device), 0).amax(-1)
    return torch.minimum(passed, last)


def _ids(tensor: torch.Tensor) -> npt.NDArray[np.int64]:
    return tensor.cpu().numpy()


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
