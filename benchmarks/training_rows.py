"""The rows that both sides of the training benchmark learn, and the loss that a model comes to on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from charter.engines.devices import computes_in_bfloat16
from charter.records import Preference, SftRow, make_prompt
from charter.training.data import IGNORED, SftExample, sft_examples
from charter.training.logprobs import answer_logprobs, labelled

MAX_LENGTH = 1024  # TRL's default, and longer than any row here
_BATCH = 8  # rows that are read at once
_WORDS = (  # noqa: SIM905 - a sentence reads better than a list of its words
    "the model should explain why it objects and offer a safer way to reach what a person wants without preaching "
    "about it because people ask for many reasons and most of them mean no harm at all"
).split()


def make_rows(n_rows: int) -> tuple[tuple[SftRow, ...], tuple[Preference, ...]]:
    """Write rows whose lengths are spread like real ones, and half as many pairs."""
    chance = random.Random(0)  # noqa: S311 - not a secret

    def text(n_words: int) -> str:
        return " ".join(chance.choice(_WORDS) for _ in range(n_words)).capitalize() + "."

    def question() -> str:
        return text(chance.randint(5, 40))

    def answer() -> str:
        return text(int(min(220, max(8, chance.lognormvariate(4.3, 0.6)))))

    rows = tuple(
        SftRow(id=f"r{i}", prompt=make_prompt(question(), "helpful"), response=answer(), origin="reference")
        for i in range(n_rows)
    )
    pairs = tuple(
        Preference(
            id=f"p{i}", prompt=make_prompt(question(), "red_team"), chosen=answer(), rejected=answer(), p_chosen=1.0,
            source="on_policy", verdicts=(), pair=f"q{i}", chosen_side="a", p_judge=1.0, position_bias=0.0,
        )
        for i in range(max(1, n_rows // 2))
    )  # fmt: skip
    return rows, pairs


def loss_on(rows: Sequence[SftRow], model: Any, tokenizer: Any) -> float:
    """Take the mean negative log-likelihood per answer token, in nats."""
    examples = sorted(sft_examples(rows, tokenizer, max_length=MAX_LENGTH).kept, key=lambda example: example.n_tokens)
    total, count = 0.0, 0
    model.eval()
    for start in range(0, len(examples), _BATCH):
        ids, mask, labels = _padded(examples[start : start + _BATCH], model.device)
        with (
            torch.no_grad(),
            torch.autocast(model.device.type, torch.bfloat16, enabled=computes_in_bfloat16(model.device)),
        ):
            read = {"input_ids": ids, "attention_mask": mask}
            values = answer_logprobs(model, read, labelled(labels), plain_head=True)
        total -= values.sum().item()
        count += len(values)
    return total / count


def chosen_row(pair: Preference) -> SftRow:
    """Give the chosen side of a pair as a row to learn."""
    return SftRow(id=pair.id, prompt=pair.prompt, response=pair.chosen, origin="reference")


def _padded(examples: Sequence[SftExample], device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    width = max(example.n_tokens for example in examples)

    def pad(values: Sequence[int], fill: int) -> list[int]:
        return [*values, *[fill] * (width - len(values))]

    ids = [pad(example.input_ids, 0) for example in examples]
    mask = [pad([1] * example.n_tokens, 0) for example in examples]
    labels = [pad(example.labels, IGNORED) for example in examples]
    return tuple(torch.tensor(values, device=device) for values in (ids, mask, labels))  # type: ignore[return-value]
