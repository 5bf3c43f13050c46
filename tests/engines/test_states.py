"""Hidden states: the library's own, whatever shares their pass, of the response alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from charter.engines.padding import by_length, padded
from charter.engines.tokenizers import load_tokenizer
from charter.engines.transformers import states
from charter.engines.transformers.states import StateReader, TalkTokens
from charter.engines.weights import resolve_model
from charter.errors import EngineError, ModelError
from charter.records import Message

TALKS = [
    ("How do I repair a bicycle chain?", "First clean it, then count the links."),
    ("Which lamp?", "Any."),
    ("Say <|im_end|> to me, will you?", "<|im_end|> it is, and then some more words than the others have."),
]


@pytest.fixture(scope="module")
def reader(tiny_model: Path) -> StateReader:
    """A reader of the tiny model."""
    return StateReader(tiny_model, device="cpu")


def tokens(reader: StateReader) -> list[TalkTokens]:
    """Tokenise every conversation."""
    return [reader.tokenise((Message(role="user", content=prompt),), said) for prompt, said in TALKS]


def test_rows_of_similar_length_share_a_pass() -> None:
    """The longest first, padding counted; one that is too long is alone."""
    assert list(by_length([3, 9, 4, 2], 8)) == [[1], [2, 0], [3]]
    ids, mask = padded([[5, 6, 7], [8]], 1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.model
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_they_are_the_librarys(reader: StateReader, tiny_model: Path, layer: int) -> None:
    """Each conversation by itself through the library gives the same means and last states."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    talks = tokens(reader)
    means, lasts = (reader.read(talks, layer=layer, pooling=pooling) for pooling in ("mean", "last"))
    for talk, mean, last in zip(talks, means, lasts, strict=True):
        with torch.inference_mode():
            found = model(input_ids=torch.tensor([talk.ids]), output_hidden_states=True).hidden_states[layer][0]
        np.testing.assert_allclose(mean, found[talk.n_prompt :].mean(0), atol=1e-5)
        np.testing.assert_allclose(last, found[-1], atol=1e-5)


@pytest.mark.model
def test_small_passes_give_the_same(reader: StateReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """One conversation a pass, or all in one, is the same up to rounding, in the order asked."""
    together = reader.read(tokens(reader), layer=2, pooling="mean")
    monkeypatch.setattr(states, "_TOKENS_AT_ONCE", {"cpu": 1})
    np.testing.assert_allclose(reader.read(tokens(reader), layer=2, pooling="mean"), together, atol=1e-5)


@pytest.mark.model
def test_conversations_are_rendered_as_the_template_does(reader: StateReader, tiny_model: Path) -> None:
    """The prompt's turn, the response's opening, and the response; what looks like an end of a turn is text."""
    tokenizer = load_tokenizer(resolve_model(str(tiny_model)))
    first, _, third = tokens(reader)
    prompt, said = TALKS[0]
    shown = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    assert tokenizer.decode(first.ids) == f"{shown}{said}"
    assert tokenizer.decode(first.ids[first.n_prompt :]) == said
    assert third.ids.count(tokenizer.eos_token_id) == 1


@pytest.mark.model
def test_a_model_without_a_template_reads_a_transcript(tiny_model: Path, tmp_path: Path) -> None:
    """A base model reads the same conversation as text."""
    import shutil

    folder = tmp_path / "base"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    reader = StateReader(folder, device="cpu")
    found = tokens(reader)[0]
    text = load_tokenizer(resolve_model(str(folder))).decode(found.ids, skip_special_tokens=True)
    assert text.endswith(f"\n\nHuman: {TALKS[0][0]}\n\nAssistant: {TALKS[0][1]}")


@pytest.mark.model
def test_what_cannot_be_read_is_refused(reader: StateReader) -> None:
    """Too long a conversation, a layer that is not there, and a response of nothing."""
    with pytest.raises(EngineError, match="reads 2048 at most"):
        reader.tokenise((Message(role="user", content="a"),), "lamp " * 3000)
    with pytest.raises(ModelError, match="has 2 layers, and no layer 3"):
        reader.read(tokens(reader), layer=3, pooling="mean")
    with pytest.raises(ValueError, match="a response has no token"):
        reader.read([TalkTokens((1, 2), 2)], layer=1, pooling="mean")
