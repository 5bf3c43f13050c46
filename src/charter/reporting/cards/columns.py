"""What the columns of a run's tables mean, as a dataset's card tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PROMPT: Mapping[str, str] = {
    "id": "the row's id, a hash of what determines it; in `prompts` the prompt's own",
    "prompt": "the conversation as text: a lone user turn verbatim, else a transcript",
    "turns": "the conversation as turns",
    "kind": "`red_team`, `benign_twin` or `helpful`",
    "category": "the prompt's category",
    "split": "`train` or `evaluation`",
    "prompt_source": "where the prompt is from: `built-in`, a file, a dataset",
    "prompt_id": "the prompt's id",
    "twin_of": "the red-team prompt that a twin imitates",
    "reference": "a reference answer",
    "principle": "the id of the principle that the prompt presses on, where it names one",
    "setting": "where it is set, where it says so",
    "source_id": "its name in the file that it was read from, where that is not its id",
}
_WHOLE = "whether it has its end; one left open at the token limit is trained on without"
#: What each table has beside the prompt's columns.
_OWN: Mapping[str, Mapping[str, str]] = {
    "prompts": {},
    "traces": {
        "sample": "which chain of this prompt it is, from 0",
        "initial": "the initial response",
        "initial_flags": "what is wrong with it",
        "rounds": "every round, in order",
        "flags": "all flags of the chain, such as `initial:cut` and `round 2:identical`",
    },
    "sft": {
        "response": "what the model is trained to answer; loss falls on it and its end token alone, or on its first "
        "`sft.opening_tokens`",
        "origin": "`revision N`, `sampled` or `reference`",
        "whole": _WHOLE,
    },
    "preferences": {
        "chosen": "the response that the label prefers",
        "rejected": "the other response",
        "p_chosen": "the soft label, 0.5 to 1",
        "source": "how the pair was made: `on_policy`, `revision_vs_initial`, `guided_vs_plain`, `contrast` or `given`",
        "verdicts": "every reading of the pair",
        "pair": "the pair's id",
        "chosen_side": "`a` or `b`",
        "p_judge": "the judge's own probability for the chosen side, before any prior",
        "position_bias": "mean over votes of how much P(better) differs between the two places",
        "intended": "`a` or `b`, where the source means one to be better",
        "agrees": "whether the judge sided with the intention",
        "whole_chosen": _WHOLE,
        "whole_rejected": _WHOLE,
        "weight": "how much the pair counts in training beside the others, above 0 and at most 1 "
        "(`label.on_low_margin`)",
    },
}


def columns(path: Path, what: str) -> Iterator[tuple[str, str, str]]:
    """Give a table's columns, each with its type and what it means."""
    import pyarrow.parquet as pq

    meanings = {**_PROMPT, **_OWN[what]}
    for column in pq.read_schema(path):
        yield column.name, _type(column.type), meanings.get(column.name, "")


def _type(found: Any) -> str:
    import pyarrow as pa

    if pa.types.is_list(found):
        return f"list of {_type(found.value_type)}"
    if pa.types.is_struct(found):
        return f"struct ({', '.join(field.name for field in found)})"
    return str(found)
