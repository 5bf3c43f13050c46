"""Drawing tokens: each row by its own random numbers, so that no row depends on who shares its batch.

A row's random number at a step is a hash of its seed and the step (a counter-based generator: nothing is carried
from step to step). The token is found by inverting the cumulative distribution in vocabulary order, which two batches
that differ by rounding errors agree on except within a rounding error of a token's boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

_BLOCK = 256  # tokens summed at once: the draw finds its block first, then its token in the block
_NUCLEUS_SIZES = (64, 768)  # how many of the likeliest tokens are looked at before the whole vocabulary is sorted

# splitmix64's constants (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Draws:
    """How each row of a batch is drawn: arrays of shape (n_rows,).

    ``temperature`` 0 is greedy; ``top_p`` 1 leaves the distribution whole; ``uniform`` is the row's number in [0, 1).
    """

    temperature: npt.NDArray[np.float32]
    top_p: npt.NDArray[np.float32]
    uniform: npt.NDArray[np.float64]


def uniforms(seeds: npt.NDArray[np.uint64], steps: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Give each row its random number in [0, 1) for one step: a hash of seed and step, and nothing else."""
    with np.errstate(over="ignore"):  # wrapping around is the generator
        mixed = _mix(_mix(seeds + _GAMMA) + (steps + np.uint64(1)) * _GAMMA)
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
    return _invert(weights, torch.from_numpy(draws.uniform).to(device))


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


def _invert(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Find in each row the token at which the cumulative weight passes ``uniform`` of the total."""
    n_rows, n_tokens = weights.shape
    if n_tokens % _BLOCK:
        weights = torch.nn.functional.pad(weights, (0, _BLOCK - n_tokens % _BLOCK))
    blocks = weights.view(n_rows, -1, _BLOCK)
    per_block = blocks.sum(-1).double().cumsum(-1)
    target = uniform * per_block[:, -1]
    block = (per_block <= target.unsqueeze(-1)).sum(-1).clamp(max=per_block.shape[1] - 1)
    before = torch.where(block > 0, per_block.gather(1, (block - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1), 0.0)
    inside = blocks[torch.arange(n_rows, device=weights.device), block].double()
    passed = inside.cumsum(-1) <= (target - before).unsqueeze(-1)
    # A rounding error may pass all of the block: then the block's last token that has any weight is meant.
    last = torch.where(inside > 0, torch.arange(_BLOCK, device=weights.device), 0).amax(-1)
    return block * _BLOCK + torch.minimum(passed.sum(-1), last)


def _ids(tensor: torch.Tensor) -> npt.NDArray[np.int64]:
    return tensor.cpu().numpy()  # type: ignore[no-any-return]  # torch types it as an array of Any


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
