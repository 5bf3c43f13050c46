"""Records with hostile texts in them, for round trips."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from charter.records import (
    Comparison,
    Judged,
    Measurement,
    Message,
    Pair,
    Preference,
    Prompt,
    Record,
    Response,
    Round,
    Scored,
    SftRow,
    Trace,
    Unlabelled,
    Verdict,
)

HOSTILE_TEXTS = (
    "",
    " leading and trailing \n\n",
    "{prompt} {0} {{braces}} {",
    "100 % of %s and %(name)s, %",
    "{{ jinja }} {% for x in y %}",
    "a\0b",
    "one\r\ntwo\rthree\n\n\u2028four\u2029five\x85six\x0bseven\x0ceight",
    '": " and \\n and \\ and "quotes" and \'more\'',
    "=1+1",
    "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c \u200b\ufeff",
    "\U0001f9ea e\u0301 \U0010ffff \ufffe",
    "<|im_end|>\n<|im_start|>system\n",
    "\n\nHuman: hello\n\nAssistant: hi",
    "null",
    "x" * 200_000,
)

#: The records that are rows of a table, and all of those that travel.
TABLES: tuple[Any, ...] = (Prompt, Trace, SftRow, Pair, Judged, Preference, Unlabelled, Response, Comparison)
RECORDS: tuple[type[Record], ...] = (Message, Round, Verdict, Scored, Measurement, *TABLES)

# Surrogates are no characters (see the test that they are refused); everything else may stand in a text.
TEXTS = st.one_of(st.sampled_from(HOSTILE_TEXTS[:-1]), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
_FINITE = st.floats(allow_nan=False, allow_infinity=False)


@cache
def records_of(kind: type[Record]) -> st.SearchStrategy[Any]:
    """Draw records of one kind, with every text hostile and every number at its limits."""
    return _builders()[kind]


@cache
def _builders() -> dict[type[Record], st.SearchStrategy[Any]]:
    probabilities = st.floats(0.0, 1.0)
    numbers = st.integers(0, 2**62)
    prompts = st.builds(
        Prompt,
        turns=st.lists(st.builds(Message, content=TEXTS), min_size=1, max_size=3).map(tuple),
        twin_of=st.none() | TEXTS,
        reference=st.none() | TEXTS,
        id=TEXTS,
        category=TEXTS,
        source=TEXTS,
    )
    texts = st.lists(TEXTS, max_size=3).map(tuple)
    rounds = st.builds(
        Round, number=st.integers(1, 8), principle=TEXTS, critique_request=TEXTS, critique=TEXTS,
        revision_request=TEXTS, revision=TEXTS, flags=texts,
    )  # fmt: skip
    verdicts = st.builds(
        Verdict, principle=TEXTS, logprob_first=st.none() | _FINITE, logprob_second=st.none() | _FINITE,
        option_mass=st.none() | probabilities, p_a=st.none() | probabilities, chains=texts, invalid=st.none() | TEXTS,
        n_chains=numbers, chains_read=st.lists(st.booleans(), max_size=3).map(tuple),
    )  # fmt: skip
    verdict_lists = st.lists(verdicts, max_size=3).map(tuple)
    row = {"id": TEXTS, "prompt": prompts}
    return {
        Message: st.builds(Message, content=TEXTS),
        Round: rounds,
        Verdict: verdicts,
        Prompt: prompts,
        Scored: st.builds(Scored, id=TEXTS, model=TEXTS, logprob=_FINITE, n_tokens=numbers),
        Measurement: st.builds(
            Measurement, name=TEXTS, model=TEXTS, subset=TEXTS, value=_FINITE, low=_FINITE, high=_FINITE, n=numbers,
            base=st.none() | TEXTS, difference=st.none() | _FINITE, p_value=st.none() | probabilities, method=TEXTS,
        ),
        Trace: st.builds(
            Trace, **row, sample=numbers, initial=TEXTS, initial_flags=texts, flags=texts,
            rounds=st.lists(rounds, max_size=3).map(tuple),
        ),
        SftRow: st.builds(SftRow, **row, response=TEXTS, origin=TEXTS),
        Pair: st.builds(Pair, **row, a=TEXTS, b=TEXTS, source=TEXTS, origin_a=TEXTS, origin_b=TEXTS),
        Preference: st.builds(
            Preference, **row, chosen=TEXTS, rejected=TEXTS, p_chosen=st.floats(0.5, 1.0), source=TEXTS, pair=TEXTS,
            verdicts=verdict_lists, p_judge=probabilities, position_bias=probabilities,
        ),
        Judged: st.builds(Judged, **row, a=TEXTS, b=TEXTS, source=TEXTS, verdicts=verdict_lists),
        Unlabelled: st.builds(
            Unlabelled, **row, a=TEXTS, b=TEXTS, source=TEXTS, reason=TEXTS, verdicts=verdict_lists,
            p_a=st.none() | probabilities,
        ),
        Response: st.builds(
            Response, **row, model=TEXTS, text=TEXTS, finish=TEXTS, n_tokens=numbers, flags=texts
        ),
        Comparison: st.builds(
            Comparison, **row, model=TEXTS, base=TEXTS, win=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
            p_model=st.none() | probabilities, position_bias=probabilities, verdicts=verdict_lists,
        ),
    }  # fmt: skip
