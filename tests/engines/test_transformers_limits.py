from __future__ import annotations

from pathlib import Path

import pytest

from charter.engines.footprint import CACHE_SHARE
from charter.engines.transformers import TransformersEngine
from charter.engines.transformers import engine as engine_module
from charter.engines.transformers.limits import Limits
from engines.contract import ask, draw

ASKED = Limits(64, None, 1_024, 16_384, 12_288)


def test_caches_take_half_of_what_is_free() -> None:
    """Running rows, prefixes and ended rows together; what was asked for where there is plenty."""
    found = ASKED.within(64_000_000, 100)
    assert (found.max_prefix_tokens, found.max_kept_tokens) == (16_384, 12_288)
    assert found.max_batch_tokens == 320_000 - 16_384 - 12_288
    assert (found.max_rows, found.max_pass_tokens) == (64, 1_024)


def test_short_memory_shortens_everything() -> None:
    """No part of it starves the others, and together they stay within the share."""
    found = ASKED.within(1_600_000, 100)
    assert (found.max_batch_tokens, found.max_prefix_tokens, found.max_kept_tokens) == (6_000, 1_000, 1_000)
    assert CACHE_SHARE * 1_600_000 == 100 * (6_000 + 1_000 + 1_000)


def test_a_limit_that_was_set_holds_where_it_is_lower() -> None:
    """And never means more than there is memory for."""
    few = Limits(64, 500, 1_024, 0, 0)
    assert few.within(10**9, 100).max_batch_tokens == 500
    assert few.within(10_000, 100).max_batch_tokens == 50
    assert ASKED.within(10_000, 0) == ASKED


@pytest.mark.model
@pytest.mark.parametrize("kind", ["tiny_model", "tiny_sliding_model"])
def test_an_engine_without_memory_to_spare_answers_the_same(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row after row, in place of all at once: a tiny Llama keeps a few hundred bytes of each token."""
    folder: Path = request.getfixturevalue(kind)
    roomy = TransformersEngine(folder, dtype="float32", device="cpu")
    requests = [draw(roomy, seed=0, question=f"Question {number}", temperature=0.0) for number in range(6)]
    answers = ask(roomy, requests)
    assert roomy.limits.max_batch_tokens is not None
    assert roomy.limits.max_batch_tokens > 65_536
    roomy.close()
    monkeypatch.setattr(engine_module, "free_bytes", lambda _device: 20_000)
    tight = TransformersEngine(folder, dtype="float32", device="cpu")
    assert tight.limits.max_batch_tokens is not None
    assert 0 < tight.limits.max_batch_tokens < 64
    assert [one.text for one in ask(tight, requests)] == [one.text for one in answers]
    tight.close()


@pytest.mark.model
def test_a_recurrent_state_is_no_cache(tiny_recurrent_model: Path) -> None:
    """It does not grow with the text."""
    engine = TransformersEngine(tiny_recurrent_model, dtype="float32", device="cpu")
    assert engine.limits.max_batch_tokens is None
    engine.close()
