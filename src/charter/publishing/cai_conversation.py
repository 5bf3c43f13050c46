"""The layout of cai-conversation: one critique and revision a row, and what SFT and DPO read of it beside it.

Traces become ``train_sft`` and ``test_sft``, preferences ``train_prefs`` and ``test_prefs``: one Parquet file each, so
that ``datasets.load_dataset`` reads the folder as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.publishing.contents import Column
from charter.publishing.layout import Layout, Options, Part, Written, hub_splits, message, messages, sift
from charter.records import Preference, Prompt, Trace

EARLIER_ROUNDS = "rounds before the last"

_COLUMNS: Mapping[str, Column] = {
    "index": "number",
    "prompt": "text",
    "init_prompt": "text",
    "init_response": "text",
    "critic_prompt": "text",
    "critic_response": "text",
    "revision_prompt": "text",
    "revision_response": "text",
    "messages": "messages",
    "chosen": "messages",
    "rejected": "messages",
}


def earlier_rounds(traces: Sequence[Trace]) -> tuple[str, ...]:
    """Name the rounds that a layout of one round a trace loses, where there are any."""
    return (EARLIER_ROUNDS,) if any(len(trace.rounds) > 1 for trace in traces) else ()


def _row(index: int, prompt: Prompt, chosen: str, rejected: str, **texts: str) -> dict[str, Any]:
    turns = messages(prompt.turns)
    with_chosen = [*turns, message("assistant", chosen)]
    return {
        **dict.fromkeys(_COLUMNS, ""),
        "index": index,
        "prompt": prompt.text,
        "init_prompt": prompt.text,
        **texts,
        "messages": with_chosen,
        "chosen": with_chosen,
        "rejected": [*turns, message("assistant", rejected)],
    }


def _of_trace(index: int, trace: Trace) -> dict[str, Any]:
    last = trace.rounds[-1]
    return _row(
        index,
        trace.prompt,
        last.revision,
        trace.initial,
        init_response=trace.initial,
        critic_prompt=last.critique_request,
        critic_response=last.critique,
        revision_prompt=last.revision_request,
        revision_response=last.revision,
    )


def _traces(rows: Sequence[Trace], _: Options) -> Written:
    kept, left_out = sift(rows, has_rounds=True)
    made = [(trace.prompt.split, _of_trace(index, trace)) for index, trace in enumerate(kept)]
    return Written(hub_splits(_COLUMNS, made, "sft"), left_out, earlier_rounds(kept))


def _preferences(rows: Sequence[Preference], _: Options) -> Written:
    # Which of the answers was an initial one and which its revision, a preference does not say.
    made = [(one.prompt.split, _row(index, one.prompt, one.chosen, one.rejected)) for index, one in enumerate(rows)]
    return Written(hub_splits(_COLUMNS, made, "prefs"))


CAI_CONVERSATION: Layout = {
    "traces": Part(_traces, frozenset({"prompt", "turns", "split", "initial", "rounds"})),
    "preferences": Part(_preferences, frozenset({"prompt", "turns", "split", "chosen", "rejected"})),
}
