"""The head of a preference model: float32 whatever it is given, and padding that it cannot take for a text's end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from charter.errors import ModelError
from charter.training.reward_head import RewardHead, pad_apart, put_reward_head

END, UNKNOWN, BEGIN = 2, 0, 1  # of the tiny tokenizer


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    """The tiny tokenizer, which pads with the token that ends a turn."""
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(tiny_model)
    assert found.pad_token_id == found.eos_token_id == END
    return found


def test_rewards_are_float32_in_any_company() -> None:
    """Neither half precision of what comes in nor autocast makes them less; float64 stays what it is."""
    weight = torch.randn(1, 8)
    head = RewardHead(8, weight)
    hidden = torch.randn(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(hidden.to(torch.bfloat16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, hidden.to(torch.bfloat16).float() @ weight.T)
    assert RewardHead(8, weight.double())(hidden).dtype == torch.float64
    assert list(head.state_dict()) == ["weight"]


def test_padding_ends_no_text(tokenizer: Any) -> None:
    """A special token that ends nothing takes the place of the one that does; what is apart already stays."""
    pad_apart(tokenizer)
    assert tokenizer.pad_token_id == UNKNOWN
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(BEGIN)
    pad_apart(tokenizer)
    assert tokenizer.pad_token_id == BEGIN


def test_a_tokenizer_with_nothing_to_spare_keeps_its_own(tokenizer: Any) -> None:
    """Where the end of a turn is the only special token, it pads."""
    for name in ("unk_token", "bos_token"):
        setattr(tokenizer, name, tokenizer.eos_token)
    assert set(tokenizer.all_special_ids) == {END}
    pad_apart(tokenizer)
    assert tokenizer.pad_token_id == END


def test_the_library_reads_the_last_token(tiny_model: Path, tokenizer: Any) -> None:
    """Whichever side is padded, the reward is that of the end of turn; a new head is zeros until it is trained."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1)
    put_reward_head(model, tokenizer, is_new=True)
    assert model.score.weight.abs().max().item() == 0.0
    model.score.weight.data = torch.randn(1, 64)
    rows = [[5, 6, 7, END], [9, 8, END]]
    with torch.no_grad():
        wanted = [
            model.score(model.model(input_ids=torch.tensor([row])).last_hidden_state[0, -1]).item() for row in rows
        ]
        for side in ("left", "right"):
            padded = tokenizer.pad({"input_ids": rows}, return_tensors="pt", padding_side=side)
            assert model(**padded).logits[:, 0].tolist() == pytest.approx(wanted, abs=1e-4)


def test_a_model_with_another_head_is_refused(tokenizer: Any) -> None:
    """One that reads its first token cannot be told where a conversation ends."""
    from transformers import BertConfig, BertForSequenceClassification

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=16, num_labels=1, **small))
    with pytest.raises(ModelError, match="BertForSequenceClassification has no plain head 'score' of one output"):
        put_reward_head(model, tokenizer, is_new=True)
