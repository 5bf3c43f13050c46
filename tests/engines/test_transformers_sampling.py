from __future__ import annotations

import numpy as np
import pytest
import torch

from charter.engines.transformers.sampling import Draws, draw, uniforms

N_TOKENS = 5000
N_DRAWS = 40_000
PINNED = [0.6524484863740322, 0.7679793680896715]


def draws(n_rows: int, temperature: float = 1.0, top_p: float = 1.0, step: int = 0) -> Draws:
    """Rows with seeds 0, 1, 2 ... at one step."""
    seeds = np.arange(n_rows, dtype=np.uint64)
    steps = np.full(n_rows, step, dtype=np.uint64)
    shape = np.ones(n_rows, dtype=np.float32)
    return Draws(temperature * shape, top_p * shape, uniforms(seeds, steps))


def logits(n_tokens: int = N_TOKENS, seed: int = 0) -> torch.Tensor:
    """Random logits for one row."""
    return 3 * torch.randn(1, n_tokens, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.0])
def test_draws_follow_the_distribution(temperature: float) -> None:
    """The likeliest tokens come as often as they should, within four standard errors; so does all the rest."""
    row = logits()
    drawn = draw(row.expand(N_DRAWS, -1), draws(N_DRAWS, temperature))
    probabilities = (row[0].double() / temperature).softmax(-1).numpy()
    counts = np.bincount(drawn, minlength=N_TOKENS)
    top = np.argsort(-probabilities)[:50]
    expected = np.append(probabilities[top], 1 - probabilities[top].sum())
    found = np.append(counts[top], N_DRAWS - counts[top].sum()) / N_DRAWS
    assert np.all(np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / N_DRAWS) + 1e-6)


@pytest.mark.parametrize("top_p", [0.1, 0.9, 0.999])
@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_nucleus_keeps_the_fewest_likeliest_tokens(top_p: float, spread: float) -> None:
    """No draw leaves the smallest set that reaches ``top_p``, however many tokens that takes; and it fills it."""
    row = logits() * spread / 3
    drawn = draw(row.expand(5000, -1), draws(5000, top_p=top_p))
    probabilities = row[0].double().softmax(-1)
    order = probabilities.argsort(descending=True)
    n_kept = int((probabilities[order].cumsum(-1) < top_p).sum()) + 1
    kept = set(order[:n_kept].tolist())
    assert set(drawn.tolist()) <= kept
    often = [token for token in kept if probabilities[token] * 5000 >= 20]
    assert set(often) <= set(drawn.tolist())
    if spread < 1:  # nearly uniform: the draws must spread over the whole set
        assert len(set(drawn.tolist())) >= 0.5 * min(n_kept, 5000)


def test_temperature_0_takes_the_likeliest_beside_sampled_rows() -> None:
    """Greedy and sampled rows share a batch."""
    rows = logits().expand(6, -1)
    mixed = draws(6)
    mixed.temperature[::2] = 0
    drawn = draw(rows, mixed)
    assert set(drawn[::2]) == {int(rows[0].argmax())}
    assert drawn[1::2].tolist() == draw(rows, draws(6))[1::2].tolist()


def test_rows_do_not_know_their_batch() -> None:
    """A row draws the same token alone and among others, and small rounding errors change nothing."""
    rows = torch.cat([logits(seed=seed) for seed in range(64)])
    together = draw(rows, draws(64))
    asked = draws(64)
    for row in range(64):
        one = Draws(asked.temperature[[row]], asked.top_p[[row]], asked.uniform[[row]])
        assert draw(rows[[row]], one)[0] == together[row]
    noise = 1e-6 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(9))
    assert draw(rows + noise, asked).tolist() == together.tolist()


def test_random_numbers_are_pinned_and_spread() -> None:
    """A seed's numbers are the same everywhere and for ever; neighbours in seed and step are unrelated."""
    seeds, steps = np.array([0, 2**56 - 1], dtype=np.uint64), np.array([0, 7], dtype=np.uint64)
    assert uniforms(seeds, steps)[:, 0].tolist() == pytest.approx(PINNED, abs=1e-15)
    many = uniforms(np.arange(20_000, dtype=np.uint64), np.zeros(20_000, dtype=np.uint64))
    assert np.all((many >= 0) & (many < 1))
    assert many.mean() == pytest.approx(0.5, abs=0.01)
    later = uniforms(np.arange(20_000, dtype=np.uint64), np.ones(20_000, dtype=np.uint64))
    columns = np.concatenate((many, later), axis=1)
    correlations = np.corrcoef(columns, rowvar=False) - np.eye(columns.shape[1])
    assert np.abs(correlations).max() < 0.04
    assert abs(np.corrcoef(many[:-1, 0], many[1:, 0])[0, 1]) < 0.04


def test_certain_token_is_drawn_by_every_number() -> None:
    """Where one token has all the weight, even the largest number below 1 finds it, at any place."""
    for place in (0, 255, 256, 4095, 4096, N_TOKENS - 1):
        row = torch.full((1, N_TOKENS), float("-inf"))
        row[0, place] = 0.0
        for number in (0.0, 0.5, 1 - 2**-53):
            one = np.ones(1, dtype=np.float32)
            assert draw(row, Draws(one, one, np.full((1, 4), number)))[0] == place
