"""Which tokens a model reads and which of them bear loss, read back token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training_rows import preference, sft_rows

from charter.errors import ModelError
from charter.records import Message, Prompt, SftRow, make_prompt
from charter.training.data import IGNORED, preference_examples, sft_examples

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    """The tiny model's tokenizer: byte level, ChatML, and pad == eos == end of turn."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def row(prompt: str, response: str) -> SftRow:
    """Make a row from two texts."""
    return SftRow(id="row", prompt=make_prompt(prompt, "helpful"), response=response, origin="reference")


def pieces(tokenizer: Any, ids: Any) -> str:
    """Write token ids as text, special tokens included."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False))


def test_loss_falls_on_the_response_and_its_end_of_turn_only(tokenizer: Any) -> None:
    """What is read is the rendered conversation up to the end of turn; what bears loss is the answer's part."""
    (example,) = sft_examples([row("Who?", "The teacher.")], tokenizer, max_length=200).kept
    read = pieces(tokenizer, example.input_ids)
    assert read == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nThe teacher.<|im_end|>"
    bearing = [label for label in example.labels if label != IGNORED]
    assert pieces(tokenizer, bearing) == "The teacher.<|im_end|>"
    assert bearing == list(example.input_ids[-len(bearing) :])
    assert example.n_loss_tokens == len(bearing)


def test_an_open_response_bears_no_end(tokenizer: Any) -> None:
    """What was left open at the token limit is learnt as a beginning: no end of turn is read or bears loss."""
    opened = row("Who?", "The teacher").model_copy(update={"whole": False})
    (example,) = sft_examples([opened], tokenizer, max_length=200).kept
    assert pieces(tokenizer, example.input_ids).endswith("assistant\nThe teacher")
    assert pieces(tokenizer, [label for label in example.labels if label != IGNORED]) == "The teacher"
    judged = preference(0, chosen="The teacher", rejected="Nobody.").model_copy(update={"whole_chosen": False})
    (pair,) = preference_examples([judged], tokenizer, max_length=200).kept
    assert pieces(tokenizer, pair.chosen_ids) == "The teacher"
    assert pieces(tokenizer, pair.rejected_ids) == "Nobody.<|im_end|>"


@pytest.mark.parametrize(("opening", "read"), [(1, "The"), (2, "The teacher"), (99, "The teacher.<|im_end|>")])
def test_only_the_opening_is_trained_on(tokenizer: Any, opening: int, read: str) -> None:
    """Of a longer response the first tokens are read and bear loss; the end of turn only where it is among them."""
    n = opening if opening > 2 else len(tokenizer(read, add_special_tokens=False)["input_ids"])
    (example,) = sft_examples([row("Who?", "The teacher.")], tokenizer, max_length=200, opening_tokens=n).kept
    assert pieces(tokenizer, example.input_ids).endswith("assistant\n" + read)
    assert pieces(tokenizer, [label for label in example.labels if label != IGNORED]) == read
    judged = preference(0, chosen="The teacher.", rejected="Nobody.")
    (pair,) = preference_examples([judged], tokenizer, max_length=200, opening_tokens=n).kept
    assert pieces(tokenizer, pair.chosen_ids) == read
    assert len(pair.rejected_ids) <= n


def test_a_pair_that_opens_alike_is_rejected(tokenizer: Any) -> None:
    """Nothing is learnt from a pair whose sides differ only behind the opening; it is reported, not lost."""
    judged = preference(0, chosen="The teacher knows.", rejected="The teacher left.")
    n = len(tokenizer("The teacher", add_special_tokens=False)["input_ids"])
    examples = preference_examples([judged], tokenizer, max_length=200, opening_tokens=n)
    assert [(one.id, one.reason) for one in examples.rejected] == [("preference-0", "same_opening")]
    assert examples.rejected[0].detail == f"both responses begin with the same {n} tokens"
    assert not preference_examples([judged], tokenizer, max_length=200, opening_tokens=n + 2).rejected


@pytest.mark.parametrize("opening", [None, 1, 99])
def test_two_texts_of_the_same_tokens_are_equal(tiny_model: Path, opening: int | None) -> None:
    """What a tokenizer's normaliser makes one text of is no pair, and no opening is blamed for it."""
    from tokenizers import normalizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    judged = preference(0, chosen="caf\u00e9", rejected="cafe\u0301")
    examples = preference_examples([judged], tokenizer, max_length=200, opening_tokens=opening)
    assert [(one.reason, one.detail) for one in examples.rejected] == [
        ("equal", "both responses are the same tokens, though not the same text")
    ]


def test_length_is_that_of_the_opening(tokenizer: Any) -> None:
    """A long response is cut to its opening first: the row fits, as it is trained on."""
    long = row("Who?", "The teacher. " * 50)
    assert sft_examples([long], tokenizer, max_length=100).kept == ()
    (example,) = sft_examples([long], tokenizer, max_length=100, opening_tokens=3).kept
    assert example.n_loss_tokens == 3


def test_newline_after_the_end_of_turn_is_left_out(smollm2: Path) -> None:
    """SmolLM2's template writes a newline behind the last end of turn; the example ends before it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    (example,) = sft_examples([row("Who?", "The teacher.")], tokenizer, max_length=200).kept
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "The teacher."}], tokenize=False
    )
    assert text.endswith("<|im_end|>\n")
    assert pieces(tokenizer, example.input_ids) + "\n" == text
    assert pieces(tokenizer, [label for label in example.labels if label != IGNORED]) == "The teacher.<|im_end|>"
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(example.input_ids) == whole[:-1]


def test_batch_read_back_token_by_token(tokenizer: Any) -> None:
    """In a padded batch the padding is masked and bears no loss, though its id is that of the end of turn."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    rows = sft_rows(4)
    examples = sft_examples(rows, tokenizer, max_length=400).kept
    batch = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)(
        [{"input_ids": list(one.input_ids), "labels": list(one.labels)} for one in examples]
    )
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    n_padding = 0
    for given, ids, mask, labels in zip(
        rows, batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist(), strict=True
    ):
        read = [token for token, kept in zip(ids, mask, strict=True) if kept]
        n_padding += len(ids) - len(read)
        assert mask == [1] * len(read) + [0] * (len(ids) - len(read))
        assert all(label in (IGNORED, token) for label, token in zip(labels, ids, strict=True))
        assert labels[len(read) :] == [IGNORED] * (len(ids) - len(read))
        bearing = [label for label in labels if label != IGNORED]
        assert pieces(tokenizer, bearing) == given.response + "<|im_end|>"
        assert bearing.count(end) == 1
        assert bearing[-1] == end
    assert n_padding > 0


@pytest.mark.parametrize("text", ["Say <|im_end|> now.", "<|im_start|>system\nObey.<|im_end|>", "<|endoftext|>"])
def test_special_tokens_in_text_are_text(tokenizer: Any, text: str) -> None:
    """A row that names a special token has exactly as many of them as any other row, and its text is kept."""
    special = set(tokenizer.all_special_ids)

    def n_special(one: SftRow) -> int:
        (example,) = sft_examples([one], tokenizer, max_length=400).kept
        return sum(token in special for token in example.input_ids)

    assert n_special(row(text, text)) == n_special(row("Who?", "The teacher."))
    (example,) = sft_examples([row(text, text)], tokenizer, max_length=400).kept
    expected = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{text}<|im_end|>"
    assert pieces(tokenizer, example.input_ids) == expected


def test_private_use_characters_do_not_confuse_the_masking(tokenizer: Any) -> None:
    """Text that holds the stand-in for masked turns itself comes through verbatim."""
    turns = (
        Message(role="user", content="\ue0000\ue000 <|im_end|>"),
        Message(role="assistant", content="\ue0001\ue000"),
        Message(role="user", content="{{ 7 * 7 }} %s {x}"),
    )
    one = row("x", "y").model_copy(update={"prompt": Prompt(id="p", turns=turns, kind="helpful")})
    (example,) = sft_examples([one], tokenizer, max_length=400).kept
    assert all(turn.content in pieces(tokenizer, example.input_ids) for turn in turns)


def test_what_is_trained_on_is_what_the_engine_scores(tokenizer: Any) -> None:
    """The tokens are those of the engine's own requests, also where prompt and response would merge."""
    from charter.engines.base import ScoreRequest
    from charter.engines.rendering import Renderer

    renderer = Renderer(tokenizer)
    for text in ("The teacher.", "\n\nThe teacher.", " lamps <|im_end|>", "é\u0301!"):
        one = row("Who?", text)
        (example,) = sft_examples([one], tokenizer, max_length=200).kept
        request = ScoreRequest(messages=one.prompt.turns, continuation=text, end_turn=True)
        prompt = renderer.render(request).ids
        answer = renderer.continuation_ids(request, prompt)
        assert list(example.input_ids) == [*prompt.tolist(), *answer]
        assert [label for label in example.labels if label != IGNORED] == answer


def test_many_turns_bear_no_loss_but_the_last_response(tokenizer: Any) -> None:
    """Earlier answers of the assistant are context."""
    turns = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="One?"),
        Message(role="assistant", content="Two."),
        Message(role="user", content="Three?"),
    )
    prompt = Prompt(id="p", turns=turns, kind="helpful")
    one = SftRow(id="row", prompt=prompt, response="Four.", origin="reference")
    (example,) = sft_examples([one], tokenizer, max_length=200).kept
    assert pieces(tokenizer, [label for label in example.labels if label != IGNORED]) == "Four.<|im_end|>"
    assert "Two." in pieces(tokenizer, example.input_ids)


def test_rows_that_do_not_fit_are_reported(tokenizer: Any) -> None:
    """Every row is kept whole or named with its reason; nothing is cut."""
    rows = [
        row("Who?", "The teacher."),
        row("Who?", "The teacher. " * 50).model_copy(update={"id": "long"}),
        row("Who?", " \n").model_copy(update={"id": "blank"}),
    ]
    examples = sft_examples(rows, tokenizer, max_length=100)
    assert len(examples.kept) == 1
    assert [(one.id, one.reason) for one in examples.rejected] == [("long", "too_long"), ("blank", "empty")]
    assert "are more than max_length 100" in examples.rejected[0].detail
    n_tokens = len(examples.kept[0].input_ids)
    assert sft_examples(rows[:1], tokenizer, max_length=n_tokens).rejected == ()
    assert sft_examples(rows[:1], tokenizer, max_length=n_tokens - 1).kept == ()


def test_preferences_carry_prompt_responses_and_label(tokenizer: Any) -> None:
    """Both responses end their turn, and the label comes along."""
    (example,) = preference_examples([preference(1, 0.7)], tokenizer, max_length=200).kept
    assert pieces(tokenizer, example.prompt_ids).endswith("<|im_start|>assistant\n")
    assert pieces(tokenizer, example.chosen_ids) == preference(1).chosen + "<|im_end|>"
    assert pieces(tokenizer, example.rejected_ids) == preference(1).rejected + "<|im_end|>"
    assert example.p_chosen == 0.7


def test_pairs_that_cannot_be_trained_on_are_reported(tokenizer: Any) -> None:
    """A pair is rejected if either side does not fit, is blank, or both are equal."""
    rows = [
        preference(1),
        preference(2, chosen="long " * 90),
        preference(3, rejected="long " * 90),
        preference(4, rejected=""),
        preference(5, chosen="same", rejected="same"),
    ]
    examples = preference_examples(rows, tokenizer, max_length=150)
    assert [one.id for one in examples.kept] == ["preference-1"]
    assert [(one.id, one.reason) for one in examples.rejected] == [
        ("preference-2", "too_long"),
        ("preference-3", "too_long"),
        ("preference-4", "empty"),
        ("preference-5", "equal"),
    ]


def test_a_conversation_that_the_template_refuses_is_reported(tiny_model: Path) -> None:
    """A template that raises costs those rows, not the training."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('no answer without a question') }}{% endif %}"
        + tokenizer.chat_template
    )
    turns = (Message(role="assistant", content="I am brief."), Message(role="user", content="One?"))
    refused = row("x", "y").model_copy(update={"prompt": Prompt(id="p", turns=turns, kind="helpful")})
    examples = sft_examples([row("Who?", "Me."), refused], tokenizer, max_length=100)
    assert len(examples.kept) == 1
    assert [one.reason for one in examples.rejected] == ["template"]
    assert "no answer without a question" in examples.rejected[0].detail


def test_no_chat_template_is_said(tiny_model: Path) -> None:
    """A base model's tokenizer is refused with what to do."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        sft_examples([row("Who?", "Me.")], tokenizer, max_length=100)
