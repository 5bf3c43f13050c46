"""Batches of pairs, token by token: the two sides apart, and behind one prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charter.training.data import PreferenceExample
from charter.training.pair_batches import (
    CHOSEN,
    LABEL,
    PADDING,
    PROMPT,
    REJECTED,
    PairCollator,
    answers_of,
    attention_of,
    last_tokens,
)
from charter.training.pair_lengths import worth_sharing

PAD = 2
IDS = st.lists(st.integers(3, 99), min_size=1, max_size=6)
PAIRS = st.lists(
    st.fixed_dictionaries({"prompt_ids": IDS, "chosen_ids": IDS, "rejected_ids": IDS}), min_size=1, max_size=4
)


def collated(pairs: list[dict[str, Any]], *, shares: bool) -> dict[str, torch.Tensor]:
    """Put pairs together."""
    collator = PairCollator(PAD)
    collator.shares = shares
    return collator(pairs)


def seen_by_each(batch: dict[str, torch.Tensor]) -> list[list[list[int]]]:
    """List the tokens that each token of each shared row may see, in the order of their positions."""
    may = attention_of(batch["parts"], torch.float32)[:, 0] == 0
    found = []
    for ids, places, row in zip(batch["input_ids"], batch["position_ids"], may, strict=True):
        found.append([ids[seen][places[seen].argsort()].tolist() for seen in row])
    return found


@given(PAIRS)
def test_a_shared_row_shows_each_token_what_its_own_row_would(pairs: list[dict[str, Any]]) -> None:
    """Each token sees all before it in its conversation and itself, at the same positions, and nothing else."""
    batch = collated(pairs, shares=True)
    for pair, tokens, seen in zip(pairs, batch["input_ids"].tolist(), seen_by_each(batch), strict=True):
        prompt, *answers = pair["prompt_ids"], pair["chosen_ids"], pair["rejected_ids"]
        conversations = [prompt + answer for answer in answers]
        wanted = [prompt[: end + 1] for end in range(len(prompt))]
        wanted += [one[: end + 1] for one in conversations for end in range(len(prompt), len(one))]
        n_tokens = len(wanted)
        assert seen[:n_tokens] == wanted
        assert [one[-1] for one in wanted] == tokens[:n_tokens]
        assert set(tokens[n_tokens:]) <= {PAD}
        assert set(batch["parts"][0].tolist()) <= {PADDING, PROMPT, CHOSEN, REJECTED}


@given(PAIRS)
def test_answers_are_the_same_in_both_layouts(pairs: list[dict[str, Any]]) -> None:
    """Chosen answers first, then rejected ones, whole; each token is predicted by the one before it."""
    answers = [pair[name] for name in ("chosen_ids", "rejected_ids") for pair in pairs]
    prompts = [pair["prompt_ids"] for pair in pairs] * 2
    wanted = [
        (token, before)
        for prompt, answer in zip(prompts, answers, strict=True)
        for token, before in zip(answer, [prompt[-1], *answer], strict=False)
    ]
    for shares in (False, True):
        batch = collated(pairs, shares=shares)
        asked, n_tokens = answers_of(batch)
        before = batch["input_ids"][asked.rows, asked.positions]
        assert list(zip(asked.tokens.tolist(), before.tolist(), strict=True)) == wanted
        assert n_tokens.tolist() == [len(answer) for answer in answers]


@given(PAIRS)
def test_the_last_tokens_are_those_that_rewards_are_read_off(pairs: list[dict[str, Any]]) -> None:
    """The last of each side; of one that ends with what rows are padded with, the token before it."""
    pairs = [{**pair, "chosen_ids": [*pair["chosen_ids"], PAD]} for pair in pairs]
    batch = collated(pairs, shares=True)
    rows, places = last_tokens(batch, PAD)
    wanted = [pair["chosen_ids"][-2] for pair in pairs] + [pair["rejected_ids"][-1] for pair in pairs]
    assert batch["input_ids"][rows, places].tolist() == wanted
    assert batch["parts"][rows, places].tolist() == [CHOSEN] * len(pairs) + [REJECTED] * len(pairs)


def test_numbers_come_along() -> None:
    """Labels are there in float64, and what the rows do not have is not."""
    pair = {"prompt_ids": [5], "chosen_ids": [6], "rejected_ids": [7], LABEL: 0.1}
    for shares in (False, True):
        batch = collated([pair], shares=shares)
        assert batch[LABEL].tolist() == [0.1]
        assert batch[LABEL].dtype == torch.float64
        assert "ref_chosen_logps" not in batch


@pytest.mark.parametrize(("n_prompt", "worth"), [(40, True), (3, True), (1, False)])
def test_short_prompts_are_not_worth_it(n_prompt: int, worth: bool) -> None:
    """A tenth of the tokens is to be saved at least."""
    one = PreferenceExample("p", (5,) * n_prompt, (6,) * 10, (7,) * 10, 1.0)
    assert worth_sharing([one]) == worth
