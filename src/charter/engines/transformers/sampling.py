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
_NUCLEUS = 64  # of the likeliest tokens are looked at before the whole vocabulary is sorted
_CPU_ROWS = 16  # drawn at once: more would leave the cache, and the allocator's reach

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
    n_rows = len(logits)
    at_once = _CPU_ROWS if logits.device.type == "cpu" else n_rows
    pieces = [slice(first, first + at_once) for first in range(0, n_rows, at_once)]
    return np.concatenate([_draw(logits[piece], _part(draws, piece)) for piece in pieces])


def _draw(logits: torch.Tensor, draws: Draws) -> npt.NDArray[np.int64]:
    sampled = np.flatnonzero(draws.temperature > 0)
    if len(sampled) == len(logits):
        return _ids(_sample(logits, draws))
    ids = _ids(logits.float().argmax(-1))
    if len(sampled):
        index = torch.from_numpy(sampled).to(logits.device)
        ids[sampled] = _ids(_sample(logits.index_select(0, index), _part(draws, sampled)))
    return ids


def _part(draws: Draws, rows: slice | npt.NDArray[np.int64]) -> Draws:
    return Draws(draws.temperature[rows], draws.top_p[rows], draws.uniform[rows])


def _sample(logits: torch.Tensor, draws: Draws) -> torch.Tensor:
    device = logits.device
    scaled = logits.float()
    if (draws.temperature != 1).any():
        scaled = scaled / torch.from_numpy(draws.temperature).to(device).unsqueeze(-1)
    weights = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    nucleus = np.flatnonzero(draws.top_p < 1)
    if len(nucleus):
        index = torch.from_numpy(nucleus).to(device)
        chosen = weights.index_select(0, index)
        smallest = _smallest_kept(chosen, torch.from_numpy(draws.top_p[nucleus]).to(device) * chosen.sum(-1))
        weights.index_copy_(0, index, torch.where(chosen >= smallest, chosen, 0.0))
    return _descend(weights, torch.from_numpy(draws.uniform).to(device))


def _smallest_kept(weights: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Find the smallest weight of the fewest largest that reach what is wanted, (n_rows, 1).

    The nucleus of Holtzman et al. 2019 (§3.1). Few tokens are enough for most rows; the others are sorted whole.
    """
    largest = weights.topk(min(_NUCLEUS, weights.shape[1]), -1).values
    smallest = _at_reach(largest, wanted)
    wide = (largest.sum(-1) < wanted).nonzero().squeeze(-1)
    if len(wide):
        smallest[wide] = _at_reach(_sorted(weights[wide]), wanted[wide])
    return smallest


def _at_reach(descending: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    short = (descending.cumsum(-1) < wanted.unsqueeze(-1)).sum(-1, keepdim=True)
    return descending.gather(-1, short.clamp(max=descending.shape[-1] - 1))


def _sorted(weights: torch.Tensor) -> torch.Tensor:
    """Sort each row, largest first (on a CPU by numpy, which is 30 times faster at it than torch)."""
    if weights.device.type == "cpu":
        return torch.from_numpy(np.sort(weights.numpy(), axis=-1)[:, ::-1].copy())
    return weights.sort(-1, descending=True).values


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
