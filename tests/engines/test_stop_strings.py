from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import Completion, Sampling
from charter.engines.transformers.jobs import Drawing
from charter.engines.transformers.stopping import Stopping

SKIPPED, END = "<pad>", "<end>"
WORDS = ("Human", "a", ":", "the", "-", "Human:")
BYTES = tuple(f"<0x{byte:02X}>" for byte in "é\U0001f600\n:".encode())


def _byte_level(text: bytes) -> str:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return "".join(bytes_to_unicode()[byte] for byte in text)


def _decoders() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Name every way of decoding that the families of models have, with a vocabulary for it."""
    from tokenizers import decoders

    texts = (*WORDS, *(f" {word}" for word in WORDS), " ", "  ", "\n", "\n\n", ": ", "é", "é\n", "\U0001f600")
    raw = [text.encode() for text in texts]
    raw += [raw[-1][:2], raw[-1][2:], "é".encode()[:1], "é".encode()[1:], "é".encode()[1:] + b" :", b" " + raw[-1][:1]]
    pieces = (*WORDS, *(f"▁{word}" for word in WORDS), "▁", "▁▁", ":▁", "\n", "\n\n", "é")
    parts = ("▁", *BYTES, *pieces)
    llama = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return {
        "byte level": (decoders.ByteLevel(), tuple(map(_byte_level, raw))),
        "byte fallback": (decoders.Sequence(llama), parts),
        "metaspace": (decoders.Metaspace(), pieces),
        "word pieces": (decoders.WordPiece("##", cleanup=False), (*WORDS, *(f"##{word}" for word in WORDS))),
        "word ends": (decoders.BPEDecoder("</w>"), (*WORDS, *(f"{word}</w>" for word in WORDS))),
    }


FAMILIES = tuple(_decoders())


def make_tokenizer(family: str) -> Any:
    """Make a tokenizer that decodes as a family does: the last two of its tokens are special."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    decoder, pieces = _decoders()[family]
    inner = Tokenizer(WordLevel({piece: number for number, piece in enumerate(dict.fromkeys(pieces))}, pieces[0]))
    inner.decoder = decoder
    inner.add_special_tokens([SKIPPED, END])
    return PreTrainedTokenizerFast(tokenizer_object=inner)


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """A tokenizer of every family."""
    return make_tokenizer(str(request.param))


def decode(tokenizer: Any, tokens: list[int]) -> str:
    """Decode tokens as they are shown to people."""
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def naive(tokenizer: Any, tokens: list[int], stops: tuple[str, ...]) -> tuple[str, str, int]:
    """Decode the whole text after each token and look for the stop strings in it."""
    for n in range(1, len(tokens) + 1):
        if tokens[n - 1] == len(tokenizer) - 1:
            return decode(tokenizer, tokens[: n - 1]), "stop", n
        text = decode(tokenizer, tokens[:n])
        if any(stop in text for stop in stops):
            return text[: min(text.find(stop) for stop in stops if stop in text)], "stop", n
    return decode(tokenizer, tokens), "length", len(tokens)


def ours(stopping: Stopping, tokens: list[int], stops: tuple[str, ...]) -> tuple[str, str, int]:
    """Hand the tokens in one by one, until the job is answered."""
    sampling = Sampling(stop=stops, max_tokens=len(tokens))
    job = Drawing(np.zeros(1, dtype=np.int64), 0, sampling=sampling, max_tokens=len(tokens))
    next(token for token in tokens if stopping.accept(job, token))
    found: Completion = job.future.result(timeout=0)
    return found.text, found.finish, found.n_completion_tokens


@given(data=st.data())
def test_a_text_ends_where_decoding_it_whole_each_time_would_end_it(tokenizer: Any, data: st.DataObject) -> None:
    """Whatever the tokens and stop strings, text, reason and length are those of the plainest way of finding them."""
    tokens = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=40))
    parts = st.sampled_from((*WORDS, " ", " ", "  ", "\n", "é", "\U0001f600"))
    made = st.lists(parts, min_size=1, max_size=4).map("".join)
    text = decode(tokenizer, tokens)
    spans = st.tuples(st.integers(0, max(len(text) - 1, 0)), st.integers(1, 8))
    shown = spans.map(lambda span: text[span[0] : sum(span)]).filter(lambda stop: stop and "\ufffd" not in stop)
    stops = tuple(data.draw(st.lists(st.one_of(made, shown) if text.strip("\ufffd") else made, min_size=1, max_size=3)))
    stopping = Stopping(tokenizer, frozenset({len(tokenizer) - 1}))
    assert ours(stopping, tokens, stops) == naive(tokenizer, tokens, stops)


def _numbers(tokenizer: Any, *pieces: str) -> list[int]:
    return list(tokenizer.convert_tokens_to_ids(list(pieces)))


@pytest.mark.parametrize(
    ("family", "pieces", "stop", "kept"),
    [
        ("metaspace", ("▁a", "▁Human", ":", "▁"), "Human: ", "a "),
        ("word ends", ("a</w>", "Human", ":</w>", "the"), "Human: ", "a "),
        ("byte level", ("a", "Human", ":", SKIPPED, *[SKIPPED] * 30, "Ġthe"), "Human: ", "a"),
        ("byte fallback", ("a", *BYTES[2:6] * 4, "<0x0A>", "<0x0A>"), "\n\n", "a" + "\U0001f600" * 4),
    ],
)
def test_what_a_token_does_not_show_by_itself_is_found(
    family: str, pieces: tuple[str, ...], stop: str, kept: str
) -> None:
    """A space that belongs to a token's place, tokens that say nothing, and a character in many tokens hide no stop."""
    tokenizer = make_tokenizer(family)
    tokens = _numbers(tokenizer, *pieces)
    assert ours(Stopping(tokenizer, frozenset()), tokens, (stop,)) == (kept, "stop", len(tokens))


@pytest.mark.parametrize("stop", ["Human: ", "\n\nHuman: ", "\n", "\n\n", ":  "])
def test_white_space_at_the_end_of_a_stop_string_costs_nothing(stop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none of its words is said, each token is decoded once by itself and the text once at its end."""
    tokenizer = make_tokenizer("byte level")
    tokens = _numbers(tokenizer, "Ġthe", "a", "Ġa", "Ġ") * 50
    n_calls = 0

    def counted(plain: Callable[..., str]) -> Callable[..., str]:
        def call(*arguments: Any, **named: Any) -> str:
            nonlocal n_calls
            n_calls += 1
            return plain(*arguments, **named)

        return call

    monkeypatch.setattr(tokenizer, "decode", counted(tokenizer.decode))
    ours(Stopping(tokenizer, frozenset()), tokens, (stop,))
    assert n_calls == 4 + 1
