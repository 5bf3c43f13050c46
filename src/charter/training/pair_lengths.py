"""How long pairs are in either layout, and when it pays that both sides share a prompt. Pure, and without torch."""

from __future__ import annotations

from collections.abc import Sequence

from charter.training.data import PreferenceExample

_WORTH_SHARING = 0.9  # the tokens that are left of those of rows apart, at most: a mask of its own costs a little too


def side_length(example: PreferenceExample) -> int:
    """Count the tokens of a pair's longer side, which the other is padded to."""
    return len(example.prompt_ids) + max(len(example.chosen_ids), len(example.rejected_ids))


def worth_sharing(examples: Sequence[PreferenceExample]) -> bool:
    """Tell whether rows that share their prompts have so many tokens less that it pays."""
    return pays_to_share(sum(one.n_tokens for one in examples), sum(len(one.prompt_ids) for one in examples))


def pays_to_share(shared: float, prompts: float) -> bool:
    """Tell it by the tokens of pairs that share their prompts, and by those of the prompts among them."""
    return shared <= _WORTH_SHARING * (shared + prompts)
