from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from charter.engines.transformers import TransformersEngine, allowance
from charter.engines.transformers.allowance import Allowance, Room
from charter.engines.transformers.decoding import SharedPrefixDecoder
from charter.engines.transformers.keeping import PrefixMemory
from charter.engines.transformers.store import CacheShape, Prefix, SuffixStore
from charter.engines.transformers.waves import WaveDecoder
from engines.contract import ask, draw

ASKED = Allowance(64, None, 1_024, 16_384, 12_288)
SHAPE = CacheShape(n_layers=2, n_kv_heads=2, head_size=4, dtype=torch.float32, device=torch.device("cpu"))


def test_what_is_remembered_takes_a_part_of_what_there_is() -> None:
    """A quarter for prefixes and an eighth for rows that have ended; what was asked for where there is plenty."""
    assert ASKED.within(320_000) == ASKED
    found = ASKED.within(8_000)
    assert (found.max_prefix_tokens, found.max_kept_tokens) == (2_000, 1_000)
    assert (found.max_rows, found.max_batch_tokens, found.max_pass_tokens) == (64, None, 1_024)
    assert ASKED.within(None) == ASKED


def test_room_is_half_of_what_is_free_beside_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """In tokens; a model that keeps nothing of a text has no end."""
    monkeypatch.setattr(allowance, "free_bytes", lambda _device: 1_000_000)
    assert Room("cpu", 100).tokens() == 5_000
    assert Room("cpu", 100).tokens(n_held=700) == 5_700
    assert Room("cpu", 0).tokens() is None
    assert Room("mps", 100).tokens() == 5_000


@pytest.mark.model
@pytest.mark.parametrize("kind", ["tiny_model", "tiny_sliding_model"])
def test_rows_wait_where_memory_is_short(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for two of six, two run at once at most, and every answer is the same; what is free is asked anew."""
    folder: Path = request.getfixturevalue(kind)
    at_once: list[int] = []
    for decoder in (SharedPrefixDecoder, WaveDecoder):
        step = decoder.step

        def counted(self: object, tokens: np.ndarray, step: object = step) -> torch.Tensor:
            at_once.append(len(tokens))
            return step(self, tokens)  # type: ignore[operator]

        monkeypatch.setattr(decoder, "step", counted)
    engine = TransformersEngine(folder, dtype="float32", device="cpu")
    requests = [draw(engine, seed=0, question=f"Question {number}", temperature=0.0) for number in range(6)]
    answers = ask(engine, requests)
    assert max(at_once) == 6
    longest = max(answer.n_prompt_tokens for answer in answers) + requests[0].sampling.max_tokens
    at_once.clear()
    monkeypatch.setattr(Room, "tokens", lambda _self, n_held=0: n_held * 0 + 2 * longest + 4)
    assert [one.text for one in ask(engine, requests)] == [one.text for one in answers]
    assert 1 <= max(at_once) <= 2
    engine.close()


@pytest.mark.model
def test_a_recurrent_state_is_no_cache(tiny_recurrent_model: Path) -> None:
    """It does not grow with the text."""
    engine = TransformersEngine(tiny_recurrent_model, dtype="float32", device="cpu")
    assert engine._scheduler._room.tokens() is None
    engine.close()


def test_many_short_rows_do_not_become_as_many_long_ones() -> None:
    """The store gives back the rows that have left when it is made longer, and keeps what the others hold."""
    store = SuffixStore(SHAPE)
    store.fit(64, 300)
    assert (store.n_rows, store.n_cells) == (64, 320)
    for number, tensor in enumerate((*store.keys, *store.values)):
        tensor[: 14 * SHAPE.n_kv_heads, :300] = number + 1
    store.fit(14, 1500)
    assert (store.n_rows, store.n_cells) == (16, 1536)
    for number, tensor in enumerate((*store.keys, *store.values)):
        assert tensor.shape == (16 * SHAPE.n_kv_heads, 1536, 4)
        assert (tensor[: 14 * SHAPE.n_kv_heads, :300] == number + 1).all()


def test_a_prefix_that_rows_begin_with_is_not_computed_again() -> None:
    """Though others have taken its place in memory; once nobody holds it, it is gone."""
    made: list[int] = []

    def make(ids: np.ndarray) -> Prefix:
        made.append(int(ids[0]))
        return Prefix((), (), len(ids))

    memory = PrefixMemory(make, max_tokens=10)
    one, other = np.full(8, 1), np.full(8, 2)
    held, was_known = memory.get(b"one", one)
    assert not was_known
    memory.get(b"other", other)
    again, was_known = memory.get(b"one", one)
    assert (again is held, was_known, made) == (True, True, [1, 2])
    memory.get(b"other", other)
    del held, again
    gc.collect()
    assert memory.get(b"one", one)[1] is False
    assert made == [1, 2, 2, 1]
