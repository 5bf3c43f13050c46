"""A request's key: what it covers, and that writing it piece by piece changes nothing."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from charter.engines.base import ChoiceRequest, CompletionRequest, Request, Sampling, ScoreRequest
from charter.records import Message
from charter.seeds import digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TURNS = st.lists(st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=TEXT), max_size=4)
SHOWN = st.one_of(st.fixed_dictionaries({"messages": TURNS.map(tuple)}), st.fixed_dictionaries({"text": TEXT}))
REQUESTS = st.one_of(
    st.builds(
        lambda shown, prefill, seed, temperature: CompletionRequest(
            **shown, prefill=prefill, sampling=Sampling(seed=seed, temperature=temperature)
        ),
        SHOWN,
        TEXT,
        st.integers(0, 2**56),
        st.floats(0, 2),
    ),
    st.builds(lambda shown, prefill: ChoiceRequest(**shown, prefill=prefill), SHOWN, TEXT),
    st.builds(lambda shown, end: ScoreRequest(**shown, continuation=end, end_turn=True), SHOWN, TEXT),
)


@given(REQUESTS, TEXT)
@example(CompletionRequest(messages=(), prefill='"messages":null'), '"messages":null')
def test_key_is_the_hash_of_all_that_counts(request: Request, engine: str) -> None:
    """It is the digest of the kind, the engine and every field but the hint, and a schema that is not asked for."""
    shown = request.model_dump(mode="json", exclude={"n_shared"})
    if shown.get("json_schema", "") is None:
        del shown["json_schema"]
    assert request.key(engine) == digest([type(request).__name__, engine, shown])


@given(REQUESTS, st.integers(0, 5))
def test_hint_is_no_part_of_the_key(request: Request, n_shared: int) -> None:
    """How much is shared changes no answer, whatever was asked before with as many shared messages."""
    assert request.model_copy(update={"n_shared": n_shared}).key("engine") == request.key("engine")
